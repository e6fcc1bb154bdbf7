"""Views: what a trainer sees of a dataset, loaded in place or built.

::

    training(ds)      rows → decoded pictures, frames, sounds, masks, for Dataset and IterableDataset alike
    flatten(ds)       rows that are grouped by their media → one row for each sample
    messages(sample)  a row or a decoded sample → chat messages
    model_inputs(processor, samples)  decoded samples → tokens and pixels of a model of transformers, with the frames' times
    collate(samples)  decoded samples → one ragged batch
    plain_text(text)  the text of a turn without the backslashes before tags that are no placeholders

>>> from modalmix.builders import views
>>> train = views.training(ds, num_frames=32, sampling_rate=16_000)
>>> loader = torch.utils.data.DataLoader(train, batch_size=4, num_workers=2, collate_fn=views.collate)
"""

from ..formats.turns import plain_text
from .chat import messages, time_instruction
from .collate import collate
from .decode_options import DecodeOptions
from .decode_row import decoded
from .flatten import flatten
from .model_inputs import model_inputs, video_metadata
from .sample_outcomes import SampleRejected
from .training_view import StreamView, TableView, training

__all__ = [
    "DecodeOptions",
    "SampleRejected",
    "StreamView",
    "TableView",
    "collate",
    "decoded",
    "flatten",
    "messages",
    "model_inputs",
    "plain_text",
    "time_instruction",
    "training",
    "video_metadata",
]
