"""Rows to look at, the same from a release and from a built folder: the labels of all rows, the images of some."""

import contextlib
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

import celeba_dialog
from celeba_dialog import CONFIGS, family

from ..parquet.manifest import MANIFEST, read_manifest
from ..parquet.schema import validated
from ..release.errors import DamagedFileError, MissingFileError
from ..release.finding import Release, normal_path
from ..release.index import index_key, open_index
from ..release.official import image_roles
from ..release.rows import examples, read_images
from ..release.storage import is_url
from ..release.table import Index
from ..release.vocabulary import ATTRIBUTES, DEGREES, REQUEST_DIRECTIONS, REQUEST_MODES, SPLITS
from ..runtime import files

COUNTERPARTS = ("celeba_file_name", "hq_file_name")  # of hq, of standard
REQUEST_CLASSES = {"attribute": tuple(DEGREES), "mode": REQUEST_MODES, "direction": REQUEST_DIRECTIONS}


def open_rows(path: str | os.PathLike[str]) -> "BuiltRows | ReleaseRows":
    """The rows below `path`: a built folder where there is a manifest.json, else a release.

    Raises MissingFileError where it is neither.
    """
    path = normal_path(path)
    if not is_url(path) and not os.path.lexists(path):
        raise MissingFileError(
            f"{path}: no such folder. Give a built folder (which build has written) or a release (with the official "
            f"files). To try things out without either: celeba-dialog demo demo-release"
        )
    return BuiltRows(path) if files.is_file(f"{path}/{MANIFEST}") else ReleaseRows(Release(path))


class BuiltRows:
    """The rows of a built folder, whose `path` is absolute or a URL; `configs` are the names of its configs.

    `code` are the Python lines that load a split, to be formatted with `path` (quoted), `config` and `split`. Raises
    DamagedFileError where its manifest is not one.
    """

    code = 'from datasets import load_dataset\n\nload_dataset({path}, "{config}", split="{split}")'

    def __init__(self, path: str) -> None:
        self.path = path
        self._shards = {
            name: [
                (split, f"{path}/{shard['path']}", shard["rows"])
                for split in SPLITS
                for shard in entry["splits"].get(split, {"shards": []})["shards"]
            ]
            for name, entry in read_manifest(path)["configs"].items()
        }
        self.configs = [name for name in CONFIGS if name in self._shards]

    def labels(self, config: str) -> pa.Table:
        """The labels of all rows of a config; see `flat`."""
        features = celeba_dialog.features_of(family(config)[0])
        columns = [name for name in features if name not in ("image", "mask", "attribute_captions")]
        if "mask" in features:
            columns.append("mask.path")
        tables, splits = [], Counter[str]()
        for split, path, count in self._shards[config]:
            with _parquet(path) as file:
                table = validated(file.read(columns))
            missing = {name.split(".")[0] for name in columns} - set(table.column_names)
            if missing or len(table) != count:
                what = f"no column {min(missing)}" if missing else f"{len(table):,} rows, expected {count:,}"
                raise DamagedFileError(f"{path}: {what}. Build the folder again.")
            tables.append(table)
            splits[split] += count
        return flat(pa.concat_tables(tables), splits)

    def row(self, config: str, position: int, columns: Sequence[str] | None = None) -> dict[str, Any]:
        """One row as `datasets` decodes it, with its "split"; images are {"bytes", "path"} or None.

        `position` counts through all splits of the config. `columns` are the columns to read, None for all.
        """
        shards = iter(self._shards[config])
        split, path, count = next(shards)
        while position >= count:
            position -= count
            split, path, count = next(shards)
        with _parquet(path) as file:
            group = 0
            while position >= file.metadata.row_group(group).num_rows:
                position -= file.metadata.row_group(group).num_rows
                group += 1
            row = validated(file.read_row_group(group, columns).slice(position, 1)).to_pylist()[0]
        return {"split": split, **row}


@contextlib.contextmanager
def _parquet(path: str) -> Iterator[pq.ParquetFile]:
    """The ParquetFile at `path`. Raises ReleaseError where it cannot be opened, or read within the block."""
    try:
        with files.open_file(path) as file:
            yield pq.ParquetFile(file)
    except FileNotFoundError:
        raise MissingFileError(f"{path}: not there, though the manifest names it. Build the folder again.") from None
    except (OSError, pa.ArrowException, IndexError) as error:
        if files.is_lfs_pointer(path):
            raise DamagedFileError(f"{path}: {files.LFS_POINTER}.") from None
        what = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise DamagedFileError(f"{path}: cannot be read: {what}. Build the folder again.") from None


