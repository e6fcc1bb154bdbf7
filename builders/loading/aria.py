"""The builder ``aria``: annotation files of Aria as a dataset."""

from __future__ import annotations

from ..formats import aria
from .builder import AnnotationBuilder, configs


class Aria(AnnotationBuilder):
    """``load_dataset("aria", config, data_files=…, media_root=…)``: Aria's messages with images or a video."""

    BUILDER_CONFIGS = configs(aria.MODALITIES)
    FORMAT = aria.NAME
