from __future__ import annotations

import json
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pycocotools import mask as coco

from modalmix.builders.core import rle
from modalmix.builders.core.findings import Finding
from modalmix.builders.core.mask_payloads import counts_findings, parse_mask, size_finding
from modalmix.builders.core.sample import Mask, Sample
from modalmix.builders.formats import videorefer
from modalmix.builders.media.mask_arrays import to_array
from modalmix.builders.media.mask_findings import media_findings

pictures = hnp.arrays(np.uint8, hnp.array_shapes(min_dims=2, max_dims=2, max_side=40), elements=st.integers(0, 1))


def read_mask(
    payload: object, frame: int, height: int | None, width: int | None, at: str
) -> tuple[Mask | None, list[Finding]]:
    """The mask of one payload, and all that is wrong with it."""
    mask, findings = parse_mask(payload, frame, height, width, at)
    return (mask, findings) if findings or mask is None else (mask, counts_findings([(mask, at)]))


def encoded(picture: npt.NDArray[np.uint8]) -> dict[str, Any]:
    """The picture as pycocotools writes it."""
    found = coco.encode(np.asfortranarray(picture))
    return {"size": found["size"], "counts": found["counts"].decode()}


def codes(payload: Any, height: int | None = None, width: int | None = None) -> list[str]:
    return [f.code for f in read_mask(payload, 0, height, width, "/m")[1]]


def only(payload: Any, height: int | None = None, width: int | None = None) -> Finding:
    (finding,) = read_mask(payload, 0, height, width, "/m")[1]
    return finding


def read(payload: Any, height: int | None = None, width: int | None = None) -> Mask:
    mask, findings = read_mask(payload, 0, height, width, "/m")
    assert mask is not None and not findings
    return mask


def large(seed: int, height: int = 360, width: int = 500) -> npt.NDArray[np.uint8]:
    """A blob with a rough edge: its counts are long enough for the vectorised decoder."""
    y = np.arange(height)[:, None]
    edge = 80 + np.random.default_rng(seed).normal(0, 3, width).cumsum()
    return (abs(y - height / 2) < edge).astype(np.uint8)


@given(pictures)
def test_compressed_counts_decode_and_encode_as_pycocotools_does(picture: npt.NDArray[np.uint8]) -> None:
    payload = encoded(picture)
    runs = rle.run_lengths(payload["counts"])
    assert rle.compress(runs) == payload["counts"]
    assert rle.compress(runs.tolist()) == payload["counts"]
    assert np.array_equal(to_array(read(payload)), picture)


@pytest.mark.parametrize("seed", range(4))
def test_long_counts_decode_as_pycocotools_does(seed: int) -> None:
    payload = encoded(large(seed))
    assert len(payload["counts"]) > 2 * rle._FEW
    drawn = to_array(read(payload))
    assert np.array_equal(drawn, coco.decode(payload))
    assert drawn.dtype == np.uint8 and drawn.flags.f_contiguous
    assert rle.compress(rle.run_lengths(payload["counts"])) == payload["counts"]


@given(st.lists(st.integers(0, 2**32 - 1), max_size=60))
def test_any_run_lengths_survive_compression(runs: list[int]) -> None:
    assert rle.run_lengths(rle.compress(runs)).tolist() == runs


# pycocotools has room for six characters a run, but not for the zero behind the last: with 2**24, five characters suffice
@given(st.lists(st.integers(0, 2**24 - 1), min_size=1, max_size=12))
def test_run_lengths_compress_to_the_text_of_pycocotools(runs: list[int]) -> None:
    expected = coco.frPyObjects({"size": [1, 1], "counts": runs}, 1, 1)["counts"].decode()
    assert rle.compress(runs) == expected


@pytest.mark.parametrize("runs", [[3, -1], [2**32]])
def test_run_lengths_that_no_picture_has_are_not_compressed(runs: list[int]) -> None:
    with pytest.raises(ValueError, match="run lengths lie between"):
        rle.compress(runs)


@given(st.text(st.characters(min_codepoint=40, max_codepoint=120), max_size=400))
def test_the_two_decoders_agree_on_any_text(text: str) -> None:
    def outcome(decode: Any) -> Any:
        try:
            return decode()
        except ValueError:
            return "unreadable"

    def vectorised() -> list[int]:
        numbers, _ = rle._numbers(text.encode())
        rle._accumulate(numbers)
        return numbers.tolist()

    if text:
        assert outcome(lambda: rle._few(text.encode())) == outcome(vectorised)


