"""Fitting a surrogate artifact from measurements: structured additive models, calibrated noise.

Every model is a link of a sum over layers within a group (embed_dim, num_layers, bias). That keeps
exact Pareto fronts computable; do not give it up.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, astuple, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwgpt_blackbox.convert.fitting.additive_tables import (
    additive_model,
    neighbour_table,
    on_grid,
)
from hwgpt_blackbox.convert.fitting.expected_value import (
    DESIGNS,
    FOLD_SEED,
    FOLDS,
    Choice,
    ExpectedValueFit,
    FitDesign,
    Fold,
    Regression,
    choose_design,
    make_folds,
)
from hwgpt_blackbox.convert.fitting.features import (
    HEADS,
    MLP,
    Architectures,
    Array,
    Features,
    hardware_features,
    joined,
    neighbour_features,
    pair_counts,
    perplexity_features,
)
from hwgpt_blackbox.convert.fitting.noise_tables import align_folds, fit_ratios, quantile_levels
from hwgpt_blackbox.convert.fitting.repeat_dependence import with_dependence
from hwgpt_blackbox.convert.fitting.repeat_positions import with_positions
from hwgpt_blackbox.convert.progress import Progress, silent
from hwgpt_blackbox.convert.source.measurements import Measurements
from hwgpt_blackbox.domain.devices import ALL_DEVICES, DEVICES
from hwgpt_blackbox.domain.encoding import Encoding, IntMatrix
from hwgpt_blackbox.domain.objectives import METRICS, dataset_columns
from hwgpt_blackbox.domain.spaces import Space
from hwgpt_blackbox.errors import DataError
from hwgpt_blackbox.fronts import standard_problems
from hwgpt_blackbox.models.evidence import empirical_bayes, ridge
from hwgpt_blackbox.models.ideal_and_nadir import bounds
from hwgpt_blackbox.models.surrogate import (
    ERROR,
    LEVELS,
    AdditiveModel,
    Surrogate,
    array_key,
    may_look_back,
)
from hwgpt_blackbox.storage.artifact_kinds import artifact_name
from hwgpt_blackbox.storage.manifest import space_entry, write_manifest
from hwgpt_blackbox.storage.surrogates import ARRAYS

Published = Callable[[IntMatrix], NDArray[np.float64]]

PUBLISHED_SAMPLE, PUBLISHED_SEED = 20_000, 1
"""Architectures on which a perplexity model learns from the published MLP, and their seed."""

ENOUGH_PERPLEXITIES = 2_000
"""With fewer measured perplexities the model learns from the published MLP, if there is one."""

MIN_PERPLEXITIES = 20
"""Perplexities that an embed_dim needs."""

Pairs = tuple[tuple[str, ...], ...]
"""Of layers 1, 2, ... before a layer: which hyperparameters have effects together with its own."""

PAIRS: tuple[Pairs, ...] = (
    (),
    ((MLP, HEADS),),
    ((MLP, HEADS), (MLP,)),
    ((MLP, HEADS), (HEADS,)),
)
"""To choose from. Of layers two apart it is one hyperparameter of the earlier: both gain little
more, and three times the states slow exact fronts.
"""

PAIR_MARGIN = 0.01
"""Pairs of layers one layer farther apart must lower log RMSE + log MAE by more than this."""

FEATURES_PER_ARCHITECTURE = 2
"""Effects of pairs are not tried with more features than this times an embed_dim's perplexities."""

MANY_PERPLEXITIES = 1_000
"""Perplexities of an embed_dim from which on cross-validation uses one fold."""

MEMORIES = ("memory_float16", "memory_bfloat16")


def fit_least_squares(sample: Architectures, values: Array) -> AdditiveModel:
    """Least squares for each (embed_dim, bias): an intercept and an effect of each pair.

    The model of memory, and the floor that models of noisy metrics are measured against.

    :param values: shape (n,)
    """
    space = sample.space
    counts = np.column_stack([np.ones(len(sample)), pair_counts(sample)])
    intercept = np.zeros((len(space.embed_dims), 1, 2))
    pairs = len(space.mlp_ratios), len(space.num_heads)
    effect = np.zeros((len(space.embed_dims), 1, 2, 1, *pairs))
    for e in range(len(space.embed_dims)):
        for b in (0, 1):
            rows = (sample.embed == e) & (sample.bias == b)
            solution = np.linalg.lstsq(counts[rows], values[rows], rcond=None)[0]
            intercept[e, 0, b] = solution[0]
            effect[e, 0, b, 0] = solution[1:].reshape(pairs)
    return on_grid(AdditiveModel("identity", intercept, effect, None), space)


