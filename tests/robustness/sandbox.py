"""Runs a check on many hostile inputs in a process of its own, with limits.

A crash, a hang or a huge allocation then fails the test that caused it, and names the input.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from hwgpt_blackbox.errors import HWGPTError

ADDRESS_SPACE = 4 << 30
RESIDENT = 768 << 20
CPU_SECONDS = 240
"""Limits of one process: more address space and memory than it began with, and CPU time."""


@dataclass
class Outcome:
    """What became of the inputs.

    :param read: how many were read
    :param refused: how many were refused with an error of ours
    :param wrong: what else happened, by input
    """

    read: int = 0
    refused: int = 0
    wrong: list[str] = field(default_factory=list)


def check(reader: Callable[[bytes], object], inputs: Iterable[tuple[str, bytes]]) -> Outcome:
    """Give every input to a reader; only errors of ours may come out, in whole sentences.

    :param reader: raises an :class:`HWGPTError`, or reads
    :param inputs: (name, content)
    :raises AssertionError: anything else happened; names the inputs
    """
    with TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        process = os.fork()
        if process == 0:
            _child(reader, inputs, log)
        _, status = os.waitpid(process, 0)
        lines = log.read_text().splitlines()
    if os.WIFSIGNALED(status) or os.WEXITSTATUS(status) != 0:
        number = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
        how = signal.Signals(number).name if number else f"status {os.WEXITSTATUS(status)}"
        raise AssertionError(f"the process ended with {how} at input {lines[-1:]}")
    outcome = Outcome(**json.loads(lines[-1]))
    assert not outcome.wrong, "\n".join(outcome.wrong[:20])
    return outcome


def _child(
    reader: Callable[[bytes], object], inputs: Iterable[tuple[str, bytes]], log: Path
) -> None:
    """Read everything, write what happened to the log, and end the process."""
    status = 1
    try:
        before = _limit()
        outcome = Outcome()
        with log.open("w", buffering=1) as out:
            for name, content in inputs:
                print(name, file=out)
                _one(reader, name, content, outcome)
            grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before
            if sys.platform == "linux" and grown > RESIDENT:
                outcome.wrong.append(f"memory grew by {grown >> 20} MiB")
            print(json.dumps(vars(outcome)), file=out)
        status = 0
    finally:
        os._exit(status)


def _one(reader: Callable[[bytes], object], name: str, content: bytes, outcome: Outcome) -> None:
    try:
        reader(content)
    except HWGPTError as error:
        outcome.refused += 1
        text = str(error)
        try:
            text.encode()  # else printing it would fail
        except UnicodeEncodeError:
            outcome.wrong.append(f"{name}: the message cannot be printed: {text!r:.300}")
        if len(text) > 10_000:
            outcome.wrong.append(f"{name}: the message has {len(text)} characters")
    except BaseException as error:
        trace, place = error.__traceback__, ""
        while trace is not None:
            place = f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}"
            trace = trace.tb_next
        outcome.wrong.append(f"{name}: {type(error).__name__}: {error!s:.200} at {place}")
    else:
        outcome.read += 1


def _limit() -> int:
    """Set the limits; returns the memory of the process, in bytes."""
    import psutil

    memory = psutil.Process().memory_info()
    space = memory.vms + ADDRESS_SPACE
    resource.setrlimit(resource.RLIMIT_AS, (space, space))
    used = int(sum(os.times()[:2]))
    resource.setrlimit(resource.RLIMIT_CPU, (used + CPU_SECONDS, used + CPU_SECONDS))
    return int(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss) * 1024
