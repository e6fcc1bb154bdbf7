from __future__ import annotations

from pathlib import Path

from hub.world import World

from dataset_rows import Folders
from modalmix import cards
from modalmix.builders import build
from preview_server import get, json_of, media_of, served

LOOK = """
import hashlib, json
from modalmix.builders.preview import Viewer, open_collection
viewer = Viewer(open_collection([name]))
viewer.list_all()
found = []
for n in range(viewer.overview()["count"]):
    sheet = json.loads(viewer.answer(f"sample/{n}", {}).body)
    media = [part["medium"] for turn in sheet["turns"] for part in turn["parts"] if "url" in part.get("medium", {})]
    digests = []
    for one in media:
        item = viewer.answer(one["url"], {}).body
        with open(item.path, "rb") as file:
            digests.append(hashlib.sha256(file.read()).hexdigest())
    found.append([sheet["id"], sheet["state"], digests])
viewer.close()
"""


def test_a_dataset_on_the_hub_shows_what_it_shows_here(world: World, tmp_path: Path, example_folders: Folders) -> None:
    import hashlib

    built = str(tmp_path / "built")
    build.build(example_folders["videorefer"], built, card=cards.write)
    with served(built) as server:
        sheets = [json_of(server, f"sample/{n}") for n in range(5)]
        here = [
            [
                s["id"],
                s["state"],
                [hashlib.sha256(get(server, m["url"]).body).hexdigest() for m in media_of(s) if "url" in m],
            ]
            for s in sheets
            if s["state"] == "row" and "frames" not in s["turns"][0]["parts"][0]["medium"]
        ]
    name = world.new()
    world.call("push", folder=built, repository=name)
    there = world.call("defined", code=LOOK, name=name)
    assert len(here) == 3 and all(one in there for one in here)
    none = world.call.modalmix("preview", "tester/none")
    assert none.code == 2 and "'tester/none' is neither here nor on the Hub" in none.err
    assert "Traceback" not in none.err