@given(st.text(max_size=300), st.integers(1, 50), st.integers(1, 50))
def test_hostile_counts_give_a_finding_or_fill_the_picture(text: str, height: int, width: int) -> None:
    mask, findings = read_mask({"size": [height, width], "counts": text}, 0, None, None, "/m")
    assert mask is not None
    if findings:
        assert [f.code for f in findings] == ["MX304"]
        with pytest.raises(ValueError):
            to_array(mask)
    else:
        assert to_array(mask).shape == (height, width)


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ("", "sum to 0"),
        ("a", "ends inside a number"),
        ("ooooooooo0", "more than 35 bits"),
        ("é", "no RLE character"),
        ("\ud800", "no RLE character"),
        ("O", "fewer than 0"),
        ("1", "sum to 1"),
        (encoded(large(0))["counts"] + "1", "sum to"),
        (encoded(large(0))["counts"] + "p", "no RLE character"),
        (encoded(large(0))["counts"] + "o", "ends inside a number"),
        (encoded(large(0))["counts"] + "oooooooo0", "more than 35 bits"),
    ],
)
def test_counts_that_do_not_fill_the_picture_are_reported_with_their_place(counts: str, message: str) -> None:
    finding = only({"size": [360, 500], "counts": counts})
    assert (finding.code, finding.pointer) == ("MX304", "/m")
    assert message in finding.message


def test_one_bad_mask_among_many_gives_one_finding_at_its_place() -> None:
    good = [read(encoded(large(seed))) for seed in range(3)]
    worse = Mask(0, 360, 500, f"{good[0].counts}1")
    unended = Mask(0, 360, 500, f"{good[0].counts}o")
    places = [(mask, f"/{i}") for i, mask in enumerate([good[0], Mask(3), unended, good[1], worse, good[2]])]
    assert [(f.code, f.pointer) for f in counts_findings(places)] == [("MX304", "/2"), ("MX304", "/4")]


@settings(max_examples=50)
@given(st.lists(st.integers(0, 5), min_size=1, max_size=6))
def test_all_masks_of_a_row_are_checked_as_each_alone(seeds: list[int]) -> None:
    texts = [encoded(large(seed, 90, 120))["counts"] for seed in seeds]
    assert rle.all_fit(texts, [90 * 120] * len(texts))
    assert not rle.all_fit(texts, [90 * 120] * (len(texts) - 1) + [90 * 120 - 1])


@given(pictures)
def test_a_list_of_run_lengths_is_compressed(picture: npt.NDArray[np.uint8]) -> None:
    payload = encoded(picture)
    runs = rle.run_lengths(payload["counts"]).tolist()
    assert read({"size": payload["size"], "counts": runs}) == read(payload)


@given(st.data(), hnp.array_shapes(min_dims=2, max_dims=2, max_side=12))
def test_a_list_of_rle_is_the_union_of_its_members(data: st.DataObject, size: tuple[int, int]) -> None:
    drawn = data.draw(st.lists(hnp.arrays(np.uint8, size, elements=st.integers(0, 1)), min_size=1, max_size=4))
    payload = [
        {"size": list(size), "counts": rle.run_lengths(encoded(picture)["counts"]).tolist()} for picture in drawn
    ]
    assert read(payload).counts == encoded(np.maximum.reduce(drawn))["counts"]


def test_counts_printed_as_python_bytes_are_unwrapped() -> None:
    counts = next(c for seed in range(50) if "\\" in (c := encoded(large(seed))["counts"]))
    assert read({"size": [360, 500], "counts": str(counts.encode())}).counts == counts


def test_polygons_are_drawn_as_pycocotools_draws_them() -> None:
    polygons = [[3.5, 2.0, 30.0, 4.25, 18.0, 25.0], [20.0, 20.0, 39.0, 20.0, 39.0, 28.0, -4.0, 33.0]]
    mask = read(polygons, 30, 40)
    assert (mask.height, mask.width, mask.counts, mask.polygons) == (30, 40, None, polygons)
    expected = coco.decode(coco.merge(coco.frPyObjects(polygons, 30, 40)))
    assert expected.sum() > 0
    assert np.array_equal(to_array(mask), expected)


def test_whole_numbers_in_polygons_become_floats() -> None:
    mask = read([[0, 0, 4, 0, 4, 3]], 4, 5)
    assert json.dumps(mask.polygons) == "[[0.0, 0.0, 4.0, 0.0, 4.0, 3.0]]"


