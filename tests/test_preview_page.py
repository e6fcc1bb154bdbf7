"""The preview page in a real headless Chromium."""

from __future__ import annotations

import io
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from dataset_rows import Folders
from modalmix.builders.cli import example_data
from modalmix.builders.preview import Server, Viewer, export, open_collection
from modalmix.builders.preview.entry_index import Filter
from preview_server import HOSTILE, HOSTILE_ID, served, write_awkward_samples

selenium = pytest.importorskip("selenium.webdriver", reason="pip install selenium")
CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
if not (CHROMIUM and DRIVER):
    pytest.skip("no chromium: apt-get install chromium chromium-driver", allow_module_level=True)

DESK, PHONE = (1280, 860), (390, 800)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    options = selenium.ChromeOptions()
    options.binary_location = CHROMIUM
    # no sandbox: tests may run as root; no shared memory: containers have little
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--no-first-run",
                     "--autoplay-policy=no-user-gesture-required", "--mute-audio"):  # fmt: skip
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = selenium.Chrome(options=options, service=selenium.ChromeService(DRIVER))
    driver.set_script_timeout(20)
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def refer(example_folders: Folders) -> Iterator[Server]:
    with served(example_folders["videorefer"]) as server:
        yield server


@pytest.fixture(scope="module")
def hard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with served(write_awkward_samples(tmp_path_factory.mktemp("awkward"))) as server:
        yield server


def until(browser: Any, script: str, what: Callable[[Any], bool] = bool) -> Any:
    """The value of a script as soon as `what` accepts it."""
    end = time.monotonic() + 40
    while True:
        value = browser.execute_script(f"return {script}")
        if what(value):
            return value
        assert time.monotonic() < end, f"{script} stays {value!r}"
        time.sleep(0.03)


def sized(browser: Any, size: tuple[int, int]) -> None:
    width, height = size
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)


def show(browser: Any, url: str, n: int = 0, size: tuple[int, int] = DESK) -> None:
    """Opens a page anew at a sample, and waits for its pictures."""
    sized(browser, size)
    browser.get("about:blank")
    browser.get(f"{url}#n={n}")
    until(browser, f"document.querySelector('.sheet[data-n=\"{n}\"]') !== null")
    settled(browser)


def settled(browser: Any) -> None:
    """Waits for the pictures in sight; those further off are loaded when they come near."""
    away = "i.getBoundingClientRect().top > innerHeight || i.getBoundingClientRect().left > innerWidth"
    until(browser, f"[...document.querySelectorAll('#sample img')].every(i => i.complete || {away})")


def press(browser: Any, *keys: str) -> None:
    chain = selenium.ActionChains(browser)
    for key in keys:
        chain.send_keys(key)
    chain.perform()


def open_number(browser: Any) -> int:
    return int(browser.execute_script("return document.querySelector('.sheet')?.dataset.n ?? -1"))


def screenshot(browser: Any) -> Any:
    with Image.open(io.BytesIO(browser.get_screenshot_as_png())) as picture:
        return np.asarray(picture.convert("RGB")).astype(int)


def console_errors(browser: Any) -> list[str]:
    """The errors in the browser's console: refused by the policy, failed, thrown."""
    return [line["message"] for line in browser.get_log("browser") if line["level"] == "SEVERE"]


def test_pictures_are_loaded(browser: Any, hard: Server) -> None:
    show(browser, hard.url, 0)
    script = "[...document.querySelectorAll('#sample .shot > img:first-child')]"
    assert browser.execute_script(f"return {script}.length") == 30
    browser.execute_script("document.querySelector('#sample').scrollTo(0, 1e6)")
    until(browser, f"{script}.every(i => i.complete && i.naturalWidth === 96)")


