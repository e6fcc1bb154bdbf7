from __future__ import annotations

import json
import os
import pickle
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import datasets
import encoded_videos
import numpy as np
import pyarrow as pa
import pytest

from dataset_rows import Folders, annotation_files, modalmix_roots
from modalmix import cards
from modalmix.builders import build, views
from modalmix.builders.cli import example_data
from modalmix.builders.core.sample import Mask, Sample
from modalmix.builders.formats import NAMES
from modalmix.builders.media import mask_arrays
from modalmix.builders.media.items import Item, Media
from modalmix.builders.pipeline import features, rows
from modalmix.builders.pipeline.resolve_media import mask_findings


def load(name: str, folders: Folders, **options: Any) -> Any:
    return datasets.load_dataset(
        name,
        data_files=annotation_files(folders[name]),
        media_root=modalmix_roots(folders[name]),
        split="train",
        **options,
    )


def dataset(*cells: dict[str, Any], mix: tuple[str, ...] = ("image", "video", "audio", "masks")) -> datasets.Dataset:
    """A dataset of these rows; columns that a row does not name are empty."""
    kind = features.features(mix, decode=False)
    empty: dict[str, Any] = {
        "source": {"file": "a.json", "row": 0}, "system": None, "conversations": [], "num_frames": None, "extra": None,
    }  # fmt: skip
    made = [{**{name: empty.get(name, []) for name in kind}, "id": str(i), **row} for i, row in enumerate(cells)]
    table = pa.Table.from_pylist(made, kind.arrow_schema)  # from_list would ask torchcodec to encode sounds
    return datasets.Dataset(table)


def cell(data: bytes | str | Path) -> dict[str, Any]:
    return {"bytes": data, "path": None} if isinstance(data, bytes) else {"bytes": None, "path": str(data)}


ARRAYS = {"images", "videos", "frame_indices", "frame_times", "durations", "audios", "audio_q"} | {
    "masks", "mask_frames", "region_frames", "region_indices"
}  # fmt: skip


def place(sample: dict[str, Any]) -> tuple[str, int]:
    return os.path.basename(sample["source"]["file"]), sample["source"]["row"]


def picture_cells(*seeds: int) -> list[dict[str, Any]]:
    return [{"images": [cell(example_data.picture(seed))]} for seed in seeds]


def same(one: Any, other: Any) -> bool:
    if isinstance(one, np.ndarray):
        return one.dtype == other.dtype and np.array_equal(one, other, equal_nan=one.dtype.kind == "f")
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(value, other[key]) for key, value in one.items())
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = str(tmp_path_factory.mktemp("clip") / "clip.mp4")
    example_data.video(path, 7)
    return path


# ---- the same sample, wherever its media are


@pytest.mark.parametrize("name", NAMES)
def test_a_sample_has_the_same_arrays_in_place_streamed_and_built(
    example_folders: Folders, tmp_path: Path, name: str
) -> None:
    report = build.build(
        annotation_files(example_folders[name]),
        str(tmp_path / "out"),
        rows.Options(format=name, media_root=tuple(modalmix_roots(example_folders[name]))),
        card=cards.write,
    )
    assert report
    in_place = list(views.training(load(name, example_folders), num_frames=5))
    streamed = list(views.training(load(name, example_folders, streaming=True), num_frames=5))
    assert len(in_place) > 0 and same(in_place, streamed)
    config = "all" if "all" in datasets.get_dataset_config_names(str(tmp_path / "out")) else None
    for streaming in (False, True):
        built = datasets.load_dataset(str(tmp_path / "out"), config, streaming=streaming)
        found = {place(one): one for split in built.values() for one in views.training(split, num_frames=5)}
        assert len(found) == len(in_place)
        for one in in_place:
            other = found[place(one)]
            # a mix has only its own columns, and paths may be relative to another root
            assert all(same(value, other.get(key, [])) for key, value in one.items() if key in ARRAYS & other.keys())
            assert all(not len(one[key]) for key in ARRAYS & (one.keys() - other.keys()))


