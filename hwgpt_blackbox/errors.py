"""The exceptions of this package: each names the value, what was expected, and the cure."""

from collections.abc import Iterable
from difflib import get_close_matches


class HWGPTError(Exception):
    """Base of every error that this package raises on purpose."""

    def __str__(self) -> str:
        """The message alone, which KeyError and OSError would dress up."""
        return str(self.args[0]) if self.args else ""


class InputError(HWGPTError, ValueError):
    """The caller passed a value that does not fit: a space, device, objective, configuration …"""


class UnknownDatasetError(InputError, KeyError):
    """A blackbox has no such dataset; also what a dict raises, for callers that expect that."""


class DataError(HWGPTError, ValueError):
    """A file from outside is corrupt, hostile, implausible or of another version."""


class MissingArtifactError(HWGPTError, FileNotFoundError):
    """An artifact is not on this machine; the message holds the command that makes or gets it."""


class OutputError(HWGPTError, OSError):
    """Something could not be written: the folder exists, the disk is full."""


class TransferError(HWGPTError, ConnectionError):
    """A host refused, failed, or cannot be reached; or the network is not to be used."""


class MissingExtraError(HWGPTError, ImportError):
    """An optional dependency is not installed; the message holds the command that installs it."""


def require(module: str, *, extra: str) -> None:
    """Raise :class:`MissingExtraError` unless ``module`` can be imported.

    :param module: top-level module, for instance ``"torch"``
    :param extra: extra of this distribution that brings it
    """
    from importlib.util import find_spec

    if find_spec(module) is None:
        raise MissingExtraError(
            f"{module} is not installed; install it with: pip install 'hwgpt-blackbox[{extra}]'"
        )


def printable(text: object) -> str:
    r"""A text for people to read: control and other unprintable characters are escaped.

    Names and values out of files may hold terminal escapes. Line ends stay.

    >>> printable("a\x1b[2Jb") == r"a\x1b[2Jb"
    True
    """
    return "".join(
        character
        if character.isprintable() or character == "\n"
        else character.encode("unicode_escape").decode()
        for character in str(text)
    )


def unknown(what: str, value: object, known: Iterable[object]) -> InputError:
    """The error for a name that is in no table: says what was asked for and what there is.

    >>> str(unknown("device", "V100", ["a100", "v100"]))
    "unknown device 'V100'; known: a100, v100; did you mean 'v100'?"
    """
    names = [str(name) for name in known]
    folded = {
        part: n for n in reversed(names) for part in (n.casefold(), n.casefold().split("@")[0])
    }
    near = get_close_matches(str(value).casefold()[:200], folded, n=1)
    hint = f"; did you mean {folded[near[0]]!r}?" if near else ""
    return InputError(f"unknown {what} {value!r:.200}; known: {', '.join(names)}{hint}")