def test_a_video_plays_and_seeks(browser: Any, hard: Server) -> None:
    show(browser, hard.url, 7)
    until(browser, "document.querySelector('video').readyState >= 2")
    assert abs(browser.execute_script("return document.querySelector('video').duration") - 4) < 0.2
    moved = browser.execute_async_script(
        "const [done] = [arguments[0]], v = document.querySelector('video');"
        "v.addEventListener('seeked', () => done(v.currentTime), {once: true}); v.currentTime = 2.5;"
    )
    assert abs(moved - 2.5) < 0.1
    press(browser, " ")
    until(browser, "document.querySelector('video').currentTime > 2.7")
    press(browser, " ")
    assert browser.execute_script("return document.querySelector('video').paused")


def test_a_seek_shows_the_frame_of_that_time(browser: Any, hard: Server) -> None:
    show(browser, hard.url, 7)
    until(browser, "document.querySelector('video').readyState >= 2")
    for index in (3, 20):
        pixels = browser.execute_async_script(
            "const [index, done] = arguments, v = document.querySelector('video');"
            "v.addEventListener('seeked', () => requestVideoFrame(), {once: true}); v.currentTime = (index + 0.5) / 12;"
            "function requestVideoFrame() { const c = document.createElement('canvas'); c.width = 96; c.height = 64;"
            " const x = c.getContext('2d'); x.drawImage(v, 0, 0); done([...x.getImageData(0, 30, 96, 1).data]); }",
            index,
        )
        yellow = [x for x in range(96) if pixels[4 * x] > 225 and pixels[4 * x + 1] > 190]
        _, left, _, right = example_data.square(index)
        assert abs(yellow[0] - left) <= 2 and abs(yellow[-1] + 1 - right) <= 2


def test_sounds_play(browser: Any, example_folders: Folders) -> None:
    with served(os.path.join(example_folders["ola"], "ola_audio")) as server:
        show(browser, server.url, 1)
        until(browser, "document.querySelector('audio').readyState >= 1")
        assert abs(browser.execute_script("return document.querySelector('audio').duration") - 0.5) < 0.05
        assert console_errors(browser) == []


@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
def test_masks_are_drawn_on_the_right_pixels(browser: Any, refer: Server, size: tuple[int, int]) -> None:
    show(browser, refer.url, 0, size)
    browser.execute_script("document.querySelector('.annotated').scrollIntoView({block: 'center'})")
    settled(browser)
    boxes = browser.execute_script(
        "return [...document.querySelectorAll('.annotated .shot')].map(s => s.getBoundingClientRect())"
        ".map(r => [r.x, r.y, r.width, r.height])"
    )
    with_masks = screenshot(browser)
    press(browser, "m")
    until(browser, "getComputedStyle(document.querySelector('.mask')).opacity === '0'")
    without = screenshot(browser)
    press(browser, "m")
    assert len(boxes) == 3
    for (x, y, width, height), index in zip(boxes, (0, 8, 16), strict=True):
        changed = (abs(with_masks - without).max(2) > 12)[int(y) : int(y + height), int(x) : int(x + width)]
        top, left, bottom, right = example_data.square(index)
        scale = width / 96
        rows, columns = np.nonzero(changed)
        found = [rows.min(), columns.min(), rows.max() + 1, columns.max() + 1]
        assert np.allclose(found, [side * scale for side in (top, left, bottom, right)], atol=scale + 1), (index, found)
        assert abs(height / width - 64 / 96) < 0.01
        inside = changed[int(top * scale) + 2 : int(bottom * scale) - 2, int(left * scale) + 2 : int(right * scale) - 2]
        assert inside.mean() > 0.99


def test_a_region_has_the_colour_of_its_mask_and_highlights_it(browser: Any, refer: Server) -> None:
    show(browser, refer.url, 1)
    regions = ".turn .region"
    colours = browser.execute_script(
        f"return [...document.querySelectorAll('{regions}')].map(r => getComputedStyle(r, '::before').backgroundColor)"
    )
    drawn = browser.execute_script(
        "return [...document.querySelectorAll('.shot .mask')].map(i => { const c = document.createElement('canvas');"
        " c.width = i.naturalWidth; c.height = i.naturalHeight; const x = c.getContext('2d'); x.drawImage(i, 0, 0);"
        " const p = x.getImageData(4, 20, 1, 1).data; return `rgb(${p[0]}, ${p[1]}, ${p[2]})`; })"
    )
    assert colours == drawn and len(set(colours)) == 2
    browser.execute_script(f"document.querySelectorAll('{regions}')[1].click()")
    dim = "[...document.querySelectorAll('.shot .mask')].map(m => m.classList.contains('dim'))"
    assert browser.execute_script(f"return {dim}") == [True, False]
    press(browser, "1")
    assert browser.execute_script(f"return {dim}") == [False, True]
    press(browser, "1")
    assert browser.execute_script(f"return {dim}") == [False, False]


