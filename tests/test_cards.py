from __future__ import annotations

import json
import re
from pathlib import Path

import datasets
import pytest
import yaml
from huggingface_hub import DatasetCard, DatasetCardData
from PIL import Image

from modalmix import cards
from modalmix.builders import build
from modalmix.builders.cli import example_data
from modalmix.builders.cli.main import main
from modalmix.builders.core.counts import Counts
from modalmix.builders.core.report import Report
from modalmix.cards.facts import all_facts, facts_of
from modalmix.cards.markdown import escape
from modalmix.cards.sections import split_front

HOSTILE = (
    "</td></table><script>alert(1)</script> `code` [link](javascript:alert(1)) ![x](http://evil.example/x.png) $x$ **bold** "
    "--- | cell |\n---\nlicense: stolen\n---\n<!-- modalmix: part main ends --> {{jinja}} ${title} @everyone "
    "www.evil.example \u202e\x00"
)


@pytest.fixture
def built(tmp_path: Path, example_folders: dict[str, str]) -> tuple[Path, Report]:
    out = tmp_path / "ola"
    from modalmix.builders.pipeline.options import Options

    return out, build.build(
        example_folders["ola"], str(out), Options(media_root=(example_folders["ola"],)), card=cards.write
    )


def front(text: str) -> dict[str, object]:
    above, _ = split_front(text)
    loaded = yaml.safe_load(above)
    assert isinstance(loaded, dict)
    return loaded


def test_the_card_holds_statistics_a_row_plots_and_attribution(built: tuple[Path, Report]) -> None:
    out, report = built
    text = cards.write(str(out), report)
    assert (out / "README.md").read_text() == text
    for heading in (
        "Load",
        "Rows",
        "Columns",
        "A row",
        "Statistics",
        "Records",
        "Provenance",
        "Licence and attribution",
    ):
        assert f"\n## {heading}\n" in text, heading
    assert "arXiv:2502.04328" in text, "the citation of what the data is"
    for path in re.findall(r"!\[[^]]*\]\(([^)]+)\)", text):
        with Image.open(out / path) as picture:
            assert picture.format == "PNG" and picture.width == 900
    statistics = json.loads((out / "statistics.json").read_text())
    for mix, by_split in report.shards.items():
        rows = sum(shard.rows for shards in by_split.values() for shard in shards)
        one = statistics["mixes"][mix]
        assert one["rows"] == rows == sum(one["turns"])
    loaded = datasets.load_dataset(str(out))
    assert sum(len(part) for part in loaded.values()) == sum(report.counts.written.values())


def test_the_hubs_own_card_classes_read_the_card(built: tuple[Path, Report]) -> None:
    out, report = built
    card = DatasetCard(cards.write(str(out), report))
    assert isinstance(card.data, DatasetCardData)
    data = card.data.to_dict()
    assert (
        data["size_categories"] == ["n<1K"] and "ola" in data["tags"] and set(data["modalities"]) >= {"text", "video"}
    )
    assert len(data["configs"]) == len(data["dataset_info"]) == len(report.shards) + 1
    assert [config["config_name"] for config in data["configs"] if config.get("default")] == ["all"]
    assert all(info["splits"][0]["num_examples"] for info in data["dataset_info"])


def test_the_card_made_anew_is_the_same(built: tuple[Path, Report]) -> None:
    out, report = built
    first = cards.write(str(out), report)
    plots = {path.name: path.read_bytes() for path in (out / "plots").iterdir()}
    (out / "statistics.json").unlink()
    assert cards.write(str(out), report) == first
    assert {path.name: path.read_bytes() for path in (out / "plots").iterdir()} == plots


def test_what_a_person_wrote_stays(built: tuple[Path, Report]) -> None:
    out, report = built
    text = cards.write(str(out), report)
    text = text.replace(
        "stays when the card is made anew. -->\n", "stays when the card is made anew. -->\nWhat *I* know.\n"
    )
    text = text.replace("---\n", "---\npretty_name: My data\nlicense: cc-by-4.0\n", 1) + "\n## My own end\n"
    (out / "README.md").write_text(text)
    assert main(["card", str(out), "--quiet"]) == 0
    again = (out / "README.md").read_text()
    assert "What *I* know." in again and again.rstrip().endswith("## My own end")
    assert front(again)["pretty_name"] == "My data" and front(again)["license"] == "cc-by-4.0"
    assert again.count("## Columns") == 1
    (out / "README.md").write_text("---\n: [broken\n---\n")
    assert main(["card", str(out), "--quiet"]) == 2
    assert (out / "README.md").read_text() == "---\n: [broken\n---\n", "a card that cannot be read is left alone"


def hostile_build(tmp_path: Path) -> tuple[Path, Report]:
    data = tmp_path / "data"
    data.mkdir()
    (data / "a`<b>|${x}.jpg").write_bytes(example_data.picture(1))
    record = {
        "id": HOSTILE,
        "image": "a`<b>|${x}.jpg",
        "conversations": example_data.turns(f"<image>\n{HOSTILE}", HOSTILE),
    }
    (data / "x`<script>$(id)|[y].json").write_text(json.dumps([record]))
    out = tmp_path / "---<script>"
    return out, build.build(str(data), str(out), card=cards.write)


