"""The builder ``lmms_finetune``: annotation files of lmms-finetune as a dataset."""

from __future__ import annotations

from ..formats import lmms_finetune
from .builder import AnnotationBuilder, configs


class LmmsFinetune(AnnotationBuilder):
    """``load_dataset("lmms_finetune", config, data_files=…, media_root=…)``: conversations about lists of media."""

    BUILDER_CONFIGS = configs(lmms_finetune.MODALITIES)
    FORMAT = lmms_finetune.NAME
