from __future__ import annotations

import subprocess
import sys
from importlib.metadata import files
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.mark.skipif(sys.version_info < (3, 11), reason="tomllib came with Python 3.11")
def test_every_package_is_in_the_wheel() -> None:
    import tomllib

    listed = set(tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"])
    there = {
        "modalmix." + ".".join(path.parent.relative_to(ROOT).parts)
        for top in ("builders", "cards", "upload")
        for path in (ROOT / top).rglob("*.py")
    }
    assert listed == {"modalmix", *there}


def test_only_our_name_is_installed_and_it_imports_nothing() -> None:
    code = "import modalmix, importlib.util; print(modalmix.__file__, importlib.util.find_spec('builders'))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd="/")
    assert done.stdout.split() == [str(ROOT / "__init__.py"), "None"]


def test_the_package_is_typed() -> None:
    assert all((ROOT / top / "py.typed").exists() for top in (".", "builders", "cards", "upload"))
    assert any(file.name == "METADATA" for file in files("modalmix") or [])


def test_the_wheel_holds_the_package_and_no_page_or_test_of_the_repository(monkeypatch: pytest.MonkeyPatch) -> None:
    dist = pytest.importorskip("setuptools.dist")
    monkeypatch.chdir(ROOT)
    project = dist.Distribution({"script_name": "setup.py"})
    project.parse_config_files(["pyproject.toml"])
    command = project.get_command_obj("build_py")
    command.build_lib = "LIB"
    command.ensure_finalized()
    installed = {path.removeprefix("LIB/") for path in command.get_outputs(include_bytecode=False)}
    at_the_root = {path.removeprefix("modalmix/") for path in installed if path.count("/") == 1}
    assert at_the_root == {"__init__.py", "__main__.py", "py.typed"}
    assert {path.split("/")[1] for path in installed if path.count("/") > 1} == {"builders", "cards", "upload"}
    assert {
        "modalmix/cards/card.md",
        "modalmix/builders/preview/page.html",
        "modalmix/cards/facts/aria.yaml",
    } <= installed


def test_every_folder_of_the_builders_is_an_attribute() -> None:
    from modalmix import builders

    folders = {path.parent.name for path in (ROOT / "builders").glob("*/__init__.py")}
    assert folders == builders._FOLDERS and folders < set(dir(builders))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = builders.nothing
