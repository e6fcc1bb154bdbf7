"""modalmix: annotation files of any format, or of several, each record recognised for what it is."""

from __future__ import annotations

from ..core.names import MODALITIES
from .builder import AnnotationBuilder, configs


class Modalmix(AnnotationBuilder):
    """``load_dataset("modalmix", config, data_files=…, media_root=…)``: any format, mixed as they come."""

    BUILDER_CONFIGS = configs(MODALITIES)
