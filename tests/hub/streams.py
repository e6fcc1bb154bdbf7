"""Streams from the test Hub: the calls of a client process about them, and the repositories for them."""

from __future__ import annotations

import io
import random
import tarfile
from pathlib import Path
from typing import Any

from .server import Hub

CALLS = (
    f"sys.path.insert(0, {str(Path(__file__).parents[1])!r})"
    + """
from datasets.distributed import split_dataset_by_node
import modalmix.builders
from modalmix.builders.loading.hub import remote_file, stream_state
from modalmix.builders.pipeline import hub_client
from dataset_rows import bytes_of, undecoded
hub_client.PATIENCE = remote_file.PATIENCE = PATIENCE
warnings = []
import logging
logging.getLogger("modalmix").addFilter(lambda record: warnings.append(record.getMessage()) or True)

def open_dataset(stock=True, cache=None, **given):
    warnings.clear()
    if cache:
        os.environ["MODALMIX_CACHE"] = cache
        datasets.config.HF_DATASETS_CACHE = cache + "/datasets"
    load = datasets.load_dataset if stock else modalmix.builders.load_dataset
    return load(**given)

def digest_and_name(cell):
    return hashlib.sha256(bytes_of(cell)).hexdigest(), cell["path"].rpartition("/")[2]

def digest(row):
    values = {key: value for key, value in row.items() if key not in ("images", "videos", "frames", "audios", "audio_q")}
    for key in row.keys() - values.keys():
        lists = row[key] if key == "frames" else [row[key]]
        values[key] = [[digest_and_name(cell) for cell in cells] for cells in lists]
    return json.loads(json.dumps(values))

def rows(node=None, world=1, take=None, shuffle=None, again=True, tries=20, **given):
    remote_file.PATIENCE = PATIENCE._replace(tries=tries)
    if again:
        stream_state.stream_state.cache_clear()
    try:
        found = undecoded(open_dataset(**given))
    except modalmix.builders.core.errors.DataError as error:
        raise upload.HubError(str(error))
    shards = getattr(found, "num_shards", None)
    if node is not None:
        found = split_dataset_by_node(found, node, world)
    if shuffle is not None:
        found = found.shuffle(seed=shuffle, buffer_size=2)
    out = []
    try:
        for row in found:
            out.append(digest(row))
            if take and len(out) == take:
                break
    except modalmix.builders.core.errors.DataError as error:
        raise upload.HubError(str(error))
    return {"rows": out, "shards": shards, "features": repr(found.features), "warnings": warnings[:]}

def resumed(take, **given):
    stream_state.stream_state.cache_clear()
    stream = undecoded(open_dataset(**given))
    first = []
    for row in stream:
        first.append(digest(row))
        if len(first) == take:
            break
    state = stream.state_dict()
    again = undecoded(open_dataset(**given))
    again.load_state_dict(state)
    return first, [digest(row) for row in again]

def abandoned(fork, **given):
    # reads one row, leaves the stream open, and reads another stream, here or in a forked process
    stream_state.stream_state.cache_clear()
    unfinished = iter(undecoded(open_dataset(**given)))
    first = digest(next(unfinished))
    if not fork:
        return first, [digest(row) for row in undecoded(open_dataset(**given))]
    read, write = os.pipe()
    if not (child := os.fork()):
        os.write(write, json.dumps([digest(row) for row in undecoded(open_dataset(**given))]).encode())
        os._exit(0)
    os.close(write)
    with open(read) as file:
        rest = json.loads(file.read())
    os.waitpid(child, 0)
    return first, rest

def loaded(workers, **given):
    from torch.utils.data import DataLoader
    stream_state.stream_state.cache_clear()
    return [digest(row) for row in DataLoader(undecoded(open_dataset(**given)), num_workers=workers, batch_size=None)]

def inspected(data, cache):
    from modalmix.builders.check import check
    return list(check(data, depth="quick").diagnosis.files.values())

def uploaded(folder, name):
    import huggingface_hub
    huggingface_hub.HfApi().create_repo(name, repo_type="dataset")
    huggingface_hub.HfApi().upload_folder(folder_path=folder, repo_id=name, repo_type="dataset")

def built(data, out, cache):
    from modalmix import cards
    from modalmix.builders import build
    try:
        build.build(data, out, card=cards.write)
    except modalmix.builders.core.errors.DataError as error:
        raise upload.HubError(str(error))
"""
)


def tar(members: dict[str, bytes], mode: str = "w:gz") -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as file:  # type: ignore[call-overload]
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            file.addfile(info, io.BytesIO(data))
    return out.getvalue()


def noise(size: int) -> bytes:
    return random.Random(size).randbytes(size)


def create_repository(hub: Hub, name: str, files: dict[str, bytes]) -> None:
    """Creates a repository with these files, and clears the log of requests."""
    store = hub.store
    store.repos.pop(name, None)
    store.create(name, False, "tester")
    large = (".gz", ".tar", ".wav", ".zst", ".zip", ".parquet", ".0", ".1", "patch_000000")
    entries = {
        path: store.large(store.put([data])) if path.endswith(large) else store.regular(data)
        for path, data in files.items()
    }
    store.commit(name, "main", entries, "files", "tester", store.repos[name]["refs"]["main"])
    hub.log.clear()


def requested_files(hub: Hub, name: str) -> list[str]:
    """The files whose bytes were requested, in order."""
    blobs = {entry["blob"]: path for path, entry in hub.files(name).items() if "lfs" in entry}
    return [blobs[request["path"][6:]] for request in hub.log if request["path"].startswith("/blob/")]


def by_place(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(rows, key=lambda row: (row["source"]["file"], row["source"]["row"]))


def speech(number: int, audio: str, **more: Any) -> dict[str, Any]:
    turns = [{"from": "human", "value": "<speech>\nWhat is it?"}, {"from": "gpt", "value": f"A tone, {number}."}]
    return {"id": f"s{number}", "audio": audio, "conversations": turns, **more}
