"""What archives are found, and which members they are said to have."""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import os
import random
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from modalmix.builders.core.findings import CATALOGUE, Finding
from modalmix.builders.media import archives
from modalmix.builders.media.archives import Archive, Limits, Member
from modalmix.builders.media.items import item_of_member, read_bytes

Files = dict[str, bytes]


@pytest.fixture(autouse=True)
def own_points(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Each test has a cache of seek points of its own."""
    monkeypatch.setenv("MODALMIX_CACHE", str(tmp_path / "points"))
    return str(tmp_path / "points")


def some_files(seed: int = 0, count: int = 5) -> Files:
    some = random.Random(seed)
    return {f"videos/{seed}/{i:03}.mp4": some.randbytes(some.choice([1, 511, 512, 513, 70_000])) for i in range(count)}


def tar_bytes(files: Files, format: int = tarfile.GNU_FORMAT) -> bytes:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w", format=format) as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return target.getvalue()


def zip_bytes(files: Files, method: int = zipfile.ZIP_STORED) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", method) as file:
        for name, data in files.items():
            file.writestr(zipfile.ZipInfo(name), data, method)
    return target.getvalue()


def frames(data: bytes, size: int = 50_000) -> bytes:
    """zstd as its seekable variants write it: independent frames that say their size."""
    return b"".join(zstandard.compress(data[i : i + size]) for i in range(0, len(data), size))


def parquet_bytes(files: Files) -> bytes:
    target = io.BytesIO()
    cells = pa.array([{"bytes": data, "path": name} for name, data in files.items()])
    pq.write_table(pa.table({"video": cells}), target, row_group_size=2)
    return target.getvalue()


WRITERS: dict[str, tuple[str, str, Callable[[Files], bytes]]] = {
    "tar": ("X.tar", "tar", tar_bytes),
    "pax": ("X.tar", "tar", lambda files: tar_bytes(files, tarfile.PAX_FORMAT)),
    "tar.gz": ("X.tar.gz", "tar.gz", lambda files: gzip.compress(tar_bytes(files), 1)),
    "tgz": ("X.tgz", "tar.gz", lambda files: gzip.compress(tar_bytes(files), 1)),
    "two gzip streams": (
        "X.tar.gz",
        "tar.gz",
        lambda files: gzip.compress(tar_bytes(files)[:700]) + gzip.compress(tar_bytes(files)[700:]),
    ),
    "tar.zst": ("X.tar.zst", "tar.zst", lambda files: zstandard.compress(tar_bytes(files))),
    "zstd frames": ("X.tar.zst", "tar.zst", lambda files: frames(tar_bytes(files))),
    "zip stored": ("X.zip", "zip", zip_bytes),
    "zip deflated": ("X.zip", "zip", lambda files: zip_bytes(files, zipfile.ZIP_DEFLATED)),
    "parquet": ("X.parquet", "parquet", parquet_bytes),
}


def archive_of(path: Path, data: bytes) -> Archive:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    (archive,) = archives.group([str(path)])
    return archive


def listed(archive: Archive, **options: object) -> tuple[list[Member], list[str]]:
    """Members, and the names of the findings."""
    found = list(archives.members(archive, **options))  # type: ignore[arg-type]
    findings = [one for one in found if isinstance(one, Finding)]
    return [one for one in found if isinstance(one, Member)], [CATALOGUE[one.code].name for one in findings]


def content(archive: Archive) -> Files:
    """All members by random access, last first; there must be no finding."""
    members, findings = listed(archive)
    assert findings == []
    return {one.name: read_bytes(item_of_member(archive, one)) for one in reversed(members)}


# ---- every kind


@pytest.mark.parametrize("writer", WRITERS)
def test_members_are_what_was_packed(tmp_path: Path, writer: str) -> None:
    name, kind, pack = WRITERS[writer]
    files = some_files()
    archive = archive_of(tmp_path / name, pack(files))
    assert archive == Archive((str(tmp_path / name),), kind)
    assert archives.kind(str(tmp_path / name)) == kind
    assert [one.name for one in listed(archive)[0]] == list(files)
    assert content(archive) == files


@pytest.mark.parametrize("writer", WRITERS)
def test_one_pass_gives_the_requested_members_in_order(tmp_path: Path, writer: str) -> None:
    name, _, pack = WRITERS[writer]
    files = some_files(1, 9)
    archive = archive_of(tmp_path / name, pack(files))
    members, _ = listed(archive)
    everything = dict(one for one in archives.read_through(archive) if not isinstance(one, Finding))
    assert {one.name: data for one, data in everything.items()} == files and list(everything) == members
    requested = {members[7].start: "x", members[2].start: "y"}
    some = [one for one in archives.read_through(archive, requested) if not isinstance(one, Finding)]
    assert some == [(members[2], files[members[2].name]), (members[7], files[members[7].name])]


@pytest.mark.parametrize("writer", sorted(WRITERS.keys() - {"parquet"}))
@pytest.mark.parametrize("pieces", [2, 7])
def test_pieces_of_bytes_are_one_archive(tmp_path: Path, writer: str, pieces: int) -> None:
    name, kind, pack = WRITERS[writer]
    files = some_files(2, 8)
    data = pack(files)
    step = len(data) // pieces + 1
    for i in range(pieces):
        (tmp_path / f"{name}.{i:02}").write_bytes(data[i * step : (i + 1) * step])
    (archive,) = archives.group(str(path) for path in tmp_path.iterdir())
    assert archive == Archive(tuple(f"{tmp_path}/{name}.{i:02}" for i in range(pieces)), kind)
    assert content(archive) == files
    assert sum(not isinstance(one, Finding) for one in archives.read_through(archive)) == 8


@pytest.mark.parametrize("writer", WRITERS)
def test_pieces_that_are_archives_stay_apart(tmp_path: Path, writer: str) -> None:
    name, _, pack = WRITERS[writer]
    for i in range(12):
        (tmp_path / f"{name}.{i}").write_bytes(pack(some_files(i, 3)))
    found = archives.group(str(path) for path in tmp_path.iterdir())
    assert {one.paths for one in found} == {(f"{tmp_path}/{name}.{i}",) for i in range(12)}
    assert {key for one in found for key in content(one)} == {key for i in range(12) for key in some_files(i, 3)}


@pytest.mark.parametrize("writer", WRITERS)
def test_a_cut_archive_gives_what_comes_before_and_a_finding(tmp_path: Path, writer: str) -> None:
    name, kind, pack = WRITERS[writer]
    files = {f"{i}.mp4": random.Random(i).randbytes(300_000) for i in range(6)}
    archive = archive_of(tmp_path / name, pack(files)[:1_000_000])
    members, findings = listed(archive)
    assert findings == ["archive-damaged"]
    if kind.startswith("tar"):  # zip and Parquet say at their end what they hold
        assert [one.name for one in members] == ["0.mp4", "1.mp4", "2.mp4"]
        assert all(read_bytes(item_of_member(archive, one)) == files[one.name] for one in members)
    through = list(archives.read_through(archive))
    assert [one[0] for one in through if not isinstance(one, Finding)] == members
    assert isinstance(through[-1], Finding)


@pytest.mark.parametrize("writer", WRITERS)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_damage_raises_or_gives_other_members(tmp_path: Path, writer: str, data: st.DataObject) -> None:
    """Bytes overwritten anywhere: each member listed has a size that was read, and nothing is raised but findings."""
    name, _, pack = WRITERS[writer]
    packed = bytearray(pack(some_files(3, 4)))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(packed) - 1))
        new = data.draw(st.binary(min_size=1, max_size=12))
        packed[at : at + len(new)] = new
    archive = archive_of(tmp_path / name, bytes(packed))
    for one in archives.read_through(archive):
        if not isinstance(one, Finding):
            assert len(one[1]) == one[0].size
    for member in archives.members(archive):
        if isinstance(member, Member):
            with contextlib.suppress(OSError):  # what the list cannot know is told when it is read
                assert len(read_bytes(item_of_member(archive, member))) == member.size


# ---- names


BAD_NAMES = [
    "../out.mp4",
    "a/../../out.mp4",
    "/etc/passwd",
    "a\x01b.mp4",
    "a\nb.mp4",
    "C:\\x.mp4",
    "..\\x.mp4",
    "a/..",
    "\\\\h\\x",
]


@pytest.mark.parametrize("name", BAD_NAMES)
@pytest.mark.parametrize("writer", ["tar", "pax", "tar.gz", "zip stored", "parquet"])
def test_names_that_lead_elsewhere_are_refused(tmp_path: Path, writer: str, name: str) -> None:
    file, _, pack = WRITERS[writer]
    archive = archive_of(tmp_path / file, pack({"a.mp4": b"a", name: b"bad", "b.mp4": b"b"}))
    members, findings = listed(archive)
    assert [one.name for one in members] == ["a.mp4", "b.mp4"] and findings == ["member-name"]


@pytest.mark.parametrize(
    "name", ["rLlz_0:01:09.633.mp4", "ä/日本.mp4", "a b%20.mp4", "..a/b..mp4", "x" * 200 + "/" + "y" * 180]
)
@pytest.mark.parametrize("writer", WRITERS)
def test_names_that_are_only_unusual_are_kept(tmp_path: Path, writer: str, name: str) -> None:
    file, _, pack = WRITERS[writer]
    assert content(archive_of(tmp_path / file, pack({"first": b"1", name: b"two"}))) == {"first": b"1", name: b"two"}


def test_steps_without_meaning_are_left_out(tmp_path: Path) -> None:
    archive = archive_of(tmp_path / "X.tar", tar_bytes({"./a/.//b.mp4": b"1", "./c.mp4": b"2"}))
    assert content(archive) == {"a/b.mp4": b"1", "c.mp4": b"2"}


def test_a_name_in_another_encoding_is_refused(tmp_path: Path) -> None:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w", format=tarfile.GNU_FORMAT, encoding="latin-1") as tar:
        info = tarfile.TarInfo("é.mp4")
        info.size = 1
        tar.addfile(info, io.BytesIO(b"x"))
    found = list(archives.members(archive_of(tmp_path / "X.tar", target.getvalue())))
    assert len(found) == 1 and isinstance(found[0], Finding) and "not UTF-8" in found[0].message


@pytest.mark.parametrize("writer", ["tar", "tar.gz", "parquet"])
def test_of_two_members_with_one_name_the_first_counts(tmp_path: Path, writer: str) -> None:
    file, _, pack = WRITERS[writer]
    data = pack({"a.mp4": b"first", "b.mp4": b"second"})
    if writer == "parquet":
        cells = pa.array([{"bytes": b"first", "path": "a.mp4"}, {"bytes": b"second", "path": "./a.mp4"}])
        pq.write_table(pa.table({"video": cells}), tmp_path / "X.parquet")
        data = (tmp_path / "X.parquet").read_bytes()
    else:
        plain = pack({"a.mp4": b"first", "./a.mp4": b"second"})
        data = plain
    archive = archive_of(tmp_path / file, data)
    members, findings = listed(archive)
    assert findings == ["member-duplicate"]
    assert [read_bytes(item_of_member(archive, one)) for one in members] == [b"first"]


# ---- members that are no files


def test_links_and_devices_are_refused(tmp_path: Path) -> None:
    target = io.BytesIO()
    kinds = [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE]
    with tarfile.open(fileobj=target, mode="w") as tar:
        for i, kind in enumerate(kinds):
            info = tarfile.TarInfo(f"{i}.mp4")
            info.type, info.linkname = kind, "/etc/passwd"
            tar.addfile(info)
        folder = tarfile.TarInfo("folder")
        folder.type = tarfile.DIRTYPE
        tar.addfile(folder)
        info = tarfile.TarInfo("good.mp4")
        info.size = 4
        tar.addfile(info, io.BytesIO(b"good"))
    members, findings = listed(archive_of(tmp_path / "X.tar", target.getvalue()))
    assert findings == ["member-kind"] * 5 and [one.name for one in members] == ["good.mp4"]


def test_links_and_encrypted_members_of_a_zip_are_refused(tmp_path: Path) -> None:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as file:
        link = zipfile.ZipInfo("link.mp4")
        link.create_system, link.external_attr = 3, 0o120777 << 16
        file.writestr(link, "/etc/passwd")
        file.writestr("secret.mp4", b"secret")
        file.writestr("bz.mp4", b"bz", zipfile.ZIP_BZIP2)
        file.writestr("folder/", b"")
        file.writestr("good.mp4", b"good")
    data = bytearray(target.getvalue())
    at = data.rindex(b"secret.mp4") - 46
    data[at + 8] |= 1  # the entry says that it is encrypted
    members, findings = listed(archive_of(tmp_path / "X.zip", bytes(data)))
    assert findings == ["member-kind"] * 3 and [one.name for one in members] == ["good.mp4"]


@pytest.mark.parametrize("version", ["old", "0.1", "1.0"])
def test_sparse_members_are_refused_and_what_follows_is_found(tmp_path: Path, version: str) -> None:
    tail = tar_bytes({"good.mp4": b"good"})
    info = tarfile.TarInfo("holes.bin")
    info.size = 1024
    if version == "old":
        block = bytearray(info.tobuf(tarfile.GNU_FORMAT))
        block[156:157] = b"S"
        block[482] = 1  # one more block of the map follows
        block[148:156] = b"        "
        block[148:156] = b"%06o\0 " % sum(block)
        head = bytes(block) + bytes(512)
    else:
        info.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.name": "holes.bin"}
        if version == "0.1":
            info.pax_headers = {"GNU.sparse.map": "0,1024", "GNU.sparse.size": "4096"}
        head = info.tobuf(tarfile.PAX_FORMAT)
    members, findings = listed(archive_of(tmp_path / "X.tar", head + bytes(1024) + tail))
    assert findings == ["member-kind"] and [one.name for one in members] == ["good.mp4"]


# ---- sizes


def test_a_size_of_more_than_eight_gigabytes_is_read(tmp_path: Path) -> None:
    """Base 256 in GNU headers, a pax record in POSIX ones; the file has a hole as large as the member."""
    for format in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        info = tarfile.TarInfo("large.mp4")
        info.size = 9 << 30
        head = info.tobuf(format)
        path = tmp_path / f"{format}.tar"
        with open(path, "wb") as file:
            file.write(head)
            file.seek(info.size, os.SEEK_CUR)
            file.write(tar_bytes({"after.mp4": b"after"}))
        archive = Archive((str(path),), "tar")
        members, findings = listed(archive)
        assert findings == [] and members[0] == Member("large.mp4", len(head), 9 << 30)
        assert read_bytes(item_of_member(archive, members[1])) == b"after"


@pytest.mark.parametrize("writer", ["tar", "tar.gz", "tar.zst"])
def test_a_member_that_says_more_than_there_is_ends_the_archive(tmp_path: Path, writer: str) -> None:
    info = tarfile.TarInfo("lies.mp4")
    info.size = 1 << 40
    plain = tar_bytes({"good.mp4": b"good"})[:1024] + info.tobuf(tarfile.GNU_FORMAT) + bytes(4096)
    packed = {"tar": plain, "tar.gz": gzip.compress(plain), "tar.zst": zstandard.compress(plain)}[writer]
    archive = archive_of(tmp_path / f"X.{writer}", packed)
    members, findings = listed(archive)
    assert [one.name for one in members] == ["good.mp4"] and len(findings) == 1
    names = [one for one in archives.read_through(archive) if not isinstance(one, Finding)]
    assert [one.name for one, _ in names] == ["good.mp4"]


def test_a_zip_member_with_a_false_size_is_refused(tmp_path: Path) -> None:
    data = bytearray(zip_bytes({"a.mp4": b"x" * 1000, "b.mp4": b"good" * 100}, zipfile.ZIP_DEFLATED))
    at = data.index(b"PK\x01\x02")
    struct.pack_into("<L", data, at + 24, 100)  # the entry says 100 bytes, 1,000 come out
    archive = archive_of(tmp_path / "X.zip", bytes(data))
    members, findings = listed(archive)
    assert findings == [] and len(members) == 2  # the directory alone does not show it
    with pytest.raises(OSError, match="says 100 bytes"):
        read_bytes(item_of_member(archive, members[0]))
    through = list(archives.read_through(archive))
    assert isinstance(through[0], Finding) and not isinstance(through[1], Finding) and through[1][1] == b"good" * 100


def test_zip_members_that_share_their_bytes_are_a_bomb(tmp_path: Path) -> None:
    data = zip_bytes({"a.mp4": b"x" * 100_000})
    start, end = data.index(b"PK\x01\x02"), data.index(b"PK\x05\x06")
    entry = data[start:end].replace(b"a.mp4", b"%c.mp4")
    entries = [data[start:end]] * 4
    assert len(entry) == len(entries[0]) + 1
    tail = bytearray(data[end:])
    struct.pack_into("<2H2L", tail, 8, 4, 4, 4 * (end - start), start)
    members, findings = listed(archive_of(tmp_path / "X.zip", data[:start] + b"".join(entries) + bytes(tail)))
    assert [one.name for one in members] == ["a.mp4"] and findings == ["member-duplicate"] * 3
    nested = bytearray(data[:start])  # two names for one place: each has a header of its own before the same bytes
    first = bytes(nested[:35])
    body = first.replace(b"a.mp4", b"b.mp4") + first + bytes(nested[35:])
    outer = bytearray(data[start:end].replace(b"a.mp4", b"b.mp4"))
    struct.pack_into("<2L", outer, 20, 100_035, 100_035)
    inner = bytearray(data[start:end])
    struct.pack_into("<L", inner, 42, 35)
    struct.pack_into("<2H2L", tail, 8, 2, 2, 2 * (end - start), len(body))
    members, findings = listed(archive_of(tmp_path / "Y.zip", body + bytes(outer) + bytes(inner) + bytes(tail)))
    assert [one.name for one in members] == ["b.mp4"] and findings == ["archive-bomb"]


@pytest.mark.parametrize("kind", ["tar.gz", "tar.zst", "zip"])
def test_a_bomb_is_refused_with_the_limit_and_never_read_to_its_end(tmp_path: Path, kind: str) -> None:
    size = 100 << 20
    if kind == "zip":
        packer = zlib.compressobj(9, wbits=-15)
        data = zip_bytes({"a.bin": bytes(100 << 20)}, zipfile.ZIP_DEFLATED)
    else:
        info = tarfile.TarInfo("a.bin")
        info.size = size
        packer = zlib.compressobj(9, wbits=31) if kind == "tar.gz" else zstandard.ZstdCompressor().compressobj()  # type: ignore[assignment]
        parts = (
            [packer.compress(info.tobuf())] + [packer.compress(bytes(1 << 20)) for _ in range(100)] + [packer.flush()]
        )
        data = b"".join(parts)
    archive = archive_of(tmp_path / f"X.{kind}", data)
    for found in (list(archives.members(archive)), list(archives.read_through(archive))):
        assert len(found) == 1 and isinstance(found[0], Finding)
        assert CATALOGUE[found[0].code].name == "archive-bomb" and "ratio=250" in found[0].message
    meant, findings = listed(archive, limits=Limits(ratio=1 << 20))
    assert [one.name for one in meant] == ["a.bin"] and not findings


def test_limits_on_members_are_named(tmp_path: Path) -> None:
    archive = archive_of(tmp_path / "X.tar", tar_bytes({"a": b"1", "b": b"22", "c": b"3"}))
    assert listed(archive, limits=Limits(members=2))[1] == ["archive-bomb"]
    members, findings = listed(archive, limits=Limits(member=1))
    assert [one.name for one in members] == ["a", "c"] and findings == ["member-size"]


# ---- recognition


@pytest.mark.parametrize(
    ("name", "pack", "kind"),
    [
        ("really-gz.tar", lambda files: gzip.compress(tar_bytes(files)), "tar.gz"),
        ("really-plain.tar.gz", tar_bytes, "tar"),
        ("really-zstd.tar", lambda files: zstandard.compress(tar_bytes(files)), "tar.zst"),
        ("LOUD.TAR", tar_bytes, "tar"),
        ("really-zip.tar", zip_bytes, "zip"),
    ],
)
def test_the_content_says_what_an_archive_is(
    tmp_path: Path, name: str, pack: Callable[[Files], bytes], kind: str
) -> None:
    archive = archive_of(tmp_path / name, pack(some_files()))
    assert archive.kind == kind == archives.kind(str(tmp_path / name)) and content(archive) == some_files()


@pytest.mark.parametrize(
    "name", ["a.mp4", "a.tar.bz2", "a.tar.xz", "a.tar.asc", "a.tar.md5", "a.json.gz", "tar", "a.zip.txt"]
)
def test_other_files_are_no_archives(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"-----BEGIN PGP SIGNATURE-----")
    assert archives.kind(str(tmp_path / name)) is None and archives.group([str(tmp_path / name)]) == []


@pytest.mark.parametrize("name", ["a.tar", "a.tar.gz", "a.tar.zst", "a.zip", "a.parquet", "a.tar.0"])
def test_a_file_with_the_name_of_an_archive_that_is_none_is_refused(tmp_path: Path, name: str) -> None:
    for text in (
        b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
        b"",
        bytes(10),
        b"\x1f\x8b\x08",
    ):
        members, findings = listed(archive_of(tmp_path / name, text))
        assert members == [] and findings == ["archive-damaged"], text


def test_an_empty_archive_has_no_members_and_no_findings(tmp_path: Path) -> None:
    for writer in ("tar.gz", "tar.zst", "zip stored"):
        name, _, pack = WRITERS[writer]
        assert listed(archive_of(tmp_path / writer / name, pack({}))) == ([], [])
    (tmp_path / "empty.tar").write_bytes(bytes(10240))
    assert listed(Archive((str(tmp_path / "empty.tar"),), "tar")) == ([], [])


@pytest.mark.parametrize("kind", ["tar", "tar.gz", "tar.zst"])
def test_tars_put_end_to_end_are_read_to_the_last(tmp_path: Path, kind: str) -> None:
    one, two = tar_bytes(some_files(1)), tar_bytes(some_files(2))
    pack = {"tar": bytes, "tar.gz": gzip.compress, "tar.zst": zstandard.compress}[kind]
    assert content(archive_of(tmp_path / f"X.{kind}", pack(one) + pack(two))) == some_files(1) | some_files(2)


def test_a_missing_part_is_named(tmp_path: Path) -> None:
    data = tar_bytes({f"{i}.mp4": bytes(i) + os.urandom(100_000) for i in range(9)})
    step = len(data) // 4 + 1
    for i in (0, 1, 3):
        (tmp_path / f"X.tar.{i}").write_bytes(data[i * step : (i + 1) * step])
    first, orphan = archives.group(str(path) for path in tmp_path.iterdir())
    assert [len(first.paths), len(orphan.paths)] == [2, 1]
    assert listed(first)[1] == ["archive-damaged"] and listed(orphan) == ([], ["archive-damaged"])


def test_pieces_cut_right_before_a_header_lose_nothing(tmp_path: Path) -> None:
    """A cut at a multiple of 512 may fall between a long name and the member it belongs to."""
    files = {"a.mp4": b"1" * 512, "n" * 150: b"2" * 512, "c.mp4": bytes(512)}
    data = tar_bytes(files)
    for cut in range(512, len(data), 512):
        folder = tmp_path / str(cut)
        folder.mkdir()
        (folder / "X.tar.0").write_bytes(data[:cut])
        (folder / "X.tar.1").write_bytes(data[cut:])
        found: Files = {}
        for archive in archives.group(str(path) for path in folder.iterdir()):
            members, _ = listed(archive)
            found.update((one.name, read_bytes(item_of_member(archive, one))) for one in members)
        assert found == files, cut


@pytest.mark.parametrize(
    "names", [["aa", "ab", "ac"], ["part0", "part1", "part2"], ["part-00", "part-01", "part-02"], ["001", "002", "003"]]
)
def test_pieces_are_found_however_they_are_counted(tmp_path: Path, names: list[str]) -> None:
    data = gzip.compress(tar_bytes(some_files(4)), 1)
    step = len(data) // 3 + 1
    for i, name in enumerate(names):
        (tmp_path / f"X.tar.gz.{name}").write_bytes(data[i * step : (i + 1) * step])
    (tmp_path / "X.tar.gz.md").write_bytes(b"read me")
    (archive,) = archives.group(str(path) for path in tmp_path.iterdir())
    assert content(archive) == some_files(4)


# ---- Parquet


def test_the_cells_of_finevideo_are_named_by_their_struct(tmp_path: Path) -> None:
    ids = ["lltmlYR56dI", "nasa13013xx", "--x_0000000"]
    meta = [
        {"content_fine_category": "x", "original_video_filename": f"{id_}.mp4", "content_metadata": {"fps": 3.0}}
        for id_ in ids
    ]
    as_struct = pa.table({"mp4": pa.array([id_.encode() for id_ in ids]), "json": pa.array(meta)})
    as_text = as_struct.set_column(1, "json", pa.array([json.dumps(one) for one in meta]))
    by_column = pa.table({"mp4": as_struct["mp4"], "title": ["x", "y", "z"], "clip": ids})
    for i, table in enumerate((as_struct, as_text, by_column)):
        pq.write_table(table, tmp_path / f"{i}.parquet", row_group_size=2)
        assert content(Archive((str(tmp_path / f"{i}.parquet"),), "parquet")) == {
            f"{id_}.mp4": id_.encode() for id_ in ids
        }


def test_cells_without_an_id_are_refused_and_the_id_can_be_named(tmp_path: Path) -> None:
    table = pa.table(
        {
            "mp4": [b"1", b"2", None],
            "wav": [b"3", b"4", b"5"],
            "n": [1, 2, 3],
            "s": [{"t": "x"}, {"t": "y"}, {"t": "z"}],
        }
    )
    pq.write_table(table, tmp_path / "a.parquet")
    archive = Archive((str(tmp_path / "a.parquet"),), "parquet")
    assert listed(archive) == ([], ["member-id"])
    named, findings = listed(archive, id_column="s.t")
    assert [one.name for one in named] == ["x.mp4", "x.wav", "y.mp4", "y.wav", "z.wav"] and findings == []
    assert [read_bytes(item_of_member(archive, one)) for one in named] == [b"1", b"3", b"2", b"4", b"5"]
    assert listed(archive, id_column="no")[1] == ["archive-damaged"]


def test_a_table_without_media_has_no_members(tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": [1, 2]}), tmp_path / "a.parquet")
    assert listed(Archive((str(tmp_path / "a.parquet"),), "parquet")) == ([], [])


# ---- items


def test_stored_members_are_byte_ranges(tmp_path: Path) -> None:
    files = some_files(5)
    for writer, direct in [
        ("tar", True),
        ("zip stored", True),
        ("zip deflated", False),
        ("tar.gz", False),
        ("parquet", False),
    ]:
        name, _, pack = WRITERS[writer]
        archive = archive_of(tmp_path / writer / name, pack(files))
        for member in listed(archive)[0]:
            item = item_of_member(archive, member)
            assert item.direct == direct and not item.whole and item.name == member.name.rpartition("/")[2]
            with open(item.path, "rb") as file:
                file.seek(item.start)
                assert (file.read(item.size) == files[member.name]) or not direct
