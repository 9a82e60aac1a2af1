"""What the published package calls metrics and choices, and its units."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwgpt_blackbox.domain.devices import DEVICES
from hwgpt_blackbox.domain.encoding import BIAS, EMBED_DIM, NUM_LAYERS, Encoding, IntMatrix
from hwgpt_blackbox.domain.objectives import METRICS
from hwgpt_blackbox.domain.parameter_counts import count
from hwgpt_blackbox.domain.spaces import SEQUENCE_LENGTH, Space
from hwgpt_blackbox.errors import InputError, unknown

METRIC_NAMES: dict[str, str] = {
    "perplexity": "perplexity",
    "latencies": "latency",
    "energies": "energy",
    "flops": "flops",
    "params": "params",
    "float16_memory": "memory_float16",
    "bfloat16_memory": "memory_bfloat16",
}
"""Published name of a metric to ours, in the order of answers."""

_PUBLISHED_NAMES = {ours: name for name, ours in METRIC_NAMES.items() if ours != name}

OURS, PUBLISHED = UNIT_SYSTEMS = ("ours", "published")
"""Units of answers: those of the blackboxes, or of the published package."""

QUERY_UNITS = 1000.0
"""The published predictors of energy were fitted to 1,000 times the published numbers."""


def of_devices(metrics: Iterable[str]) -> list[str]:
    """Those of some metrics that depend on the device, under published names."""
    return [name for name in metrics if METRICS[METRIC_NAMES[name]].per_device]


def check_unit_system(name: str) -> str:
    """The name, if it is one.

    :raises InputError: it is not
    """
    if name not in UNIT_SYSTEMS:
        raise unknown("unit system", name, UNIT_SYSTEMS)
    return name


def as_names(what: str, given: Any, known: Sequence[str]) -> list[str]:
    """One name or several as a list, each once.

    :param what: what they are names of, for messages
    :param given: a name, or a sequence of names
    :raises InputError: none, or one that is not known
    """
    names = [given] if isinstance(given, str) else given
    if not isinstance(names, Sequence | np.ndarray) or not len(names):
        raise InputError(f"{what} is {given!r}; expected a name or a list, of {', '.join(known)}")
    for name in names:
        if not isinstance(name, str) or name not in known:
            raise unknown(what, name, known)
    return list(dict.fromkeys(names))


def check_metrics(given: Any) -> list[str]:
    """Metrics under their published names.

    :raises InputError: an unknown one; one of our names is answered with the published name
    """
    for name in [given] if isinstance(given, str) else given if isinstance(given, Sequence) else ():
        if isinstance(name, str) and name in _PUBLISHED_NAMES:
            published = _PUBLISHED_NAMES[name]
            raise InputError(f"metric {name!r} is called {published!r} here, as published")
    return as_names("metric", given, tuple(METRIC_NAMES))


def search_space_choices(space: Space) -> dict[str, list[Any]]:
    """The choices of a space under the published keys; bias as text, as in the newest version."""
    return {
        "embed_dim_choices": list(space.embed_dims),
        "n_layer_choices": list(space.num_layers),
        "mlp_ratio_choices": list(space.mlp_ratios),
        "n_head_choices": list(space.num_heads),
        "bias_choices": ["True", "False"],
    }


# -- units ---------------------------------------------------------------------------------------


def measured_energy_unit(device: str) -> float:
    """Wh in the published unit of energy of the data set: kWh on GPUs, Wh on CPUs."""
    return DEVICES[device].energy_to_wh if device in DEVICES else 1.0


def predicted_energy_unit(device: str) -> float:
    """Wh in the unit of the published predictors of energy: Wh on GPUs, mWh on CPUs.

    They give 1,000 times the numbers of the data set. The published ranges of their predictions
    (``normalization_stats``) show it: 0.13 to 8.1 on rtx2080, 8.0 to 69 on cpu_xeon_gold (space s).
    """
    return DEVICES[device].energy_to_wh / QUERY_UNITS if device in DEVICES else 1.0


def published_params(
    encoding: Encoding, matrix: IntMatrix, biased: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """Parameters as the published package counts them: of the model that it builds.

    :param matrix: choice indices, shape (n, num_columns)
    :param biased: whether that model has biases, shape (n,): it builds them for any text, so for
        ``"False"`` too
    :return: shape (n,)
    """
    built = matrix.copy()
    built[:, BIAS] = np.asarray(biased, dtype=np.bool_)
    return count(encoding, built, "params")


def published_flops(
    encoding: Encoding, matrix: IntMatrix, biased: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """FLOPs as the published package estimates them, of one sequence.

    Two for every parameter and token, though tables of embeddings do not multiply; and products in
    attention twice (once for parameters that are trained, once for frozen ones, of which there are
    none), as if heads filled the width: 2PT + 8neT².

    :param matrix: choice indices, shape (n, num_columns)
    :param biased: see :func:`published_params`
    :return: shape (n,)
    """
    space, t = encoding.space, SEQUENCE_LENGTH
    embed = np.array(space.embed_dims, dtype=np.int64)[matrix[:, EMBED_DIM]]
    layers = np.array(space.num_layers, dtype=np.int64)[matrix[:, NUM_LAYERS]]
    params = published_params(encoding, matrix, biased)
    return np.asarray(2 * t * params + 8 * layers * embed * t * t)
