"""Store: blobs on disk by their SHA-256, commits as snapshots in memory."""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
import threading
from collections.abc import Iterable, Iterator
from datetime import datetime, timezone
from typing import Any

from .xet import Chunk, Term, chunks_of_xorb, files_of_shard, unpacked

LFS = (".parquet", ".tar", ".gz", ".zip", ".mp4", ".wav", ".jpg", ".png", ".bin")
_ATTRIBUTES = "".join(f"*{suffix} filter=lfs diff=lfs merge=lfs -text\n" for suffix in LFS).encode()

Entry = dict[str, Any]


class ApiError(Exception):
    def __init__(
        self, status: int, message: str, code: str | None = None, headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.code, self.headers = status, message, code, headers or {}


def git_sha1(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def pointer(oid: str, size: int) -> bytes:
    return f"version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize {size}\n".encode()


def now() -> str:
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.000Z")


class Store:
    def __init__(self, root: str) -> None:
        self.root = root
        for folder in ("sha256", "xorb"):
            os.makedirs(os.path.join(root, folder), exist_ok=True)
        self.lock = threading.RLock()
        self.repos: dict[str, dict[str, Any]] = {}
        self.xorbs: dict[str, list[Chunk]] = {}
        self.xet_files: dict[str, tuple[list[Term], str, int]] = {}
        self.xet_of: dict[str, str] = {}

    def blob(self, oid: str) -> str:
        return os.path.join(self.root, "sha256", oid)

    def put(self, chunks: Iterable[bytes], expect: str | None = None) -> str:
        digest = hashlib.sha256()
        descriptor, temporary = tempfile.mkstemp(dir=self.root)
        try:
            with os.fdopen(descriptor, "wb") as file:
                for chunk in chunks:
                    digest.update(chunk)
                    file.write(chunk)
            if expect and digest.hexdigest() != expect:
                raise ApiError(400, "sha256 mismatch")
            os.replace(temporary, self.blob(digest.hexdigest()))
        finally:
            if os.path.exists(temporary):
                os.unlink(temporary)
        return digest.hexdigest()

    def put_part(self, oid: str, number: int, chunks: Iterable[bytes]) -> None:
        """Stores a part of a blob; the blob exists when all parts are joined."""
        with tempfile.NamedTemporaryFile(dir=self.root, delete=False) as file:
            file.writelines(chunks)
        os.replace(file.name, f"{self.blob(oid)}.{number}")

    def join_parts(self, oid: str, numbers: Iterable[int]) -> None:
        def chunks() -> Iterator[bytes]:
            for number in numbers:
                try:
                    with open(f"{self.blob(oid)}.{number}", "rb") as file:
                        yield file.read()
                except FileNotFoundError:
                    raise ApiError(400, f"part {number} was never uploaded") from None

        self.put(chunks(), oid)

    def create(self, name: str, private: bool, user: str) -> bool:
        with self.lock:
            if name in self.repos:
                return False
            self.repos[name] = {
                "name": name,
                "private": private,
                "refs": {},
                "commits": {},
                "prs": [],
                "created": now(),
            }
            self.commit(name, "main", {".gitattributes": self.regular(_ATTRIBUTES)}, "initial commit", user, None)
            return True

    def regular(self, data: bytes) -> Entry:
        return {"oid": git_sha1(data), "size": len(data), "blob": self.put([data])}

    def large(self, oid: str) -> Entry:
        size = os.path.getsize(self.blob(oid))
        return {"oid": git_sha1(pointer(oid, size)), "size": size, "blob": oid, "lfs": oid, "xet": self.xet_of.get(oid)}

    def repo(self, name: str, user: str | None) -> dict[str, Any]:
        repo = self.repos.get(name)
        if repo is None or (repo["private"] and not user):
            raise ApiError(404 if user else 401, "Repository not found", "RepoNotFound")
        return repo

    def at(self, repo: dict[str, Any], revision: str) -> dict[str, Any]:
        oid = repo["refs"].get(revision, revision)
        if oid not in repo["commits"]:
            raise ApiError(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        commit: dict[str, Any] = repo["commits"][oid]
        return commit

    def commit(self, name: str, ref: str, files: dict[str, Entry], title: str, user: str, parent: str | None) -> str:
        repo = self.repos[name]
        text = f"{name} {ref} {title} {parent} {len(repo['commits'])} {sorted((p, e['oid']) for p, e in files.items())}"
        oid = hashlib.sha1(text.encode()).hexdigest()
        repo["commits"][oid] = {
            "oid": oid,
            "files": files,
            "title": title,
            "date": now(),
            "user": user,
            "parent": parent,
        }
        repo["refs"][ref] = oid
        return oid

    def add_xorb(self, digest: str, data: bytes) -> None:
        with open(os.path.join(self.root, "xorb", digest), "wb") as file:
            file.write(data)
        self.xorbs[digest] = chunks_of_xorb(data)

    def add_shard(self, shard: bytes) -> None:
        """Makes the files that a shard describes; their SHA-256 must match it."""
        for digest, sha256, terms in files_of_shard(shard):
            oid = self.put(self._content(terms), sha256)
            self.xet_files[digest] = (terms, oid, sum(term.size for term in terms))
            self.xet_of[oid] = digest

    def _content(self, terms: list[Term]) -> Iterator[bytes]:
        for term in terms:
            if term.xorb not in self.xorbs:
                raise ApiError(400, f"unknown xorb {term.xorb}")
            with open(os.path.join(self.root, "xorb", term.xorb), "rb") as file:
                raw = file.read()
            for chunk in self.xorbs[term.xorb][term.start : term.stop]:
                yield unpacked(raw[chunk.start + 8 : chunk.stop], chunk.scheme, chunk.size)


def tree_entry(path: str, entry: Entry) -> dict[str, Any]:
    out: dict[str, Any] = {"type": "file", "oid": entry["oid"], "size": entry["size"], "path": path}
    if "lfs" in entry:
        size = len(pointer(entry["lfs"], entry["size"]))
        out["lfs"] = {"oid": entry["lfs"], "size": entry["size"], "pointerSize": size}
        if entry["xet"]:
            out["xetHash"] = entry["xet"]
    return out


def listing(files: dict[str, Entry], folder: str, recursive: bool) -> list[dict[str, Any]]:
    """The files and directories below a folder."""
    before = folder.strip("/") + "/" if folder.strip("/") else ""
    seen: set[str] = set()
    out: list[dict[str, Any]] = []
    for path in sorted(files):
        if not path.startswith(before):
            continue
        parts = path[len(before) :].split("/")
        for depth in range(1, len(parts) if recursive else min(len(parts), 2)):
            directory = before + "/".join(parts[:depth])
            if directory not in seen:
                seen.add(directory)
                oid = hashlib.sha1(directory.encode()).hexdigest()
                out.append({"type": "directory", "oid": oid, "size": 0, "path": directory})
        if recursive or len(parts) == 1:
            out.append(tree_entry(path, files[path]))
    return out


COMMIT = re.compile(r"[0-9a-f]{40}")
