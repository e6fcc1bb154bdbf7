from __future__ import annotations

import subprocess
import sys

import datasets
import pytest
from datasets import load, packaged_modules

from modalmix.builders.loading import registry
from modalmix.builders.loading.registry import BUILDERS

NAMES = f"BUILDERS = {BUILDERS!r}\n"
KNOWN = """
from datasets import load, packaged_modules
assert all(name in packaged_modules._PACKAGED_DATASETS_MODULES for name in BUILDERS)
assert load.load_dataset_builder("ola", data_files=[]).name == "ola"
print("registered")
"""


def run(code: str) -> str:
    """What a new process prints."""
    done = subprocess.run([sys.executable, "-c", NAMES + code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize(
    "imports",
    [
        "import modalmix.builders; from datasets import load_dataset",
        "from datasets import load_dataset; import modalmix.builders",
        "import modalmix.builders, importlib; importlib.reload(modalmix.builders); import datasets",
        "import modalmix.builders, datasets, importlib; importlib.reload(datasets.load)",
        "import modalmix.builders, datasets, importlib; importlib.reload(datasets)",
        "import modalmix.builders.loading.registry as own, importlib; importlib.reload(own).register(); import datasets",
        "import modalmix.builders, datasets, sys\n"
        "for name in [name for name in sys.modules if name.split('.')[0] == 'modalmix']: del sys.modules[name]\n"
        "import modalmix.builders",
    ],
)
def test_the_builders_are_registered_whichever_is_imported_first(imports: str) -> None:
    assert run(f"{imports}\n{KNOWN}") == "registered"


def test_importing_the_builders_imports_no_datasets() -> None:
    assert run("import modalmix.builders, sys; print('datasets' in sys.modules)") == "False"


def test_threads_that_import_both_at_once_all_find_the_builders() -> None:
    code = """
import threading, importlib
found, begin = [], threading.Barrier(8)
def work(number):
    begin.wait()
    importlib.import_module(("datasets", "modalmix.builders")[number % 2])
    import modalmix.builders
    from datasets import packaged_modules
    found.append(all(name in packaged_modules._PACKAGED_DATASETS_MODULES for name in BUILDERS))
threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(found.count(True))
"""
    assert run(code) == "8"


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_worker_processes_know_the_builders(method: str, tmp_path: object) -> None:
    script = f"""
import multiprocessing
import modalmix.builders
def known(_):
    from datasets import packaged_modules
    return "ola" in packaged_modules._PACKAGED_DATASETS_MODULES
if __name__ == "__main__":
    with multiprocessing.get_context("{method}").Pool(1) as pool:
        print(pool.map(known, [0]))
"""
    path = f"{tmp_path}/script.py"
    with open(path, "w") as file:
        file.write(script)
    done = subprocess.run([sys.executable, path], capture_output=True, text=True)
    assert done.stdout.strip() == "[True]", done.stderr


def test_datasets_that_fails_to_import_fails_as_ever_and_registers_when_it_can(tmp_path: object) -> None:
    code = f"""
import sys
sys.modules["pandas"] = None  # what datasets imports, and cannot now
import modalmix.builders
for _ in range(2):
    try:
        import datasets
    except ImportError as error:
        print(type(error).__name__)
del sys.modules["pandas"]
{KNOWN}
"""
    assert run(code).split() == ["ModuleNotFoundError", "ModuleNotFoundError", "registered"]


def test_the_module_keeps_its_own_loader() -> None:
    code = "import modalmix.builders, datasets.load as l; print(type(l.__loader__).__name__, type(l.__spec__.loader).__name__)"
    assert run(code) == "SourceFileLoader SourceFileLoader"


def test_unregistered_datasets_is_as_it_was() -> None:
    code = """
from datasets import load, packaged_modules
table = dict(packaged_modules._PACKAGED_DATASETS_MODULES)
method, finders = load.PackagedDatasetModuleFactory.get_module, list(__import__("sys").meta_path)
from modalmix.builders.loading.registry import register, unregister
register()
assert packaged_modules._PACKAGED_DATASETS_MODULES != table
assert load.PackagedDatasetModuleFactory.get_module is not method
unregister()
assert packaged_modules._PACKAGED_DATASETS_MODULES == table
assert load.PackagedDatasetModuleFactory.get_module is method
assert __import__("sys").meta_path == finders
print("as it was")
"""
    assert run(code) == "as it was"


def test_unregistered_before_datasets_is_imported_nothing_is_registered() -> None:
    code = """
import modalmix.builders
from modalmix.builders.loading.registry import unregister
unregister()
from datasets import packaged_modules
print(any(name in packaged_modules._PACKAGED_DATASETS_MODULES for name in BUILDERS))
"""
    assert run(code) == "False"


def test_registering_again_changes_nothing() -> None:
    table, method = dict(packaged_modules._PACKAGED_DATASETS_MODULES), load.PackagedDatasetModuleFactory.get_module
    registry.register()
    registry.register()
    assert table == packaged_modules._PACKAGED_DATASETS_MODULES
    again = load.PackagedDatasetModuleFactory.get_module
    assert again._modalmix_original is method._modalmix_original


def test_other_builders_are_found_as_ever(tmp_path: object) -> None:
    with open(f"{tmp_path}/a.json", "w") as file:
        file.write('{"a": 1}\n')
    assert datasets.load_dataset("json", data_dir=str(tmp_path), split="train")["a"] == [1]


def test_names_of_the_first_version_still_answer() -> None:
    code = """
import modalmix.builders
from modalmix.builders import load_dataset, views
assert modalmix.builders.load_dataset is load_dataset
assert modalmix.builders.turns.plain is modalmix.builders.formats.turns.plain is views.plain_text
print(views.plain_text("the \\\\<video> tag"))
"""
    assert run(code) == "the <video> tag"