def test_a_picture_is_the_same_from_a_file_a_patch_and_base64(tmp_path: Path) -> None:
    import base64

    encoded = example_data.picture(3)
    text = base64.b64encode(encoded)
    (tmp_path / "one.jpg").write_bytes(encoded)
    (tmp_path / "patch").write_bytes(b"\0" * 10 + encoded)
    (tmp_path / "text").write_bytes(text)
    turns = example_data.turns("<image>\nWhat?", "A square.")
    (tmp_path / "a.json").write_text(
        json.dumps(
            [
                {"image": "one.jpg", "conversations": turns},
                {"image": {"patch": "patch", "start_num": 10, "size": len(encoded)}, "conversations": turns},
                {
                    "image": {"patch": "text", "start_num": 0, "size": len(text), "image_encoding": "base64"},
                    "conversations": turns,
                },
            ]
        )
    )
    loaded = datasets.load_dataset("ola", data_files=str(tmp_path / "a.json"), media_root=str(tmp_path), split="train")
    first, *others = (one["images"][0] for one in views.training(loaded))
    assert first.shape == (64, 96, 3) and first.dtype == np.uint8
    assert len(others) == 2 and all(np.array_equal(first, other) for other in others)


def test_a_sample_is_the_same_from_a_folder_and_from_an_archive(tmp_path: Path, clip: str) -> None:
    (tmp_path / "picture.jpg").write_bytes(example_data.picture(4))
    example_data.sound(str(tmp_path / "tone.wav"), 2)
    files = {"images": str(tmp_path / "picture.jpg"), "videos": clip, "audios": str(tmp_path / "tone.wav")}
    with tarfile.open(tmp_path / "all.tar", "w") as archive:
        for path in files.values():
            archive.add(path, os.path.basename(path))
    with tarfile.open(tmp_path / "all.tar") as archive:
        places = {member.name: (member.offset_data, member.size) for member in archive}
    members = {
        column: Item(os.path.basename(path), str(tmp_path / "all.tar"), *places[os.path.basename(path)], whole=False)
        for column, path in files.items()
    }
    masks = {"masks": [[_cell(Mask(2, 64, 96, example_data.rle(2)["counts"]))]], "images": []}
    for more in ({}, masks):
        loose = views.decoded({**{column: [path] for column, path in files.items()}, **more}, views.DecodeOptions())
        packed = views.decoded({**{column: [item] for column, item in members.items()}, **more}, views.DecodeOptions())
        assert same(loose, packed)
    assert loose["masks"][0].any() and len(loose["videos"][0]) == 8


def test_the_view_reads_cells_whether_or_not_the_features_decode(clip: str) -> None:
    rows_ = dataset({"videos": [cell(clip)], "images": [cell(example_data.picture(1))]})
    decoding = rows_.cast(features.features(("image", "video", "audio", "masks"), decode=True))
    assert same(list(views.training(decoding)), list(views.training(rows_)))
    streamed = decoding.to_iterable_dataset()
    assert same(list(views.training(streamed)), list(views.training(rows_)))


# ---- what is in a sample


def test_videos_have_frames_indices_times_and_a_duration(clip: str) -> None:
    (one,) = views.training(dataset({"videos": [cell(clip)]}), num_frames=6)
    assert one["videos"][0].shape == (6, 64, 96, 3)
    assert one["frame_indices"][0].tolist() == sorted(one["frame_indices"][0].tolist())
    assert np.allclose(one["frame_times"][0], one["frame_indices"][0] / 12)
    assert one["durations"].tolist() == [2.0]


def test_a_list_of_pictures_is_a_video_with_unknown_times() -> None:
    (one,) = views.training(
        dataset({"frames": [[cell(example_data.picture(i, "PNG")) for i in range(4)]]}), num_frames=4
    )
    assert one["videos"][0].shape == (4, 64, 96, 3)
    assert np.isnan(one["frame_times"][0]).all() and np.isnan(one["durations"]).all()
    assert not np.array_equal(one["videos"][0][0], one["videos"][0][3])


