from __future__ import annotations

import json
from pathlib import Path

from hub import Hub
from hub.client import PUSH, Clients

from loading import Folders
from modalmix.builders import packing
from previewing import get, json_of, media_of, served

LOOK = """
import hashlib, json
from modalmix.builders.preview import Viewer, open_collection
viewer = Viewer(open_collection([sys.argv[1]]))
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
print(json.dumps(found))
from modalmix.builders.cli import main
sys.exit(main(["preview", "tester/none"]))
"""


def test_a_dataset_on_the_hub_shows_what_it_shows_here(tmp_path: Path, example_folders: Folders) -> None:
    import hashlib

    built = str(tmp_path / "built")
    packing.build(example_folders["videorefer"], built)
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
    with Hub(str(tmp_path / "hub")) as hub:
        clients = Clients(hub, tmp_path / "home", "lfs")
        pushed = clients.run(PUSH, built, "tester/refer")
        assert pushed.returncode == 0, pushed.stderr
        looked = clients.run(LOOK, "tester/refer")
        there = json.loads(looked.stdout.splitlines()[-1])
        assert len(here) == 3 and all(one in there for one in here)
        # and then one that is not there
        assert looked.returncode == 2 and "'tester/none' is neither here nor on the Hub" in looked.stderr, looked.stderr
        assert "Traceback" not in looked.stderr