class ReleaseRows:
    """The rows of a Release, read from the official files, as BuiltRows has them.

    `configs` are the names of the configs that it has images for. Raises MissingFileError where it has none.
    """

    code = (
        "import celeba_dialog\nfrom datasets import load_dataset\n\nceleba_dialog.register()\n"
        'load_dataset("celeba_dialog", "{config}", split="{split}", data_dir={path})'
    )

    def __init__(self, release: Release) -> None:
        self.path = release.root
        self._release = release
        self.configs = [
            name for name in CONFIGS if set(image_roles(*family(name)).values()) - {"hq_masks"} <= set(release.sources)
        ]
        if not self.configs:
            raise MissingFileError(
                f"{self.path}: neither a built folder (there is no {MANIFEST}) nor a release (there are no images "
                f"below it). To try things out without either: celeba-dialog demo demo-release"
            )

    def labels(self, config: str) -> pa.Table:
        """The labels of all rows of a config; see `flat`."""
        index = self._index(config)
        return flat(index.table, {split: last - first for split, (first, last) in index.splits.items()})

    def row(self, config: str, position: int, columns: Sequence[str] | None = None) -> dict[str, Any]:
        """One row as in BuiltRows; all its columns are read, whatever `columns` says."""
        index = self._index(config)
        rows = index.table.slice(position, 1)
        size = CONFIGS[config].get("image_size")
        split = next(split for split, (_, last) in index.splits.items() if position < last)
        return {
            "split": split,
            **next(examples(rows, read_images(index, rows, [size])[size])),
        }

    def _index(self, config: str) -> Index:
        key = index_key(self._release, *family(config))
        return open_index(key, self._release)


def request_in_words(labels: Mapping[str, int]) -> dict[str, str | int]:
    """What a request asks for, without what is missing: {field of `request_labels`: name of the class, or number}."""
    return {
        field: REQUEST_CLASSES[field][value] if field in REQUEST_CLASSES else value
        for field, value in labels.items()
        if value >= 0
    }


def flat(table: pa.Table, splits: Mapping[str, int]) -> pa.Table:
    """The labels of the rows of a config as one table without nesting, for filters.

    Args:
        table: the columns of the contract; those of images, `parts` and `attribute_captions` need not be there, and of
            `mask` (hq) it only counts whether it is null.
        splits: {split: how many rows it has}, in the order of the rows.

    Columns: split, row (position in the split, from 0), the five degrees (int8), the forty attributes by their names
    (bool), caption, request, request_attribute … request_target (int8), identity, file_name, celeba_file_name or
    hq_file_name, and for hq `mask` (bool); degrees, request_attribute, _mode and _direction also by the name of the
    class, as smiling_class. A missing label is null, a missing text "".
    """
    table = table.combine_chunks()
    codes = np.repeat([SPLITS.index(split) for split in splits], list(splits.values()))
    columns: dict[str, Any] = {
        "split": pa.DictionaryArray.from_arrays(pa.array(codes, pa.int8()), pa.array(SPLITS)),
        "row": np.concatenate([np.arange(count) for count in splits.values()]),
    }
    columns |= {name: _known(table[name].to_numpy()) for name in DEGREES}
    attributes = pc.list_flatten(table["attributes"]).to_numpy().reshape(-1, len(ATTRIBUTES))
    columns |= {name: _known(values).cast(pa.bool_()) for name, values in zip(ATTRIBUTES, attributes.T)}
    columns |= {name: table[name] for name in ("caption", "request")}
    requests = table["request_labels"].combine_chunks()
    for field in requests.type:
        columns[f"request_{field.name}"] = _known(pc.struct_field(requests, field.name).to_numpy())
    columns["identity"] = _known(table["identity"].to_numpy(), np.int32)
    columns |= {name: table[name] for name in ("file_name", *COUNTERPARTS) if name in table.column_names}
    if "mask" in table.column_names:
        columns["mask"] = table["mask"].is_valid()
    for name, classes in {**DEGREES, **{f"request_{field}": names for field, names in REQUEST_CLASSES.items()}}.items():
        columns[f"{name}_class"] = pa.DictionaryArray.from_arrays(columns[name], pa.array(classes))
    return pa.table(columns)


def _known(values: npt.NDArray[Any], dtype: npt.DTypeLike = np.int8) -> pa.Array:
    """An Arrow array of the numbers, with a null for each -1."""
    return pa.array(values.astype(dtype), mask=values < 0)
