"""From what a user names to a method: one of ours, an import path, or the function itself."""

from __future__ import annotations

import functools
import hashlib
import importlib
import inspect
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from syne_tune.optimizer.scheduler import TrialScheduler

from hwgpt_blackbox.errors import HWGPTError, InputError, unknown
from hwgpt_blackbox.storage.manifest import sha256

IMPORT_PATH = re.compile(r"(?=.{3,120}\Z)[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*", re.ASCII)
"""``package.module:factory``"""

OVER_FIDELITY = "over_fidelity"
"""Attribute of a factory: true if its scheduler stops trials early by their fidelity."""


Factory = Callable[..., TrialScheduler]
"""Called as ``make_scheduler`` is, without the name."""


class OwnMethod(str):
    """The name of a method that was given as a function, with the function."""

    factory: Factory
    digest: str | None
    """See :class:`RunMethod`; kept, because another process may not have the file"""


@dataclass(frozen=True)
class RunMethod:
    """A method that can be run.

    :param name: as typed
    :param factory: called as ``make_scheduler`` is, without the name
    :param over_fidelity: whether it also takes ``time_attr`` and ``max_t``
    :param digest: sha256 of the file that defines the factory of a user; None for ours, and for one
        that no file defines
    """

    name: str
    factory: Factory
    over_fidelity: bool
    digest: str | None = None

    def make(
        self, config_space: Mapping[str, Any], metrics: Sequence[str], **options: Any
    ) -> TrialScheduler:
        """The scheduler of a run.

        :param options: ``random_seed``, ``canonical_form``, and those over a fidelity
        :raises InputError: the factory returned something else
        """
        scheduler = self.factory(dict(config_space), list(metrics), **options)
        if not isinstance(scheduler, TrialScheduler):
            raise InputError(
                f"method {self.name} returned a {type(scheduler).__name__}; expected a "
                "syne_tune TrialScheduler"
            )
        return scheduler


def get_method(name: str) -> RunMethod:
    """The method that a name or an import path means, loaded.

    :param name: a key of ``hwgpt_blackbox.optimizers.METHODS``, ``package.module:factory``, or what
        :func:`own_method` returned
    :raises InputError: unknown, cannot be imported, or cannot be called as ``make_scheduler`` is
    :raises MissingExtraError: what it needs is not installed
    """
    from hwgpt_blackbox import optimizers

    if isinstance(name, OwnMethod):
        return _run_method(name, name.factory, name.digest)
    if name in optimizers.METHODS:
        row = optimizers.METHODS[name]
        row.load()
        return RunMethod(name, partial(optimizers.make_scheduler, name), row.over_fidelity)
    if not isinstance(name, str) or IMPORT_PATH.fullmatch(name) is None:
        known = [*optimizers.METHODS, "or an import path such as mypackage.module:factory"]
        raise unknown("method", name, known)
    return _imported(name)


def own_method(factory: Factory) -> OwnMethod:
    """The method that a function makes, named after its module and itself: ``__main__:factory``.

    Results are stored under that name. So it must be the function's alone: one made inside
    another, decorated on the way, or bound to an object, holds values that the name does not tell.

    :raises InputError: it is not what its module has under its name
    """
    module, own = _defining_module(factory), getattr(factory, "__qualname__", "")
    name = f"{module}:{own}"
    plain = inspect.isfunction(factory) or inspect.isclass(factory)
    found = getattr(sys.modules.get(module or ""), own, None)
    if not plain or found is not factory or IMPORT_PATH.fullmatch(name) is None:
        raise InputError(
            f"method {factory!r:.200} has no name that tells it from others; expected a name of "
            "ours, an import path, or a function made with def at the top level of a module"
        )
    method = OwnMethod(name)
    method.factory = factory
    method.digest = _digest(name.partition(":")[0]) or _digest_of_source(factory)
    return method


def file_part(name: str) -> str:
    """The name of a method, fit for file names of every system; different for different names.

    >>> file_part("mypackage.module:factory"), file_part("RS")
    ('mypackage.module+factory', 'RS')
    """
    return name.replace(":", "+")


def _imported(path: str) -> RunMethod:
    module, _, name = path.partition(":")
    try:
        factory = getattr(importlib.import_module(module), name)
    except HWGPTError:
        raise
    except Exception as error:  # importing runs the user's code
        raise InputError(
            f"method {path} cannot be imported ({type(error).__name__}: {error}); expected "
            "module:factory of a module on the Python path or in the current folder"
        ) from error
    return _run_method(path, factory, _digest(_defining_module(factory) or module))


def _run_method(name: str, factory: Factory, digest: str | None) -> RunMethod:
    """The method of a user's factory.

    :raises InputError: it cannot be called as ``make_scheduler`` is
    """
    over_fidelity = bool(getattr(factory, OVER_FIDELITY, False))
    options: dict[str, Any] = {"random_seed": 0, "canonical_form": None}
    if over_fidelity:
        options |= {"time_attr": "", "max_t": 1}
    try:
        inspect.signature(factory).bind({}, [], **options)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"method {name} cannot be called as factory(config_space, metrics, *, "
            f"{', '.join(options)}): {error}"
        ) from error
    return RunMethod(name, factory, over_fidelity, digest)


def _defining_module(factory: Any) -> str | None:
    """The module of a function, of what a partial or a decorator wraps, or of an object's class."""
    while isinstance(factory, partial):
        factory = factory.func
    found = getattr(inspect.unwrap(factory), "__module__", None)
    return found if isinstance(found, str) else None


def _digest_of_source(factory: Factory) -> str | None:
    """sha256 of the lines of a function, where its module has no file: in a notebook."""
    try:
        return hashlib.sha256(inspect.getsource(factory).encode()).hexdigest()
    except (OSError, TypeError):
        return None


@functools.lru_cache(maxsize=100)
def _digest(module: str) -> str | None:
    """sha256 of the file of a module as it was when this process asked first: that is what runs."""
    file = getattr(importlib.import_module(module), "__file__", None)
    return sha256(Path(file)) if isinstance(file, str) and Path(file).is_file() else None
