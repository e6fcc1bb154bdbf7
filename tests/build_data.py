"""Build data: small inputs, digests of outputs, and an object store to build into."""

from __future__ import annotations

import hashlib
import json
import os
import random
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from modalmix.builders.build import Settings
from modalmix.builders.cli import example_data
from modalmix.builders.core import storage

SMALL = Settings(row_group_bytes=150_000, shard_bytes=300_000)
"""With these settings, `make_data` gives some six tasks and a dozen shards."""


def make_data(folder: Path, count: int = 90) -> Path:
    """Records of three mixes with 3 MB of media: a patch, a picture that distant records share, and broken records."""
    folder.mkdir(parents=True, exist_ok=True)
    noise = random.Random(1).randbytes(60_000)
    patch, records = b"", []
    for i in range(count):
        record = {"id": str(i), "conversations": example_data.turns("<image>\nWhat?", f"A square, {i}. " * 20)}
        picture = example_data.picture(i % 20) + noise[: 40_000 + 97 * i]
        if i % 11 == 3:
            record["conversations"] = record["conversations"][:1]
        if i % 3 == 0:
            record["image"] = {"patch": "/x/patch_00000", "start_num": len(patch), "size": len(picture)}
            patch += picture
        elif i % 3 == 1:
            (folder / f"{i}.jpg").write_bytes(picture)
            record["image"] = f"/x/{i}.jpg"
        else:
            record["conversations"] = example_data.turns("Hello?", "Yes. " * 50)
        records.append(record)
    records[count - 10]["image"] = "/x/nowhere.jpg"
    records[count - 2]["image"] = "/x/1.jpg"
    records[count - 2]["conversations"] = example_data.turns("<image>\nWhat?", "The second again.")
    (folder / "patch_00000").write_bytes(patch)
    (folder / "train.json").write_text(json.dumps(records))
    return folder


def digests(out: str | Path) -> dict[str, str]:
    """Path → SHA-256 of every file of an output, hidden files included."""
    place = storage.at(str(out))
    paths = [path for name in place.names() for path in (place.sizes(name) or [name])]
    return {path: hashlib.sha256(place.read(path) or b"").hexdigest() for path in sorted(paths)}


def command(data: Path, out: str, **options: object) -> list[str]:
    """The command line of a process that builds with the settings `SMALL`."""
    code = (
        "import sys, json; from modalmix import cards; from modalmix.builders import build; "
        "from modalmix.builders.build import Settings; "
        "build.build(sys.argv[1], sys.argv[2], settings=Settings(**json.loads(sys.argv[3])), card=cards.write, "
        "**json.loads(sys.argv[4]))"
    )
    settings = {"row_group_bytes": SMALL.row_group_bytes, "shard_bytes": SMALL.shard_bytes}
    return [sys.executable, "-c", code, str(data), out, json.dumps(settings), json.dumps(options)]


@contextmanager
def object_store() -> Iterator[str]:
    """A real S3 server on this machine; gives the URL of a bucket.  Environment variables name it, also for processes."""
    import logging

    import fsspec
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    names = {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    before = {name: os.environ.get(name) for name in names}
    os.environ.update(names)
    try:
        bucket = f"bucket-{uuid.uuid4().hex[:8]}"  # servers of one process share their buckets
        fsspec.filesystem("s3", skip_instance_cache=True).mkdir(bucket)
        yield f"s3://{bucket}"
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
        server.stop()
        fsspec.get_filesystem_class("s3").clear_instance_cache()
