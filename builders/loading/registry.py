"""Registration: makes the builders known to `datasets` under their names, once `datasets` is there.

`datasets` has no plug-in interface: a name means a builder only where the table of its packaged modules says so (name → module,
and a hash of its code, which is part of the path in the cache).  So three things of `datasets` and of Python are touched, all of
them in this module, and `unregister` takes them back:

- The table ``datasets.packaged_modules._PACKAGED_DATASETS_MODULES`` gains our names.
- ``datasets.load.PackagedDatasetModuleFactory.get_module`` is wrapped.  Where neither ``data_files`` nor ``data_dir`` is given,
  the original takes every file below the working directory for the data, before it looks at the table or at the builder: no
  entry of the table, no option and no method of a builder prevents that.  The wrapper gives a builder of ours no data files, and
  the builder then streams its upstream release, or says what is missing.  For other names the wrapper calls the original.
- ``sys.meta_path`` gains a finder that waits for ``datasets.load``.  `datasets` takes more than a second to import, and the
  command line's help needs none of it; so nothing here imports it, and it does not matter which of the two is imported first.

The module imports the standard library alone.
"""

from __future__ import annotations

import contextlib
import functools
import glob
import hashlib
import os
import sys
import threading
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from ..core.names import ANY_FORMAT, FORMATS

BUILDERS = (*FORMATS, ANY_FORMAT)

_MODULE = "datasets.load"
_ORIGINAL = "_modalmix_original"


def register() -> None:
    """Registers the builders with `datasets`: at once where it is imported already, else as soon as it is.

    Calling it again changes nothing.
    """
    if not any(_is_ours(finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())
    # After the finder is in place, so that no import of another thread slips between.
    if "datasets" in sys.modules:
        # Waits for a thread that is importing it.  To ask for a submodule before that would deadlock the two.
        with contextlib.suppress(ImportError):  # a later import may succeed, and meets the finder
            import_module("datasets")
        if _MODULE in sys.modules:
            _register(sys.modules[_MODULE])


def unregister() -> None:
    """Takes back what `register` does: `datasets` is as it was, now and when it is imported later."""
    sys.meta_path[:] = [finder for finder in sys.meta_path if not _is_ours(finder)]
    load = sys.modules.get(_MODULE)
    if load is None:
        return
    for name in BUILDERS:
        if name in load._PACKAGED_DATASETS_MODULES and load._PACKAGED_DATASETS_MODULES[name][0] == _module_of(name):
            del load._PACKAGED_DATASETS_MODULES[name]
    factory = load.PackagedDatasetModuleFactory
    factory.get_module = _original(factory)


def _register(load: Any) -> None:
    """Registers the builders with the module `datasets.load`."""
    code = _hash_of_code()
    for name in BUILDERS:
        load._PACKAGED_DATASETS_MODULES[name] = (_module_of(name), code)
    factory = load.PackagedDatasetModuleFactory
    factory.get_module = _without_data_files(_original(factory))


def _module_of(builder: str) -> str:
    return f"{__package__}.builder_modules.{builder}"


def _original(factory: Any) -> Callable[[Any], Any]:
    """The method of `datasets`, under our wrapper or not; kept on the wrapper, so that a reload of this module finds it."""
    method: Callable[[Any], Any] = factory.get_module
    return getattr(method, _ORIGINAL, method)


def _without_data_files(get_module: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """The method that gives a builder of ours no data files where none are named."""

    @functools.wraps(get_module)
    def wrapper(factory: Any) -> Any:
        if factory.name not in BUILDERS or factory.data_files is not None or factory.data_dir is not None:
            return get_module(factory)
        load: Any = sys.modules[_MODULE]
        module, code = load._PACKAGED_DATASETS_MODULES[factory.name]
        return load.DatasetModule(module, code, {"data_files": load.DataFilesDict(), "dataset_name": factory.name})

    setattr(wrapper, _ORIGINAL, get_module)
    return wrapper


def _hash_of_code() -> str:
    """A hash over the package's modules: a cached dataset made by other code is made anew."""
    here = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    digest = hashlib.sha256()
    for path in sorted(glob.glob(os.path.join(glob.escape(here), "**", "*.py"), recursive=True)):
        with open(path, "rb") as file:
            digest.update(file.read())
    return digest.hexdigest()


class _Finder:
    """Finds `datasets.load` as the finders behind it do, with a loader that registers the builders afterwards.

    It stays in ``sys.meta_path``, so that a reload of `datasets.load`, or an import after one that failed, registers again.
    """

    def __init__(self) -> None:
        self._asking = threading.local()

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The spec of `datasets.load`; None for every other module."""
        if name != _MODULE or getattr(self._asking, "now", False):
            return None
        self._asking.now = True  # another finder of this kind may ask us in turn
        try:
            for finder in sys.meta_path:
                find_spec = getattr(finder, "find_spec", None)
                spec: ModuleSpec | None = find_spec(name, path, target) if find_spec and finder is not self else None
                if spec is not None:
                    if spec.loader is not None:
                        spec.loader = _Loader(spec.loader)  # type: ignore[assignment]  # by its methods
                    return spec
        finally:
            self._asking.now = False
        return None


class _Loader:
    """Loads a module as `loader` does, then registers the builders with it."""

    def __init__(self, loader: Any) -> None:
        self._loader = loader

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """The module, where the loader makes it itself."""
        module: ModuleType | None = self._loader.create_module(spec)
        return module

    def exec_module(self, module: ModuleType) -> None:
        """Runs the module, which sees its own loader and no trace of this one, and registers the builders."""
        module.__loader__ = self._loader
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        self._loader.exec_module(module)
        _register(module)


def _is_ours(finder: object) -> bool:
    """Whether it is a finder of this module, before a reload of it, too."""
    return (type(finder).__module__, type(finder).__qualname__) == (_Finder.__module__, _Finder.__qualname__)
