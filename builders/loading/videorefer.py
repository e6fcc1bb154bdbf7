"""The builder ``videorefer``: annotation files of VideoRefer as a dataset."""

from __future__ import annotations

from ..formats import videorefer
from .builder import AnnotationBuilder, configs


class Videorefer(AnnotationBuilder):
    """``load_dataset("videorefer", config, data_files=…, media_root=…)``: VideoRefer's objects in videos and pictures."""

    BUILDER_CONFIGS = configs(videorefer.MODALITIES)
    FORMAT = videorefer.NAME
