from __future__ import annotations

import io
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dataset_rows import Folders, modalmix_roots
from modalmix import cards
from modalmix.builders import build
from modalmix.builders.cli import example_data
from modalmix.builders.cli.main import main
from modalmix.builders.core.errors import DataError
from modalmix.builders.pipeline.options import Options
from modalmix.builders.preview import Server, Viewer, export, open_collection, thumbnails
from modalmix.builders.preview.entries import Entry
from modalmix.builders.preview.entry_index import Filter, Index
from modalmix.builders.preview.temp_media import TempMedia
from preview_server import HOSTILE, HOSTILE_ID, get, json_of, media_of, request, served, write_awkward_samples


@pytest.fixture(scope="module")
def refer(example_folders: Folders) -> Iterator[Server]:
    """VideoRefer's example: masks on a video, a picture and a folder of frames, and a rejected record."""
    with served(example_folders["videorefer"]) as server:
        yield server


@pytest.fixture(scope="module")
def hard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with served(write_awkward_samples(tmp_path_factory.mktemp("awkward"))) as server:
        yield server


# ---- who is served


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1", "127.0.0.1:1", "[::1]", ""])
def test_a_foreign_host_header_is_refused(refer: Server, host: str) -> None:
    assert get(refer, "", Host=host).status == 403
    assert get(refer, "overview", Host=host).status == 403


def test_both_names_of_this_machine_are_served(refer: Server) -> None:
    assert get(refer, "", Host=f"localhost:{refer.port}").status == 200
    assert get(refer, "").status == 200


def test_without_the_token_nothing_is_served(refer: Server) -> None:
    wrong = "A" * len(refer.token)
    for path in (
        "/",
        "/overview",
        f"/{wrong}/overview",
        f"/{refer.token[:-1]}/overview",
        "/é/overview",
        f"/x/{refer.token}/overview",
    ):
        assert request(refer, path.encode().decode("latin-1")).status == 403, path


def test_tokens_differ_and_are_long(tmp_path: Path, example_folders: Folders) -> None:
    with served(example_folders["aria"]) as one, served(example_folders["aria"]) as other:
        assert one.token != other.token and len(one.token) >= 32


def test_requests_of_other_sites_are_refused(refer: Server) -> None:
    assert get(refer, "overview", Sec_Fetch_Site="cross-site").status == 403
    assert get(refer, "overview", Sec_Fetch_Site="same-site").status == 403
    assert get(refer, "overview", Sec_Fetch_Site="same-origin").status == 200
    assert get(refer, "page.js", Sec_Fetch_Site="cross-site", Sec_Fetch_Dest="script").status == 403
    assert get(refer, "media/0/videos/0", Sec_Fetch_Site="cross-site", Sec_Fetch_Dest="video").status == 403
    assert get(refer, "", Sec_Fetch_Site="cross-site", Sec_Fetch_Dest="document").status == 200


def test_only_the_loopback_interface_listens(refer: Server) -> None:
    assert refer._http.server_address[0] == "127.0.0.1"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_other_methods_are_not_served(refer: Server, method: str) -> None:
    assert request(refer, f"/{refer.token}/overview", method).status == 501


# ---- what can be reached


@pytest.mark.parametrize(
    "address",
    [
        "../../../../etc/passwd", "..%2f..%2fetc%2fpasswd", "media/0/videos/../../../../etc/passwd", "media/0/videos//etc/passwd",
        "media/0/../images/0", "%2e%2e/%2e%2e/etc/passwd", "page.css/../../__init__.py", "viewer.py", "media/0/videos/0/0",
        "media/0/__class__/0", "media/0/videos/-1", "media/0/videos/9", "media/99/videos/0", "mask/0/9/0", "sample/-1",
        "frame/0/0/99999", "frame/0/5/0", "media/0/videos/٣", "\\..\\..\\etc\\passwd", "file:///etc/passwd", "sample/0\0",
    ],
)  # fmt: skip
def test_addresses_that_name_nothing_of_the_dataset_are_refused(refer: Server, address: str) -> None:
    reply = get(refer, address.encode().decode("latin-1"))
    assert reply.status in (404, 422, 400)
    assert b"root:" not in reply.body and b"import" not in reply.body


