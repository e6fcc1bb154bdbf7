"""The builder ``ola``: annotation files of Ola as a dataset."""

from __future__ import annotations

from ..formats import ola
from .builder import AnnotationBuilder, configs


class Ola(AnnotationBuilder):
    """``load_dataset("ola", config, data_files=…, media_root=…)``: Ola's images, videos, sounds, spoken questions and patches."""

    BUILDER_CONFIGS = configs(ola.MODALITIES)
    FORMAT = ola.NAME
