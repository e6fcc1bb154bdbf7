"""Server: the two listeners, and the faults that a test requests."""

from __future__ import annotations

import json
import re
import threading
import time
import uuid
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from . import blobs, repositories  # noqa: F401  they register their routes
from .routes import TABLE
from .store import ApiError, Store


class Hub:
    """A running Hub.

    Attributes:
        url: the endpoint.
        log: every request: method, path, status, bytes of its body.
        tokens: token → user and role.
    """

    def __init__(self, root: str, *, xet: bool = True, page: int = 1000, part: int = 1 << 30) -> None:
        """`page`: entries in one page of a listing; `part`: LFS takes larger files in parts of that many bytes."""
        self.store = Store(str(root))
        self.tokens = {"hf_test": ("tester", "write"), "hf_other": ("other", "write"), "hf_reader": ("tester", "read")}
        self.orgs = ("acme",)
        self.xet, self.page, self.part = xet, page, part
        self.log: list[dict[str, Any]] = []
        self.cas_token = f"cas_{uuid.uuid4().hex}"
        self._faults: list[dict[str, Any]] = []
        self._lock = threading.Lock()
        self.barrier = threading.Barrier(2)
        self._servers = [_Server(self, origin) for origin in ("hub", "cdn")]
        self.url, self.cdn = (f"http://127.0.0.1:{server.server_address[1]}" for server in self._servers)

    def __enter__(self) -> Hub:
        for server in self._servers:
            threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        for server in self._servers:
            server.shutdown()
            server.server_close()

    def fault(self, method: str, path: str, kind: str = "status", times: int = 1, skip: int = 0, **more: Any) -> None:
        """Makes the next matching requests fail; those with the header ``X-Reader`` do not.

        Args:
            method: of the requests; ``*`` for any.
            path: a pattern of their paths.
            kind: ``status`` answers with ``status=``; ``drop`` closes the connection before the request is handled, ``lost``
                after it; ``delay`` waits ``seconds=``; ``truncate`` cuts the body after ``bytes=``; ``meet`` lets two requests
                wait for each other; ``arrives`` and ``is done`` call the function ``call=`` before or after the request is
                handled, and do not answer.
            times: how many requests fail.
            skip: how many requests pass first.
            **more: of the kind.
        """
        self._faults.append(
            {"method": method, "path": re.compile(path), "kind": kind, "times": times, "skip": skip, **more}
        )

    def pending(self) -> int:
        """How many faults no request has met yet."""
        return sum(fault["times"] for fault in self._faults)

    def waiting(self) -> list[str]:
        """The paths of faults that no request has met yet."""
        return [fault["path"].pattern for fault in self._faults if fault["times"] > 0]

    def clear(self) -> None:
        """Removes all faults."""
        self._faults.clear()

    def take(self, request: Request, kind: str) -> dict[str, Any] | None:
        if request.headers.get("X-Reader"):
            return None
        with self._lock:
            for fault in self._faults:
                if fault["kind"] != kind or fault["times"] <= 0 or fault["method"] not in ("*", request.command):
                    continue
                if not fault["path"].search(request.path):
                    continue
                if fault["skip"] > 0:
                    fault["skip"] -= 1
                    continue
                fault["times"] -= 1
                return fault
        return None

    def sent(self) -> int:
        """Bytes of media that were uploaded since the log was last cleared."""
        return sum(
            request["size"]
            for request in self.log
            if request["method"] != "GET"
            and re.match(r"/(lfs/(?!verify)(?!.*/complete)|grant/|v1/xorbs/)", request["path"])
        )

    def sent_again(self) -> int:
        """Bytes of blobs that were uploaded although the Hub had them."""
        return sum(request["size"] for request in self.log if request["duplicate"])

    def files(self, name: str, revision: str = "main") -> dict[str, Any]:
        files: dict[str, Any] = self.store.at(self.store.repos[name], revision)["files"]
        return files

    def record(self, **request: Any) -> None:
        with self._lock:
            self.log.append(request)


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, hub: Hub, origin: str) -> None:
        super().__init__(("127.0.0.1", 0), Request)
        self.hub, self.origin = hub, origin

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Prints nothing: tests kill clients on purpose."""


class Request(BaseHTTPRequestHandler):
    """One request; the function of its route answers it."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 1 << 16
    server: _Server

    def log_message(self, *_: object) -> None:
        pass

    def chunks(self) -> Iterator[bytes]:
        """The body in chunks."""
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            while size := int(self.rfile.readline().split(b";")[0], 16):
                self._size += size
                yield self.rfile.read(size)
                self.rfile.readline()
            while self.rfile.readline().strip():
                pass
        else:
            left = int(self.headers.get("Content-Length") or 0) - self._size
            while left > 0:
                chunk = self.rfile.read(min(left, 1 << 20))
                if not chunk:
                    raise ConnectionError("the client closed the connection")
                left -= len(chunk)
                self._size += len(chunk)
                yield chunk
        self._read = True

    def body(self) -> bytes:
        if self._body is None:
            self._body = b"".join(self.chunks())
        return self._body

    def json(self) -> Any:
        return json.loads(self.body() or b"{}")

    def flag(self, name: str) -> bool:
        return self.query.get(name, ["false"])[0].lower() in ("1", "true")

    def need_write(self) -> None:
        if not self.user:
            raise ApiError(401, "Invalid username or password.")
        if self.role != "write":
            raise ApiError(403, "Forbidden: this token may not write")

    def reply(
        self, status: int = 200, value: Any = None, *, data: bytes = b"", kind: str = "", headers: Any = None
    ) -> None:
        if value is not None:
            data, kind = json.dumps(value).encode(), kind or "application/json; charset=utf-8"
        if not self._read:
            for _ in self.chunks():
                pass
        if status < 400:
            self.maybe_lose()
        self.send_response(status)
        for name, text in (headers or {}).items():
            self.send_header(name, text)
        if kind:
            self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self._status = status
        if self.command != "HEAD":
            cut = self.server.hub.take(self, "truncate") if status < 400 and data else None
            if cut:
                self.wfile.write(data[: min(cut["bytes"], len(data) - 1)])
                self.wfile.flush()
                raise ConnectionError("fault: truncated")
            self.wfile.write(data)

    def maybe_lose(self) -> None:
        """Loses the answer of a request that is handled, if a fault says so."""
        hub = self.server.hub
        if hub.take(self, "lost"):
            raise ConnectionError("fault: the answer is lost")
        if done := hub.take(self, "is done"):
            done["call"]()
            raise ConnectionError("fault: the answer is lost")

    def send_file(self, path: str, size: int, headers: dict[str, str]) -> None:
        """A file or a range of it, from the disk."""
        start, last, status = 0, size - 1, 200
        requested = re.fullmatch(r"bytes=(\d*)-(\d*)", self.headers.get("Range", "").strip())
        if requested and (requested[1] or requested[2]):
            if requested[1]:
                start, last = int(requested[1]), min(int(requested[2]) if requested[2] else size - 1, size - 1)
            else:
                start = max(0, size - int(requested[2]))
            if start > last:
                self.reply(416, headers={"Content-Range": f"bytes */{size}"})
                return
            status, headers = 206, {**headers, "Content-Range": f"bytes {start}-{last}/{size}"}
        count = last - start + 1 if size else 0
        self.maybe_lose()
        self.send_response(status)
        for name, text in {"Accept-Ranges": "bytes", **headers, "Content-Length": str(count)}.items():
            self.send_header(name, text)
        self.end_headers()
        self._status = status
        if self.command == "HEAD":
            return
        cut = self.server.hub.take(self, "truncate")
        with open(path, "rb") as file:
            file.seek(start)
            if cut:
                self.wfile.write(file.read(min(count, cut["bytes"])))
                self.wfile.flush()
                raise ConnectionError("fault: truncated")
            while count > 0:
                chunk = file.read(min(count, 1 << 20))
                self.wfile.write(chunk)
                count -= len(chunk)

    def answer(self) -> None:
        hub = self.server.hub
        url = urlsplit(self.path)
        self.query = parse_qs(url.query, keep_blank_values=True)
        self._body: bytes | None = None
        self._status: Any = None
        self._size = 0
        self.duplicate = False
        self._read = self.headers.get("Content-Length", "0") == "0" and not self.headers.get("Transfer-Encoding")
        sent = self.headers.get("Authorization", "")
        self.user, self.role = hub.tokens.get(sent[7:], (None, "")) if sent.startswith("Bearer ") else (None, "")
        began = time.perf_counter()
        try:
            if sent and self.user is None and self.server.origin == "hub":
                raise ApiError(401, "Invalid credentials in Authorization header")
            if delay := hub.take(self, "delay"):
                time.sleep(delay["seconds"])
            if arrived := hub.take(self, "arrives"):
                arrived["call"]()
                raise ConnectionError("fault: no answer")
            if hub.take(self, "meet"):
                hub.barrier.wait(30)
            if fault := hub.take(self, "status"):
                raise ApiError(fault["status"], "injected fault", None, fault.get("headers"))
            if hub.take(self, "drop"):
                raise ConnectionError("fault: dropped")
            for method, pattern, answer in TABLE[self.server.origin]:
                found = pattern.match(url.path) if method == self.command else None
                if found:
                    answer(self, hub, **{name: unquote(text or "") for name, text in found.groupdict().items()})
                    break
            else:
                raise ApiError(404, "Not Found")
        except ApiError as error:
            headers = {"X-Error-Message": error.message, **error.headers}
            if error.code:
                headers["X-Error-Code"] = error.code
            self.reply(error.status, {"error": error.message}, headers=headers)
        except (ConnectionError, TimeoutError, ValueError) as error:
            self._status = f"broken: {error}"
            self.close_connection = True
            self.connection.close()
        finally:
            hub.record(
                method=self.command,
                path=url.path,
                status=self._status,
                size=self._size,
                at=began,
                token=sent[7:],
                range=self.headers.get("Range", ""),
                duplicate=self.duplicate,
            )

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = answer  # noqa: N815
