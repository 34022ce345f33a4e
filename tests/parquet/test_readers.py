"""The built Parquet as other readers see it: the same image bytes and labels as the release was made from."""

import json

import numpy as np
import pandas
import polars
import pyarrow.dataset
import pytest

from conversion.release.vocabulary import MASK_CLASSES

duckdb = pytest.importorskip("duckdb")
pytest_plugins = ["building"]

SPLITS = [(config, split) for config in ("hq", "hq_parts", "standard") for split in ("train", "validation", "test")]


def by_pyarrow(built, config, split):
    return pyarrow.dataset.dataset(shards(built, config, split), format="parquet").to_table().to_pylist()


def by_pandas(built, config, split):
    frames = [pandas.read_parquet(path) for path in shards(built, config, split)]
    rows = pandas.concat(frames).to_dict("records")
    return [{name: plain(value) for name, value in row.items()} for row in rows]


def by_polars(built, config, split):
    return polars.read_parquet(shards(built, config, split)).to_dicts()


def by_duckdb(built, config, split):
    query = duckdb.sql(f"select * from read_parquet('{built}/{config}/{split}-*.parquet')")  # noqa: S608
    return [dict(zip(query.columns, row)) for row in query.fetchall()]


READERS = [by_pyarrow, by_pandas, by_polars, by_duckdb]


def shards(built, config, split):
    return [str(path) for path in sorted((built / config).glob(f"{split}-*.parquet"))]


def plain(value):
    """A value as Python has it: what pandas gives is of NumPy, and a missing text is NaN."""
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, dict):
        return {name: plain(part) for name, part in value.items()}
    value = value.item() if isinstance(value, np.generic) else value
    return None if value != value else value


@pytest.mark.parametrize("read", READERS, ids=lambda read: read.__name__)
def test_every_reader_sees_the_same_rows(read, built, demo, same_rows):
    for config, split in SPLITS:
        rows = [row | {"attributes": list(row["attributes"])} for row in read(built, config, split)]
        same_rows(rows, demo.splits(config)[split], f"{config} {split}")


def test_the_mask_classes_lie_beside_the_card(built):
    """As the segmentation examples of transformers read them."""
    found = json.loads((built / "id2label.json").read_bytes())
    assert found == {str(index): name for index, name in enumerate(MASK_CLASSES)}
    assert (found["0"], found["13"], found["18"], len(found)) == ("background", "hair", "cloth", 19)
