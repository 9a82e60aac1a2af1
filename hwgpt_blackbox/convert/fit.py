"""Fitting a surrogate artifact from measurements: structured additive models, quantile noise.

Every model is a link of a sum over layers within a group (embed_dim, num_layers, bias). That keeps
exact Pareto fronts computable; do not give it up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hwgpt_blackbox.artifact import AdditiveModel, array_key, write_manifest
from hwgpt_blackbox.bounds import bounds
from hwgpt_blackbox.devices import DEVICES
from hwgpt_blackbox.encoding import BIAS, EMBED_DIM, Encoding, IntMatrix
from hwgpt_blackbox.errors import DataError
from hwgpt_blackbox.metrics import METRICS
from hwgpt_blackbox.names import artifact_name
from hwgpt_blackbox.noise import mean_ratio
from hwgpt_blackbox.portable import exp, to_grid
from hwgpt_blackbox.spaces import Space
from hwgpt_blackbox.surrogate import ARRAYS, LEVELS, Surrogate

if TYPE_CHECKING:
    from hwgpt_blackbox.convert.measurements import Measurements

Published = Callable[[IntMatrix], NDArray[np.float64]]


def quantile_levels(body: int = 128, halvings: int = 12) -> NDArray[np.float64]:
    """Levels of the noise tables: even in the body, halving towards 0 and 1 in the tails.

    :param body: cells of the even part
    :param halvings: knots in each tail, the outermost at 2^-halvings / body
    :return: ascending from 0 to 1, exact binary fractions
    """
    tail = 2.0 ** -np.arange(halvings, 0, -1) / body
    return np.concatenate([[0.0], tail, np.arange(1, body) / body, 1.0 - tail[::-1], [1.0]])


@dataclass(frozen=True)
class Design:
    """Linear designs that share effects over layers: counts of choices among the active layers.

    :param space: the space
    :param matrix: architectures, shape (n, num_columns)
    """

    space: Space
    matrix: IntMatrix

    def groups(self) -> Iterator[tuple[int, int, NDArray[np.bool_]]]:
        """(embed_dim index, bias, rows) of each group that is fitted by itself."""
        for e in range(len(self.space.embed_dims)):
            for b in (0, 1):
                yield e, b, (self.matrix[:, EMBED_DIM] == e) & (self.matrix[:, BIAS] == b)

    def pair_counts(self) -> NDArray[np.float64]:
        """How many active layers have each (mlp_ratio, num_heads) pair, shape (n, 9)."""
        encoding = Encoding(self.space)
        mlp, heads = encoding.layer_choices(self.matrix)
        code = np.where(encoding.active(self.matrix), 3 * mlp.astype(np.int64) + heads, -1)
        return np.stack([(code == k).sum(axis=1) for k in range(9)], axis=1).astype(np.float64)


SEPARATE = np.array(
    [[m == k // 3 for m in range(3)] + [h == k % 3 for h in (1, 2)] for k in range(9)], dtype=float
)
"""Pair counts times this: counts of MLP ratios, and of heads beyond the first choice, (9, 5)."""


def fit_additive(
    design: Design, values: NDArray[np.float64], *, link: str, pairs: bool
) -> AdditiveModel:
    """Least squares for each (embed_dim, bias): an intercept and effects of the layers' choices.

    :param values: shape (n,), positive
    :param link: ``identity`` or ``log``
    :param pairs: an effect for each of the nine pairs; else separate ones of MLP ratio and heads
    :raises DataError: a group has too few architectures
    """
    space = design.space
    basis = np.eye(9) if pairs else SEPARATE
    counts = design.pair_counts() @ basis
    target = np.log(values) if link == "log" else values
    intercept = np.zeros((len(space.embed_dims), 1, 2))
    effect = np.zeros((len(space.embed_dims), 1, 2, 1, 3, 3))
    for e, b, rows in design.groups():
        needed = counts.shape[1] + 2
        if rows.sum() < needed:
            raise DataError(
                f"only {rows.sum()} architectures with embed_dim {space.embed_dims[e]} and bias "
                f"{bool(b)}; a fit needs {needed}: measure more"
            )
        columns = np.column_stack([np.ones(rows.sum()), counts[rows]])
        solution = np.linalg.lstsq(columns, target[rows], rcond=None)[0]
        intercept[e, 0, b] = solution[0]
        effect[e, 0, b, 0] = (basis @ solution[1:]).reshape(3, 3)
    return AdditiveModel(link, intercept, effect, None)


def fit_per_layer(design: Design, values: NDArray[np.float64], *, ridge: float) -> AdditiveModel:
    """Log-additive model for each embed_dim: one effect per (layer, choice), one of bias.

    :param values: shape (n,), positive
    :param ridge: penalty on the effects, in units of one architecture
    :raises DataError: an embed_dim has too few architectures
    """
    space, matrix = design.space, design.matrix
    encoding = Encoding(space)
    mlp, heads = encoding.layer_choices(matrix)
    active = encoding.active(matrix)
    layers = space.max_layers
    chosen = [active & (mlp == k) for k in range(3)] + [active & (heads == k) for k in (1, 2)]
    columns = np.concatenate(
        [np.ones((len(matrix), 1)), matrix[:, [BIAS]], *chosen], axis=1, dtype=np.float64
    )
    penalty = np.diag(np.r_[0.0, 0.0, np.full(5 * layers, ridge)])
    intercept = np.zeros((len(space.embed_dims), 1, 2))
    effect = np.zeros((len(space.embed_dims), 1, 1, layers, 3, 3))
    for e in range(len(space.embed_dims)):
        rows = matrix[:, EMBED_DIM] == e
        if rows.sum() < 20:
            raise DataError(
                f"only {rows.sum()} perplexities with embed_dim {space.embed_dims[e]}; "
                "a fit needs 20: measure more"
            )
        x = columns[rows]
        solution = np.linalg.solve(x.T @ x + penalty, x.T @ np.log(values[rows]))
        intercept[e, 0] = solution[0], solution[0] + solution[1]
        by_choice = solution[2:].reshape(5, layers)
        by_head = np.vstack([np.zeros(layers), by_choice[3:]])
        effect[e, 0, 0] = by_choice[:3].T[:, :, None] + by_head.T[:, None, :]
    return AdditiveModel("log", intercept, effect, None)


def smallest_sum(model: AdditiveModel, space: Space) -> float:
    """Smallest sum over all architectures of the space: exact, because the model is additive."""
    return float(_extreme_sums(model, space)[0])


def _extreme_sums(model: AdditiveModel, space: Space) -> tuple[float, float]:
    """Smallest and largest sum over all architectures of the space."""
    shape = (len(space.embed_dims), len(space.num_layers), 2)
    effect = model.effects((*shape, space.max_layers, 3, 3))
    start = np.broadcast_to(model.intercept, shape)
    active = np.arange(space.max_layers) < np.array(space.num_layers)[None, :, None, None]
    low = start + np.where(active, effect.min(axis=(-1, -2)), 0.0).sum(axis=-1)
    high = start + np.where(active, effect.max(axis=(-1, -2)), 0.0).sum(axis=-1)
    return float(low.min()), float(high.max())


def on_grid(model: AdditiveModel, space: Space) -> AdditiveModel:
    """The model with coefficients rounded so that all its sums are exact."""
    bound = float(
        np.abs(model.intercept).max()
        + space.max_layers * max(float(np.abs(model.effect).max()), 1e-300)
    )
    return AdditiveModel(
        model.link, to_grid(model.intercept, bound), to_grid(model.effect, bound), model.ratio
    )


def predict(model: AdditiveModel, space: Space, matrix: IntMatrix) -> NDArray[np.float64]:
    """Expected values of one model, shape (n,)."""
    encoding = Encoding(space)
    shape = (len(space.embed_dims), len(space.num_layers), 2)
    index = tuple(matrix[:, c].astype(np.intp) for c in (EMBED_DIM, 0, BIAS))
    mlp, heads = encoding.layer_choices(matrix)
    effect = model.effects((*shape, space.max_layers, 3, 3))
    layers = np.arange(space.max_layers)
    terms = effect[(*(i[:, None] for i in index), layers, mlp, heads)]
    total = np.broadcast_to(model.intercept, shape)[index]
    total = total + np.where(encoding.active(matrix), terms, 0.0).sum(axis=1)
    return exp(total) if model.link == "log" else total


def fit_noisy(
    design: Design, repeats: NDArray[np.float64], levels: NDArray[np.float64]
) -> AdditiveModel:
    """Model of the mean of repeats, and quantiles of measurement over expected value.

    Least squares on the pairs; where its smallest value over the space is not positive, separate
    effects, and at last the log link, which is positive by construction.

    :param repeats: measurements, shape (n, repeats), positive
    :param levels: levels of the quantiles
    """
    space = design.space
    mean = repeats.mean(axis=1)
    for link, pairs in (("identity", True), ("identity", False), ("log", False)):
        model = fit_additive(design, mean, link=link, pairs=pairs)
        if link == "log" or smallest_sum(model, space) > 0.2 * mean.min():
            break
    model = on_grid(model, space)
    expected = predict(model, space, design.matrix)
    ratio = np.empty((len(space.embed_dims), 1, 2, len(levels)))
    for e, b, rows in design.groups():
        ratio[e, 0, b] = fit_ratio(repeats[rows] / expected[rows, None], levels)
    return AdditiveModel(model.link, model.intercept, model.effect, ratio)


def fit_ratio(ratios: NDArray[np.float64], levels: NDArray[np.float64]) -> NDArray[np.float64]:
    """Quantiles of ratios at the levels, scaled so that the mean of the draws is 1.

    :param ratios: any shape, positive
    :return: shape (levels,), ascending, single precision values
    """
    quantiles = np.exp(np.quantile(np.log(ratios), levels))
    quantiles /= mean_ratio(levels, quantiles)
    return quantiles.astype(np.float32).astype(np.float64)  # type: ignore[no-any-return]


PUBLISHED_SAMPLE, PUBLISHED_SEED = 20_000, 1
"""Architectures on which a perplexity model learns from the published MLP, and their seed."""

ENOUGH_PERPLEXITIES = 2_000
"""With fewer measured perplexities the model learns from the published MLP."""


def fit_surrogate(
    data: Measurements,
    folder: Path,
    *,
    published: Published | None,
    progress: Callable[[str], None] | None = None,
) -> None:
    """Fit every model of a space and write the artifact.

    :param data: measurements of the space
    :param folder: existing empty folder that becomes the artifact
    :param published: perplexities of the published MLP with its offset removed, for any choice
        indices; used where too few were measured
    :param progress: called with the name of each step
    :raises DataError: too few architectures or perplexities
    """
    space = data.space
    say = progress or (lambda step: None)
    design = Design(space, data.matrix)
    levels = quantile_levels()
    models: dict[str, AdditiveModel] = {}
    say("perplexity")
    models["perplexity"], perplexity_source = _perplexity(data, published)
    for name in ("memory_float16", "memory_bfloat16"):
        say(name)
        values = getattr(data, name)
        models[name] = on_grid(fit_additive(design, values, link="identity", pairs=True), space)
    for index, device in enumerate(DEVICES):
        for name in ("latency", "energy"):
            say(f"{name}@{device}")
            models[f"{name}@{device}"] = fit_noisy(design, getattr(data, name)[index], levels)
    manifest: dict[str, Any] = {
        "kind": "surrogate",
        "name": artifact_name(space.name),
        "space": space.name,
        "units": {row.name: row.unit for row in METRICS.values()},
        "links": {target: model.link for target, model in models.items()},
        "perplexity": perplexity_source,
        "source": data.source,
    }
    surrogate = Surrogate(space, models, levels, manifest)
    manifest["bounds"] = bounds(surrogate)
    say("writing")
    write_surrogate(surrogate, folder, manifest)


def write_surrogate(surrogate: Surrogate, folder: Path, manifest: dict[str, Any]) -> None:
    """Write the arrays and the manifest of a surrogate artifact into an existing folder."""
    arrays: dict[str, NDArray[Any]] = {LEVELS: surrogate.levels}
    for target, model in surrogate.models.items():
        arrays[array_key(target, "intercept")] = model.intercept
        arrays[array_key(target, "effect")] = model.effect
        for number, part in enumerate(model.corrections, start=1):
            arrays[array_key(target, f"correction{number}")] = part
        if model.ratio is not None:
            arrays[array_key(target, "ratio")] = model.ratio.astype(np.float32)
    np.savez_compressed(folder / ARRAYS, allow_pickle=False, **arrays)
    write_manifest(folder, manifest)


def _perplexity(
    data: Measurements, published: Published | None
) -> tuple[AdditiveModel, dict[str, Any]]:
    """The perplexity model and what it was fitted on."""
    space = data.space
    measured = np.isfinite(data.perplexity)
    if measured.sum() >= ENOUGH_PERPLEXITIES or published is None:
        matrix, values = data.matrix[measured], data.perplexity[measured]
        source: dict[str, Any] = {"fitted_on": "measurements", "architectures": int(measured.sum())}
    else:
        rng = np.random.default_rng(PUBLISHED_SEED)
        matrix = Encoding(space).sample(PUBLISHED_SAMPLE, rng)
        values = published(matrix)
        source = {
            "fitted_on": "predictions of the published MLP, offset to the measurements removed",
            "architectures": PUBLISHED_SAMPLE,
            "seed": PUBLISHED_SEED,
            "measured": int(measured.sum()),
        }
    return on_grid(fit_per_layer(Design(space, matrix), values, ridge=1.0), space), source