def test_keys_reach_every_part_of_the_page(browser: Any, refer: Server) -> None:
    show(browser, refer.url, 0)
    for keys, n in (("j", 1), ("j", 2), ("k", 1), ("\ue014", 2), ("\ue012", 1)):  # arrows right and left
        press(browser, keys)
        until(browser, f"document.querySelector('.sheet').dataset.n === '{n}'")
    press(browser, "/", "there", "\ue00c")  # Escape leaves the field
    until(browser, "document.querySelector('.sheet').dataset.n === '2'")
    assert browser.execute_script("return document.getElementById('found').textContent") == "1 of 5 samples"
    press(browser, "c")
    until(browser, "document.querySelectorAll('#columns dt').length > 0")
    press(browser, "?")
    assert browser.execute_script("return document.getElementById('keys').open")
    press(browser, "\ue00c")
    assert not browser.execute_script("return document.getElementById('keys').open")


def test_the_enlarged_picture_opens_goes_on_and_closes(browser: Any, refer: Server) -> None:
    show(browser, refer.url, 0)
    browser.execute_script("document.querySelector('.shot').click()")
    caption = "document.getElementById('large-caption').textContent"
    until(browser, "document.querySelector('#stage img')?.naturalWidth > 0")
    assert until(browser, caption) == "frame 0 · 1 of 3"
    press(browser, "\ue014")
    assert until(browser, caption) == "frame 8 · 2 of 3"
    until(browser, "document.querySelector('#stage .mask')?.naturalWidth > 0")
    press(browser, "\ue00c")
    assert not browser.execute_script("return document.getElementById('large').open")
    assert open_number(browser) == 0


def test_a_filter_by_finding_survives_a_reload(browser: Any, refer: Server) -> None:
    show(browser, refer.url, 0)
    browser.execute_script("document.querySelector('[data-filter=\"finding=MX301\"]').click()")
    until(browser, "document.querySelector('.sheet').dataset.n === '3'")
    assert "MX301" in browser.execute_script("return document.querySelector('.finding').textContent")
    assert browser.execute_script("return document.getElementById('total').textContent") == "of 1"
    browser.refresh()
    until(browser, "document.querySelector('.sheet')?.dataset.n === '3'")
    assert (
        browser.execute_script("return document.querySelector('[aria-pressed=\"true\"]').dataset.filter")
        == "finding=MX301"
    )


def test_a_search_without_a_match_offers_to_clear_itself(browser: Any, refer: Server) -> None:
    show(browser, refer.url, 0)
    browser.execute_script("document.querySelector('[data-filter=\"mix=video_masks\"]').click()")
    press(browser, "/", "nowhere")
    until(browser, "document.querySelector('.message')?.textContent.includes('No sample matches')")
    assert open_number(browser) == -1
    browser.execute_script("document.querySelector('.message button').click()")
    until(browser, "document.querySelector('.sheet')?.dataset.n === '0'")
    assert browser.execute_script("return document.getElementById('found').textContent") == "5 samples"
    assert browser.execute_script("return document.querySelector('[aria-pressed=\"true\"][data-filter]')") is None


def test_hostile_data_stays_text(browser: Any, hard: Server) -> None:
    console_errors(browser)
    show(browser, hard.url, 4)
    press(browser, "c")
    until(browser, "document.querySelectorAll('#columns dt').length > 0")
    assert browser.execute_script("return window.pwned") is None
    assert (
        browser.execute_script(
            "return document.querySelectorAll('#sample a, #sample script, #sample iframe, [onerror]').length"
        )
        == 0
    )
    texts = browser.execute_script("return [...document.querySelectorAll('.text')].map(p => p.textContent)")
    assert texts == [HOSTILE, HOSTILE, HOSTILE]
    assert browser.execute_script("return document.querySelector('.head bdi').textContent") == HOSTILE_ID
    assert HOSTILE_ID in browser.title
    assert console_errors(browser) == []


