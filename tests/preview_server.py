"""Preview server for tests: hostile and awkward samples, a served viewer, and a plain HTTP client."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from modalmix.builders.cli import example_data
from modalmix.builders.pipeline.options import Options
from modalmix.builders.preview import CheckFindings, Server, Viewer, open_collection

HOSTILE = (
    "<script>window.pwned=1</script><img src=x onerror='window.pwned=2'> \"quotes\" 'single' &lt;b&gt; "
    "[link](javascript:window.pwned=3) javascript:alert(1)"
)
HOSTILE_ID = '"\'><script>window.pwned=4</script><a href="javascript:alert(1)">'


class Reply(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes


def write_awkward_samples(folder: Path) -> str:
    """Writes samples that are hard to draw."""
    for i in range(30):
        path = folder / "images" / f"{i}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(example_data.picture(i))
    example_data.video(str(folder / "v.mp4"), 3, frames=48)
    example_data.sound(str(folder / "s.wav"), 2)
    long = " ".join(f"Sentence {i} of a long text." for i in range(900))
    (folder / "page.jpg").write_text("<html><script>window.pwned=5</script></html>")
    records = [
        ("thirty", {"image": [f"images/{i}.jpg" for i in range(30)]}, "<image>" * 30 + "Which?", "The odd one."),
        ("long", {}, long, "It is long."),
        ("rtl", {"image": "images/1.jpg"}, "<image>\nما الذي يتحرك في هذه الصورة؟", "מרובע צהוב (yellow)."),
        ("emoji 🦊", {}, "Describe 👩‍👩‍👧‍👦 🙏🏽", "Family 🇫🇷 🏳️‍🌈"),
        (HOSTILE_ID, {"image": "images/2.jpg", "system_prompt": HOSTILE}, f"<image>\n{HOSTILE}", HOSTILE),
        ("literal", {}, "What does the <video> tag do?", "It embeds a video."),
        ("gone", {"image": ["images/none.jpg", "images/3.jpg"]}, "<image><image>Compare.", "They differ."),
        ("both", {"video": "v.mp4", "image": "images/5.jpg"}, "<video>What moves? <image>And here?", "Nothing."),
        ("w" * 300, {}, "x" * 900, "y"),
        ("no picture", {"image": "page.jpg"}, "<image>What?", "A page."),
    ]
    annotated = [{"id": id_, **media, "conversations": example_data.turns(*said)} for id_, media, *said in records]
    (folder / "train.json").write_text(json.dumps(annotated, ensure_ascii=False), "utf-8")
    return str(folder)


@contextmanager
def served(*data: str, options: Options | None = None, findings: str = "") -> Iterator[Server]:
    """A server of the data, with all samples listed."""
    viewer = Viewer(open_collection(list(data), options or Options()), CheckFindings(findings) if findings else None)
    viewer.list_all()
    server = Server(viewer)
    server.start()
    try:
        yield server
    finally:
        server.close()
        viewer.close()


def request(server: Server, path: str, method: str = "GET", **headers: str) -> Reply:
    """One request, exactly as written: a client library would normalise the path and the headers."""
    lines = {
        "Host": f"127.0.0.1:{server.port}",
        "Connection": "close",
        **{k.replace("_", "-"): v for k, v in headers.items()},
    }
    text = f"{method} {path} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in lines.items()) + "\r\n"
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        connection.sendall(text.encode("latin-1"))
        got = b""
        while chunk := connection.recv(1 << 16):
            got += chunk
    head, _, body = got.partition(b"\r\n\r\n")
    first, *rest = head.decode("latin-1").split("\r\n")
    return Reply(int(first.split()[1]), {k.lower(): v for k, v in (line.split(": ", 1) for line in rest)}, body)


def get(server: Server, address: str, **headers: str) -> Reply:
    return request(server, f"/{server.token}/{address}", **headers)


def json_of(server: Server, address: str) -> Any:
    reply = get(server, address)
    assert reply.status == 200, reply
    return json.loads(reply.body)


def media_of(sheet: dict[str, Any]) -> list[dict[str, Any]]:
    """The media of a sheet in order, each frame by itself."""
    parts = [part["medium"] for turn in sheet["turns"] for part in turn["parts"] if "medium" in part]
    return [one for medium in parts for one in medium.get("frames", [medium])]
