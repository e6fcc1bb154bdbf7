"""modalmix builders: importing this registers them with `datasets`.

>>> import modalmix.builders
>>> from datasets import load_dataset
>>> ds = load_dataset("ola", "video_audio", data_files="annotations.json", media_root="media", split="train")

The builders are ``ola``, ``videorefer``, ``lmms_finetune``, ``aria``, ``llava_video``, and ``modalmix``, which recognises the
format of each record.  `load_dataset` of this package is the same call, but finds the annotation files of a folder without
listing its media.
"""

from .loading.registry import load_dataset, register

__all__ = ["load_dataset"]

register()
