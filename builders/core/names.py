"""The names that a person may type, in a module that imports nothing: help texts show them before anything else is loaded."""

FORMATS = ("lmms_finetune", "llava_video", "ola", "videorefer", "aria")
"""The formats: each is a module of `modalmix.builders.formats` and a builder.

The plainest first: of formats that a record fits equally well, the first is taken.
"""

ANY_FORMAT = "modalmix"
"""In place of a format: the format of each record is recognised."""

MODALITIES = ("image", "video", "audio", "audio_q", "masks")
"""What a record may hold; a mix is some of these, joined by ``_``."""