def test_null_is_a_mask_that_is_not_there() -> None:
    mask = read(None)
    assert mask == Mask(0)
    assert to_array(mask, 4, 5).tolist() == np.zeros((4, 5)).tolist()
    with pytest.raises(ValueError, match="height and width"):
        to_array(mask)


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        ([], "an empty list"),
        ({}, "an empty object"),
        ([10, 10, 200, 10, 200, 200], "a flat list of numbers"),
        ([[1, 2], [3, 4], [5, 6]], "points as pairs"),
        ([[[1, 2], [3, 4], [5, 6]]], "nested deeper"),
        ([[1, 2, 30, 40]], "a box [x, y, w, h]"),
        ([[1, 2, 3, 4, 5]], "a polygon of 5 numbers"),
        ([[1, 2, 3, 4, 5, 6, 7]], "a polygon of 7 numbers"),
        ([[1, 2, 3, 4, 5, 6], []], "a polygon of 0 numbers"),
        ([[1, 2, 3, 4, 5, True]], "no polygons"),
        ([["\ud800"]], "no polygons"),
        ([[1, 2, 3, 4, 5, float("nan")]], "reaches nan"),
        ([[1, 2, 3, 4, 5, -1e9]], "reaches -1000000000.0"),
        ([{"size": [2, 2], "counts": "4"}], "not RLE with a list of counts"),
        ("mask.png", "'mask.png' is no mask"),
        (7, "7 is no mask"),
        ({"path": "mask.png"}, "the keys 'path'"),
        ({"counts": "4"}, "size is None"),
        ({"size": [2.0, 2], "counts": "4"}, "size is [2.0, 2]"),
        ({"size": [0, 2], "counts": ""}, "0 × 2 pixels"),
        ({"size": [2**16, 2**16], "counts": ""}, "65536 × 65536 pixels"),
        ({"size": [2, 2], "counts": [3.5, 0.5]}, "not whole numbers"),
        ({"size": [2, 2], "counts": None}, "counts are None"),
    ],
)
def test_a_payload_that_is_no_mask_is_described(payload: Any, message: str) -> None:
    finding = only(payload, 720, 1280)
    assert finding.code == "MX302"
    assert message in finding.message


def test_rle_of_different_sizes_has_no_union() -> None:
    finding = only([{"size": [2, 2], "counts": [4]}, {"size": [1, 4], "counts": [4]}])
    assert (finding.code, finding.message) == ("MX302", "a list of RLE of different sizes")


@pytest.mark.parametrize(("height", "width"), [(None, None), (720, None), (None, 1280)])
def test_polygons_need_the_size_of_the_picture(height: int | None, width: int | None) -> None:
    assert codes([[1, 2, 3, 4, 5, 6]], height, width) == ["MX303"]


@pytest.mark.parametrize("counts", [[100, 50], [], [4, -1, 1], [10**5000], [2, 2, 10**400, -(10**400)]])
def test_run_lengths_that_do_not_fill_the_picture_are_found(counts: list[int]) -> None:
    assert codes({"size": [2, 2], "counts": counts}) == ["MX304"]


def test_a_mask_of_another_size_than_the_record_says_is_found_and_kept() -> None:
    mask, findings = read_mask({"size": [2, 2], "counts": "4"}, 9, 720, 1280, "/m")
    assert mask == Mask(9, 2, 2, "4")
    assert [f.code for f in findings] == ["MX306"]
    assert "2 × 2" in findings[0].message and "720 × 1280" in findings[0].message


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["size", "counts", "x"]), inner),
    ),
    st.none() | st.integers(1, 9),
)
def test_any_json_value_gives_a_mask_or_a_finding(payload: Any, size: int | None) -> None:
    mask, findings = read_mask(payload, 0, size, size, "/m")
    assert len(findings) <= 1
    assert findings or mask is not None


def test_a_boundary_too_long_to_draw_is_refused() -> None:
    zigzag = [[float(x) for _ in range(30) for x in (-90_000, 0, 90_000, 1)]]
    with pytest.raises(ValueError, match="boundary"):
        to_array(read(zigzag, 4, 4))


def test_masks_are_compared_with_the_header_of_their_video() -> None:
    there, beyond = Mask(287, 2, 2, "4"), Mask(288, 2, 2, "4")
    sample = Sample(masks=[[there], [beyond, Mask(300)]])
    found = media_findings(sample, frames=288, height=2, width=2, pointer_of=videorefer.mask_pointer)
    assert [(f.code, f.pointer) for f in found] == [("MX307", "/annotation/1/288"), ("MX307", "/annotation/1/300")]
    assert media_findings(sample, frames=301, height=2, width=2, pointer_of=videorefer.mask_pointer) == []
    assert media_findings(sample, frames=None, height=None, width=None, pointer_of=videorefer.mask_pointer) == []


def test_masks_of_another_size_than_their_picture_are_one_finding() -> None:
    sample = Sample(masks=[[Mask(0)], [Mask(1, 2, 2, "4"), Mask(2, 2, 2, "4")]])
    found = media_findings(sample, frames=9, height=2, width=3, pointer_of=videorefer.mask_pointer)
    assert [(f.code, f.pointer) for f in found] == [("MX306", "/annotation/1/1")]
    sample.findings = [size_finding(Mask(1, 2, 2, "4"), "the record says 4 × 4", "/x")]
    assert media_findings(sample, frames=9, height=2, width=3, pointer_of=videorefer.mask_pointer) == []