def test_a_medium_that_cannot_be_shown_has_a_reason(browser: Any, hard: Server) -> None:
    show(browser, hard.url, 6)
    assert "none.jpg" in browser.execute_script("return document.querySelector('.missing').textContent")
    show(browser, hard.url, 9)
    assert "cannot be shown" in until(browser, "document.querySelector('.missing')?.textContent")


def test_a_long_text_opens_in_full_on_demand(browser: Any, hard: Server) -> None:
    show(browser, hard.url, 1)
    text = "document.querySelector('.human .text').textContent"
    assert len(browser.execute_script(f"return {text}")) < 4000
    browser.execute_script("document.querySelector('.more').click()")
    assert browser.execute_script(f"return {text}") == " ".join(f"Sentence {i} of a long text." for i in range(900))


def test_right_to_left_text_runs_right_to_left(browser: Any, hard: Server) -> None:
    show(browser, hard.url, 2)
    directions = browser.execute_script(
        "return [...document.querySelectorAll('.text')].map(p => getComputedStyle(p).direction)"
    )
    assert directions == ["rtl", "rtl"]
    show(browser, hard.url, 3)
    assert browser.execute_script("return getComputedStyle(document.querySelector('.text')).direction") == "ltr"


@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
def test_nothing_overflows_the_page(browser: Any, hard: Server, size: tuple[int, int]) -> None:
    show(browser, hard.url, 0, size)
    for n in range(10):
        until(browser, f"document.querySelector('.sheet').dataset.n === '{n}'")
        settled(browser)
        wide = browser.execute_script(
            "return [...document.querySelectorAll('#sample, .sheet, .turn, .text, .head h2, .finding, .media')]"
            ".filter(e => e.getBoundingClientRect().right > innerWidth + 0.5).map(e => e.className)"
        )
        assert wide == [], n
        over = "document.querySelector('#sample').scrollWidth - document.querySelector('#sample').clientWidth"
        assert browser.execute_script(f"return {over}") <= 0, n
        press(browser, "j")


def test_on_a_phone_the_list_slides_in_and_out(browser: Any, hard: Server) -> None:
    show(browser, hard.url, 0, PHONE)
    visible = "getComputedStyle(document.getElementById('pane')).visibility === 'visible'"
    assert not browser.execute_script(f"return {visible}")
    browser.execute_script("document.getElementById('menu').click()")
    until(browser, visible)
    until(browser, "document.querySelector('#line-3 .excerpt')?.textContent.includes('Describe')")
    browser.execute_script("document.querySelector('#line-3').click()")
    until(browser, "document.querySelector('.sheet').dataset.n === '3'")
    until(browser, f"!({visible})")


def test_masks_are_drawn_on_the_stored_pixels_of_a_rotated_picture(browser: Any, tmp_path: Path) -> None:
    """Masks are annotated on stored pixels; a browser would rotate the picture under them."""
    exif = Image.Exif()
    exif[0x0112] = 6
    with Image.open(io.BytesIO(example_data.picture(1))) as picture:
        picture.save(tmp_path / "turned.jpg", exif=exif)
    record = {
        "id": 0,
        "image": "turned.jpg",
        "conversations": example_data.turns("<image>\nWhat is <region>?", "A square."),
        "annotation": [{"0": {"segmentation": example_data.rle(0)}}],
    }
    (tmp_path / "annotation.json").write_text(json.dumps([record]))
    with served(str(tmp_path)) as server:
        show(browser, server.url, 0)
        until(browser, "document.querySelector('.shot img').naturalWidth > 0")
        width, height = browser.execute_script(
            "const r = document.querySelector('.shot img').getBoundingClientRect(); return [r.width, r.height]"
        )
        assert abs(width / height - 1.5) < 0.02


