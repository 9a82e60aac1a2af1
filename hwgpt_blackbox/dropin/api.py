"""``HWGPT``: the published class, answered by our models. NumPy only until the table is asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hwgpt_blackbox.domain.devices import ALL_DEVICES
from hwgpt_blackbox.domain.encoding import BIAS, Encoding, IntMatrix
from hwgpt_blackbox.domain.model_config import model_config
from hwgpt_blackbox.dropin.ground_truth import GroundTruth, PublishedStats, evaluated
from hwgpt_blackbox.dropin.names import (
    EXACT,
    METRIC_NAMES,
    PER_DEVICE,
    PublishedSettings,
    as_names,
    as_row,
    check_metrics,
    model_settings,
    sample_of,
    search_space_choices,
)
from hwgpt_blackbox.dropin.predictions import Predictions
from hwgpt_blackbox.dropin.units import OURS, check_unit_system
from hwgpt_blackbox.errors import InputError, MissingArtifactError, unknown
from hwgpt_blackbox.models.noise import MAX_REPEAT, check_repeat
from hwgpt_blackbox.models.published_network import PUBLISHED_MLP
from hwgpt_blackbox.network.build import build_model
from hwgpt_blackbox.network.live import LiveAnswers, live_answers
from hwgpt_blackbox.storage.spaces import find_measured
from hwgpt_blackbox.storage.surrogates import load_surrogate

if TYPE_CHECKING:
    from hwgpt_blackbox.network.gpt import GPT

MLP, SUPERNET = "mlp", "supernet"
PREDICTORS = (MLP, SUPERNET, PUBLISHED_MLP)
"""What may answer for perplexity."""

SUBSTITUTES = {
    "surrogate_ppl": "query(metric='perplexity', predictor='published-mlp')",
    "gpt_ppl_profiler": "eval_supernet_surrogate()",
    "prepare_args_for_ppl_profiler": "eval_supernet_surrogate()",
}
"""Attributes of the published class that are not provided, and what to use."""

Answer = dict[str, Any]


class HWGPT:
    """Metrics of the architectures of a space, asked as the published package is asked.

    Answers are in ms, Wh and MB (``unit_system="published"``: in the published units, and its own
    counts of FLOPs and parameters); latency and FLOPs are per forward pass of one batch. One
    architecture gets numbers; a list of architectures gets arrays, an entry each.

    :param search_space: ``s``, ``m`` or ``l``
    :param use_supernet_surrogate: whether :meth:`query` adds accuracy and perplexity as measured on
        the supernet; needs the table
    :param base_path: accepted and not used: artifacts are found in ``HWGPT_BLACKBOX_HOME``
    :param seed: of the architectures that are sampled, and the number of the repeat that answers
        are; None: every query measures anew
    :param unit_system: ``ours`` or ``published``
    :param noise: whether answers are measurements; else they are expected values
    :param supernet: folder or checkpoint of a supernet, which is evaluated where ``supernet`` shall
        answer and nothing was measured
    :param text: what it is evaluated on: files or folders, as for ``supernet evaluate``
    :raises InputError: unknown space or unit system, a bad seed, a supernet without a text
    :raises MissingArtifactError: the supernet shall answer, and the table is not on this machine
    """

    def __init__(
        self,
        search_space: str,
        use_supernet_surrogate: bool = False,
        base_path: str | Path | None = None,
        *,
        seed: int | None = None,
        unit_system: str = OURS,
        noise: bool = True,
        supernet: str | Path | None = None,
        text: str | Path | Sequence[str | Path] | None = None,
    ) -> None:
        for name, value in (("use_supernet_surrogate", use_supernet_surrogate), ("noise", noise)):
            if not isinstance(value, bool):
                raise InputError(f"{name} is {value!r}; expected True or False")
        if (supernet is None) != (text is None):
            raise InputError(f"supernet is {supernet!r} and text {text!r}; give both or neither")
        space = find_measured(search_space)
        self.supernet, self.text = supernet, text
        self.search_space_name = space.name
        self.use_supernet_surrogate = use_supernet_surrogate
        self.base_path = base_path
        self.unit_system = check_unit_system(unit_system)
        self.noise = noise
        self.seed = None if seed is None else check_repeat(seed)
        self.search_space = search_space_choices(space)
        self._config: Any = None
        self.cfg_model = self.get_model_config()
        """Choices of the space, and the architecture that was set, under the published names"""
        self.on_device = "cpu"
        self._encoding = Encoding(space)
        surrogate = load_surrogate(space.name)
        self._predictions = Predictions(surrogate, self.unit_system)
        self.device_list = list(surrogate.measured.devices)
        self.hw_metrics_surrogate, self.hw_metrics_true = [*PER_DEVICE], [*EXACT]
        self.metrics = ["perplexity", "accuracy"]
        self.init_devices()
        self._rng = np.random.default_rng(self.seed)
        self._several = False
        self._matrix: IntMatrix = np.empty((0, self._encoding.num_columns), dtype=np.uint8)
        self._biased = np.empty(0, dtype=np.bool_)
        if use_supernet_surrogate and supernet is None:
            self._ground_truth  # noqa: B018  (fail now, not at the first query)

    # -- architectures -------------------------------------------------------------------------

    def sample_arch(self, size: int | None = None) -> Any:
        """Draw an architecture uniformly, and set it.

        :param size: draw a list of so many instead
        :return: a dict with the keys ``sample_embed_dim``, ``sample_n_layer``,
            ``sample_layer_indices``, ``sample_n_head``, ``sample_mlp_ratio`` and ``sample_bias``;
            the lists have entries for the deepest network, those beyond ``sample_n_layer`` mean
            nothing; the bias is text, ``"True"`` or ``"False"``, as in the newest published version
        :raises InputError: a bad size
        """
        whole = isinstance(size, int | np.integer) and not isinstance(size, bool)
        if size is not None and (not whole or size < 1):
            raise InputError(f"size is {size!r}; expected None or an integer, 1 or more")
        rows = self._encoding.sample(size or 1, self._rng).tolist()
        drawn = [sample_of(self._encoding.space, row) for row in rows]
        self.set_arch(drawn if size is not None else drawn[0])
        return deepcopy(self.config)

    sample_random_arch = sample_arch

    def set_arch(self, config: Any) -> None:
        """Set the architecture that is asked about, or a list of them.

        :param config: a dict as :meth:`sample_arch` returns it (entries of layers beyond
            ``sample_n_layer`` and other keys are not looked at), a string ``gpt-s-12-768-…``, any
            other form that ``model_config`` reads, or a list of any of these
        :raises InputError: it is not of the space; names key, value and choices
        """
        several = isinstance(config, Sequence) and not isinstance(config, str)
        given = list(config) if several else [config]
        if not given:
            raise InputError("the list of architectures is empty; give one or more")
        rows = []
        for i, architecture in enumerate(given):
            try:
                rows.append(as_row(self._encoding, architecture))
            except InputError as error:
                raise InputError(f"architecture {i}: {error}" if several else str(error)) from None
        self._config, self._several = deepcopy(config), several
        self._matrix = np.array(rows, dtype=np.uint8)
        self._biased = np.array(
            [_model_has_biases(*pair) for pair in zip(given, rows, strict=True)]
        )
        self.reset_config()

    @property
    def config(self) -> Any:
        """The architecture that is set, or the list of them; assigning is :meth:`set_arch`."""
        return self._config

    @config.setter
    def config(self, config: Any) -> None:
        self.set_arch(config)

    def reset_config(self) -> None:
        """Write the architecture that is set into :attr:`cfg_model`; of a list the first.

        :raises InputError: none is set
        """
        sample = sample_of(self._encoding.space, self._rows()[0].tolist())
        layers = sample["sample_n_layer"]
        self.cfg_model.model |= {
            "n_embd": sample["sample_embed_dim"],
            "n_layer": layers,
            "n_head": sample["sample_n_head"][:layers],
            "mlp_ratio": sample["sample_mlp_ratio"][:layers],
            "bias": sample["sample_bias"],
        }

    def get_model_config(self) -> PublishedSettings:
        """The choices of the space under the published names, with no architecture set."""
        return model_settings(find_measured(self.search_space_name))

    def create_model(self, *, device: str = "cpu") -> GPT:
        """A torch module of the architecture, with random weights.

        :param device: of torch; on ``"meta"`` it costs nothing
        :raises InputError: none is set, or a list
        :raises MissingExtraError: torch is not installed
        """
        row = self._rows()[0]
        if self._several:
            raise InputError("a list of architectures is set; set the one to build a model of")
        configuration = self._encoding.decode_one(row)
        return build_model(model_config(self._encoding.space, configuration), device=device)

    # -- predictions ---------------------------------------------------------------------------

    def query(
        self,
        device: str | Sequence[str] | None = None,
        metric: str | Sequence[str] | None = None,
        predictor: str = MLP,
        *,
        seed: int | None = None,
        hw_metric: str | Sequence[str] | None = None,
    ) -> Answer:
        """Metrics of the architecture that is set.

        :param device: one or several; default: all
        :param metric: one or several of ``perplexity``, ``latencies``, ``energies``, ``flops``,
            ``params``, ``float16_memory``, ``bfloat16_memory``; default: all, or with a device
            those that depend on it
        :param predictor: of perplexity: ``mlp``, our model; ``supernet``, what was measured, or is
            evaluated where a supernet was given, with accuracy; ``published-mlp``, the published
            network (once converted)
        :param seed: number of the repeat; default: that of this object
        :param hw_metric: instead of ``metric``, as the older version has it: perplexity comes too
        :return: metric to value; ``latencies`` and ``energies`` to device to value
        :raises InputError: no architecture is set, an unknown name, or ``supernet`` was not
            measured on an architecture
        :raises MissingArtifactError: what answers is not on this machine
        """
        matrix = self._rows()
        if predictor not in PREDICTORS:
            raise unknown("predictor", predictor, PREDICTORS)
        if hw_metric is not None:
            if metric is not None:
                raise InputError(f"metric={metric!r} and hw_metric={hw_metric!r}: give one of them")
            metric = ["perplexity", *check_metrics(hw_metric)]
        if metric is None:
            metrics = list(METRIC_NAMES) if device is None else self.hw_metrics_surrogate
        else:
            metrics = check_metrics(metric)
        everywhere = device is None or (isinstance(device, str) and device == ALL_DEVICES)
        devices = self.device_list
        if not everywhere:
            devices = as_names("device", device, self.device_list)
        self.set_metrics_and_devices(metrics, devices)
        answers: Answer = {}
        if "perplexity" in metrics and predictor == PUBLISHED_MLP:
            answers["perplexity"] = self._predictions.published_perplexity(matrix)
        elif "perplexity" in metrics and predictor == SUPERNET:
            answers |= self._supernet_answers(matrix)
        answers |= self._predictions.answer(
            [name for name in metrics if name not in answers],
            devices,
            matrix,
            repeats=self._repeats(seed),
            biased=self._biased,
            lenient=everywhere or metric is None,
        )
        if self.use_supernet_surrogate and metrics != ["perplexity"]:
            answers |= self._supernet_answers(matrix)
        return {name: self._shaped(values) for name, values in answers.items()}

    def init_devices(self) -> None:
        """Put every metric and device into the lists ``…_query``."""
        self.set_metrics_and_devices()

    def set_metrics_and_devices(
        self,
        hw_metric: str | Sequence[str] | None = None,
        device: str | Sequence[str] | None = None,
    ) -> None:
        """Set ``hw_metrics_surrogate_query``, ``hw_metrics_true_query`` and ``device_query``.

        They say what was asked last: :meth:`query` sets them too, and does not read them.

        :param hw_metric: one or several; default: all
        :param device: one or several; default: all
        :raises InputError: an unknown name
        """
        metrics = list(METRIC_NAMES) if hw_metric is None else check_metrics(hw_metric)
        self.hw_metrics_surrogate_query = [m for m in self.hw_metrics_surrogate if m in metrics]
        self.hw_metrics_true_query = [m for m in self.hw_metrics_true if m in metrics]
        known = self.device_list
        self.device_query = list(known) if device is None else as_names("device", device, known)

    def compute_predictions_ppl(self) -> Any:
        """Perplexity of the architecture that is set."""
        return self.query(metric="perplexity")["perplexity"]

    def compute_predictions_hw(self, hw_metric: str, device: str) -> Any:
        """``latencies`` or ``energies`` of the architecture that is set, on one device."""
        return self.query(device, hw_metric)[hw_metric][device]

    def get_flops(self) -> Any:
        """FLOPs of the architecture that is set."""
        return self.query(metric="flops")["flops"]

    def get_params(self) -> Any:
        """Parameters of the architecture that is set."""
        return self.query(metric="params")["params"]

    def get_memory(self, objective: str) -> Any:
        """``float16_memory`` or ``bfloat16_memory`` of the architecture that is set."""
        return self.query(metric=objective)[objective]

    # -- measurements --------------------------------------------------------------------------

    @property
    def gt_stats(self) -> Mapping[str, dict[str, Any]]:
        """The table as the published package reads it: architecture string to a dict of metrics,
        and of devices to ``latencies`` and ``energies``.

        :raises MissingArtifactError: the table is not on this machine
        """
        return PublishedStats(self._ground_truth)

    def eval_supernet_surrogate(self) -> Answer:
        """Accuracy and perplexity of the architecture that is set, as measured on the supernet.

        :raises InputError: not measured; says what would be needed
        :raises MissingArtifactError: the table is not on this machine
        """
        found = self._supernet_answers(self._rows())
        return {name: self._shaped(values) for name, values in found.items()}

    def get_gt_latencies(self, device: str, arch_str: str) -> list[float]:
        """Every measured latency of an architecture of the table, ms.

        :param device: one of the 13
        :param arch_str: ``gpt-s-12-768-…``, as :meth:`query_gt_all_archs` has it
        :raises InputError: unknown device, or the architecture was not measured
        :raises MissingArtifactError: the table is not on this machine
        """
        return self._ground_truth.one(arch_str, "latencies", device)  # type: ignore[no-any-return]

    def get_gt_energies(self, device: str, arch_str: str) -> list[float] | float:
        """Every measured energy of an architecture of the table; of a CPU the mean alone.

        :return: Wh; ``unit_system="published"``: kWh on GPUs
        :raises InputError: unknown device, or the architecture was not measured
        :raises MissingArtifactError: the table is not on this machine
        """
        return self._ground_truth.one(arch_str, "energies", device)  # type: ignore[no-any-return]

    def get_gt_agnostic(self, arch_str: str, metric: str) -> float:
        """``perplexity``, ``flops``, ``params`` or a memory of an architecture of the table.

        :raises InputError: unknown metric, or it was not measured
        :raises MissingArtifactError: the table is not on this machine
        """
        name = check_metrics(metric)[0]
        if name in self.hw_metrics_surrogate:
            raise InputError(f"metric {name!r} depends on the device; ask get_gt_{name}()")
        return self._ground_truth.one(arch_str, name)  # type: ignore[no-any-return]

    def query_gt_all_archs(self, metric: str, device: str | None = None) -> dict[str, Any]:
        """One metric of every architecture of the table on which it was measured.

        :param metric: one, as in :meth:`query`
        :param device: for ``latencies`` and ``energies``
        :return: architecture string to what :meth:`get_gt_latencies` and the others return, in the
            order in which they were measured
        :raises InputError: unknown metric or device, or a device is missing
        :raises MissingArtifactError: the table is not on this machine
        """
        name = check_metrics(metric)[0]
        if name in self.hw_metrics_surrogate and device is None:
            raise InputError(
                f"metric {name!r} depends on the device; name one of {', '.join(self.device_list)}"
            )
        return self._ground_truth.every(name, device)

    # -- behind the door -----------------------------------------------------------------------

    def __getattr__(self, name: str) -> Any:  # of missing names only
        if name in SUBSTITUTES:
            raise AttributeError(f"HWGPT has no {name!r} here; use {SUBSTITUTES[name]}")
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    @cached_property
    def _ground_truth(self) -> GroundTruth:
        return GroundTruth(self._encoding.space, self.unit_system)

    def _supernet_answers(self, matrix: IntMatrix) -> dict[str, NDArray[np.float64]]:
        """Accuracy and perplexity as measured, or as evaluated where nothing was measured."""
        if self.supernet is None:
            return self._ground_truth.supernet(matrix)
        try:
            return self._ground_truth.supernet(matrix, self._live)
        except MissingArtifactError:
            return evaluated(self._live, self._encoding, matrix)

    @cached_property
    def _live(self) -> LiveAnswers:
        texts = [self.text] if isinstance(self.text, str | Path) else [*(self.text or ())]
        return live_answers(str(self.supernet), *texts, space=self._encoding.space)

    def _repeats(self, seed: int | None) -> NDArray[np.uint64] | None:
        """Numbers of the repeats that answer, one for all or one each; None: expected values."""
        repeat = self.seed if seed is None else check_repeat(seed)
        if not self.noise:
            return None
        if repeat is not None:
            return np.array([repeat], dtype=np.uint64)
        return self._rng.integers(MAX_REPEAT, size=len(self._matrix), dtype=np.uint64)

    def _rows(self) -> IntMatrix:
        if not len(self._matrix):
            raise InputError("no architecture is set; call set_arch(…) or sample_arch() first")
        return self._matrix

    def _shaped(self, values: Any) -> Any:
        """A number for one architecture, an array for a list; of each device where it has one."""
        if isinstance(values, dict):
            return {device: self._shaped(array) for device, array in values.items()}
        return values.copy() if self._several else values[0].item()


def _model_has_biases(architecture: Any, row: Sequence[int]) -> bool:
    """Whether the model that the published package builds has biases: any text counts as true."""
    if isinstance(architecture, str):
        return True
    written = isinstance(architecture, Mapping) and "sample_bias" in architecture
    return bool(architecture["sample_bias"] if written else row[BIAS])


HWGPTBenchAPI = HWGPT
"""The older name of the class."""
