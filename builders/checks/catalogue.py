"""The catalogue as a page: every finding with what upstream does with it, made from `modalmix.builders.findings`.

python -m modalmix.builders.checks.catalogue > docs/findings.md
"""

from __future__ import annotations

import sys

from ..findings import CATALOGUE, Kind

UPSTREAM: dict[str, str] = {
    "json-truncated": "All trainers parse the whole file at the start and stop there.",
    "json-duplicate-key": "Python's json keeps the last value: the other masks of the object are gone without a word.",
    "json-not-a-number": "Python's json reads it; other readers (pyarrow, most databases) refuse the file.",
    "record-shape": "lmms-finetune and Aria stop; Ola, VideoRefer and LLaVA train on another row instead.",
    "type-change": '`load_dataset("json")` on JSON Lines: a list that comes after 100,000 texts is loaded as its own text.',
    "id-duplicate": "No trainer reads ids; evaluation that joins answers by id mixes the records up.",
    "record-duplicate": "The record counts twice.",
    "media-missing": "Ola, VideoRefer: a random other row, silently. LLaVA: the next row. lmms-finetune, Aria: the run dies.",
    "media-ambiguous": "Trainers have one folder and never see it; the wrong of two files is trained on.",
    "media-unreadable": "Ola, VideoRefer: a random other row. LLaVA: the next row. lmms-finetune, Aria: the run dies.",
    "media-empty": "As media-unreadable.",
    "media-stand-in": "As media-unreadable.",
    "media-kind": "As media-unreadable.",
    "media-truncated": "Ola sets LOAD_TRUNCATED_IMAGES: the rest of the picture is grey, silently. Others: as media-unreadable.",
    "media-extension": "None looks at the name, but LLaVA-NeXT's frame folders are listed by suffix.",
    "no-sound-track": "Ola's converter makes no wav of such a video; its rows then miss their sound.",
    "duration-zero": "Ola: no mel frame, an exception, and a random other row after some minutes of retries.",
    "size-extreme": "Pillow refuses pictures of more than 179 million pixels; Qwen's processor sides that differ 200 times.",
    "path-absolute": "Aria joins it to its root, and finds nothing; the others take it as it is.",
    "path-backslash": "Not found on Linux: as media-missing.",
    "path-case": "Found on Windows and macOS, not on Linux: as media-missing.",
    "patch-size-list": "Ola's own packer writes it, and its reader fails on it (int of a list): the row is replaced.",
    "patch-out-of-range": "Ola reads what is there and fails to decode it: a random other row.",
    "patch-overlap": "Ola reads from the middle of another picture: a random other row, or the other picture.",
    "mixed-video-kinds": "No trainer takes both.",
    "turns-missing": "lmms-finetune, VideoRefer: AssertionError or IndexError; the run dies.",
    "turns-odd": "VideoRefer and lmms-finetune: AssertionError.",
    "turns-order": "lmms-finetune: AssertionError. VideoRefer drops a first turn that is not the user's.",
    "turn-role": "KeyError in VideoRefer and LLaVA, ValueError in Aria.",
    "turn-empty": "Trained on as it is.",
    "placeholder-count": "Ola: IndexError in the model. Aria: too few stop the run, too many shift into the next example.",
    "placeholder-literal": "LLaVA and Ola split the text at the tag and then miss its medium.",
    "placeholder-order": "Ola fills all pictures first and then the sounds, whatever their order in the text.",
    "combination-unsupported": "Ola has no branch for it: retried, then replaced by another row.",
    "text-q-missing": "Ola: KeyError, retried, then a random other row.",
    "num-frames": "Aria takes 8, with a warning.",
    "num-frames-too-many": "Aria repeats frame 0; VideoRefer repeats frames.",
    "region-count": "VideoRefer: too many regions stop the run; too few let its masks slip into the next row.",
    "mask-payload": "VideoRefer decodes masks outside of its try: one bad payload ends the run.",
    "mask-size-missing": "As mask-payload: TypeError.",
    "mask-counts": "Uncompressed: TypeError. Compressed: pycocotools fills the rest with whatever lies there.",
    "mask-frame-key": "ValueError, and a random other row.",
    "mask-frame-out-of-range": "decord raises, and a random other row is used; -1 is taken for the last frame.",
    "mask-size-differs": "Never checked: the mask is stretched over the picture, and lies somewhere else.",
    "mask-empty": "VideoRefer-VL3 takes the whole picture instead; PixelRefer: ValueError.",
    "media-contradiction": "Never checked: one of the two sizes stretches the masks.",
}
"""What the trainers of Ola, VideoRefer, lmms-finetune, Aria and LLaVA-NeXT do with it, by the name of the finding."""

