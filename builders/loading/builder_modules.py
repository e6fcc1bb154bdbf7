"""The builder classes: one for each format, and one for records of any, made from the facts of the formats.

`datasets` imports the module that is registered for a name, and takes the one builder class in it.  So each class has a module of
its own, ``builder_modules.<name>``.  The modules have no files: they are put into ``sys.modules`` when this one is imported, as
the standard library does with ``os.path``.  An import of ``builder_modules.<name>`` imports this module first, so that it finds
its own in whatever process it runs, also where a builder is unpickled.
"""

from __future__ import annotations

import sys
from types import ModuleType

from ..core.names import ANY_FORMAT, MODALITIES
from ..formats import formats
from .builder import AnnotationBuilder, AnnotationConfig, configs


def _add_module(name: str, format_: str | None, doc: str, builder_configs: list[AnnotationConfig]) -> None:
    """Makes a builder class and its module."""
    module = ModuleType(f"{__name__}.{name}", doc)
    class_name = "".join(word.capitalize() for word in name.split("_"))
    attributes = {
        "__module__": module.__name__,
        "__doc__": f'``load_dataset("{name}", config, data_files=…, media_root=…)``: {doc}',
        "BUILDER_CONFIGS": builder_configs,
        "FORMAT": format_,
    }
    setattr(module, class_name, type(class_name, (AnnotationBuilder,), attributes))
    sys.modules[module.__name__] = module


for _name, _format in formats().items():
    _add_module(
        _name,
        _name,
        f"annotation files of {_format.TITLE}.",
        configs(_format.MODALITIES, _format.FOLDERS, _format.RELEASE),
    )
_add_module(ANY_FORMAT, None, "annotation files of any format, each record in its own.", configs(MODALITIES))
