"""How much a push sends, and how long it takes, with a Hub on loopback.

    python tests/benchmarks/upload.py                150 MB of pictures in shards of 40 MB

In both modes (Xet, the clients' default, and LFS): the first push; the same push again; a push after the text of one row has
changed; a push after a new first row, which changes every shard; a push that is killed half-way and started again; and the stock
``HfApi.upload_folder``.  ``sent`` is the number of bytes of blobs and xorbs that the Hub received, ``×`` is against the bytes of
the shards.  Each push is a process of its own, its start included.  There is no network.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from hub import Hub
from hub.client import MODALMIX, MODES, Clients

from modalmix import cards
from modalmix.builders import build as building
from modalmix.builders.cli import example_data

STOCK = """
from huggingface_hub import HfApi
api = HfApi()
api.create_repo(sys.argv[3], repo_type="dataset", exist_ok=True)
api.upload_folder(folder_path=sys.argv[2], repo_id=sys.argv[3], repo_type="dataset", ignore_patterns=[".push*"])
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1500)
    parser.add_argument("--size", type=int, default=100_000, help="bytes of a picture")
    parser.add_argument("--shard", type=int, default=40_000_000, help="bytes of a shard")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        rows = list(range(options.rows))
        first = build(root, "first", rows, options)
        edited = build(root, "edited", rows, options, changed=options.rows // 2)
        longer = build(root, "longer", [options.rows, *rows], options)
        total = size(first)
        print(f"{options.rows} rows, {total / 1e6:,.1f} MB in {len(list(first.rglob('*.parquet')))} shards")
        print(f"{'':34} {'mode':>5} {'MB sent':>9} {'×':>6} {'seconds':>8}")
        for mode in MODES:
            with Hub(str(root / f"hub-{mode}")) as hub:
                client = Clients(hub, root / f"home-{mode}", mode)
                for what, out in (
                    ("first push", first),
                    ("the same again", first),
                    ("one row's text changed", edited),
                    ("a row put in front", longer),
                ):
                    timed(what, client, MODALMIX, out, total)
            with Hub(str(root / f"hub-killed-{mode}")) as hub:
                client = Clients(hub, root / f"home-killed-{mode}", mode)
                killed(client, first, total)
                timed("… and started again", client, MODALMIX, first, total)
            with Hub(str(root / f"hub-stock-{mode}")) as hub:
                client = Clients(hub, root / f"home-stock-{mode}", mode)
                timed("upload_folder", client, STOCK, first, total)


def build(root: Path, name: str, rows: list[int], options: argparse.Namespace, changed: int = -1) -> Path:
    data, out = root / "data", root / name
    data.mkdir(exist_ok=True)
    records = []
    for row in rows:
        path = data / f"{row}.jpg"
        if not path.exists():
            path.write_bytes(example_data.picture(row % 50) + random.Random(row).randbytes(options.size))
        answer = "Another answer." if row == changed else "A yellow square on a coloured ground."
        records.append({"id": row, "image": path.name, "conversations": example_data.turns("<image>\nWhat?", answer)})
    (data / "train.json").write_text(json.dumps(records))
    building.build(
        str(data),
        str(out),
        settings=building.Settings(row_group_bytes=4 << 20, shard_bytes=options.shard),
        card=cards.write,
    )
    return out


def size(out: Path) -> int:
    return sum(path.stat().st_size for path in out.rglob("*.parquet"))


def timed(what: str, clients: Clients, code: str, out: Path, total: int) -> None:
    clients.hub.log.clear()
    began = time.perf_counter()
    done = clients.run(code, "push", str(out), "tester/set", timeout=600)
    seconds = time.perf_counter() - began
    if done.returncode:
        sys.exit(done.stderr)
    print_row(what, clients, total, seconds)


def killed(clients: Clients, out: Path, total: int) -> None:
    """Kills a push when half of the bytes are sent."""
    began = time.perf_counter()
    process = clients.start(MODALMIX, "push", str(out), "tester/set")
    while process.poll() is None and clients.hub.sent() < total / 2:
        time.sleep(0.005)
    process.kill()
    process.communicate()
    time.sleep(1)
    print_row("killed half-way", clients, total, time.perf_counter() - began)


def print_row(what: str, clients: Clients, total: int, seconds: float) -> None:
    sent = clients.hub.sent()
    print(f"{what:34} {clients.mode:>5} {sent / 1e6:9.2f} {sent / total:6.3f} {seconds:8.1f}", flush=True)


if __name__ == "__main__":
    main()
