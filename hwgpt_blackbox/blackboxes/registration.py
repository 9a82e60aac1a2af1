"""The one place that touches Syne Tune: makes ``load_blackbox`` know our names.

Syne Tune has no plugin hook. ``load_blackbox`` looks a name up in a dict of recipes and then calls
functions that are globals of its module; both are extended here. Names that users bound before our
import keep working, because the function itself stays, and every foreign name goes where it went.
"""

from __future__ import annotations

import functools
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import wrapt

from hwgpt_blackbox.errors import MissingArtifactError, MissingExtraError
from hwgpt_blackbox.storage.artifact_kinds import BLACKBOXES, BlackboxName, blackbox_of
from hwgpt_blackbox.storage.locations import find

REPOSITORY = "syne_tune.blackbox_repository.repository"
"""The module of Syne Tune that is extended, when it is imported or at once if it was."""

SYNE_TUNE = "syne-tune>=0.15,<0.17"
"""What is tested."""

_SEAMS = (
    "generate_blackbox_recipes",
    "snapshot_download",
    "deserialize_tabular",
    "deserialize_offline",
    "repository_path",
    "repo_id",
)
"""What of that module is extended or read."""

_MARK = "_hwgpt_blackbox_registered"


def register() -> None:
    """Register our blackboxes with Syne Tune, as soon as it is imported. Idempotent."""
    wrapt.register_post_import_hook(_extend, REPOSITORY)


def _extend(repository: ModuleType) -> None:
    """Extend the module, or leave it alone if it is not as we know it: others use it too."""
    if hasattr(getattr(repository, "snapshot_download", None), _MARK):
        return
    try:
        from hwgpt_blackbox.blackboxes.recipe import HWGPTRecipe

        recipes = _Recipes(HWGPTRecipe)
        if not all(hasattr(repository, name) for name in _SEAMS):
            raise ImportError(f"{REPOSITORY} lacks some of {', '.join(_SEAMS)}")
    except Exception as error:
        _explain(repository, error)
        return
    repository.generate_blackbox_recipes.update({name: recipes[name] for name in BLACKBOXES})
    recipes.update(repository.generate_blackbox_recipes)
    repository.generate_blackbox_recipes = recipes  # type: ignore[attr-defined]
    repository.snapshot_download = _ours_pulled(  # type: ignore[attr-defined]
        repository.snapshot_download, repository.repo_id
    )
    for function in ("deserialize_tabular", "deserialize_offline"):
        setattr(repository, function, _ours_first(getattr(repository, function), repository))
    setattr(repository.snapshot_download, _MARK, True)


def _find(name: str) -> BlackboxName | None:
    """What one of our names stands for; None: it is none of them."""
    if name in BLACKBOXES:
        return BLACKBOXES[name]
    if not blackbox_of(name):
        return None
    from hwgpt_blackbox.storage.spaces import find_blackbox  # loads NumPy

    return find_blackbox(name)


class _Recipes(dict[str, Any]):
    """Recipes by name; those of users' own spaces are there while their artifact is at hand."""

    def __init__(self, make: Callable[[str], Any]) -> None:
        super().__init__()
        self._make = make

    def __missing__(self, name: str) -> Any:
        if isinstance(name, str) and _find(name):
            return self._make(name)
        raise KeyError(name)

    def __contains__(self, name: object) -> bool:
        return super().__contains__(name) or (isinstance(name, str) and bool(_find(name)))

    def __iter__(self) -> Iterator[str]:
        from hwgpt_blackbox.storage.spaces import own_blackboxes

        return iter([*super().__iter__(), *own_blackboxes()])

    def keys(self) -> Any:
        """Names of all, which Syne Tune lists."""
        return dict.fromkeys(self).keys()


def _explain(repository: ModuleType, reason: Exception) -> None:
    """Make ``load_blackbox`` say which Syne Tune is needed when it is asked for our names."""
    original = getattr(repository, "load_blackbox", None)
    if not callable(original) or hasattr(original, _MARK):
        return

    @functools.wraps(original)
    def load_blackbox(*args: Any, **kwargs: Any) -> Any:
        name = args[0] if args else kwargs.get("name")
        if isinstance(name, str) and _find(name):
            raise MissingExtraError(
                f"{name} cannot be loaded with this version of Syne Tune; install a known one: "
                f"pip install '{SYNE_TUNE}'"
            ) from reason
        return original(*args, **kwargs)

    setattr(load_blackbox, _MARK, True)
    for module in (repository, sys.modules.get(repository.__name__.rpartition(".")[0])):
        if getattr(module, "load_blackbox", None) is original:
            module.load_blackbox = load_blackbox  # type: ignore[union-attr]


class _Chosen(threading.local):
    """Between the two calls of one ``load_blackbox``: the folder of a name, if not the usual."""

    def __init__(self) -> None:
        self.folders: dict[str, Path] = {}


_chosen = _Chosen()


def _ours_pulled(original: Callable[..., Any], default_repo: str) -> Callable[..., Any]:
    """``snapshot_download`` that, for our names, pulls from a repository the user names, or not."""

    @functools.wraps(original)
    def snapshot_download(*args: Any, **kwargs: Any) -> Any:
        asked = kwargs.get("allow_patterns")
        name = asked.removesuffix("/*") if isinstance(asked, str) else ""
        if not _find(name) or "repo_id" not in kwargs:
            return original(*args, **kwargs)
        _chosen.folders.pop(name, None)
        if kwargs.get("repo_id") != default_repo:
            _chosen.folders[name] = _pull(name, **kwargs)
        return str(kwargs.get("local_dir"))

    return snapshot_download


def _pull(name: str, repo_id: str, **kwargs: Any) -> Path:
    """The folder of what a repository holds; it becomes the one in use where there is none."""
    from hwgpt_blackbox.hosting import pull

    row = _find(name)
    artifact = row.artifact if row else name
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
        ours = folder.parent == Path(repository.repository_path) and _find(folder.name)
        if not ours:
            return original(path)
        from hwgpt_blackbox.blackboxes.loading import load_all

        return load_all(folder.name, _chosen.folders.pop(folder.name, None))

    return deserialize
