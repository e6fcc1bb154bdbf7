from __future__ import annotations

import datasets
import pyarrow as pa
import pytest

from modalmix.builders.core.sample import MODALITIES
from modalmix.builders.pipeline import features


def test_every_mix_is_a_subset_of_the_columns_in_their_order_with_their_types() -> None:
    every = features.columns()
    mixes = features.mixes(MODALITIES)
    assert len(mixes) == 32
    for chosen in mixes.values():
        columns = features.features(chosen)
        assert list(columns) == [name for name in every if name in columns]
        assert all(columns[name] == every[name] for name in columns)


def test_mixes_concatenate_and_interleave() -> None:
    text = datasets.Dataset.from_dict({"id": ["a"]}, features=datasets.Features({"id": datasets.Value("string")}))
    one = datasets.Dataset(text.data, info=text.info)
    assert len(datasets.concatenate_datasets([one, text])) == 2
    image, video = features.features(["image"]), features.features(["video"])
    merged = datasets.Features({**image, **video})
    assert merged.arrow_schema.field("images").type == features.columns().arrow_schema.field("images").type


def test_only_stock_feature_types_are_used() -> None:
    def kinds(kind: object) -> set[str]:
        if isinstance(kind, dict):
            return set().union(*(kinds(inner) for inner in kind.values()))
        if isinstance(kind, datasets.List):
            return {"List"} | kinds(kind.feature)
        return {type(kind).__name__}

    assert kinds(dict(features.columns())) == {"Value", "List", "Image", "Audio", "Video"}


def test_the_schema_survives_arrow() -> None:
    columns = features.columns()
    assert datasets.Features.from_arrow_schema(columns.arrow_schema) == columns
    assert isinstance(columns.arrow_schema, pa.Schema)


def test_an_unknown_modality_is_an_error() -> None:
    with pytest.raises(KeyError):
        features.features(["smell"])
