from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version

import pytest

from modalmix.builders.cli import NAMES

SLOW = ("av", "datasets", "huggingface_hub", "numpy", "pandas", "pyarrow", "rich", "torch", "yaml")


@pytest.mark.parametrize("arguments", [["--version"], ["--help"], *([name, "--help"] for name in NAMES)], ids=" ".join)
def test_help_imports_nothing_slow(arguments: list[str]) -> None:
    code = f"""
import sys
from modalmix.builders.cli.main import main
try:
    main({arguments!r})
except SystemExit as ended:
    assert not ended.code
print("imported:", *(name for name in {SLOW!r} if name in sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1].strip() == "imported:"
    assert len(done.stdout.splitlines()) > 1


def test_the_version_is_that_of_the_installed_package() -> None:
    code = (
        "import modalmix, sys; print(modalmix.__version__, *(name for name in sys.modules if name[:9] == 'modalmix.'))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == version("modalmix")


def test_the_package_runs_as_a_command() -> None:
    done = subprocess.run([sys.executable, "-m", "modalmix", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == f"modalmix {version('modalmix')}"