def test_a_record_cannot_make_the_viewer_serve_a_file_outside_the_media_roots(tmp_path: Path) -> None:
    secret = tmp_path / "secret.jpg"
    secret.write_bytes(example_data.picture(1))
    root = tmp_path / "data"
    root.mkdir()
    (root / "link.jpg").symlink_to(secret)
    paths = ["../secret.jpg", str(secret), "link.jpg", "/etc/passwd", "file:///etc/passwd"]
    records = [
        {"id": str(i), "image": path, "conversations": example_data.turns("<image>What?", "?")}
        for i, path in enumerate(paths)
    ]
    (root / "train.json").write_text(json.dumps(records))
    with served(str(root)) as server:
        for n in range(len(paths)):
            assert json_of(server, f"sample/{n}")["state"] == "rejected"
            assert get(server, f"media/{n}/images/0").status == 404


def test_html_in_a_media_file_is_never_served_as_a_page(hard: Server) -> None:
    n = 9
    assert json_of(hard, f"sample/{n}")["id"] == "no picture"
    reply = get(hard, f"media/{n}/images/0")
    assert reply.status == 422 and reply.headers["content-type"].startswith("text/plain")
    assert reply.headers["x-content-type-options"] == "nosniff" and b"script" not in reply.body


def test_the_page_may_load_its_own_parts_and_nothing_else(refer: Server) -> None:
    page = get(refer, "")
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "script-src 'self'" in policy and "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy and "data:" not in policy and "*" not in policy
    assert (
        page.headers["referrer-policy"] == "no-referrer"
        and page.headers["cross-origin-resource-policy"] == "same-origin"
    )
    assert b"onclick" not in page.body and b"<style" not in page.body and b"<script>" not in page.body
    assert "sandbox" in get(refer, "media/0/videos/0").headers["content-security-policy"]


# ---- ranges


def test_ranges_are_the_bytes_of_the_file(refer: Server, example_folders: Folders) -> None:
    whole = Path(example_folders["videorefer"], "videos", "clip_0:01:09.633.mp4").read_bytes()
    size = len(whole)
    full = get(refer, "media/0/videos/0")
    assert full.status == 200 and full.body == whole and full.headers["accept-ranges"] == "bytes"
    assert full.headers["content-type"] == "video/mp4"
    ranges = {
        "0-0": (0, 1),
        "10-99": (10, 100),
        "500-": (500, size),
        "-7": (size - 7, size),
        f"5-{size * 9}": (5, size),
    }
    for requested, (start, stop) in {**ranges, f"-{size * 2}": (0, size)}.items():
        part = get(refer, "media/0/videos/0", Range=f"bytes={requested}")
        assert part.status == 206 and part.body == whole[start:stop], requested
        assert part.headers["content-range"] == f"bytes {start}-{stop - 1}/{size}"
    beyond = get(refer, "media/0/videos/0", Range=f"bytes={size}-")
    assert beyond.status == 416 and beyond.headers["content-range"] == f"bytes */{size}"
    for ignored in ("bytes=9-3", "bytes=a-b", "bytes=-", "bytes=0-1,5-6", "lines=1-2"):
        assert get(refer, "media/0/videos/0", Range=ignored).body == whole, ignored


def test_head_gives_the_length_and_no_body(refer: Server) -> None:
    reply = request(refer, f"/{refer.token}/media/0/videos/0", "HEAD")
    assert reply.status == 200 and int(reply.headers["content-length"]) > 1000 and reply.body == b""


def test_a_patch_gives_only_its_own_part(example_folders: Folders) -> None:
    folder = example_folders["ola"]
    with served(folder, options=Options(media_root=tuple(modalmix_roots(folder)))) as server:
        sheets = [json_of(server, f"sample/{n}") for n in range(9)]
        frames = media_of(next(sheet for sheet in sheets if sheet["id"] == "v0"))
        for i, frame in enumerate(frames):
            assert get(server, frame["url"]).body == example_data.picture(20 + i, "PNG")
            assert get(server, frame["url"], Range="bytes=0-3").body == b"\x89PNG"


def test_a_link_inside_the_media_roots_is_followed(tmp_path: Path) -> None:
    (tmp_path / "real.jpg").write_bytes(example_data.picture(1))
    (tmp_path / "link.jpg").symlink_to("real.jpg")
    record = {"id": "a", "image": "link.jpg", "conversations": example_data.turns("<image>What?", "A square.")}
    (tmp_path / "train.json").write_text(json.dumps([record]))
    with served(str(tmp_path)) as server:
        assert get(server, "media/0/images/0").body == example_data.picture(1)


