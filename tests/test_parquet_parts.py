"""The parts of the Parquet writer: gathering and thrift."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from modalmix.builders.build.parquet import thrift_compact
from modalmix.builders.build.parquet.byte_gather import FileRange, Gather
from shards import (
    content,
    some_rows,
)


@given(st.lists(st.one_of(st.binary(max_size=90), st.integers(0, 90)), max_size=40), st.integers(1, 64))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_gathering_through_a_buffer_of_any_size_appends_everything(
    tmp_path: Path, parts: list[bytes | int], buffer_bytes: int
) -> None:
    source = tmp_path / "source"
    source.write_bytes(bytes(range(100)))
    fd = os.open(tmp_path / "out", os.O_RDWR | os.O_CREAT | os.O_TRUNC)
    gather = Gather(fd, buffer_bytes)
    expected = b""
    for part in parts:
        if isinstance(part, int):
            gather.append_range(FileRange(str(source), 10, part))
            expected += bytes(range(10, 10 + part))
        else:
            gather.append(part)
            expected += part
        assert gather.position == len(expected)
    gather.flush()
    gather.release()
    os.close(fd)
    assert (tmp_path / "out").read_bytes() == expected


def fields(values: st.SearchStrategy[tuple[int, Any]]) -> st.SearchStrategy[thrift_compact.Struct]:
    return st.dictionaries(st.integers(1, 2**15 - 1), values, max_size=6)


SCALARS = st.one_of(
    st.tuples(st.sampled_from([thrift_compact.I32, thrift_compact.I64]), st.integers(-(2**31), 2**31 - 1)),
    st.tuples(st.just(thrift_compact.I64), st.integers(-(2**63), 2**63 - 1)),
    st.tuples(st.just(thrift_compact.TRUE), st.booleans()),
    st.tuples(st.just(thrift_compact.BYTE), st.integers(0, 255)),
    st.tuples(st.just(thrift_compact.BINARY), st.binary(max_size=300)),
    st.tuples(st.just(thrift_compact.DOUBLE), st.binary(min_size=8, max_size=8)),
    st.tuples(
        st.just(thrift_compact.LIST), st.tuples(st.just(thrift_compact.I64), st.lists(st.integers(0, 9), max_size=40))
    ),
    st.tuples(
        st.just(thrift_compact.LIST), st.tuples(st.just(thrift_compact.TRUE), st.lists(st.booleans(), max_size=20))
    ),
)
STRUCTS = st.recursive(
    fields(SCALARS),
    lambda inner: fields(
        st.one_of(
            SCALARS,
            st.tuples(st.just(thrift_compact.STRUCT), inner),
            st.tuples(
                st.just(thrift_compact.LIST), st.tuples(st.just(thrift_compact.STRUCT), st.lists(inner, max_size=3))
            ),
        )
    ),
    max_leaves=10,
)


@given(STRUCTS)
def test_any_thrift_struct_survives_a_round_trip(value: thrift_compact.Struct) -> None:
    encoded = thrift_compact.encode(value)
    assert thrift_compact.decode(encoded) == (value, len(encoded))


@given(STRUCTS.filter(bool))
def test_a_thrift_struct_that_is_cut_short_is_an_error(value: thrift_compact.Struct) -> None:
    encoded = thrift_compact.encode(value)
    with pytest.raises(IndexError):
        thrift_compact.decode(encoded[:-1])


def test_a_footer_of_pyarrow_is_encoded_again_byte_by_byte(tmp_path: Path) -> None:
    pq.write_table(content(some_rows(30)).truth, tmp_path / "stock.parquet", row_group_size=7, write_page_index=True)
    data = (tmp_path / "stock.parquet").read_bytes()
    start = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
    footer, end = thrift_compact.decode(data, start)
    assert thrift_compact.encode(footer) == data[start:end]


def test_a_thrift_type_that_parquet_does_not_have_is_refused() -> None:
    with pytest.raises(ValueError, match="type 11"):
        thrift_compact.decode(b"\x1b\x00\x00")
