"""The builder ``llava_video``: annotation files of LLaVA-Video-178K as a dataset."""

from __future__ import annotations

from ..formats import llava_video
from .builder import AnnotationBuilder, configs


class LlavaVideo(AnnotationBuilder):
    """``load_dataset("llava_video", config, data_files=…, media_root=…)``: conversations about a video.

    Each folder of LLaVA-Video-178K is a config too; with ``streaming=True`` and no files it comes straight from the Hub.
    """

    BUILDER_CONFIGS = configs(llava_video.MODALITIES, llava_video.FOLDERS, "llava-video-178k")
    FORMAT = llava_video.NAME
