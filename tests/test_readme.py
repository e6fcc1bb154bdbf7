"""The tutorial of the README is run as it stands, on the example that `make demo` makes."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
TUTORIAL = README[README.index("## Tutorial") : README.index("## Your own data")]


def blocks(language: str, text: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, re.S)


def test_the_tutorial_runs_as_it_is_written(tmp_path: Path) -> None:
    def run(*command: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "HF_DATASETS_CACHE": str(tmp_path / "cache")}
        return subprocess.run([sys.executable, *command], capture_output=True, text=True, cwd=tmp_path, env=environment)

    demo = run("-m", "modalmix", "demo")
    assert demo.returncode == 0, demo.stderr
    commands = [line for block in blocks("sh", TUTORIAL) for line in block.splitlines() if line]
    offline = [command for command in commands if not command.startswith("modalmix push")]
    assert len(offline) == len(commands) - 1 >= 5
    for command in offline:
        program, *arguments = shlex.split(command, comments=True)
        done = run("-m", program, *arguments)
        assert done.returncode == (0 if "preview" in command else 1), (command, done.stderr)  # 1: the defect on purpose
    done = run("-c", "\n".join(blocks("python", TUTORIAL)))
    assert done.returncode == 0, done.stderr
    assert "What moves, and what sounds?" in done.stdout and "'role': 'user'" in done.stdout
    assert "(8, 64, 96, 3)" in done.stdout  # the frames of the training view


def test_links_of_the_pages_lead_to_files_and_headings_that_are_there() -> None:
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]
    assert len(pages) > 8
    for page in pages:
        for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
            if target.startswith("http"):
                continue
            path, _, anchor = target.partition("#")
            file = page.parent / path if path else page
            assert file.exists(), f"{page.name}: {target}"
            if anchor:
                text = file.read_text(encoding="utf-8")
                headings = {
                    re.sub(r"[^\w\- ]", "", line.lstrip("#").strip().lower()).replace(" ", "-")
                    for line in text.splitlines()
                    if line.startswith("#")
                }
                assert anchor in headings or f'id="{anchor}"' in text, f"{page.name}: {target}"


def test_every_command_is_in_the_readme() -> None:
    from modalmix.builders.cli import NAMES

    assert [name for name in NAMES if f"| `modalmix {name}" not in README] == []


def test_files_that_the_pages_name_are_there() -> None:
    pages = [ROOT / "CONTRIBUTING.md", ROOT / "docs" / "architecture.md"]
    named = {
        path for page in pages for path in re.findall(r"`((?:builders|tests|cards)/[\w/]+\.\w+)`", page.read_text())
    }
    assert len(named) > 10
    assert [path for path in sorted(named) if not (ROOT / path).exists() and "NAME" not in path] == []