def test_without_num_frames_the_annotation_decides_the_number_of_frames(clip: str) -> None:
    rows_ = dataset({"videos": [cell(clip)], "num_frames": 3}, {"videos": [cell(clip)]})
    assert [len(one["videos"][0]) for one in views.training(rows_)] == [3, 8]
    assert [len(one["videos"][0]) for one in views.training(rows_, num_frames=None)] == [3, 8]
    assert [len(one["videos"][0]) for one in views.training(rows_, num_frames=5)] == [5, 5]


def test_random_samplers_differ_by_sample_and_repeat_in_each_run(clip: str) -> None:
    rows_ = dataset(*[{"videos": [cell(clip)]}] * 6)

    def indices(seed: int) -> list[list[int]]:
        view = views.training(rows_, num_frames=3, sampling="jitter", sampling_options={"seed": seed})
        return [one["frame_indices"][0].tolist() for one in view]

    assert indices(1) == indices(1) != indices(2)
    assert len({tuple(one) for one in indices(1)}) > 1


def test_frames_that_upstream_reads_as_bgr_are_bgr() -> None:
    frames = [cell(example_data.picture(2, "PNG"))]
    note = json.dumps({"modalmix": {"channel_order": "BGR"}})
    plain, swapped = views.training(dataset({"frames": [frames]}, {"frames": [frames], "extra": note}), num_frames=1)
    assert np.array_equal(swapped["videos"][0], plain["videos"][0][..., ::-1])
    assert not np.array_equal(swapped["videos"][0], plain["videos"][0])


def test_sounds_are_resampled(tmp_path: Path) -> None:
    example_data.sound(str(tmp_path / "a.wav"), 1, seconds=0.5, rate=48_000)
    rows_ = dataset({"audios": [cell(tmp_path / "a.wav")]})
    (one,) = views.training(rows_, sampling_rate=16_000)
    assert one["audios"][0].shape == (8_000,) and one["audios"][0].dtype == np.float32


def test_size_applies_to_pictures_frames_and_masks(clip: str) -> None:
    of_video, of_image = ([[{"frame": frame, **_rle(frame)}]] for frame in (3, 0))
    picture = cell(example_data.picture(1))
    rows_ = dataset({"videos": [cell(clip)], "masks": of_video}, {"images": [picture], "masks": of_image})
    video, image = views.training(rows_, size=(32, 24), num_frames=2)
    assert video["videos"][0].shape == (2, 32, 24, 3)
    assert video["region_frames"].shape == (1, 32, 24, 3) and video["masks"][0].shape == (1, 32, 24)
    assert image["images"][0].shape == (32, 24, 3) and image["masks"][0].shape == (1, 32, 24)
    assert np.array_equal(image["region_frames"][0], image["images"][0])
    unmasked = dataset({"images": [cell(example_data.picture(1))]})
    (bare,) = views.training(unmasked, size=(32, 24))
    assert np.array_equal(bare["images"][0], image["images"][0])


# ---- masks


def _rle(index: int) -> dict[str, Any]:
    found = example_data.rle(index)
    return {"height": found["size"][0], "width": found["size"][1], "counts": found["counts"], "polygons": None}


def _cell(mask: Mask) -> dict[str, Any]:
    return {name: getattr(mask, name) for name in mask.__struct_fields__}


def test_masks_match_the_pictures_they_were_drawn_for(example_folders: Folders) -> None:
    samples = {one["id"]: one for one in views.training(load("videorefer", example_folders), num_frames=2)}
    moving = samples["0"]
    assert [array.tolist() for array in moving["mask_frames"]] == [[0, 8, 16]]
    assert moving["masks"][0].shape == (3, 64, 96) and moving["masks"][0].dtype == np.bool_
    for mask, frame, place in zip(
        moving["masks"][0], moving["mask_frames"][0], moving["region_indices"][0], strict=True
    ):
        top, left, bottom, right = example_data.square(frame)
        assert mask.sum() == 400 and mask[top:bottom, left:right].all()
        colour = moving["region_frames"][place][mask].mean(0)
        assert np.abs(colour - (250, 220, 210)).max() < 12, "the square's colour, as good as H.264 keeps it"
    assert len(moving["videos"][0]) == 2, "sampling does not change"


