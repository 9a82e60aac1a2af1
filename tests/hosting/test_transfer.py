"""How often and how long something that fails is tried again."""

from __future__ import annotations

import threading

import pytest

from hwgpt_blackbox.errors import DataError, HWGPTError, MissingArtifactError, TransferError
from hwgpt_blackbox.hosting import transfer
from hwgpt_blackbox.hosting.addresses import Address
from hwgpt_blackbox.hosting.transfer import (
    Failure,
    Patience,
    insist,
    of_status,
    redact,
    without,
)


class Clock(threading.Event):
    """Notes how long one would wait, and does not."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[float] = []

    def wait(self, timeout: float | None = None) -> bool:
        self.waits.append(timeout or 0.0)
        return False


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    monkeypatch.setattr(transfer, "FIRST_WAIT", 0.5)
    return Clock()


def test_waits_double_and_end(clock: Clock) -> None:
    patience = Patience("it", clock)
    for _ in range(5):
        patience.wait(Failure("cut", again=True))
    with pytest.raises(TransferError, match=r"it failed 6 times \(cut\)"):
        patience.wait(Failure("cut", again=True))
    assert clock.waits == [0.5, 1.0, 2.0, 4.0, 8.0]


def test_a_host_says_how_long_to_wait(clock: Clock) -> None:
    patience = Patience("it", clock)
    patience.wait(of_status(429, "", "7"))
    patience.wait(of_status(503, "", " 0 "))
    patience.wait(of_status(503, "", "Wed, 21 Oct 2015 07:28:00 GMT"))
    assert clock.waits == [7.0, 0.0, 2.0]
    with pytest.raises(TransferError, match="asks to wait 121 s"):
        patience.wait(of_status(429, "", "121"))
    assert len(clock.waits) == 3


def test_progress_counts_anew_and_a_trickle_does_not(clock: Clock) -> None:
    patience = Patience("it", clock)
    for _ in range(20):
        patience.gain(transfer.PROGRESS)
        patience.wait(Failure("cut", again=True))
    assert set(clock.waits) == {0.5}
    with pytest.raises(TransferError, match="failed 6 times"):
        for _ in range(20):
            patience.gain(1)
            patience.wait(Failure("cut", again=True))


@pytest.mark.parametrize(
    ("status", "again", "error"),
    [
        (400, False, TransferError),
        (401, False, TransferError),
        (403, False, TransferError),
        (404, False, MissingArtifactError),
        (408, True, TransferError),
        (416, False, DataError),
        (429, True, TransferError),
        (500, True, TransferError),
        (599, True, TransferError),
    ],
)
def test_what_a_status_means(status: int, again: bool, error: type[HWGPTError]) -> None:
    failure = of_status(status, "x" * 1000)
    assert failure.again is again
    assert len(failure.reason) <= 300
    assert type(transfer.final("it", failure)) is error


def test_insisting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "FIRST_WAIT", 0.0)
    answers: list[Failure | int] = [Failure("a", again=True), Failure("b", again=True), 3]

    def act() -> int:
        answer = answers.pop(0)
        if isinstance(answer, Failure):
            raise answer
        return answer

    assert insist(act, "it") == 3
    answers[:] = [Failure("c", again=False), 4]
    with pytest.raises(TransferError, match=r"it failed \(c\)"):
        insist(act, "it")
    assert answers == [4]


@pytest.mark.parametrize("came", [0, 1])
def test_only_what_came_is_said_to_be_kept(came: int, clock: Clock) -> None:
    patience = Patience("it", clock)
    patience.gain(came)
    with pytest.raises(TransferError, match="try again later") as error:
        for _ in range(6):
            patience.wait(Failure("cut", again=True))
    assert ("is kept" in str(error.value)) is bool(came)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("https://hf_SECRET@host/x", "https://***@host/x"),
        ("sftp://me:p@SECRET@host", "sftp://***@host"),
        ("sftp://me:SECRET%40@host/a@b failed", "sftp://***@host/a@b failed"),
        ("sftp://me:SEC?RET@host/x", "sftp://***@host/x"),
        ("https://h/x?X-Amz-Signature=SECRET&token=SECRET", "https://h/x?***"),
        ("https://h/x?SECRET then http://SECRET@h", "https://h/x?*** then http://***@h"),
        ("URL('https://h/x?a=SECRET#SECRET')", "URL('https://h/x?***"),
        ("s3://bucket/x@y is it there? who@where", "s3://bucket/x@y is it there? who@where"),
    ],
)
def test_secrets_in_urls_are_left_out(text: str, expected: str) -> None:
    assert redact(text) == expected
    assert "SECRET" not in Failure(text, again=False).reason
    assert Address("x", expected).shown == expected


@pytest.mark.parametrize("size", [0, 1, 3, 4, 5, 9, 10, 11])
def test_a_stream_without_its_beginning(size: int) -> None:
    chunks = [b"0123", b"", b"4", b"56789"]
    assert b"".join(without(iter(chunks), size)) == b"0123456789"[size:]