def test_many_frames_are_drawn_on_demand(browser: Any, tmp_path: Path) -> None:
    (tmp_path / "frames").mkdir()
    for i in range(230):
        (tmp_path / "frames" / f"{i:04}.jpg").write_bytes(example_data.picture(1))
    record = {"id": 0, "video": "frames", "conversations": example_data.turns("<video>\nWhat?", "A square.")}
    (tmp_path / "annotation.json").write_text(json.dumps([record]))
    with served(str(tmp_path)) as server:
        show(browser, server.url, 0)
        assert browser.execute_script("return document.querySelectorAll('.frames .shot').length") == 200
        browser.execute_script("document.querySelector('.more').click()")
        assert browser.execute_script("return document.querySelectorAll('.frames .number')[229].textContent") == "229"


def test_dark_and_light_differ_and_are_legible(browser: Any, hard: Server) -> None:
    show(browser, hard.url, 2)
    lightness = []
    for _ in range(2):
        colours = browser.execute_script(
            "return [['body', 'backgroundColor'], ['.text', 'color']]"
            ".map(([of, what]) => getComputedStyle(document.querySelector(of))[what])"
        )
        ground, ink = ([int(part) for part in colour[4:-1].split(",")] for colour in colours)
        assert abs(sum(ground) - sum(ink)) > 400
        lightness.append(sum(ground))
        press(browser, "t")
    assert abs(lightness[0] - lightness[1]) > 400


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("many")
    with open(folder / "train.jsonl", "w") as file:
        file.writelines(
            json.dumps({"id": f"r{i}", "conversations": example_data.turns(f"Question {i}", f"Answer {i}")}) + "\n"
            for i in range(100_000)
        )
    viewer = Viewer(open_collection([str(folder)]))
    server = Server(viewer)
    server.start()
    viewer.start()  # as the command does: the page is there while the listing goes on
    yield server
    server.close()
    viewer.close()


def test_100_000_samples_are_shown_while_they_are_listed_and_few_lines_are_drawn(browser: Any, many: Server) -> None:
    show(browser, many.url, 0)
    assert open_number(browser) == 0
    until(browser, "document.body.dataset.done === 'true'")
    until(browser, "document.getElementById('total').textContent === 'of 100,000'")
    browser.execute_script("document.getElementById('list').focus()")
    press(browser, "\ue010")  # End
    until(browser, "document.querySelector('.sheet').dataset.n === '99999'")
    until(browser, "document.querySelector('#line-99999 .excerpt')?.textContent === 'Question 99999'")
    browser.execute_script(
        "document.getElementById('list').scrollTop = document.getElementById('list').scrollHeight / 2"
    )
    until(browser, "[...document.querySelectorAll('.line')].every(l => Math.abs(Number(l.id.slice(5)) - 50000) < 100)")
    until(browser, "document.querySelectorAll('.line:not(.waiting)').length > 5")
    assert browser.execute_script("return document.querySelectorAll('.line').length") < 60
    press(browser, "/", "answer 54321")
    until(browser, "document.querySelector('.sheet').dataset.n === '54321'")


def test_a_page_without_a_server_works_from_the_disk(browser: Any, tmp_path: Path, example_folders: Folders) -> None:
    viewer = Viewer(open_collection([example_folders["videorefer"]]))
    try:
        path = export(viewer, str(tmp_path / "page"), Filter(), samples=10)
    finally:
        viewer.close()
    console_errors(browser)
    show(browser, f"file://{path}", 0)
    until(browser, "document.querySelector('video').readyState >= 1")
    until(browser, "document.querySelector('.annotated .mask').naturalWidth === 96")
    press(browser, "j", "c")
    until(browser, "document.querySelector('.sheet').dataset.n === '1'")
    until(browser, "[...document.querySelectorAll('.shot img')].every(i => i.naturalWidth === 96)")
    until(browser, "document.querySelectorAll('#columns dt').length > 0")
    press(browser, "/", "compare")
    until(browser, "document.querySelector('.sheet').dataset.n === '3'")
    assert console_errors(browser) == []
