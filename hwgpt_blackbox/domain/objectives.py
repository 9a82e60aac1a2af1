"""The metrics, one row each, and the names of objectives."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

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


DEFAULT_DEVICE = "rtx2080"
"""Device that evaluates architectures when no objective names one, where the space has it."""


@dataclass(frozen=True)
class Measured:
    """What is known of a space.

    :param devices: each device, in order, with the noisy metrics that were measured on it
    :param metrics: those that depend on no device
    :param timed: devices of which the slowest times an evaluation on all of them
    """

    devices: Mapping[str, tuple[str, ...]]
    metrics: tuple[str, ...]
    timed: tuple[str, ...]

    @classmethod
    def of(cls, targets: Iterable[str], timed: Iterable[str] | None = None) -> Measured:
        """What follows from the targets that are known: ``perplexity``, ``latency@a100`` …

        The published devices come first, in their order; then others in the order of the targets.

        :param timed: see the class; None: all. Of these, those that have a latency
        """
        devices: dict[str, tuple[str, ...]] = {}
        found = set()
        for target in targets:
            metric, _, device = target.partition("@")
            if device:
                devices[device] = (*devices.get(device, ()), metric)
            else:
                found.add(metric)
        order = [*(d for d in DEVICES if d in devices), *(d for d in devices if d not in DEVICES)]
        return cls(
            {d: tuple(m for m in METRICS if m in devices[d]) for d in order},
            tuple(m for m in METRICS if m in found),
            tuple(
                d for d in (order if timed is None else timed) if "latency" in devices.get(d, ())
            ),
        )

    def has(self, metric: str, device: str | None = None) -> bool:
        """Whether a metric is known, of a device if it depends on one."""
        if device is None:
            return metric in self.metrics
        return ("latency" if metric == ELAPSED_TIME else metric) in self.devices[device]

    def beside(self, devices: Mapping[str, tuple[str, ...]]) -> Measured:
        """The same with more devices, which do not time an evaluation."""
        return replace(self, devices={**self.devices, **devices})

    @property
    def default_device(self) -> str | None:
        """The device that examples name, and that evaluates where no objective names one."""
        return DEFAULT_DEVICE if DEFAULT_DEVICE in self.devices else next(iter(self.devices), None)

    @property
    def slowest(self) -> Column | None:
        """What an evaluation on all devices takes; None: there is no device."""
        if self.timed == tuple(DEVICES):
            return Column(ELAPSED_TIME, ALL_DEVICES)
        return Column(ELAPSED_TIME, "+".join(self.timed)) if self.timed else None


NOISY = tuple(row.name for row in METRICS.values() if row.noisy)
"""Metrics that may be measured on a device; latency must be."""

PUBLISHED = Measured(
    dict.fromkeys(DEVICES, NOISY),
    tuple(row.name for row in METRICS.values() if not row.per_device),
    tuple(DEVICES),
)
"""What is known of the published spaces: every metric, on 13 devices."""


def dataset_columns(dataset: str, known: Measured = PUBLISHED) -> dict[str, Column]:
    """Objective name to column of the blackbox of one device, or of ``all``.

    :param known: of the space; in ``all`` the columns of devices that do not time an evaluation
        (users' own beside the 13) follow those of the others
    :raises InputError: unknown device
    """
    if dataset != ALL_DEVICES:
        check_device(dataset, known)
        return {
            PREFIX + row.name: Column(row.name, dataset if row.per_device else None)
            for row in METRICS.values()
            if known.has(row.name, dataset if row.per_device else None)
        }
    columns: dict[str, Column] = {}

    def add(name: str, devices: Iterable[str]) -> None:
        for device in devices:
            if known.has(name, device):
                columns[f"{PREFIX}{name}_{device}"] = Column(name, device)

    for row in METRICS.values():
        if row.name == ELAPSED_TIME and known.slowest:
            columns[PREFIX + row.name] = known.slowest
        if row.per_device:
            add(row.name, known.timed)
        elif known.has(row.name):
            columns[PREFIX + row.name] = Column(row.name)
    for device in known.devices:
        if device not in known.timed:
            for name in (*NOISY, ELAPSED_TIME):
                add(name, [device])
    return columns


def check_device(name: str, known: Measured = PUBLISHED) -> str:
    """The name, if it is that of a device of the space.

    :raises InputError: it is not
    """
    if not isinstance(name, str) or name not in known.devices:
        raise unknown("device", name, known.devices)
    return name


def parse_objective(text: str, known: Measured = PUBLISHED) -> Column:
    """The column that ``text`` names: ``perplexity``, ``latency@a100`` …

    :param known: of the space
    :raises InputError: unknown metric or device, a device missing or one too many, or not measured
    """
    name, at, device = str(text).partition("@")
    row = METRICS.get(name)
    if row and at and not row.per_device:
        raise InputError(f"objective {text!r}: {name} does not depend on the device; write {name}")
    if device:
        check_device(device, known)
    if row is None:
        raise unknown("objective", text, example_objectives(device or "DEVICE"))
    if row.per_device and not device:
        raise InputError(
            f"objective {text!r} needs a device, for instance {name}@{known.default_device}"
        )
    if device and not known.has(name, device):
        raise InputError(f"objective {text!r}: {name} was not measured on {device}")
    if not device and not known.has(name):
        raise InputError(
            f"objective {text!r}: {name} was not measured in this space; known: "
            f"{', '.join(known.metrics)}"
        )
    return Column(name, device or None)


def example_objectives(device: str = "DEVICE") -> list[str]:
    """One example of every kind of objective.

    :param device: where it depends on one
    """
    return [f"{row.name}@{device}" if row.per_device else row.name for row in METRICS.values()]