def test_objects_are_in_the_order_of_their_regions_and_share_pictures() -> None:
    masks = [[{"frame": 0, **_rle(index)}] for index in (5, 0)]
    (one,) = views.training(dataset({"images": [cell(example_data.picture(1))], "masks": masks}))
    assert one["region_frames"].shape == (1, 64, 96, 3)
    assert [array.tolist() for array in one["region_indices"]] == [[0], [0]]
    boxes = [mask_arrays.box(mask_arrays.from_array(drawn[0])) for drawn in one["masks"]]
    assert boxes == [example_data.square(5), example_data.square(0)]


def test_an_object_annotated_as_not_visible_has_an_empty_mask(example_folders: Folders) -> None:
    samples = {one["id"]: one for one in views.training(load("videorefer", example_folders))}
    walk = samples["2"]
    assert walk["mask_frames"][0].tolist() == [0, 5]
    assert walk["masks"][0].sum((1, 2)).tolist() == [400, 0]
    assert len(walk["region_frames"]) == 2


def test_masks_count_the_coded_frames_of_a_video_with_an_edit_list(tmp_path: Path) -> None:
    plain = encoded_videos.encode(str(tmp_path / "plain.mp4"))
    edited = encoded_videos.remux(
        plain, str(tmp_path / "edit.mp4"), -17 / encoded_videos.FPS, avoid_negative_ts="disabled"
    )
    drawn = np.zeros((encoded_videos.HEIGHT, encoded_videos.WIDTH), np.bool_)
    masks = [[_cell(mask_arrays.from_array(drawn, frame)) for frame in (3, 30)]]
    (one,) = views.training(dataset({"videos": [cell(edited)], "masks": masks}), num_frames=3)
    assert encoded_videos.numbers(one["region_frames"]) == [3, 30], "as decord counts, the hidden frames included"
    assert encoded_videos.numbers(one["videos"][0]) == [17, 32, 47], "as a player shows it"
    assert one["frame_times"][0][0] == 0


def test_masks_are_on_the_stream_that_is_shown(tmp_path: Path) -> None:
    path = encoded_videos.two_streams(str(tmp_path / "two.mp4"))
    drawn = np.zeros((encoded_videos.HEIGHT, encoded_videos.WIDTH), np.bool_)
    drawn[2:9, 3:12] = True
    masks = [[_cell(mask_arrays.from_array(drawn, 30))]]
    (one,) = views.training(dataset({"videos": [cell(path)], "masks": masks}), num_frames=2)
    assert encoded_videos.numbers(one["region_frames"]) == [30]
    np.testing.assert_array_equal(one["masks"][0][0], drawn)
    sample = Sample(masks=[[mask_arrays.from_array(drawn, 30)]])
    item = Item("two.mp4", path, 0, os.path.getsize(path))
    assert not mask_findings("videorefer", sample, Media([], [item], [], [], []))


def test_needed_frames_join_the_sampled_ones(clip: str) -> None:
    masks = [[{"frame": frame, **_rle(frame)} for frame in (5, 17)], [{"frame": 5, **_rle(5)}]]
    rows_ = dataset({"videos": [cell(clip)], "masks": masks})
    (apart,) = views.training(rows_, num_frames=2)
    (joined,) = views.training(rows_, num_frames=2, needed=True)
    assert len(apart["videos"][0]) == 2 and not {5, 17} <= {*apart["frame_indices"][0].tolist()}
    assert {5, 17} <= {*joined["frame_indices"][0].tolist()}
    for one in (apart, joined):
        assert [array.tolist() for array in one["region_indices"]] == [[0, 1], [0]]
    at = joined["frame_indices"][0].tolist().index(17)
    assert np.array_equal(joined["videos"][0][at], joined["region_frames"][1])
    assert np.array_equal(apart["region_frames"], joined["region_frames"])