def fit_perplexity(
    sample: Architectures, values: Array, pairs: Sequence[Pairs] = PAIRS
) -> AdditiveModel:
    """Log-additive model for each embed_dim, every block of effects shrunk by its own penalty.

    Cross-validation decides whether there are effects of pairs of layers, and of which.

    :param values: shape (n,), positive
    :param pairs: to choose from
    :raises DataError: an embed_dim has too few architectures
    """
    space = sample.space
    members = [np.flatnonzero(sample.embed == e) for e in range(len(space.embed_dims))]
    for embed_dim, rows in zip(space.embed_dims, members, strict=True):
        if len(rows) < MIN_PERPLEXITIES:
            raise DataError(
                f"only {len(rows)} perplexities with embed_dim {embed_dim}; a fit needs "
                f"{MIN_PERPLEXITIES}: measure more"
            )
    known = [k for k in pairs if may_look_back(space, len(k))]
    scores = [_score(sample, values, members, k) + PAIR_MARGIN * len(k) for k in known]
    best = known[int(np.argmin(scores))]
    weights = []
    for rows in members:
        parts = _features(sample, rows, best)
        ends = np.cumsum([part.values.shape[1] for part in parts])[:-1]
        weights.append(np.split(_learned(joined(parts), values[rows]), ends))
    own, *apart = zip(*weights, strict=True)
    model = additive_model(space, perplexity_features, own, "log")
    tables = [
        neighbour_table(space, k, earlier, w)
        for k, (earlier, w) in enumerate(zip(best, apart, strict=True), start=1)
    ]
    return on_grid(replace(model, neighbours=tuple(tables)), space)


def _features(sample: Architectures, rows: NDArray[np.intp], pairs: Pairs) -> list[Features]:
    """Features of layers, then of pairs of layers 1, 2, ... apart; see ``PAIRS``."""
    inputs = sample.inputs(rows)
    apart = [neighbour_features(inputs, k, earlier) for k, earlier in enumerate(pairs, start=1)]
    return [perplexity_features(inputs), *apart]


def _learned(features: Features, values: Array) -> Array:
    """Weights of features of the log of values, shape (p,)."""
    x, y = features.values, np.log(values)
    middle = float(y.mean())
    gram, moment = x.T @ x, x.T @ (y - middle)
    square = float(((y - middle) ** 2).sum())
    penalty = empirical_bayes(gram, moment, square, len(y), features.block, iterations=60)
    weights = ridge(gram, moment, penalty)
    weights[0] += middle
    return weights


def _score(
    sample: Architectures,
    values: Array,
    members: Sequence[NDArray[np.intp]],
    pairs: Pairs,
) -> float:
    """Log RMSE + log MAE on architectures that a fit has not seen; infinite: too few to try it.

    Where there are many architectures, one fold is enough.

    :param members: rows of each embed_dim
    """
    errors = []
    for rows in members:
        features = joined(_features(sample, rows, pairs))
        if pairs and features.values.shape[1] > FEATURES_PER_ARCHITECTURE * len(rows):
            return np.inf
        part = np.random.default_rng(FOLD_SEED).permutation(len(rows)) % FOLDS
        for k in range(FOLDS if len(rows) < MANY_PERPLEXITIES else 1):
            rest = replace(features, values=features.values[part != k])
            weights = _learned(rest, values[rows[part != k]])
            own = part == k
            errors.append(np.exp(features.values[own] @ weights) - values[rows[own]])
    error = np.concatenate(errors)
    if not error.any():
        return -np.inf
    return float(np.log(np.sqrt((error**2).mean())) + np.log(np.abs(error).mean()))


def tables_of(fit: ExpectedValueFit, space: Space) -> AdditiveModel:
    """The artifact's tables of a fitted location."""
    return additive_model(space, hardware_features, fit.weights, fit.design.link, fit.log_scale)


