"""The metrics, one row each, and the names of objectives."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from hwgpt_blackbox.domain.devices import ALL_DEVICES, DEVICES
from hwgpt_blackbox.errors import InputError, unknown

PREFIX = "metric_"
"""Syne Tune takes names with this prefix as metrics."""


@dataclass(frozen=True)
class Metric:
    """A measured or computed quantity; all are better when smaller.

    :param name: without prefix
    :param unit: unit of its values, per forward pass of one batch where that matters
    :param per_device: whether it depends on the device
    :param noisy: whether a query returns a draw rather than the exact value
    :param description: for people
    """

    name: str
    unit: str
    per_device: bool
    noisy: bool
    description: str


ELAPSED_TIME = "elapsed_time"

METRICS: dict[str, Metric] = {
    row.name: row
    for row in (
        Metric("perplexity", "1", False, False, "validation perplexity on OpenWebText"),
        Metric("error", "1", False, False, "share of next tokens that are wrong: 1 - accuracy"),
        Metric("latency", "ms", True, True, "time in kernels of one forward pass"),
        Metric("energy", "Wh", True, True, "energy as published, on GPUs of many passes"),
        Metric("memory_float16", "MB", False, False, "memory allocated after a pass in float16"),
        Metric("memory_bfloat16", "MB", False, False, "memory allocated after a pass in bfloat16"),
        Metric("flops", "FLOPs", False, False, "floating-point operations of one forward pass"),
        Metric("params", "1", False, False, "number of parameters"),
        Metric(ELAPSED_TIME, "s", True, False, "what evaluating the architecture costs"),
    )
}
"""Every metric by name, in the order of the blackboxes' objectives."""

UNITS: dict[str, dict[str, float]] = {
    "latency": {"ms": 1.0, "s": 1000.0, "us": 1e-3, "µs": 1e-3, "μs": 1e-3},
    "energy": {
        "Wh": 1.0,
        "kWh": 1000.0,
        "KWh": 1000.0,
        "mWh": 1e-3,
        "J": 1.0 / 3600.0,
        "mJ": 1e-3 / 3600.0,
    },
}
"""Units that measurements come in, by metric: each one's factor to the metric's own."""


@dataclass(frozen=True)
class Column:
    """One number that a blackbox answers with: a metric, on a device where it has one.

    Elapsed time is the slowest device's where several are named: ``all``, or joined by ``+``.
    """

    metric: str
    device: str | None = None

    @property
    def target(self) -> str:
        """Short name, as users write objectives: ``perplexity``, ``energy@rtx2080``."""
        return f"{self.metric}@{self.device}" if self.device else self.metric

    @property
    def devices(self) -> tuple[str, ...]:
        """The devices that it is measured on."""
        if self.device == ALL_DEVICES:
            return tuple(DEVICES)
        return tuple(self.device.split("+")) if self.device else ()


OwnDevices = Mapping[str, tuple[str, ...]]
"""Users' devices beside the 13: name to the noisy metrics that were measured on it."""


def dataset_columns(
    dataset: str, own: OwnDevices | None = None, metrics: Collection[str] = METRICS
) -> dict[str, Column]:
    """Objective name to column of the blackbox of one device, or of ``all``.

    :param own: users' devices; in ``all`` their columns follow those of the 13, of which alone
        ``elapsed_time`` is the slowest
    :param metrics: those that are known of the space
    :raises InputError: unknown device
    """
    own = own or {}
    rows = [row for row in METRICS.values() if row.name in metrics]
    if dataset != ALL_DEVICES:
        check_device(dataset, own)
        return {
            PREFIX + row.name: Column(row.name, dataset if row.per_device else None)
            for row in rows
            if _has(dataset, row, own)
        }
    columns: dict[str, Column] = {}
    for row in rows:
        if row.name == ELAPSED_TIME:
            columns[PREFIX + row.name] = Column(row.name, ALL_DEVICES)
        if row.per_device:
            for device in DEVICES:
                columns[f"{PREFIX}{row.name}_{device}"] = Column(row.name, device)
        else:
            columns[PREFIX + row.name] = Column(row.name)
    for device in own:
        for row in rows:
            if row.per_device and _has(device, row, own):
                columns[f"{PREFIX}{row.name}_{device}"] = Column(row.name, device)
    return columns


def check_device(name: str, own: OwnDevices | None = None) -> str:
    """The name, if it is that of one of the 13 devices or of a user's.

    :raises InputError: it is not
    """
    if own and isinstance(name, str) and name in own:
        return name
    if not isinstance(name, str) or name not in DEVICES:
        raise unknown("device", name, [*DEVICES, *(own or {})])
    return name


def _has(device: str, metric: Metric, own: OwnDevices) -> bool:
    """Whether a metric is known of a device: a user may not have measured energy."""
    return not (metric.noisy and device in own) or metric.name in own[device]


def parse_objective(text: str, own: OwnDevices | None = None) -> Column:
    """The column that ``text`` names: ``perplexity``, ``latency@a100`` …

    :param own: users' devices that may be named
    :raises InputError: unknown metric or device, a device missing or one too many
    """
    name, at, device = str(text).partition("@")
    row = METRICS.get(name)
    if row and at and not row.per_device:
        raise InputError(f"objective {text!r}: {name} does not depend on the device; write {name}")
    if device:
        check_device(device, own)
    if row is None:
        raise unknown("objective", text, example_objectives(device or "DEVICE"))
    if row.per_device and not device:
        raise InputError(f"objective {text!r} needs a device, for instance {name}@rtx2080")
    if device and not _has(device, row, own or {}):
        raise InputError(f"objective {text!r}: {name} was not measured on {device}")
    return Column(name, device or None)


def example_objectives(device: str = "DEVICE") -> list[str]:
    """One example of every kind of objective.

    :param device: where it depends on one
    """
    return [f"{row.name}@{device}" if row.per_device else row.name for row in METRICS.values()]
