"""The one place that touches Syne Tune: makes ``load_blackbox`` know our names.

Syne Tune has no plugin hook. ``load_blackbox`` looks a name up in a dict of recipes and then calls
functions that are globals of its module; both are extended here. Names that users bound before our
import keep working, because the function itself stays, and every foreign name goes where it went.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import wrapt

from hwgpt_blackbox.errors import InputError
from hwgpt_blackbox.names import BLACKBOXES

REPOSITORY = "syne_tune.blackbox_repository.repository"
"""The module of Syne Tune that is extended, when it is imported or at once if it was."""

CITATION = (
    "HW-GPT-Bench: Hardware-Aware Architecture Benchmark for Language Models. "
    "Sukthanker, R. S., Zela, A., Staffler, B., Klein, A., Purucker, L., Franke, J. K. H. and "
    "Hutter, F. NeurIPS 2024 Datasets and Benchmarks. arXiv:2405.10299"
)

_MARK = "_hwgpt_blackbox_registered"


def register() -> None:
    """Register our blackboxes with Syne Tune, as soon as it is imported. Idempotent."""
    wrapt.register_post_import_hook(_extend, REPOSITORY)


def _extend(repository: ModuleType) -> None:
    if hasattr(repository.snapshot_download, _MARK):
        return
    from syne_tune.blackbox_repository.conversion_scripts.blackbox_recipe import BlackboxRecipe

    for name in BLACKBOXES:
        repository.generate_blackbox_recipes[name] = BlackboxRecipe(name, CITATION)
    repository.snapshot_download = _no_download_of_ours(  # type: ignore[attr-defined]
        repository.snapshot_download, repository.repo_id
    )
    for function in ("deserialize_tabular", "deserialize_offline"):
        setattr(repository, function, _ours_first(getattr(repository, function), repository))
    setattr(repository.snapshot_download, _MARK, True)


def _no_download_of_ours(original: Callable[..., Any], default_repo: str) -> Callable[..., Any]:
    """``snapshot_download`` that fetches nothing for our names."""
    patterns = {f"{name}/*" for name in BLACKBOXES}

    @functools.wraps(original)
    def snapshot_download(*args: Any, **kwargs: Any) -> Any:
        asked = kwargs.get("allow_patterns")
        if not isinstance(asked, str) or asked not in patterns:
            return original(*args, **kwargs)
        if kwargs.get("repo_id") != default_repo:
            name = asked.removesuffix("/*")
            raise InputError(
                f"custom_repo_id is {kwargs.get('repo_id')!r}; {name} is not loaded from a hub: "
                "leave custom_repo_id out"
            )
        return str(kwargs.get("local_dir"))

    return snapshot_download


def _ours_first(original: Callable[..., Any], repository: ModuleType) -> Callable[..., Any]:
    """A deserialiser that answers for our names itself, where ``load_blackbox`` looks for them."""

    @functools.wraps(original)
    def deserialize(path: str | Path) -> Any:
        folder = Path(path)
        if folder.name not in BLACKBOXES or folder.parent != Path(repository.repository_path):
            return original(path)
        from hwgpt_blackbox.loading import load_all

        return load_all(folder.name)

    return deserialize