def test_a_deleted_file_is_not_found_nor_a_link_in_its_place(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(example_data.picture(1))
    record = {"id": "a", "image": "a.jpg", "conversations": example_data.turns("<image>What?", "A square.")}
    (tmp_path / "train.json").write_text(json.dumps([record]))
    with served(str(tmp_path)) as server:
        assert get(server, "media/0/images/0").status == 200
        (tmp_path / "a.jpg").unlink()
        assert get(server, "media/0/images/0").status == 404
        (tmp_path / "a.jpg").symlink_to("/etc/passwd")
        reply = get(server, "media/0/images/0")
        assert reply.status == 404 and b"root:" not in reply.body


@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_media_in_an_archive_are_shown_and_can_be_seeked(tmp_path: Path, kind: str) -> None:
    example_data.video(str(tmp_path / "made" / "clips" / "v.mp4"), 1)
    whole = (tmp_path / "made" / "clips" / "v.mp4").read_bytes()
    (tmp_path / "data").mkdir()
    shutil.make_archive(str(tmp_path / "data" / "clips"), kind, tmp_path / "made")
    record = {
        "id": "a",
        "video": "/mnt/x/clips/v.mp4",
        "conversations": example_data.turns("<video>\nWhat?", "A square."),
    }
    (tmp_path / "data" / "train.json").write_text(json.dumps([record]))
    with served(str(tmp_path / "data")) as server:
        assert json_of(server, "sample/0")["state"] == "row", json_of(server, "sample/0")["findings"]
        assert get(server, "media/0/videos/0").body == whole
        assert get(server, "media/0/videos/0", Range="bytes=50-149").body == whole[50:150]
        assert get(server, "frame/0/0/3").body[:2] == b"\xff\xd8"


# ---- what the page shows


def test_media_and_regions_are_where_their_placeholders_are(refer: Server) -> None:
    sheet = json_of(refer, "sample/1")
    kinds = [next(iter(part)) for part in sheet["turns"][0]["parts"]]
    assert kinds == ["medium", "text", "region", "text", "region", "text"]
    assert [part["region"] for part in sheet["turns"][0]["parts"] if "region" in part] == [0, 1]


def test_a_literal_tag_is_text(hard: Server) -> None:
    sheet = json_of(hard, "sample/5")
    assert sheet["turns"][0]["parts"] == [{"text": "What does the <video> tag do?"}]


def test_masks_are_drawn_on_the_pixels_of_their_object(refer: Server) -> None:
    sheet = json_of(refer, "sample/0")
    annotated = media_of(sheet)[0]["annotated"]
    assert [one["frame"] for one in annotated] == [0, 8, 16]
    for one in annotated:
        with Image.open(io.BytesIO(get(refer, one["masks"][0]["url"]).body)) as picture:
            pixels = np.asarray(picture.convert("RGBA"))
        top, left, bottom, right = example_data.square(one["frame"])
        expected = np.zeros(pixels.shape[:2], bool)
        expected[top:bottom, left:right] = True
        assert ((pixels[..., 3] > 0) == expected).all()
        assert "#{:02x}{:02x}{:02x}".format(*pixels[top, left, :3]) == sheet["objects"][0]["colour"]


def test_an_annotated_frame_is_that_frame_of_the_video(refer: Server) -> None:
    for index in (0, 8, 16):
        with Image.open(io.BytesIO(get(refer, f"frame/0/0/{index}").body)) as picture:
            pixels = np.asarray(picture.convert("RGB")).astype(int)
        top, left, bottom, right = example_data.square(index)
        inside = pixels[top + 3 : bottom - 3, left + 3 : right - 3].mean((0, 1))
        assert abs(inside - [250, 220, 210]).max() < 25, (index, inside)
        assert pixels[5, left + 3, 1] < 160


def test_a_frame_names_the_objects_that_are_not_visible(refer: Server) -> None:
    frames = media_of(json_of(refer, "sample/2"))
    assert frames[0]["masks"] and frames[5]["absent"] == [0] and not frames[5]["masks"]
    assert all("masks" not in frame for frame in frames[1:5])


def test_objects_have_different_colours() -> None:
    colours = [thumbnails.colour(k) for k in range(60)]
    assert len(set(colours)) == 60


def test_findings_are_shown_with_their_sample(refer: Server, hard: Server) -> None:
    sheet = json_of(refer, "sample/3")
    assert sheet["state"] == "rejected" and [one["code"] for one in sheet["findings"]] == ["MX301"]
    gone = json_of(hard, "sample/6")
    assert [one["name"] for one in gone["findings"]] == ["media-missing"]
    missing, there = media_of(gone)
    assert "none.jpg" in missing["missing"] and get(hard, there["url"]).body == example_data.picture(3)


def test_findings_of_a_check_are_shown_with_their_sample_too(tmp_path: Path, example_folders: Folders) -> None:
    findings = [
        {
            "code": "MX104",
            "severity": "error",
            "file": "annotation.json",
            "row": 1,
            "pointer": "/image",
            "message": "cut off",
        },
        {"code": "MX301", "file": "annotation.json", "row": 3, "pointer": "", "message": "known already"},
        {"code": "MX101", "file": "elsewhere.json", "row": 0, "message": "of another file"},
    ]
    (tmp_path / "found.jsonl").write_text("".join(json.dumps(one) + "\n" for one in findings))
    build.build(example_folders["videorefer"], str(tmp_path / "built"), card=cards.write)
    for data in (example_folders["videorefer"], str(tmp_path / "built")):
        with served(data, findings=str(tmp_path / "found.jsonl")) as server:
            assert {one["code"]: one["count"] for one in json_of(server, "overview")["findings"]} == {
                "MX104": 1,
                "MX301": 1,
            }
            (line,) = json_of(server, "list?finding=MX104")["lines"]
            sheet = json_of(server, f"sample/{line['n']}")
            assert sheet["row"] == 1 and [one["message"] for one in sheet["findings"]] == ["cut off"]
    (tmp_path / "found.jsonl").write_text('{"nonsense": 1}')
    assert main(["preview", example_folders["videorefer"], "--findings", str(tmp_path / "found.jsonl")]) == 2


def test_invalid_json_is_shown_as_written(tmp_path: Path) -> None:
    good = json.dumps({"id": "good", "conversations": example_data.turns("What?", "That.")})
    (tmp_path / "train.jsonl").write_text(f'{good}\n{{"id": <script>, "conversations"\n{good}\n')
    with served(str(tmp_path)) as server:
        sheets = [json_of(server, f"sample/{n}") for n in range(3)]
    assert [sheet["state"] for sheet in sheets] == ["row", "rejected", "row"]
    assert sheets[1]["raw"].startswith('{"id": <script>') and sheets[1]["findings"][0]["code"] == "MX001"


def test_a_truncated_file_has_a_finding(tmp_path: Path) -> None:
    record = {"id": "a", "conversations": example_data.turns("What?", "That.")}
    (tmp_path / "train.json").write_text(f"[{json.dumps(record)}, {json.dumps(record)}")
    with served(str(tmp_path)) as server:
        codes = {one["code"] for one in json_of(server, "overview")["findings"]}
        assert codes == {"MX002"}
        assert json_of(server, "list?finding=MX002")["total"] >= 1


def test_columns_are_texts_with_every_digit(tmp_path: Path) -> None:
    big = 2**63 - 1
    (tmp_path / "train.json").write_text(
        json.dumps([{"id": "a", "n": big, "conversations": example_data.turns("What?", "That.")}])
    )
    with served(str(tmp_path)) as server:
        assert str(big) in json_of(server, "columns/0")["record"]


def test_hostile_text_is_unchanged_in_json(hard: Server) -> None:
    sheet = json_of(hard, "sample/4")
    assert sheet["id"] == HOSTILE_ID and sheet["system"] == HOSTILE
    assert sheet["turns"][1]["parts"] == [{"text": HOSTILE}]


# ---- many samples


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """20,000 records in several slices, some with texts that look like the joint between two records."""
    folder = tmp_path_factory.mktemp("many")
    trap = '"}, {"id": "trap", "conversations": [{"from": "human", "value": "x"'
    with open(folder / "train.json", "w") as file:
        records = (
            {
                "id": f"r{i}",
                "conversations": example_data.turns(
                    f"Question {i} {trap if i % 97 == 0 else 'plain ' * 10}", f"Answer {i}"
                ),
            }
            for i in range(20_000)
        )
        file.write("[\n" + ",\n".join(json.dumps(record) for record in records) + "\n]")
    with served(str(folder)) as server:
        yield server


def test_any_of_many_samples_is_found_by_its_number(many: Server) -> None:
    assert json_of(many, "overview")["count"] == 20_000
    for n in (0, 1, 96, 97, 9_999, 13_579, 19_999):
        sheet = json_of(many, f"sample/{n}")
        assert sheet["id"] == f"r{n}" and sheet["turns"][1]["parts"] == [{"text": f"Answer {n}"}]


def test_a_request_gets_a_window_of_the_list(many: Server) -> None:
    window = json_of(many, "list?from=12340&count=50")
    assert window["total"] == 20_000 and [line["n"] for line in window["lines"]] == list(range(12_340, 12_390))
    assert len(json_of(many, "list?count=99999")["lines"]) <= 200


def test_search_finds_words_in_any_case_and_order(many: Server) -> None:
    found = json_of(many, "list?search=ANSWER%2012345&count=5")
    assert found["total"] == 1 and found["lines"][0]["id"] == "r12345"
    assert json_of(many, "list?search=12345+qUESTION")["total"] == 1
    assert json_of(many, "list?search=100%25")["total"] == 0
    assert json_of(many, "list?search=%27%22%3B--")["total"] == 0
    assert json_of(many, "list?search=trap")["total"] == len(range(0, 20_000, 97))


def test_filters_and_search_work_together(refer: Server) -> None:
    assert json_of(refer, "list?mix=video_masks")["total"] == 3
    assert json_of(refer, "list?mix=video_masks&search=there")["total"] == 1
    assert json_of(refer, "list?finding=MX301")["total"] == json_of(refer, "list?finding=rejected")["total"] == 1
    assert json_of(refer, "list?finding=rejected&mix=video_masks")["total"] == 0
    assert json_of(refer, "list?finding=rejected&n=3")["at"] == 0


def test_the_list_grows_while_entries_are_added() -> None:
    index = Index()
    try:
        for n in range(5):
            index.add(
                [Entry((0, n), f"id{n}", "text" if n % 2 else "image", "row", (), "f", n, f"Word{n} ÄÖ \ud800", "lead")]
            )
            total, lines = index.lines(Filter("image"), 0, 10)
            assert total == n // 2 + 1 and lines[-1].n == n - n % 2
        assert index.lines(Filter(search="äö word3"), 0, 10)[1][0].id == "id3"
        assert index.numbers(Filter()).tolist() == [0, 1, 2, 3, 4]
    finally:
        index.close()


# ---- built datasets


def test_a_built_folder_shows_the_same_media_as_its_annotations(tmp_path: Path, example_folders: Folders) -> None:
    folder = example_folders["ola"]
    options = Options(media_root=tuple(modalmix_roots(folder)))
    build.build(folder, str(tmp_path / "built"), options, card=cards.write)

    def media_bytes(server: Server) -> dict[str, list[bytes]]:
        count = json_of(server, "overview")["count"]
        sheets = [json_of(server, f"sample/{n}") for n in range(count)]
        rows = [sheet for sheet in sheets if sheet["state"] == "row"]
        return {f"{s['file']}:{s['row']}": [get(server, one["url"]).body for one in media_of(s)] for s in rows}

    with served(folder, options=options) as in_place, served(str(tmp_path / "built")) as built:
        assert media_bytes(in_place) == media_bytes(built)
        assert len(media_bytes(built)) == 8
        rejected = json_of(built, "list?finding=rejected&count=9")
        assert [line["id"] for line in rejected["lines"]] == ["3"]
        sheet = json_of(built, f"sample/{rejected['lines'][0]['n']}")
        assert sheet["findings"][0]["code"] == "MX101" and sheet["mix"] == "audio"
        video = next(n for n in range(8) if json_of(built, f"sample/{n}")["mix"] == "video_audio")
        whole = get(built, f"media/{video}/videos/0").body
        assert get(built, f"media/{video}/videos/0", Range="bytes=100-199").body == whole[100:200]


def test_masks_of_a_built_folder_are_those_of_its_annotations(
    tmp_path: Path, example_folders: Folders, refer: Server
) -> None:
    build.build(example_folders["videorefer"], str(tmp_path / "built"), card=cards.write)
    with served(str(tmp_path / "built")) as built:
        theirs = {
            s["row"]: s for s in (json_of(built, f"sample/{n}") for n in range(4)) if s["file"] == "annotation.json"
        }
        for row in (0, 1, 2):
            ours = json_of(refer, f"sample/{row}")
            mine, other = (
                [get(server, mask["url"]).body for one in media_of(sheet) for picture in one.get("annotated", [one])
                 for mask in picture.get("masks", [])]
                for server, sheet in ((refer, ours), (built, theirs[row]))
            )  # fmt: skip
            assert mine == other and mine


def test_a_folder_without_conversations_is_refused(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"a": [1]}), tmp_path / "x.parquet")
    with pytest.raises(DataError, match="no column 'conversations'"):
        open_collection([str(tmp_path)])


