"""Server: the viewer for a browser on this machine.

It listens on 127.0.0.1 alone.  Every address begins with a random token, so other users of the machine and other pages in the
browser cannot guess it.  The Host header must name this server, so no other host name reaches it through DNS.  Its answers may
not be framed, sniffed or run.  Media answer range requests, which browsers need to seek.
"""

from __future__ import annotations

import hmac
import os
import re
import secrets
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qsl

from ..media.items import Item
from .page_files import MEDIA_TYPES, POLICY, page, page_file
from .thumbnails import UNKNOWN
from .viewer import Answer, Viewer

_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")
_CHUNK = 256 << 10


class Server:
    """Serves a viewer until it is closed.

    Attributes:
        url: the address to open in a browser, with the token.
        port: the port that it listens on.
        token: what every address begins with.
    """

    def __init__(self, viewer: Viewer, port: int = 0) -> None:
        """Opens the port; 0 for any free one.

        Raises:
            OSError: the port is in use.
        """
        self.token = secrets.token_urlsafe(24)
        self._http = _Http(("127.0.0.1", port), _Handler)
        self._http.viewer = viewer
        self._http.token = self.token
        self.port = int(self._http.server_address[1])
        self._http.hosts = frozenset({f"127.0.0.1:{self.port}", f"localhost:{self.port}"})
        self.url = f"http://127.0.0.1:{self.port}/{self.token}/"
        self._thread: Thread | None = None

    def serve(self) -> None:
        """Serves until interrupted."""
        self._http.serve_forever(poll_interval=0.2)

    def start(self) -> None:
        """Serves in a thread of its own."""
        self._thread = Thread(target=self._http.serve_forever, args=(0.05,), name="preview-server", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stops serving."""
        if self._thread is not None:
            self._http.shutdown()
            self._thread.join()
        self._http.server_close()


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    viewer: Viewer
    token: str
    hosts: frozenset[str]

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Prints nothing: browsers close connections whenever they have enough of a video."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 60
    server: _Http

    def version_string(self) -> str:
        return "modalmix"

    def log_message(self, format: str, *args: object) -> None:
        """Logs nothing: the log would hold the token."""

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        if self.headers.get("Host", "") not in self.server.hosts:
            return self._refuse(HTTPStatus.FORBIDDEN, "the Host header names another server")
        # a person follows a link in a notebook, or in a terminal inside a browser
        followed = self.headers.get("Sec-Fetch-Dest") == "document"
        if self.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin") and not followed:
            return self._refuse(HTTPStatus.FORBIDDEN, "requests from other pages are refused")
        path, _, query = self.path.partition("?")
        token, _, address = path.removeprefix("/").partition("/")
        if not hmac.compare_digest(token.encode("utf-8", "replace"), self.server.token.encode()):
            return self._refuse(HTTPStatus.FORBIDDEN, "the token is missing or wrong")
        try:
            answer = self._answer(address, dict(parse_qsl(query, max_num_fields=20)))
            self._send(answer)
        except (LookupError, FileNotFoundError) as error:
            self._refuse(HTTPStatus.NOT_FOUND, str(error))
        except (ConnectionError, TimeoutError):
            self.close_connection = True
        except (OSError, ValueError) as error:
            self._refuse(HTTPStatus.UNPROCESSABLE_ENTITY, str(error))

    def _answer(self, address: str, query: dict[str, str]) -> Answer:
        if address == "":
            return Answer("text/html; charset=utf-8", page(""))
        if address in MEDIA_TYPES:
            return Answer(MEDIA_TYPES[address], page_file(address))
        return self.server.viewer.answer(address, query)

    def _send(self, answer: Answer) -> None:
        body = answer.body
        if isinstance(body, bytes):
            self._head(HTTPStatus.OK, answer, len(body))
            if self.command != "HEAD":
                self.wfile.write(body)
            return
        with open(os.open(body.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb", buffering=0) as file:
            if os.fstat(file.fileno()).st_size < body.start + body.size:
                raise OSError(f"{body.name!r} is shorter than before")
            requested = _range(self.headers.get("Range", ""), body.size)
            if requested is None:
                self._head(HTTPStatus.OK, answer, body.size)
                start, stop = 0, body.size
            else:
                start, stop = requested
                if start >= stop:
                    self._head(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, answer, 0, f"bytes */{body.size}")
                    return
                place = f"bytes {start}-{stop - 1}/{body.size}"
                self._head(HTTPStatus.PARTIAL_CONTENT, answer, stop - start, place)
            if self.command == "HEAD":
                return
            at, end = body.start + start, body.start + stop
            while at < end:
                chunk = os.pread(file.fileno(), min(_CHUNK, end - at), at)
                if not chunk:
                    self.close_connection = True  # the body is shorter than the Content-Length already sent
                    return
                self.wfile.write(chunk)
                at += len(chunk)

    def _head(self, status: HTTPStatus, answer: Answer, length: int, content_range: str = "") -> None:
        self.send_response(status)
        self.send_header("Content-Type", answer.type)
        self.send_header("Content-Length", str(length))
        if isinstance(answer.body, Item):
            self.send_header("Accept-Ranges", "bytes")
            if content_range:
                self.send_header("Content-Range", content_range)
            if answer.type == UNKNOWN:
                self.send_header("Content-Disposition", "attachment")
        is_page = answer.type.startswith("text/")
        self.send_header("Content-Security-Policy", f"{POLICY}; frame-ancestors 'none'" if is_page else
                         "default-src 'none'; sandbox; frame-ancestors 'none'")  # fmt: skip
        self.send_header("Cache-Control", "private, max-age=3600" if answer.stable else "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Referrer-Policy", "no-referrer")
        self.send_header("Cross-Origin-Resource-Policy", "same-origin")
        self.send_header("Cross-Origin-Opener-Policy", "same-origin")
        self.end_headers()

    def _refuse(self, status: HTTPStatus, reason: str) -> None:
        body = " ".join(reason.split())[:500].encode("utf-8", "replace")
        self._head(status, Answer("text/plain; charset=utf-8", body), len(body))
        if self.command != "HEAD":
            self.wfile.write(body)


def _range(header: str, size: int) -> tuple[int, int] | None:
    """Start and stop of the requested range; None for the whole file (no range, or a kind that a server may ignore)."""
    found = _RANGE.fullmatch(header.replace(" ", ""))
    if found is None or not (found[1] or found[2]):
        return None
    if not found[1]:
        return max(0, size - int(found[2])), size
    start = int(found[1])
    if found[2] and int(found[2]) < start:
        return None
    return start, min(size, int(found[2]) + 1) if found[2] else size
