"""What the page draws, ready for JSON: numbers rounded, architectures as short texts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from hwgpt_blackbox.domain.encoding import BIAS, EMBED_DIM, NUM_LAYERS, Encoding, IntMatrix
from hwgpt_blackbox.domain.spaces import Space
from hwgpt_blackbox.experiments.architecture_sample import ArchitectureSample
from hwgpt_blackbox.experiments.figures import SEED, cloud, configuration_matrix, front_rows
from hwgpt_blackbox.experiments.problems import Problem
from hwgpt_blackbox.experiments.report.power_law import predicted
from hwgpt_blackbox.experiments.report.ranks import Ranking
from hwgpt_blackbox.experiments.results.run_file import StoredRun
from hwgpt_blackbox.experiments.results.scores import nondominated
from hwgpt_blackbox.experiments.runs import TRIAL_ID
from hwgpt_blackbox.fronts import ReferenceFront
from hwgpt_blackbox.plotting.style import axis_label, method_styles, plain
from hwgpt_blackbox.storage.spaces import find_space

CLOUD_SHOWN, EXACT_SHOWN = 500, 400
"""Architectures of a cloud, and points of an exact front, that a figure of the page shows."""

_DIGITS = 5


def report_data(
    problems: Sequence[Problem], methods: Sequence[str], ranking: Ranking
) -> dict[str, Any]:
    """What all problems share.

    :param methods: in the order of the legend
    :return: ``methods``, ``ranks``, ``objectives`` (their labels), ``spaces``, ``clouds`` (by space
        and kind), and an empty list of ``problems``
    """
    clouds: dict[str, Any] = {}
    for problem in problems:
        found = cloud(problem)
        if found is not None:
            data = cloud_data(found)
            data["values"] |= clouds.get(f"{problem.space} {found.kind}", data)["values"]
            clouds[f"{problem.space} {found.kind}"] = data
    return {
        "methods": method_data(methods),
        "ranks": ranks_data(ranking),
        "objectives": {c.target: axis_label(c) for p in problems for c in p.objectives},
        "spaces": {
            name: space_data(find_space(name)) for name in sorted({p.space for p in problems})
        },
        "clouds": clouds,
        "problems": [],
    }


def law_data(sample: ArchitectureSample, law: pd.DataFrame) -> dict[str, Any]:
    """Perplexity of some architectures, and what laws say of it.

    :param law: what ``power_law_table`` returned
    """
    truth = sample.values["perplexity"].to_numpy(dtype=np.float64)
    laws = [column for column in ("coefficient", "authors") if law[column].notna().all()]
    by_law = {c: predicted(sample, law[c].to_numpy(dtype=np.float64)) for c in laws}
    return {
        "perplexity": rounded(truth[:CLOUD_SHOWN], 5),
        **{name: rounded(values[:CLOUD_SHOWN], 5) for name, values in by_law.items()},
    }


def correlation_data(table: pd.DataFrame) -> dict[str, Any]:
    """Names and Kendall's tau of every pair, a list per row of the matrix.

    :param table: what ``correlation_table`` returned
    """
    names = list(dict.fromkeys(table["a"]))
    taus = table.pivot_table(index="a", columns="b", values="kendall_tau", sort=False)
    return {"names": names, "tau": [rounded(row, 3) for row in taus.loc[names, names].to_numpy()]}


def space_data(space: Space) -> dict[str, Any]:
    """Choices of a space: what the page needs to read architectures.

    :return: ``choices``, and ``group`` and ``layer``, digits of the parts of a text: see
        :func:`architecture_texts`
    """
    groups = 2 * len(space.embed_dims) * len(space.num_layers)
    return {
        "choices": {
            "embed_dim": space.embed_dims,
            "num_layers": space.num_layers,
            "mlp_ratio": space.mlp_ratios,
            "num_heads": space.num_heads,
        },
        "group": len(np.base_repr(groups - 1, 36)),
        "layer": len(np.base_repr(space.layer_codes - 1, 36)),
    }


def architecture_texts(encoding: Encoding, matrix: IntMatrix) -> str:
    """Architectures in few characters, separated by spaces.

    Each is the number of its group (embed_dim, num_layers, bias), then that of the choices
    (mlp_ratio, num_heads) of each active layer, in base 36.

    :param matrix: choice indices, shape (n, columns)
    """
    space, digits = encoding.space, space_data(encoding.space)
    sizes = (len(space.embed_dims), len(space.num_layers), 2)
    columns = [matrix[:, j].astype(np.intp) for j in (EMBED_DIM, NUM_LAYERS, BIAS)]
    group = np.ravel_multi_index(columns, sizes)
    mlp, heads = (part.astype(np.intp) for part in encoding.layer_choices(matrix))
    layers = _in_base_36(space.layer_codes, digits["layer"])[mlp * len(space.num_heads) + heads]
    depths = np.array(space.num_layers)[matrix[:, NUM_LAYERS]]
    starts = _in_base_36(int(np.prod(sizes)), digits["group"])[group]
    return " ".join(
        start + "".join(row[:depth])
        for start, row, depth in zip(starts, layers.tolist(), depths, strict=True)
    )


def _in_base_36(count: int, digits: int) -> NDArray[np.str_]:
    """The numbers below ``count`` as texts of one length."""
    return np.array([np.base_repr(i, 36).rjust(digits, "0") for i in range(count)])


def rounded(values: ArrayLike, digits: int = _DIGITS) -> list[float | None]:
    """Numbers with few digits; None for what is not finite."""
    numbers = np.asarray(values, dtype=np.float64).tolist()
    return [float(f"{v:.{digits}g}") if np.isfinite(v) else None for v in numbers]


def method_data(methods: Sequence[str]) -> list[dict[str, str]]:
    """Name, colour and marker of each method, in the order of the legend."""
    styles = method_styles(methods)
    return [
        {"name": plain(name), "colour": styles[name][0], "marker": styles[name][1]}
        for name in methods
    ]


def ranks_data(ranking: Ranking) -> dict[str, Any] | None:
    """Average ranks by method and the critical difference; None if there is nothing to rank."""
    table = ranking.ranks
    if len(table) < 2 or table["rank"].isna().any():
        return None
    (distance,) = rounded([ranking.critical_difference])
    return {"ranks": rounded(table["rank"]), "critical_difference": distance}


def method_fronts(encoding: Encoding, results: Sequence[StoredRun]) -> dict[str, Any]:
    """What the runs of a method found.

    :return: ``seeds``; ``runs``: of each the values on its front, a list per objective, ascending
        by the first; and ``front``: the points on the front of all of them, with ``values``,
        ``architectures``, and ``seeds`` and ``trials`` where they were found
    """
    columns = results[0].run.expected_columns
    rows = front_rows(results).sort_values(columns)
    fronts = [result.expected[nondominated(result.expected)] for result in results]
    return {
        "seeds": [result.run.seed for result in results],
        "runs": [_columns(values[values[:, 0].argsort(kind="stable")]) for values in fronts],
        "front": {
            "seeds": rows[SEED].tolist(),
            "trials": rows[TRIAL_ID].tolist(),
            "architectures": architecture_texts(encoding, configuration_matrix(encoding, rows)),
            "values": _columns(rows[columns].to_numpy()),
        },
    }


def _columns(values: NDArray[np.float64]) -> list[list[float | None]]:
    return [rounded(column) for column in values.T]


def curves(table: pd.DataFrame) -> dict[str, dict[str, dict[str, list[float | None]]]]:
    """Hypervolume over trials and over hours of each method, at the places where it changes.

    :param table: what ``convergence_table`` returned
    :return: by method and axis: ``at``, ``q25``, ``median`` and ``q75``
    """
    found: dict[Any, Any] = {}
    levels = ["q25", "median", "q75"]
    for (method, axis), part in table.groupby(["method", "axis"], sort=False):
        values = part[[f"hypervolume_{level}" for level in levels]].round(5).to_numpy()
        keep = np.ones(len(part), dtype=np.bool_)
        keep[1:-1] = (values[1:-1] != values[:-2]).any(axis=1)
        columns = dict(zip(levels, values[keep].T, strict=True))
        curve = {"at": part["at"].to_numpy()[keep], **columns}
        found.setdefault(method, {})[axis] = {k: rounded(v, 5) for k, v in curve.items()}
    return found


def exact_front(front: ReferenceFront | None, targets: Sequence[str]) -> dict[str, Any] | None:
    """The exact front, or so many points of it as a figure can tell apart.

    :return: ``size`` of the whole front, and ``architectures`` and ``values`` of the points
    """
    if front is None:
        return None
    places = np.linspace(0, len(front) - 1, min(len(front), EXACT_SHOWN)).round().astype(np.intp)
    values = front.objectives[:, [front.names.index(target) for target in targets]]
    return {
        "size": len(front),
        "architectures": architecture_texts(front.encoding, front.matrix[places]),
        "values": _columns(values[places]),
    }


def cloud_data(sample: ArchitectureSample) -> dict[str, Any]:
    """The first architectures of a cloud, and their values by objective."""
    encoding, part = Encoding(find_space(sample.space)), sample.values.iloc[:CLOUD_SHOWN]
    return {
        "kind": sample.kind,
        "architectures": architecture_texts(encoding, sample.matrix[:CLOUD_SHOWN]),
        "values": {str(name): rounded(part[name]) for name in part},
    }


def choices_data(table: pd.DataFrame, methods: Sequence[str]) -> dict[str, Any]:
    """Shares of each hyperparameter's values on each front.

    :param table: what ``choices_table`` returned
    :return: ``fronts`` (places in ``methods``; -1 for the exact one), ``sizes``, and under
        ``shares`` by hyperparameter ``values`` and ``of`` (a list per front)
    """
    sizes = table.groupby("front", sort=False)["size"].first()
    shares = {}
    for name, part in table.groupby("hyperparameter", sort=False):
        wide = part.pivot_table(index="front", columns="value", values="share", sort=False)
        wide = wide.loc[sizes.index]
        rows = [rounded(row, 3) for row in wide.to_numpy()]
        shares[name] = {"values": rounded(wide.columns), "of": rows}
    fronts = [methods.index(name) if name in methods else -1 for name in sizes.index]
    return {"fronts": fronts, "sizes": sizes.tolist(), "shares": shares}


def distribution_data(table: pd.DataFrame) -> dict[str, Any]:
    """Distributions by objective, hyperparameter and value: quantiles at ascending levels.

    :param table: what ``distribution_table`` returned
    """
    found: dict[Any, Any] = {}
    keys = ["objective", "hyperparameter", "value"]
    for (objective, name, value), part in table.groupby(keys, sort=False):
        of_objective = found.setdefault(objective, {})
        of_objective.setdefault(name, {})[value] = rounded(part["quantile"], 5)
    return found
