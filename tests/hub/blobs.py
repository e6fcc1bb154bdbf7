"""Blobs: the listener for bytes, LFS blobs and the content-addressed store of Xet."""

from __future__ import annotations

import json
import os
import re
import uuid
from typing import Any

from .routes import route
from .store import ApiError

_HASH = r"(?P<digest>[0-9a-f]{64})"


def _check(request: Any, hub: Any) -> None:
    if request.headers.get("Authorization") != f"Bearer {hub.cas_token}":
        raise ApiError(401, "bad CAS token")


@route("cdn", "PUT", r"/lfs/" + _HASH)
def put_lfs(request: Any, hub: Any, digest: str) -> None:
    request.duplicate = os.path.exists(hub.store.blob(digest))
    hub.store.put(request.chunks(), digest)
    request.reply(headers={"ETag": f'"{digest}"'})


@route("cdn", "PUT", r"/lfs/" + _HASH + r"/part/(?P<number>\d+)")
def put_part(request: Any, hub: Any, digest: str, number: str) -> None:
    request.duplicate = os.path.exists(hub.store.blob(digest))
    hub.store.put_part(digest, int(number), request.chunks())
    request.reply(headers={"ETag": f'"{digest[:8]}-{number}"'})


@route("cdn", "GET|HEAD", r"/blob/" + _HASH)
def get_blob(request: Any, hub: Any, digest: str) -> None:
    path = hub.store.blob(digest)
    if not os.path.exists(path):
        raise ApiError(404, "no such blob")
    request.send_file(path, os.path.getsize(path), {"ETag": f'"{digest}"', "Content-Type": "application/octet-stream"})


@route("cdn", "GET", r"/v1/chunks/[^/]+/" + _HASH)
def get_chunk(request: Any, hub: Any, digest: str) -> None:
    raise ApiError(404, "chunk not tracked for global dedup")


@route("cdn", "POST", r"/v1/xorb-grants/[^/]+/" + _HASH)
def grant(request: Any, hub: Any, digest: str) -> None:
    """201 with a URL for the upload; 200 if the xorb exists already."""
    _check(request, hub)
    request.body()
    if digest in hub.store.xorbs:
        request.reply(value={"was_inserted": False})
    else:
        url = f"{hub.cdn}/grant/{digest}"
        request.reply(201, {"id": uuid.uuid4().hex, "method": "PUT", "url": url, "headers": {}})


@route("cdn", "PUT", r"/grant/" + _HASH)
def put_granted(request: Any, hub: Any, digest: str) -> None:
    request.duplicate = digest in hub.store.xorbs
    hub.store.add_xorb(digest, request.body())
    request.reply(headers={"ETag": f'"{digest[:32]}"'})


@route("cdn", "POST", r"/v1/xorb-commits/[^/]+/" + _HASH + r"/grant/[^/]+")
def commit_grant(request: Any, hub: Any, digest: str) -> None:
    _check(request, hub)
    if digest not in hub.store.xorbs:
        raise ApiError(404, "no uploaded data for grant")
    request.reply(value={"was_inserted": True})


@route("cdn", "POST", r"/v1/xorbs/[^/]+/" + _HASH)
def put_xorb(request: Any, hub: Any, digest: str) -> None:
    _check(request, hub)
    new = digest not in hub.store.xorbs
    hub.store.add_xorb(digest, request.body())
    request.reply(value={"was_inserted": new})


@route("cdn", "POST", r"/v2/shards")
def put_shard(request: Any, hub: Any) -> None:
    _check(request, hub)
    hub.store.add_shard(request.body())
    events = [
        {"type": "validating", "verified": 1, "total": 1},
        {"type": "committing", "stage": "syncing"},
        {"type": "result"},
    ]
    request.reply(data=b"".join(json.dumps(event).encode() + b"\n" for event in events), kind="application/x-ndjson")


@route("cdn", "POST", r"/v1/telemetry")
def telemetry(request: Any, hub: Any) -> None:
    request.reply(value={})


@route("cdn", "GET|HEAD", r"/xorb/" + _HASH)
def get_xorb(request: Any, hub: Any, digest: str) -> None:
    path = os.path.join(hub.store.root, "xorb", digest)
    request.send_file(path, os.path.getsize(path), {"Content-Type": "application/octet-stream"})


@route("cdn", "GET", r"/v(?P<version>[12])/reconstructions/" + _HASH)
def reconstruction(request: Any, hub: Any, version: str, digest: str) -> None:
    """The chunks and xorbs that make up a file, or a range of it."""
    _check(request, hub)
    if digest not in hub.store.xet_files:
        raise ApiError(404, "unknown file")
    terms, _, size = hub.store.xet_files[digest]
    first_byte, stop_byte = 0, size
    requested = re.fullmatch(r"bytes=(\d+)-(\d*)", request.headers.get("Range", ""))
    if requested:
        first_byte = int(requested[1])
        stop_byte = min(int(requested[2]) + 1 if requested[2] else size, size)
        if first_byte >= size:
            raise ApiError(416, "range not satisfiable")
    out: list[dict[str, Any]] = []
    parts: dict[str, set[tuple[int, int, int, int]]] = {}
    at, offset = 0, None
    for term in terms:
        chunks, needed = hub.store.xorbs[term.xorb], []
        for number in range(term.start, term.stop):
            if at < stop_byte and at + chunks[number].size > first_byte:
                needed.append(number)
                offset = first_byte - at if offset is None else offset
            at += chunks[number].size
        if needed:
            first, stop = needed[0], needed[-1] + 1
            length = sum(chunk.size for chunk in chunks[first:stop])
            out.append({"hash": term.xorb, "unpacked_length": length, "range": {"start": first, "end": stop}})
            parts.setdefault(term.xorb, set()).add((first, stop, chunks[first].start, chunks[stop - 1].stop - 1))
    value: dict[str, Any] = {"offset_into_first_range": offset or 0, "terms": out}
    url = f"{hub.cdn}/xorb/"
    if version == "1":
        value["fetch_info"] = {
            xorb: [
                {"range": {"start": a, "end": b}, "url": url + xorb, "url_range": {"start": c, "end": d}}
                for a, b, c, d in sorted(ranges)
            ]
            for xorb, ranges in parts.items()
        }
    else:
        value["xorbs"] = {
            xorb: [
                {"url": url + xorb, "ranges": [{"chunks": {"start": a, "end": b}, "bytes": {"start": c, "end": d}}]}
                for a, b, c, d in sorted(ranges)
            ]
            for xorb, ranges in parts.items()
        }
    request.reply(value=value)