def test_temporary_copies_are_bounded(tmp_path: Path) -> None:
    media = TempMedia(limit=250)
    items = [media.item(i, f"{i}", lambda: b"x" * 100) for i in range(5)]
    assert [os.path.exists(item.path) for item in items] == [False, False, False, True, True]
    assert media.item(4, "4", lambda: b"never") == items[4]
    media.close()
    assert not os.path.exists(items[4].path)


# ---- pages without a server


def test_an_exported_page_holds_everything_it_shows(tmp_path: Path, example_folders: Folders) -> None:
    viewer = Viewer(open_collection([example_folders["videorefer"]]))
    try:
        path = export(viewer, str(tmp_path / "page"), Filter(), samples=10)
    finally:
        viewer.close()
    files = {name.name for name in (tmp_path / "page" / "index_files").iterdir()}
    text = (tmp_path / "page" / "index_files" / "samples.js").read_text()
    data = json.loads(text.removeprefix("window.modalmixSamples = ").removesuffix(";\n"))
    assert len(data["sheets"]) == 5 and str(tmp_path) not in text and example_folders["videorefer"] not in text
    for sheet in data["sheets"].values():
        for one in media_of(sheet):
            for linked in [one, *one.get("annotated", []), *one.get("masks", [])]:
                assert linked["url"].removeprefix("index_files/") in files
    assert Path(path).name == "index.html"


