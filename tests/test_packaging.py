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
