"""Objectives that are evaluated for real on this machine, for Syne Tune's local backends."""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from types import FunctionType
from typing import TYPE_CHECKING, Any

from hwgpt_blackbox.domain.model_config import model_config
from hwgpt_blackbox.domain.objectives import PREFIX
from hwgpt_blackbox.errors import InputError
from hwgpt_blackbox.network.checkpoint import load_supernet, tokenizer_of

if TYPE_CHECKING:
    from torch import Tensor

    from hwgpt_blackbox.network.supernet import Supernet

PROFILER = "hwgpt_blackbox.profiling:measure_latency"
"""What measures latency unless one says otherwise; profiling stands above networks, so it is named
here and imported where it is used."""

_SETTINGS = "the settings"
"""Stands in the code of :func:`_evaluated` for a JSON text."""


def live_objective(
    supernet: str | Path,
    text: str | Path | Sequence[str | Path],
    *,
    space: str | Path | None = None,
    tokenizer: str | Path | None = None,
    sequences: int | None = None,
    batch: int | None = None,
    length: int | None = None,
    repeats: int = 10,
    threads: int | None = None,
    on: str = "cpu",
    latency: str | None = PROFILER,
) -> Callable[..., dict[str, float]]:
    """A function that evaluates a configuration for real on this machine, and reports it.

    It takes the hyperparameters by name, and returns and reports ``metric_perplexity``,
    ``metric_error`` and ``metric_latency``: give it to Syne Tune's ``PythonBackend``, or call it in
    a script for ``LocalBackend``. Evaluate one trial at a time: others disturb latencies.

    :param supernet: folder or checkpoint, see :func:`load_supernet`
    :param text: on which it was not trained; see ``supernet evaluate``
    :param space: name or file; a folder says it itself
    :param tokenizer: of the text; a folder has its own
    :param sequences: most of the text that are taken; default: all
    :param batch: sequences of a forward pass whose latency is measured; default: the space's
    :param length: tokens of each; default: the space's
    :param repeats: of which the mean is the latency
    :param threads: of torch while it is measured; default: as many as it has. Take those of the
        measurements that you compare with
    :param on: ``cpu``, ``cuda`` or ``cuda:<i>``
    :param latency: function that measures it, as ``module:name``; None: it is not measured
    :raises InputError: a path does not exist
    """
    texts = [text] if isinstance(text, str | Path) else [*text]
    paths = {"supernet": supernet, "space": space, "tokenizer": tokenizer}
    for path in (supernet, tokenizer, *texts):
        if path is not None and not Path(path).exists():
            raise InputError(f"{path} does not exist")
    absolute = {key: path and str(Path(path).absolute()) for key, path in paths.items()}
    if space is not None and not Path(space).exists():
        absolute["space"] = str(space)  # a name
    settings = absolute | {
        "text": [str(Path(path).absolute()) for path in texts],
        "sequences": sequences,
        "batch": batch,
        "length": length,
        "repeats": repeats,
        "threads": threads,
        "on": on,
        "latency": latency,
    }
    # PythonBackend takes the code of a function and nothing around it: the settings go into its
    # constants.
    code = _evaluated.__code__
    constants = (json.dumps(settings) if c == _SETTINGS else c for c in code.co_consts)
    return FunctionType(code.replace(co_consts=tuple(constants)), {}, "live_objective")


def _evaluated(**configuration: Any) -> dict[str, float]:
    from hwgpt_blackbox.network.live import evaluate_live

    return evaluate_live("the settings", configuration)


def evaluate_live(settings: str, configuration: dict[str, Any]) -> dict[str, float]:
    """Evaluate a configuration, and report it to Syne Tune.

    :param settings: as :func:`live_objective` writes them
    :param configuration: every hyperparameter of the space
    """
    from syne_tune import Reporter

    report = Reporter()  # its clock starts: evaluation counts
    given = json.loads(settings)
    answers = live_answers(
        given["supernet"],
        *given["text"],
        space=given["space"],
        tokenizer=given["tokenizer"],
        sequences=given["sequences"],
        on=given["on"],
    )
    word = dict(pairwise(sys.argv)).get("--bias")
    if word in ("True", "False"):  # Syne Tune reads both as true
        configuration = configuration | {"bias": word == "True"}
    perplexity, error = answers(configuration)
    found = {f"{PREFIX}perplexity": perplexity, f"{PREFIX}error": error}
    if given["latency"] is not None:
        module, _, name = given["latency"].partition(":")
        space = answers.supernet.space
        found[f"{PREFIX}latency"] = getattr(import_module(module), name)(
            model_config(space, configuration),
            batch=given["batch"] or space.batch_size,
            length=given["length"] or space.sequence_length,
            repeats=given["repeats"],
            threads=given["threads"],
            on=given["on"],
        )
    report(**found)
    return found


class LiveAnswers:
    """Perplexity and error of architectures, evaluated when they are asked for.

    :param supernet: on the device that computes
    :param tokens: on that device, as ``windows`` gives them
    """

    def __init__(self, supernet: Supernet, tokens: Tensor) -> None:
        self.supernet, self.tokens = supernet, tokens

    def __call__(self, configuration: Any) -> tuple[float, float]:
        """Perplexity, and share of wrong next tokens.

        :param configuration: in any form that ``model_config`` reads
        :raises InputError: it is not of the space
        """
        from hwgpt_blackbox.network.evaluation import perplexity, quality

        loss, error = quality(
            self.supernet, self.tokens, configuration, batch=self.supernet.space.batch_size
        )
        return perplexity(loss), error


@functools.lru_cache(maxsize=1)
def live_answers(
    supernet: str | Path,
    *text: str | Path,
    space: Any = None,
    tokenizer: str | Path | None = None,
    sequences: int | None = None,
    on: str = "cpu",
) -> LiveAnswers:
    """A supernet and a text that answer; the last one stays in memory.

    :raises InputError: a path cannot be read
    :raises DataError: the supernet or the text are not sound
    """
    net = load_supernet(supernet, space)
    from hwgpt_blackbox.network.evaluation import windows
    from hwgpt_blackbox.network.text import read_text

    stream = read_text(
        text, vocabulary=net.space.vocabulary, tokenizer=tokenizer_of(supernet, tokenizer)
    )
    return LiveAnswers(net.to(on), windows(stream, net.space.sequence_length, sequences).to(on))