def test_the_samples_of_an_exported_page_are_spread_over_the_mixes(tmp_path: Path, example_folders: Folders) -> None:
    viewer = Viewer(
        open_collection([example_folders["ola"]], Options(media_root=tuple(modalmix_roots(example_folders["ola"]))))
    )
    try:
        export(viewer, str(tmp_path / "page.html"), Filter(), samples=6)
    finally:
        viewer.close()
    text = (tmp_path / "page_files" / "samples.js").read_text()
    lines = json.loads(text.removeprefix("window.modalmixSamples = ").removesuffix(";\n"))["lines"]
    assert {line["mix"] for line in lines} == {"audio", "image", "image_audio_q", "video", "video_audio"}
    assert "rejected" in {line["state"] for line in lines} and len(lines) == 6


def test_export_replaces_only_an_earlier_export(tmp_path: Path, example_folders: Folders) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("years of work")
    (tmp_path / "other.html").write_text("<html>")
    for out in ("mine", "other.html"):
        assert main(["preview", example_folders["aria"], "--out", str(tmp_path / out), "--quiet"]) == 2
    assert (tmp_path / "mine" / "thesis.tex").exists() and (tmp_path / "other.html").read_text() == "<html>"
    for _ in range(2):
        assert main(["preview", example_folders["aria"], "--out", str(tmp_path / "page"), "--quiet"]) == 0
        (tmp_path / "page" / "index_files.tmp").mkdir()  # what a killed export leaves


def test_bad_input_is_one_line_and_exit_code_2(
    tmp_path: Path, example_folders: Folders, capsys: pytest.CaptureFixture[str]
) -> None:
    for arguments in (["nowhere.json"], [example_folders["aria"], "--serve", "99999"],
                      [example_folders["aria"], "--out", str(tmp_path / "p"), "--search", "no such words anywhere"],
                      [example_folders["aria"], "--out", str(tmp_path / "p"), "--samples", "0"]):  # fmt: skip
        assert main(["preview", *arguments]) == 2
        assert len(capsys.readouterr().err.strip().splitlines()) == 1
    assert not (tmp_path / "p" / "index.html").exists()