def test_the_card_says_how_it_was_read_but_not_whose_machine_it_was(built: tuple[Path, Report]) -> None:
    out, report = built
    body = split_front(cards.write(str(out), report))[1]
    rules = report.options["rules"]
    assert rules and all("/" in rule["from"].strip("/") for rule in rules)
    reported = body.partition("## Provenance")[2].partition("## Licence")[0]
    assert "recognised for each record" in reported and "decoded and checked" in reported
    assert f"…/{rules[0]['from'].rpartition('/')[2]}" in reported
    assert not any(rule["from"] in reported for rule in rules), "a path of somebody's machine"


def test_text_from_the_data_cannot_break_out(tmp_path: Path) -> None:
    out, report = hostile_build(tmp_path)
    assert sum(report.counts.written.values()) == 1
    text = cards.write(str(out), report)
    assert "stolen" not in str(front(text)) and "license" not in front(text)
    body = split_front(text)[1]
    assert "<script" not in body and "<!-- modalmix: part main ends -->" in body
    assert body.count("<!-- modalmix: part main ends -->") == 1
    assert not re.search(r"https?://evil|www\.evil|javascript:|\]\(http://", body)
    assert "\u202e" not in body and "\x00" not in body
    lines = [line for line in body.splitlines() if "alert" in line]
    assert lines and all(line.startswith(">") or line.startswith("The first row") for line in lines)
    assert cards.write(str(out), report) == text, "a second time it is the same"


def test_rendered_as_html_the_hostile_card_has_no_foreign_element(tmp_path: Path) -> None:
    markdown_it = pytest.importorskip("markdown_it")
    out, report = hostile_build(tmp_path)
    parser = markdown_it.MarkdownIt("commonmark").enable(["table", "strikethrough"])
    html = parser.render(split_front(cards.write(str(out), report))[1])
    assert set(re.findall(r"<([a-z0-9]+)", html)) <= {
        "h1", "h2", "p", "pre", "code", "table", "thead", "tbody", "tr", "th", "td",
        "ul", "li", "strong", "a", "img", "blockquote", "br",
    }  # fmt: skip
    links = re.findall(r'(?:href|src)="([^"]+)"', html)
    assert links and all(
        link.startswith(("plots/", "https://huggingface.co/", "https://github.com/")) for link in links
    ), links


@pytest.mark.parametrize("text", ["a < b & c", "x_y*z", "# no heading", "[a](b)", "|", "`", "$x$", "~~a~~", "\\"])
def test_escaped_text_shows_as_itself(text: str) -> None:
    markdown_it = pytest.importorskip("markdown_it")
    html = markdown_it.MarkdownIt().render(f"x {escape(text)}")
    shown = html.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", '"').replace("&amp;", "&")
    assert shown.strip() == f"<p>x {text}</p>"


def test_facts_say_where_they_are_from_and_what_is_unknown() -> None:
    facts = all_facts()
    upstream = {
        "ola-video", "ola-audio", "ola-cross-modality-finevideo", "ola-cross-modality-llava", "videorefer-700k",
        "videorefer-bench", "llava-video-178k", "finevideo",
    }  # fmt: skip
    assert upstream | {"lmms-finetune", "aria", "mixed"} <= set(facts)
    for name in upstream:
        one = facts[name]
        claimed = {"holds", "citation", "sizes", "layout", "language", "defects"} | (
            {"license"} if one.license else set()
        )
        assert claimed == set(one.sources) and all(source.startswith("https://") for source in one.sources.values())
        assert one.license or "No licence" in one.license_note
        assert one.home and one.layout and one.sizes and one.citation and one.defects


def test_facts_are_found_by_the_names_of_annotation_files() -> None:
    def of(source: str, format: str) -> list[str]:
        return [one.name for one in facts_of([source], [format])]

    assert of("Ola_audio_1169k.json", "ola") == ["ola-audio"]
    assert of("x/Ola_cross_modality_finevideo_175k.json", "ola") == ["ola-cross-modality-finevideo"]
    assert of("0_30_s_nextqa/0_30_s_nextqa_mc_qa_processed.json", "llava_video") == ["llava-video-178k"]
    assert of("1_2_m_youtube_v0_1/1_2_m_youtube_v0_1_cap_processed.json", "llava_video") == ["llava-video-178k"]
    assert of("videorefer-detailed-caption-125k.json", "videorefer") == ["videorefer-700k"]
    assert of("VideoRefer-Bench-Q.json", "videorefer") == ["videorefer-bench"]
    assert of("mine.json", "aria") == ["aria"]


def test_a_report_alone_makes_a_valid_card() -> None:
    report = Report("1", Counts(read=0), {}, {})
    assert front(cards.render("Empty", report))["size_categories"] == ["n<1K"]
