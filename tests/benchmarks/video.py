"""How fast frames come out of a video: opening it and reading N uniform frames as RGB arrays, one thread.

    python tests/benchmarks/video.py               32 frames of 360p and 720p, GOP 250 and 30, from a path and from bytes

Peers, in turn in one process, medians over ``--repeats``; ``×`` is decord's time over the peer's, higher is better:

decord      ``VideoReader(…).get_batch`` with one thread
modalmix    `open_video(…).read`, as ``auto`` does it
pyav        PyAV decoding from the start, pictures by ``to_ndarray``
torchcodec  ``VideoDecoder(…).get_frames_at``, exact, one thread (where it is installed)

The clips are made once, H.264 by x264 with B-frames, 30 s of a textured ground that pans with a moving square before it.
``--check`` compares every peer's pictures with modalmix's first.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from modalmix.builders.media.video import open_video
from modalmix.builders.views import frame_sampling

Source = str | bytes
Peer = Callable[[Source, Sequence[int]], Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, nargs="+", default=[32])
    parser.add_argument("--heights", type=int, nargs="+", default=[360, 720])
    parser.add_argument("--gops", type=int, nargs="+", default=[250, 30])
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--peers", nargs="+", default=list(PEERS), choices=PEERS)
    parser.add_argument("--folder", help="where to keep the clips; a temporary folder by default")
    parser.add_argument("--check", action="store_true", help="compare the pictures before the clock starts")
    options = parser.parse_args()
    peers = [peer for peer in options.peers if peer not in ("decord", "torchcodec") or find_spec(peer)]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(options.folder or temporary)
        print(f"load {os.getloadavg()[0]:.1f}, median of {options.repeats}, milliseconds (× decord)")
        print(f"{'':26}" + "".join(f"{peer:>18}" for peer in peers))
        products: dict[str, list[float]] = {peer: [] for peer in peers}
        for height in options.heights:
            for gop in options.gops:
                path = clip(folder, height, gop)
                for count in options.frames:
                    for kind, source in (("path", str(path)), ("bytes", path.read_bytes())):
                        row = compare(source, frame_sampling.uniform(900, count), peers, options.repeats, options.check)
                        cells = ""
                        for peer in peers:
                            ratio = row["decord"] / row[peer] if "decord" in row else float("nan")
                            products[peer].append(ratio)
                            cells += f"{row[peer] * 1e3:10.0f} ({ratio:4.2f}×)"
                        print(f"{height}p GOP {gop:3} N={count:<3} {kind:6}".ljust(26) + cells, flush=True)
        print(
            f"{'all (geometric mean)':26}" + "".join(f"{statistics.geometric_mean(products[p]):16.2f}×" for p in peers)
        )


def clip(folder: Path, height: int, gop: int, frames: int = 900) -> Path:
    """A clip of 30 s at 30 frames a second, made if it is not there."""
    import av

    path = folder / f"{height}p-{gop}.mp4"
    if path.exists():
        return path
    folder.mkdir(parents=True, exist_ok=True)
    width = height * 16 // 9 // 2 * 2
    random = np.random.default_rng(0)
    ground = sum(
        np.kron(random.uniform(0, 255 / 3, (size, size, 3)), np.ones((2048 // size, 2048 // size, 1)))
        for size in (16, 64, 256)
    ).astype(np.uint8)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=30, options={"preset": "medium", "crf": "23"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.gop_size = gop
        for index in range(frames):
            at = index * 2 % (2048 - width), index % (2048 - height)
            picture = ground[at[1] : at[1] + height, at[0] : at[0] + width].copy()
            left = index * 5 % (width - 80)
            picture[height // 2 : height // 2 + 60, left : left + 80] = (250, 220, 30)
            picture[::2, ::2] ^= random.integers(0, 8, picture[::2, ::2].shape, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def compare(source: Source, indices: Sequence[int], peers: list[str], repeats: int, check: bool) -> dict[str, float]:
    if check:
        ours = modalmix(source, indices)
        for peer in peers:
            assert np.array_equal(PEERS[peer](source, indices), ours), peer
    seconds: dict[str, list[float]] = {peer: [] for peer in peers}
    for _ in range(repeats):
        for peer in peers:
            began = time.perf_counter()
            PEERS[peer](source, indices)
            seconds[peer].append(time.perf_counter() - began)
    return {peer: statistics.median(times) for peer, times in seconds.items()}


def decord(source: Source, indices: Sequence[int]) -> Any:
    import decord as library

    reader = library.VideoReader(BytesIO(source) if isinstance(source, bytes) else source, num_threads=1)
    return reader.get_batch(list(indices)).asnumpy()


def modalmix(source: Source, indices: Sequence[int]) -> Any:
    with open_video(source) as video:
        return video.read(indices)


def pyav(source: Source, indices: Sequence[int]) -> Any:
    import av

    needed, found = set(indices), {}
    with av.open(BytesIO(source) if isinstance(source, bytes) else source) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        for index, frame in enumerate(container.decode(stream)):
            if index in needed:
                found[index] = frame.to_ndarray(format="rgb24")
                if len(found) == len(needed):
                    break
    return np.stack([found[index] for index in indices])


def torchcodec(source: Source, indices: Sequence[int]) -> Any:
    from torchcodec.decoders import VideoDecoder

    decoder = VideoDecoder(source, dimension_order="NHWC", num_ffmpeg_threads=1)
    return decoder.get_frames_at(list(indices)).data.numpy()


PEERS: dict[str, Peer] = {"decord": decord, "modalmix": modalmix, "pyav": pyav, "torchcodec": torchcodec}

if __name__ == "__main__":
    main()