def test_masks_can_be_left_out(clip: str) -> None:
    rows_ = dataset({"videos": [cell(clip)], "masks": [[{"frame": 900, **_rle(0)}]]})
    (one,) = views.training(rows_, masks=False)
    assert not {"masks", "region_frames"} & one.keys()


@pytest.mark.parametrize(
    ("mask", "code"),
    [
        (Mask(24, 64, 96, example_data.rle(0)["counts"]), "MX307"),
        (Mask(-1, 64, 96, example_data.rle(0)["counts"]), "MX307"),
        (Mask(0, 96, 64, example_data.rle(0)["counts"]), "MX306"),
    ],
)
def test_a_mask_that_does_not_fit_its_video_rejects_the_sample(clip: str, mask: Mask, code: str) -> None:
    view = views.training(dataset({"videos": [cell(clip)], "masks": [[_cell(mask)]]}))
    assert list(view) == []
    assert view.counts == (1, 0, 1)
    with pytest.raises(views.SampleRejected) as caught:
        view[0]
    assert caught.value.finding.code == code
    copy = pickle.loads(pickle.dumps(caught.value))
    assert (type(copy), copy.finding, str(copy)) == (views.SampleRejected, caught.value.finding, str(caught.value))


# ---- rejected samples


def broken(tmp_path: Path) -> datasets.Dataset:
    """Five pictures: the second is cut off, the fourth is not there."""
    cut = example_data.picture(1)
    images = [
        example_data.picture(0),
        cut[: len(cut) // 2],
        example_data.picture(2),
        tmp_path / "none.jpg",
        example_data.picture(4),
    ]
    sources = [{"source": {"file": "a.json", "row": 10 + i}, "images": [cell(one)]} for i, one in enumerate(images)]
    return dataset(*sources)


@pytest.mark.parametrize("streaming", [False, True])
def test_a_sample_that_cannot_be_decoded_is_left_out_counted_and_written_to_a_file(
    tmp_path: Path, streaming: bool
) -> None:
    rows_ = broken(tmp_path)
    file = tmp_path / "rejected.jsonl"
    view = views.training(rows_.to_iterable_dataset() if streaming else rows_, rejected=str(file), threads=2)
    assert [one["id"] for one in view] == ["0", "2", "4"]
    assert view.counts == (5, 3, 2)
    entries = [json.loads(line) for line in file.read_text().splitlines()]
    assert [(one["file"], one["row"], one["id"]) for one in entries] == [("a.json", 11, "1"), ("a.json", 13, "3")]
    assert [one["name"] for one in entries] == ["media-unreadable", "media-missing"]
    assert all(one["pointer"] == "/images/0" and one["message"] and one["mend"] for one in entries)


def test_the_rest_of_a_truncated_video_is_given_with_a_finding(tmp_path: Path) -> None:
    plain = encoded_videos.encode(str(tmp_path / "plain.mp4"), container={"movflags": "faststart"})
    rows_ = dataset(
        {"videos": [cell(encoded_videos.cut(plain, str(tmp_path / "cut.mp4"), 0.6))]}, {"videos": [cell(plain)]}
    )
    view = views.training(rows_, num_frames=4)
    cut, whole = view
    assert [(one.kind.name, one.pointer, one.row) for one in cut["findings"]] == [("video-truncated", "/videos/0", 0)]
    assert whole["findings"] == []
    assert encoded_videos.numbers(cut["videos"][0])[-1] < encoded_videos.numbers(whole["videos"][0])[-1] == 47
    assert view.counts == (2, 2, 0)


@pytest.mark.parametrize(
    "row",
    [
        {"images": [None]},
        {"images": [{"bytes": None, "path": None}]},
        {"images": [cell(b"")]},
        {"images": [cell("/")]},
        {"videos": [cell(b"no video")]},
        {"videos": [None]},
        {"frames": [None]},
        {"frames": [[cell(b"no picture")]]},
        {"audios": [cell(b"RIFF")]},
        {"images": [cell(example_data.picture(1))], "masks": [None]},
        {"images": [cell(example_data.picture(1))], "masks": [[None]]},
        {
            "images": [cell(example_data.picture(1))],
            "masks": [[{"frame": 0, "height": 64, "width": 96, "counts": "~"}]],
        },
        {"images": [cell(example_data.picture(1))], "masks": [[{"frame": 1}]]},
        {"masks": [[{"frame": 0}]]},
    ],
)
def test_no_content_of_a_row_stops_the_others(row: dict[str, Any]) -> None:
    view = views.training(dataset(row, *picture_cells(1)))
    assert [one["id"] for one in view] == ["1"]
    assert view.counts == (2, 1, 1)


@pytest.mark.parametrize("streaming", [False, True])
def test_with_on_error_raise_the_first_rejected_sample_raises(tmp_path: Path, streaming: bool) -> None:
    rows_ = broken(tmp_path)
    view = views.training(rows_.to_iterable_dataset() if streaming else rows_, on_error="raise")
    seen: list[str] = []
    with pytest.raises(views.SampleRejected, match=r"a.json:11: MX\d+ media-unreadable at /images/0"):
        seen += [one["id"] for one in view]
    assert view.counts.rejected == 1


def test_a_rejected_sample_is_left_out_of_a_batch_and_raises_by_index(tmp_path: Path) -> None:
    view = views.training(broken(tmp_path))
    assert len(view) == 5
    assert [one["id"] for one in view.__getitems__([4, 3, 0])] == ["4", "0"]
    assert view[-1]["id"] == "4"
    with pytest.raises(views.SampleRejected, match=r"a\.json:13"):
        view[3]
    with pytest.raises(IndexError):
        view[5]
    assert view.counts == (5, 3, 2)


# ---- a view as a dataset


def ids(samples: Any) -> list[str]:
    return [sample["id"] for sample in samples]


def test_slices_and_lists_of_indices_give_their_samples() -> None:
    view = views.training(dataset(*picture_cells(*range(9))))
    assert ids(view[5:8]) == ["5", "6", "7"]
    assert ids(view[::-4]) == ["8", "4", "0"]
    assert view[9:] == []
    assert ids(view[[7, -9]]) == ids(view[np.array([7, 0])]) == ["7", "0"]
    assert view[np.int64(3)]["id"] == "3"
    with pytest.raises(IndexError):
        view[[0, 9]]
    with pytest.raises(TypeError, match=r"view\[0\]\['id'\]"):
        view["id"]


def test_a_slice_leaves_out_and_counts_what_cannot_be_decoded(tmp_path: Path) -> None:
    view = views.training(broken(tmp_path))
    assert ids(view[1:4]) == ["2"]
    assert view.counts == (3, 1, 2)


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_column_names_are_the_keys_of_every_sample(example_folders: Folders, name: str, streaming: bool) -> None:
    for masks in (True, False):
        view = views.training(load(name, example_folders, streaming=streaming), num_frames=1, masks=masks)
        found = {tuple(sample) for sample in view}
        assert found == {tuple(view.column_names or ())}


def test_a_view_says_what_it_is() -> None:
    rows_ = dataset(*picture_cells(1, 2), mix=("image",))
    columns = "['id', 'source', 'system', 'conversations', 'extra', 'images']"
    assert repr(views.training(rows_)) == f"TableView({{\n    columns: {columns},\n    num_samples: 2\n}})"
    stream = views.training(rows_.to_iterable_dataset(num_shards=2))
    assert repr(stream) == f"StreamView({{\n    columns: {columns},\n    num_shards: 2\n}})"
    with pytest.raises(TypeError, match="len"):
        len(stream)


def test_select_and_shuffle_give_views_in_that_order(tmp_path: Path) -> None:
    rows_ = dataset(*picture_cells(*range(9)))
    view = views.training(rows_, size=8)
    chosen = view.select([8, 2, -1, 2])
    assert len(chosen) == 4 and ids(chosen) == ids(chosen[:]) == ["8", "2", "8", "2"]
    assert chosen[1]["images"][0].shape == (8, 8, 3)
    assert ids(chosen.select(range(1, 3))) == ["2", "8"]
    assert chosen.counts.given == 9 and view.counts == (0, 0, 0)
    shuffled = view.shuffle(seed=3)
    assert ids(shuffled) == ids(rows_.shuffle(seed=3)) != ids(view)
    assert sorted(ids(view.shuffle())) == ids(view)
    with pytest.raises(IndexError):
        view.select([9])
    file = tmp_path / "rejected.jsonl"
    failing = views.training(broken(tmp_path), rejected=str(file)).select([3, 4])
    assert ids(failing) == ["4"] and len(file.read_text().splitlines()) == 1


def test_a_stream_shuffles_as_its_dataset() -> None:
    stream = dataset(*picture_cells(*range(9))).to_iterable_dataset(num_shards=3)
    view = views.training(stream).shuffle(seed=3, buffer_size=4)
    assert ids(view) == ids(stream.shuffle(seed=3, buffer_size=4))


def test_a_loaded_state_is_not_dropped() -> None:
    stream = dataset(*picture_cells(*range(4))).to_iterable_dataset()
    view = views.training(stream)
    with pytest.raises(NotImplementedError, match=r"ds\.skip\(n\)"):
        view.load_state_dict({})
    reading = iter(stream)
    next(reading)
    stream.load_state_dict(stream.state_dict())
    with pytest.raises(NotImplementedError, match=r"ds\.skip\(n\)"):
        views.training(stream)
    with pytest.raises(NotImplementedError, match=r"ds\.skip\(n\)"):
        next(iter(view))
    anew = dataset(*picture_cells(*range(4))).to_iterable_dataset()
    assert ids(views.training(anew.skip(1))) == ["1", "2", "3"]


# ---- threads, processes


def test_samples_are_in_order_and_at_most_prefetch_rows_are_read_ahead() -> None:
    drawn: list[int] = []

    def rows_() -> Iterator[dict[str, Any]]:
        for i in range(20):
            drawn.append(i)
            yield {"id": str(i), "images": picture_cells(i)[0]["images"]}

    kind = datasets.Features({"id": datasets.Value("string"), "images": datasets.List(datasets.Image())})
    stream = datasets.IterableDataset.from_generator(rows_, features=kind)
    view = views.training(stream, threads=3, prefetch=4)
    assert isinstance(view, views.StreamView)
    reading = iter(view)
    assert next(reading)["id"] == "0"
    assert len(drawn) == 4
    assert [one["id"] for one in reading] == [str(i) for i in range(1, 20)]


@pytest.mark.parametrize("streaming", [False, True])
def test_a_view_pickles(streaming: bool, clip: str) -> None:
    rows_ = dataset({"videos": [cell(clip)]}, *picture_cells(1))
    view = views.training(rows_.to_iterable_dataset() if streaming else rows_, num_frames=2)
    assert same(list(pickle.loads(pickle.dumps(view))), list(view))
    assert view.counts.given == 4, "copies count together"


def test_a_counter_whose_file_is_gone_counts_from_zero() -> None:
    view = views.training(dataset(*picture_cells(1)))
    kept = pickle.dumps(view)
    os.unlink(view._outcomes.counter._path)  # as when its process ends
    copy = pickle.loads(kept)
    assert len(list(copy)) == 1 and copy.counts == (1, 1, 0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_frames": 0}, "num_frames is 0"),
        ({"sampling_rate": -1}, "sampling_rate is -1"),
        ({"sampling": "randomly"}, "randomly"),
        ({"sampling_options": {"rate": 2}}, "no option rate"),
        ({"size": (0, 4)}, "size is"),
        ({"tensors": "jax"}, "tensors is 'jax'"),
        ({"on_error": "ignore"}, "on_error is 'ignore'"),
        ({"threads": 0}, "threads is 0"),
        ({"prefetch": 0}, "prefetch is 0"),
    ],
)
def test_an_invalid_option_is_named_with_its_value(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        views.training(dataset(*picture_cells(1)), **options)


def test_a_view_is_of_one_split() -> None:
    with pytest.raises(TypeError, match="one split: this is a DatasetDict of train"):
        views.training(datasets.DatasetDict(train=dataset(*picture_cells(1))))
    with pytest.raises(TypeError, match="list is neither"):
        views.training([])


# ---- batches


def test_a_batch_is_ragged(clip: str) -> None:
    samples = list(views.training(dataset({"videos": [cell(clip)]}, *picture_cells(1)), num_frames=3))
    batch = views.collate([samples[0], None, samples[1]])
    assert batch["id"] == ["0", "1"]
    assert [len(one) for one in batch["images"]] == [0, 1]
    assert batch["videos"][0][0].shape == (3, 64, 96, 3)
    assert views.collate([{"a": 1}, {"b": 2}]) == {"a": [1, None], "b": [None, 2]}
    assert views.collate([None]) == {}


def test_a_loader_with_workers_reads_a_table_once_and_counts(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    view = views.training(broken(tmp_path), tensors="torch", rejected=str(tmp_path / "rejected.jsonl"))
    loader = torch.utils.data.DataLoader(view, batch_size=2, shuffle=True, num_workers=2, collate_fn=views.collate)
    batches = list(loader)
    assert len(batches) == 3
    assert sorted(one for batch in batches for one in batch.get("id", [])) == ["0", "2", "4"]
    assert all(torch.is_tensor(image) for batch in batches for images in batch.get("images", []) for image in images)
    assert view.counts == (5, 3, 2), "the workers count, and the loader sees it"
    assert len((tmp_path / "rejected.jsonl").read_text().splitlines()) == 2


def test_a_loader_with_workers_reads_a_stream_once(example_folders: Folders) -> None:
    torch = pytest.importorskip("torch")
    stream = load("videorefer", example_folders, streaming=True)
    view = views.training(stream, num_frames=2, tensors="torch")
    assert isinstance(view, torch.utils.data.IterableDataset)
    loader = torch.utils.data.DataLoader(view, batch_size=2, num_workers=2, collate_fn=views.collate)
    found = [one for batch in loader for one in batch["id"]]
    assert sorted(found) == sorted(one["id"] for one in views.training(stream, num_frames=2))
    assert view.counts == (4, 4, 0)


def test_tensors_are_the_arrays(clip: str) -> None:
    torch = pytest.importorskip("torch")
    rows_ = dataset({"videos": [cell(clip)], "masks": [[{"frame": 3, **_rle(3)}]]})
    (arrays,), (tensors,) = list(views.training(rows_)), list(views.training(rows_, tensors="torch"))
    assert arrays.keys() == tensors.keys()
    assert tensors["masks"][0].dtype == torch.bool and tensors["videos"][0].dtype == torch.uint8
    assert np.array_equal(tensors["masks"][0].numpy(), arrays["masks"][0])
    assert np.array_equal(tensors["videos"][0].numpy(), arrays["videos"][0])
    assert mask_arrays.from_array(arrays["masks"][0][0]).counts == example_data.rle(3)["counts"]


def test_masks_are_drawn_on_the_picture_as_stored(tmp_path: Path) -> None:
    from PIL import Image

    turned = Image.Exif()
    turned[0x0112] = 6
    stored = np.zeros((64, 96, 3), np.uint8)
    stored[20:40, 4:24] = 255
    Image.fromarray(stored).save(tmp_path / "p.png", exif=turned)
    record = {
        "image": "p.png",
        "conversations": example_data.turns("<image>\nWhat is <region>?", "A square."),
        "annotation": [{"0": {"segmentation": example_data.rle(0)}}],
    }
    (tmp_path / "a.json").write_text(json.dumps([record]))
    rows = datasets.load_dataset("videorefer", data_files=str(tmp_path / "a.json"), split="train")
    (sample,) = list(views.training(rows))
    (mask,) = sample["masks"][0]
    assert mask.shape == (64, 96) and (sample["region_frames"][0][mask] == 255).all()
