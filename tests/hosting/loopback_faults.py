"""A host on loopback that passes requests on to another, and lies or fails when told to."""

from __future__ import annotations

import contextlib
import http.client
import re
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Fault:
    """What is done to requests.

    :param match: regular expression that ``METHOD /path?query`` must contain
    :param times: requests that it is done to
    :param status: answer with this instead of asking the host behind
    :param headers: of the answer, added
    :param body: of the answer with ``status``
    :param cut: close the connection after this many bytes of the body
    :param hold: before closing, wait for this, for at most a minute
    :param reset: cut it by a reset, which may take bytes with it that were sent
    :param change: what the body becomes
    :param endless: send the body, then zeros until the reader leaves or this many bytes went
    :param no_ranges: answer with the whole file
    """

    match: str
    times: int = 1 << 30
    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    cut: int | None = None
    hold: threading.Event | None = None
    reset: bool = False
    change: Callable[[bytes], bytes] | None = None
    endless: int = 0
    no_ranges: bool = False


@dataclass
class Seen:
    """A request that came, and the bytes of body that went back."""

    line: str
    headers: dict[str, str]
    sent: int = 0


class FaultyHost:
    """A host that passes everything on to another but for its faults.

    :param port: of the host behind, on loopback
    """

    def __init__(self, port: int) -> None:
        self.behind = port
        self.faults: list[Fault] = []
        self.seen: list[Seen] = []
        self._lock = threading.Lock()
        host = self

        class Handler(_Handler):
            faulty = host

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def fail(self, match: str, **options: Any) -> Fault:
        """Add a fault."""
        self.faults.append(Fault(match, **options))
        return self.faults[-1]

    def take(self, line: str) -> Fault | None:
        """The fault for a request, counted down."""
        with self._lock:
            for fault in self.faults:
                if fault.times > 0 and re.search(fault.match, line):
                    fault.times -= 1
                    return fault
        return None

    def requests(self, match: str) -> list[Seen]:
        """What came that matches."""
        return [seen for seen in self.seen if re.search(match, seen.line)]


class _Handler(BaseHTTPRequestHandler):
    faulty: FaultyHost
    protocol_version = "HTTP/1.1"

    def log_message(self, *args: Any) -> None: ...

    def _serve(self) -> None:
        line = f"{self.command} {self.path}"
        seen = Seen(line, {name.lower(): value for name, value in self.headers.items()})
        self.faulty.seen.append(seen)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        fault = self.faulty.take(line) or Fault(line)
        if fault.status is not None:
            self._answer(seen, fault, fault.status, fault.headers, fault.body)
            return
        status, headers, content = self._ask(body, fault)
        if fault.change is not None:
            content = fault.change(content)
        self._answer(seen, fault, status, headers | fault.headers, content)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = _serve  # noqa: N815

    def _ask(self, body: bytes, fault: Fault) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.faulty.behind, timeout=20)
        headers = {k: v for k, v in self.headers.items() if k.lower() != "connection"}
        if fault.no_ranges:
            headers.pop("Range", None)
            headers.pop("range", None)
        with contextlib.closing(connection):
            connection.request(self.command, self.path, body=body, headers=headers)
            answer = connection.getresponse()
            hop = ("connection", "transfer-encoding", "server", "date")
            kept = {k: v for k, v in answer.getheaders() if k.lower() not in hop}
            return answer.status, kept, answer.read()

    def _answer(
        self, seen: Seen, fault: Fault, status: int, headers: dict[str, str], content: bytes
    ) -> None:
        length = {k.lower(): v for k, v in headers.items()}.get("content-length", "0")
        headers = {k: v for k, v in headers.items() if k.lower() != "content-length"}
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if fault.endless:
            self.send_header("Connection", "close")  # no length: until the connection ends
            self.close_connection = True
        else:
            size = length if self.command == "HEAD" else str(len(content))
            self.send_header("Content-Length", size)
        self.end_headers()
        if self.command == "HEAD" or status == 304:
            return
        try:
            for piece in self._pieces(fault, content):
                self.wfile.write(piece)
                seen.sent += len(piece)
            if fault.hold is not None:
                fault.hold.wait(60)
            if fault.cut is not None:
                self._break_off(fault.reset)
        except OSError:
            self.close_connection = True  # the reader has left

    def _pieces(self, fault: Fault, content: bytes) -> Iterator[bytes]:
        yield content if fault.cut is None else content[: fault.cut]
        for _ in range(fault.endless >> 16):
            yield bytes(1 << 16)

    def _break_off(self, reset: bool) -> None:
        self.wfile.flush()
        if reset:
            option = struct.pack("ii", 1, 0)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, option)
        self.connection.shutdown(socket.SHUT_WR)
        self.connection.close()
        self.close_connection = True