def is_positive(fit: ExpectedValueFit, space: Space) -> bool:
    """Whether a fit predicts a positive value for every architecture of the space."""
    return fit.design.link == "log" or tables_of(fit, space).sum_range(space)[0] > 0.0


def fit_noisy(
    regression: Regression,
    folds: list[Fold],
    repeats: Array,
    length: int,
    levels: Array,
    designs: Sequence[FitDesign] = DESIGNS,
) -> tuple[AdditiveModel, Choice]:
    """Model of one noisy metric of one device, and how it was chosen.

    :param repeats: measurements, shape (n, r), positive
    :param length: number of positions while profiling
    :param levels: levels of the noise tables
    :param designs: to choose from
    """
    space = regression.sample.space
    choice = choose_design(regression, repeats, folds, lambda fit: is_positive(fit, space), designs)
    unseen = align_folds(choice.fit.predict(regression), choice.out_of_fold, folds, regression.cell)
    ratio, scale = fit_ratios(repeats, unseen, regression.cell, regression.order, length, levels)
    choice = replace(choice, fit=choice.fit.scaled(scale))
    return replace(tables_of(choice.fit, space), ratio=ratio), choice


def noisy_targets(data: Measurements) -> dict[str, Array]:
    """Measurements of every noisy metric of every device, shape (n, repeats that were measured)."""
    targets = {}
    for name in ("latency", "energy"):
        measured: dict[str, int] = getattr(data, f"{name}_repeats")
        for index, device in enumerate(DEVICES):
            targets[f"{name}@{device}"] = getattr(data, name)[index][:, : measured[device]]
    return targets


def fit_models(
    data: Measurements,
    rows: NDArray[np.intp] | None = None,
    *,
    published: Published | None = None,
    progress: Progress = silent,
    designs: Sequence[FitDesign] = DESIGNS,
) -> tuple[Surrogate, dict[str, Any]]:
    """Every model of a space, and what to say of each in the manifest.

    :param data: measurements of the space
    :param rows: fit on these architectures only, ascending; default: all
    :param published: perplexities of the published MLP with its offset removed, for any choice
        indices; used where too few were measured
    :param progress: called with the name of each step
    :param designs: that models of noisy metrics are chosen from
    :raises DataError: too few architectures or perplexities
    """
    order = np.arange(len(data)) if rows is None else np.asarray(rows)
    sample = Architectures(data.space, data.matrix[order])
    regression = Regression(sample, order)
    regression.check()
    levels = quantile_levels()
    models: dict[str, AdditiveModel] = {}
    progress("perplexity")
    models["perplexity"], perplexity = _perplexity(sample, data.perplexity[order], published)
    notes: dict[str, Any] = {"perplexity": perplexity}
    known = np.flatnonzero(np.isfinite(data.error[order]))
    if np.bincount(sample.embed[known], minlength=len(data.space.embed_dims)).min() >= (
        MIN_PERPLEXITIES
    ):
        progress(ERROR)
        models[ERROR] = fit_perplexity(sample.take(known), data.error[order][known])
        notes[ERROR] = {"fitted_on": "measurements", "architectures": len(known)}
    for name in MEMORIES:
        progress(name)
        models[name] = fit_least_squares(sample, getattr(data, name)[order])
    folds = make_folds(regression)
    expected: dict[str, Array] = {}
    noisy = {target: repeats[order] for target, repeats in noisy_targets(data).items()}
    for target, repeats in noisy.items():
        progress(target)
        models[target], choice = fit_noisy(regression, folds, repeats, len(data), levels, designs)
        expected[target] = choice.fit.predict(regression)
        notes[target] = {
            "design": str(choice.fit.design),
            "drift_window": 2 * choice.fit.drift.half,
            "drift_by_embed_dim": choice.fit.drift.by_embed,
        }
    progress("dependence of measurements")
    surrogate = Surrogate(data.space, models, levels, {})
    surrogate = with_dependence(surrogate, sample.matrix, expected, noisy)
    progress("positions of repeats")
    surrogate = with_positions(surrogate, sample, expected, noisy)
    for target in noisy:
        notes[target]["dependence"] = asdict(surrogate.models[target].dependence)
        notes[target]["positions_matter"] = surrogate.models[target].positions is not None
    return surrogate, notes