EXAMPLES: dict[str, str] = {
    "json-truncated": '`[{"id": 0, "conversations": [{"from": "hu` and nothing more',
    "json-duplicate-key": '`{"36": {"segmentation": …}, "36": {"segmentation": …}}`',
    "json-not-a-number": '`{"score": NaN}`',
    "record-shape": '`{"image": 7}`',
    "type-change": '`"image": "a.jpg"` in 100,000 records, then `"image": ["a.jpg", "b.jpg"]`',
    "media-missing": "`/mnt/lustre/…/AudioCaps/not_downloaded.wav` under none of the roots",
    "media-stand-in": "`a.jpg` that begins `version https://git-lfs.github.com/spec/v1`",
    "media-kind": '`"image": "tone.wav"`',
    "media-extension": "`photo.png` that holds a JPEG",
    "media-truncated": "a wav of 16 044 bytes whose header says 32 000",
    "no-sound-track": '`"audio": "clip.mp4"`, and the clip is silent',
    "path-backslash": "`images\\a.jpg`",
    "path-case": "`IMG_1.JPG` where the file is `img_1.jpg`",
    "path-absolute": '`{"images": ["/mnt/x/a.jpg"]}`',
    "patch-size-list": '`{"patch": "patch_00000", "start_num": 0, "size": [65412]}` for an image',
    "patch-overlap": "bytes 0–600 and bytes 10–610 of one patch",
    "patch-out-of-range": '`"start_num": 1099511627776` in a patch of 300 kB',
    "turns-odd": "a question without an answer",
    "turn-role": '`{"from": "system", "value": "…"}`',
    "placeholder-count": "one `<image>` for two images",
    "placeholder-literal": "“What does the `<video>` tag do in HTML?”",
    "placeholder-order": "`<image>What is heard?<speech>`",
    "text-q-missing": '`{"audio_q": "q.wav"}` without `text_q`',
    "num-frames": '`"num_frames": -1`',
    "num-frames-too-many": "150 frames of a video of 24",
    "region-count": "“Compare `<region>` and `<region>`.” with one object",
    "mask-payload": "`[10, 10, 200, 10, 200, 200]`: a polygon that is not in a list of polygons",
    "mask-size-missing": "polygons, and no `height` and `width` in the record",
    "mask-counts": '`{"size": [720, 1280], "counts": [100, 50]}`',
    "mask-frame-out-of-range": '`{"289": {…}}` for a video of 289 frames, 0 to 288',
    "mask-size-differs": "a mask of 540 × 960 on a picture of 720 × 1280",
    "mask-empty": '`{"size": [64, 96], "counts": [6144]}`',
    "media-contradiction": '`"height": 64` in one record and `"height": 90` in another, of one picture',
}
"""One of each, as it is met."""

_SECTIONS = {
    "MX0": "Reading files and records",
    "MX1": "Media and paths",
    "MX2": "Turns and placeholders",
    "MX3": "Masks",
}


def catalogue() -> str:
    """The page, as Markdown."""
    lines = [
        "# Findings",
        "",
        "Everything modalmix has to say about a record or a file, by code. Codes are never reused. A record with an *error* is",
        "rejected: it is written to the rejects with all its findings, never replaced and never dropped. A *warning* is worth a",
        "look; *info* is said and nothing more.",
        "",
        "This page is made from the source: `python -m modalmix.builders.checks.catalogue > docs/findings.md`.",
    ]
    kinds = sorted(CATALOGUE.values())
    for start, title in _SECTIONS.items():
        lines += ["", f"## {title}"]
        for kind in kinds:
            if kind.code.startswith(start):
                lines += _entry(kind)
    return "\n".join(lines) + "\n"


def _entry(kind: Kind) -> list[str]:
    lines = ["", f"### {kind.code} `{kind.name}` · {kind.severity}", "", kind.meaning, ""]
    if kind.name in UPSTREAM:
        lines += [f"*Upstream:* {UPSTREAM[kind.name]}", ""]
    if kind.name in EXAMPLES:
        lines += [f"*Example:* {EXAMPLES[kind.name]}", ""]
    return [*lines, f"*Mend:* {kind.mend}"]


if __name__ == "__main__":
    sys.stdout.write(catalogue())
