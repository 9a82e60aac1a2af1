"""What users write for a place: a folder, a dataset repository on the hub, or a URL of a store."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

from hwgpt_blackbox.errors import InputError
from hwgpt_blackbox.storage.remote import redact

_PART = r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}"
_HUB_URL = re.compile(
    rf"hf://datasets/(?P<repo>{_PART}/{_PART})(@(?P<revision>[^/@]+))?(?P<path>(/{_PART})*)"
)
_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)*", re.ASCII)


@dataclass(frozen=True)
class Address:
    """Where an artifact, or a repository of artifacts, is.

    :param scheme: ``file``, ``hf``, ``s3`` …
    :param url: as given, or the path of a folder; it may hold a password
    """

    scheme: str
    url: str

    @property
    def shown(self) -> str:
        """The URL without the passwords that it may hold: for messages and records."""
        return redact(self.url)

    @property
    def is_remote(self) -> bool:
        """Whether it is reached over the network."""
        return self.scheme not in ("file", "memory")

    def below(self, name: str) -> Address:
        """The folder ``name`` in this one; this one itself if it is a folder of that name.

        Buckets, hosts and repositories are no folders, whatever they are called.
        """
        if self.scheme == "hf":
            inside = parse_hub(self.url).path
        else:
            inside = self.url.rpartition("://")[2].partition("/")[2]
        if inside.rstrip("/").rpartition("/")[2] == name:
            return self
        return Address(self.scheme, f"{self.url.rstrip('/')}/{name}")


def parse(text: str) -> Address:
    """What a user's text names: a URL, a folder, or ``owner/repo`` on the hub.

    A text without scheme is a folder if it exists or begins with ``.``, ``/`` or ``~``.

    :raises InputError: it is none of them
    """
    if not isinstance(text, str) or not text or not text.isprintable():
        raise InputError(f"{text!r} is no address: it is empty or holds unprintable characters")
    scheme, separator, rest = text.partition("://")
    if separator:
        return _parse_url(scheme.lower(), rest)
    folder = Path(text).expanduser()
    if text[0] in "./~" or folder.exists():
        return Address("file", str(folder.absolute()))
    if _REPOSITORY.fullmatch(text):
        return _parse_url("hf", f"datasets/{text}")
    raise InputError(
        f"{text!r} is no address: no folder of that name is here, and it is neither a URL nor "
        "owner/repo on the hub"
    )


def _parse_url(scheme: str, rest: str) -> Address:
    if scheme in ("file", "local"):
        folder = unquote(rest.removeprefix("localhost"))
        if not folder.startswith("/") or not folder.isprintable():
            raise InputError(
                f"{redact(f'file://{rest}')!r} names no folder on this machine; expected "
                "file:///folder, or the folder itself"
            )
        return Address("file", str(Path(folder)))
    url = f"{scheme}://{rest}"
    if not rest.strip("/"):
        raise InputError(f"{url!r} names no place in {scheme}://")
    if scheme == "hf":
        parse_hub(url.rstrip("/"))
    return Address("s3" if scheme == "s3a" else scheme.partition("::")[0], url.rstrip("/"))


class HubAddress(NamedTuple):
    """A folder in a dataset repository ``owner/name``; empty: its root.

    The revision is a branch, tag or commit, or None for the default branch.
    """

    repo: str
    path: str
    revision: str | None


def parse_hub(url: str) -> HubAddress:
    """The parts of ``hf://datasets/owner/repo[@revision][/path]``.

    :raises InputError: it is not of that form
    """
    match = _HUB_URL.fullmatch(url)
    if match is None:
        raise InputError(
            f"{redact(url)!r} is no address on the hub; expected "
            "hf://datasets/owner/repo[@revision]/path"
        )
    revision = match["revision"]
    return HubAddress(
        match["repo"], match["path"].strip("/"), unquote(revision) if revision else None
    )
