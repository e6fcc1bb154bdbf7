"""Cards: the README of a built dataset, whose YAML tells `datasets` and the Hub what is in it.

The functions are imported when they are needed: whoever asks `modalmix.cards.facts` imports the facts alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .front import CardError
    from .rendering import render
    from .writing import for_hub, is_current, write

__all__ = ["CardError", "for_hub", "is_current", "render", "write"]

_MODULES = {
    "CardError": "front",
    "render": "rendering",
    "for_hub": "writing",
    "is_current": "writing",
    "write": "writing",
}


def __getattr__(name: str) -> Any:
    """Gives the names of `__all__`."""
    from importlib import import_module

    if name in _MODULES:
        return getattr(import_module(f".{_MODULES[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
