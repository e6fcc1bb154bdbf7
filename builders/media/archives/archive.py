"""Archives, their members and limits, and the rules that every kind of archive checks its members by."""

from __future__ import annotations

import re
from typing import NamedTuple

import msgspec

from ...core.findings import Finding, finding

KINDS = ("tar", "tar.gz", "tar.zst", "zip", "parquet")

_MAX_NAME = 4096  # bytes of a path on Linux
_LEFT_ALONE = 64 << 20  # bytes that may come out of however little before the ratio counts
_FORBIDDEN = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
_DRIVE = re.compile(r"[A-Za-z]:[\\/]")


class Archive(msgspec.Struct, frozen=True):
    """One archive on the local disk.

    Attributes:
        paths: its file, or its pieces in order.
        kind: one of `KINDS`.
    """

    paths: tuple[str, ...]
    kind: str

    def __str__(self) -> str:
        return self.paths[0] if len(self.paths) == 1 else f"{self.paths[0]} … ({len(self.paths)} pieces)"


class Member(NamedTuple):
    """Where one member of an archive is.

    Attributes:
        name: as the archive gives it, with ``/`` between folders, no ``.`` parts and no leading ``/``.
        start: what identifies it. tar: offset of its first byte in the decompressed stream of all pieces;
            zip: offset of its data in the stream of all pieces; Parquet: row × number of media columns + media column.
        size: bytes it has when read.
        packed: bytes it takes in a zip file where it is deflated; 0 where it lies as it is (or is no zip member).
    """

    name: str
    start: int
    size: int
    packed: int = 0


class Limits(msgspec.Struct, frozen=True):
    """How much an archive may turn into before it counts as a bomb.

    Attributes:
        ratio: bytes that may come out for a byte of the archive. Media hardly shrink, so that even 10 is rare; deflate ends
            at 1032. Below 64 MB of output nothing is checked.
        total: bytes that may come out of one archive.
        member: bytes of one member.
        members: number of members of one archive.
    """

    ratio: int = 250
    total: int = 1 << 43
    member: int = 1 << 36
    members: int = 20_000_000

    def stop(self, out: int, packed: int) -> str:
        """Why reading must stop after `out` bytes came out of `packed`; empty where it need not."""
        if out > _LEFT_ALONE and out > self.ratio * max(packed, 1):
            return (
                f"{out:,} bytes come out of {packed:,}: more than {self.ratio} for one (the limit ratio={self.ratio})"
            )
        if out > self.total:
            return f"more than {self.total:,} bytes come out (the limit total={self.total})"
        return ""


DEFAULT_LIMITS = Limits()


class DamageError(Exception):
    """The archive cannot be read on from here; its text says why."""


class BombError(DamageError):
    """The archive goes beyond its limits."""


class Gate:
    """Decides which members of one archive are accepted.

    Attributes:
        seen: hashes of the accepted names. 64 bits each instead of the names: a million members cost some 70 MB.
    """

    def __init__(self, archive: Archive, limits: Limits) -> None:
        """A gate for one pass through `archive`."""
        self.archive = archive
        self.limits = limits
        self.seen: set[int] = set()

    def name(self, raw: bytes | str) -> str | Finding:
        """The name of a member, or why it is refused.

        Args:
            raw: as in the archive; bytes must be UTF-8, as a guess at their encoding would be a guess at the file.
        """
        if isinstance(raw, bytes):
            try:
                text = raw.decode()
            except UnicodeDecodeError:
                return self.refuse("member-name", f"the name {raw[:200]!r} is not UTF-8")
        else:
            text = raw
        if bad := _FORBIDDEN.search(text):
            return self.refuse("member-name", f"the name {text[:200]!r} holds the character {bad[0]!r}")
        if len(text) > _MAX_NAME:
            return self.refuse("member-name", f"the name {text[:60]!r}… has {len(text)} characters")
        if text.startswith(("/", "\\")) or _DRIVE.match(text):
            return self.refuse("member-name", f"the name {text!r} is an absolute path")
        if ".." in text and ".." in text.replace("\\", "/").split("/"):
            return self.refuse("member-name", f"the name {text!r} leads out of the archive")
        if "./" in text or "//" in text or text.endswith("/."):
            text = "/".join(step for step in text.split("/") if step not in ("", "."))
        if not text or text == ".":
            return self.refuse("member-name", "a member without a name")
        return text

    def new(self, name: str, size: int) -> Finding | None:
        """Accepts a member; a finding where it must not be.

        Raises:
            BombError: there are too many members.
        """
        if size > self.limits.member:
            return self.refuse("member-size", f"{name!r} has {size:,} bytes (the limit member={self.limits.member})")
        if len(self.seen) >= self.limits.members:
            raise BombError(f"more than {self.limits.members:,} members (the limit members={self.limits.members})")
        key = hash(name)
        if key in self.seen:
            return self.refuse("member-duplicate", f"a second member is named {name!r}; the first one counts")
        self.seen.add(key)
        return None

    def refuse(self, name: str, message: str) -> Finding:
        """A finding about a member or the whole archive."""
        return finding(name, f"{self.archive}: {message}")
