"""modalmix: the training data of omni, video and referring language models as typed Hugging Face datasets.

`modalmix.builders` reads, checks and builds datasets and registers the builders with `datasets`, `modalmix.cards` writes their
cards, and `modalmix.upload` exchanges them with the Hub.  This package imports nothing until it is asked for something.
"""


def __getattr__(name: str) -> str:
    """Gives ``modalmix.__version__``, which is looked up when it is asked for."""
    if name == "__version__":
        from importlib.metadata import version

        return version("modalmix")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