def fit_surrogate(
    data: Measurements,
    folder: Path,
    *,
    published: Published | None,
    progress: Progress = silent,
) -> None:
    """Fit every model of a space and write the artifact.

    :param data: measurements of the space
    :param folder: existing empty folder that becomes the artifact
    :param published: see :func:`fit_models`
    :param progress: called with the name of each step
    :raises DataError: too few architectures or perplexities
    """
    surrogate, notes = fit_models(data, published=published, progress=progress)
    progress("reference fronts")
    write_space(surrogate, folder, artifact_name(data.space.name), {"fit": notes}, data.source)


def write_space(
    surrogate: Surrogate,
    folder: Path,
    name: str,
    notes: Mapping[str, Any],
    source: Mapping[str, Any],
) -> Surrogate:
    """Write the surrogate artifact of a space: bounds and fronts of standard problems included.

    :param folder: existing empty folder that becomes the artifact
    :param name: of the artifact
    :param notes: how the models were made, for the manifest
    :param source: what they were made from, for the manifest
    :return: the surrogate with its manifest
    """
    manifest: dict[str, Any] = {
        "kind": "surrogate",
        "name": name,
        **space_entry(surrogate.space),
        "units": {
            column.metric: METRICS[column.metric].unit
            for column in dataset_columns(ALL_DEVICES, surrogate.measured).values()
        },
        "links": {target: model.link for target, model in surrogate.models.items()},
        **notes,
        "bounds": bounds(surrogate),
        "source": dict(source),
    }
    surrogate = Surrogate(surrogate.space, surrogate.models, surrogate.levels, manifest)
    manifest["problems"] = standard_problems(surrogate)
    write_surrogate(surrogate, folder, manifest)
    return surrogate


def write_surrogate(surrogate: Surrogate, folder: Path, manifest: dict[str, Any]) -> None:
    """Write the arrays and the manifest of a surrogate artifact into an existing folder."""
    arrays: dict[str, NDArray[Any]] = {LEVELS: surrogate.levels}
    for target, model in surrogate.models.items():
        arrays[array_key(target, "intercept")] = model.intercept
        arrays[array_key(target, "effect")] = model.effect
        for number, part in enumerate(model.corrections, start=1):
            arrays[array_key(target, f"correction{number}")] = part
        for apart, part in enumerate(model.neighbours, start=1):
            arrays[array_key(target, f"neighbours{apart}")] = part
        if model.ratio is not None:
            arrays[array_key(target, "ratio")] = model.ratio.astype(np.float32)
            dependence = astuple(model.dependence)
            arrays[array_key(target, "dependence")] = np.array(dependence, dtype=np.float64)
        if model.positions is not None:
            arrays[array_key(target, "positions")] = model.positions.astype(np.float32)
    np.savez_compressed(folder / ARRAYS, **arrays)  # type: ignore[arg-type]
    write_manifest(folder, manifest)


def _perplexity(
    sample: Architectures, values: Array, published: Published | None
) -> tuple[AdditiveModel, dict[str, Any]]:
    """The perplexity model and what it was fitted on."""
    measured = np.isfinite(values)
    count = int(measured.sum())
    if count >= ENOUGH_PERPLEXITIES or published is None:
        source: dict[str, Any] = {"fitted_on": "measurements", "architectures": count}
        model = fit_perplexity(sample.take(np.flatnonzero(measured)), values[measured])
    else:
        rng = np.random.default_rng(PUBLISHED_SEED)
        drawn = Architectures(sample.space, Encoding(sample.space).sample(PUBLISHED_SAMPLE, rng))
        source = {
            "fitted_on": "predictions of the published MLP, its offset to the measurements removed",
            "architectures": PUBLISHED_SAMPLE,
            "seed": PUBLISHED_SEED,
            "measured": count,
        }
        # Its pairs of layers: they do not lower the error against the measurements.
        model = fit_perplexity(drawn, published(drawn.matrix), PAIRS[:1])
    return model, source | {"pairs_of_layers_apart": len(model.neighbours)}
