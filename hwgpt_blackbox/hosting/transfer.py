"""What goes wrong on the way, and how often it is tried again."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from typing import TypeVar

from hwgpt_blackbox.errors import DataError, MissingArtifactError, TransferError

T = TypeVar("T")

CHUNK = 1 << 20
"""Bytes that are read at once."""

ATTEMPTS = 6
"""Times that something is tried before it is given up, without progress in between."""

MAX_WAIT = 120.0
"""A host that asks to wait longer, in seconds, is not waited for."""

FIRST_WAIT, SLOWEST_WAIT = 0.5, 16.0
"""Seconds before the second attempt, doubled for each one after it up to the slowest."""

PROGRESS = 1 << 20
"""Bytes after which the attempts are counted anew."""


def redact(text: str) -> str:
    """A text without the secrets that URLs in it may hold: for messages and records.

    These are what stands before the host, a token or a user and password, and the query.

    >>> redact("sftp://me:secret@host/x failed, as did https://host/y?token=secret")
    'sftp://***@host/x failed, as did https://host/y?***'
    """
    text = re.sub(r"://[^/\s]*@", "://***@", text)
    return re.sub(r"(://[^\s?]*\?)\S*", r"\1***", text)


class Failure(Exception):  # noqa: N818, seen by nobody outside
    """A request failed; raised by sources, seen by this package alone.

    :param reason: what happened
    :param again: whether it is worth another attempt
    :param wait: seconds that the host asks to wait
    :param status: HTTP status, if there was one
    """

    def __init__(
        self, reason: str, *, again: bool, wait: float | None = None, status: int | None = None
    ) -> None:
        super().__init__(reason)
        # Hosts send what they like, and terminals heed it.
        self.reason = "".join(c if c.isprintable() else " " for c in redact(reason[:10_000])[:300])
        self.again, self.wait, self.status = again, wait, status


def of_status(status: int, reason: str, retry_after: str | None = None) -> Failure:
    """The failure that an HTTP status of no success stands for.

    :param retry_after: the header of that name, in seconds; a date is passed over
    """
    again = status in (408, 425, 429) or status >= 500
    asked = retry_after.strip() if retry_after else ""
    wait = float(asked) if asked.isascii() and asked.isdigit() and len(asked) < 10 else None
    text = f"HTTP {status}" + (f": {reason}" if reason else "")
    return Failure(text, again=again, wait=wait, status=status)


class Patience:
    """How long to go on with something that fails.

    :param what: what is done, for messages
    :param stop: set when it should end
    """

    def __init__(self, what: str, stop: threading.Event | None = None) -> None:
        self.what = what
        self._stop = stop or threading.Event()
        self._failures = 0
        self._gained = 0
        self._kept = False

    def gain(self, size: int) -> None:
        """Note that ``size`` bytes came, which are kept."""
        self._kept |= size > 0
        self._gained += size
        if self._gained >= PROGRESS:
            self._failures = self._gained = 0

    def wait(self, failure: Failure) -> None:
        """Wait until it is time for the next attempt.

        :raises HWGPTError: there is no use in one
        """
        self._failures += 1
        if not failure.again:
            raise final(self.what, failure)
        if self._failures >= ATTEMPTS:
            kept = "what came so far is kept: " if self._kept else ""
            raise TransferError(
                f"{self.what} failed {self._failures} times ({failure.reason}); {kept}try again "
                "later"
            )
        seconds = min(FIRST_WAIT * 2 ** (self._failures - 1), SLOWEST_WAIT)
        if failure.wait is not None:
            seconds = failure.wait
        if seconds > MAX_WAIT:
            raise TransferError(
                f"{self.what}: the host asks to wait {seconds:.0f} s ({failure.reason}); try again "
                "then"
            )
        self._stop.wait(seconds)


def final(what: str, failure: Failure) -> TransferError | MissingArtifactError | DataError:
    """The error that users see for a failure that no further attempt would cure."""
    if failure.status == 404:
        return MissingArtifactError(f"{what}: not there ({failure.reason}); check the address")
    if failure.status in (401, 403):
        return TransferError(
            f"{what}: no access ({failure.reason}); check the address, and your credentials: "
            "HF_TOKEN for a hub, the usual AWS variables or files for S3"
        )
    if failure.status == 416:
        return DataError(f"{what} is shorter than its manifest says; it must be pushed again")
    return TransferError(f"{what} failed ({failure.reason})")


def insist(action: Callable[[], T], what: str) -> T:
    """Do something small, again where that may help.

    :param action: raises :class:`Failure`
    :param what: what it does, for messages
    :raises HWGPTError: it fails
    """
    patience = Patience(what)
    while True:
        try:
            return action()
        except Failure as failure:
            patience.wait(failure)


def without(chunks: Iterator[bytes], size: int) -> Iterator[bytes]:
    """A stream without its first ``size`` bytes: of a host that cannot begin further on."""
    for chunk in chunks:
        if size < len(chunk):
            yield chunk[size:]
        size = max(0, size - len(chunk))
