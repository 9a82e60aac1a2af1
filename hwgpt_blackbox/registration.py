"""The one place that touches Syne Tune: makes ``load_blackbox`` know our names.

Syne Tune has no plugin hook. ``load_blackbox`` looks a name up in a dict of recipes and then calls
functions that are globals of its module; both are extended here. Names that users bound before our
import keep working, because the function itself stays, and every foreign name goes where it went.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import wrapt

from hwgpt_blackbox.errors import MissingArtifactError
from hwgpt_blackbox.names import BLACKBOXES
from hwgpt_blackbox.places import find

REPOSITORY = "syne_tune.blackbox_repository.repository"
"""The module of Syne Tune that is extended, when it is imported or at once if it was."""

_MARK = "_hwgpt_blackbox_registered"


def register() -> None:
    """Register our blackboxes with Syne Tune, as soon as it is imported. Idempotent."""
    wrapt.register_post_import_hook(_extend, REPOSITORY)


def _extend(repository: ModuleType) -> None:
    if hasattr(repository.snapshot_download, _MARK):
        return
    from hwgpt_blackbox.recipe import HWGPTRecipe

    for name in BLACKBOXES:
        repository.generate_blackbox_recipes[name] = HWGPTRecipe(name)
    repository.snapshot_download = _ours_pulled(  # type: ignore[attr-defined]
        repository.snapshot_download, repository.repo_id
    )
    for function in ("deserialize_tabular", "deserialize_offline"):
        setattr(repository, function, _ours_first(getattr(repository, function), repository))
    setattr(repository.snapshot_download, _MARK, True)


class _Chosen(threading.local):
    """Between the two calls of one ``load_blackbox``: the folder of a name, if not the usual."""

    def __init__(self) -> None:
        self.folders: dict[str, Path] = {}


_chosen = _Chosen()


def _ours_pulled(original: Callable[..., Any], default_repo: str) -> Callable[..., Any]:
    """``snapshot_download`` that, for our names, pulls from a repository the user names, or not."""
    patterns = {f"{name}/*": name for name in BLACKBOXES}

    @functools.wraps(original)
    def snapshot_download(*args: Any, **kwargs: Any) -> Any:
        asked = kwargs.get("allow_patterns")
        name = patterns.get(asked) if isinstance(asked, str) else None
        if name is None or "repo_id" not in kwargs:
            return original(*args, **kwargs)
        _chosen.folders.pop(name, None)
        if kwargs.get("repo_id") != default_repo:
            _chosen.folders[name] = _pull(name, **kwargs)
        return str(kwargs.get("local_dir"))

    return snapshot_download


def _pull(name: str, repo_id: str, **kwargs: Any) -> Path:
    """The folder of what a repository holds; it becomes the one in use where there is none."""
    from hwgpt_blackbox.hosting import pull

    artifact = BLACKBOXES[name].artifact
    try:
        find(artifact)
    except MissingArtifactError:
        missing = True
    else:
        missing = False
    token = kwargs.get("token")
    return pull(
        artifact,
        repository=f"hf://datasets/{repo_id}",
        revision=kwargs.get("revision"),
        endpoint=kwargs.get("endpoint"),
        token=token if isinstance(token, str) else None,
        anonymous=token is False,
        offline=True if kwargs.get("local_files_only") else None,
        activate=missing,
    ).path


def _ours_first(original: Callable[..., Any], repository: ModuleType) -> Callable[..., Any]:
    """A deserialiser that answers for our names itself, where ``load_blackbox`` looks for them."""

    @functools.wraps(original)
    def deserialize(path: str | Path) -> Any:
        folder = Path(path)
        if folder.name not in BLACKBOXES or folder.parent != Path(repository.repository_path):
            return original(path)
        from hwgpt_blackbox.loading import load_all

        return load_all(folder.name, _chosen.folders.pop(folder.name, None))

    return deserialize
