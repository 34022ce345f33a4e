"""Rows to look at, the same from a release and from a built folder: the labels of all rows, the images of some."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

import celeba_dialog
from celeba_dialog import ATTRIBUTES
from celeba_dialog import CONFIGS
from celeba_dialog import DEGREES
from celeba_dialog import SPLITS
from celeba_dialog import DamagedFileError
from celeba_dialog import MissingFileError
from celeba_dialog import Release

from ..build.manifest import MANIFEST
from ..build.manifest import read_manifest
from ..build.shards import family
from ..machine import files

COUNTERPARTS = ("celeba_file_name", "hq_file_name")  # of hq, of standard


def open_rows(path):
    """The rows below `path`: a built folder where there is a manifest.json, else a release.

    Returns BuiltRows or ReleaseRows. Raises MissingFileError where it is neither.
    """
    path = celeba_dialog.normal_path(path)
    return BuiltRows(path) if files.is_file(f"{path}/{MANIFEST}") else ReleaseRows(Release(path))


class BuiltRows:
    """The rows of a built folder, whose `path` is absolute or a URL; `configs` are the names of its configs.

    Raises DamagedFileError where its manifest is not one.
    """

    def __init__(self, path):
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

    def labels(self, config):
        """The labels of all rows of a config; see `flat`."""
        features = celeba_dialog.features_of(family(config)[0])
        columns = [name for name in features if name not in ("image", "mask", "attribute_captions")]
        if "mask" in features:
            columns.append("mask.path")
        tables, splits = [], []
        for split, path, count in self._shards[config]:
            tables.append(self._read(path, lambda file: validated(file.read(columns))))
            splits += [split] * count
            missing = {name.split(".")[0] for name in columns} - set(tables[-1].column_names)
            if missing or len(tables[-1]) != count:
                what = f"no column {min(missing)}" if missing else f"{len(tables[-1]):,} rows, expected {count:,}"
                raise DamagedFileError(f"{path}: {what}. Build the folder again.")
        return flat(pa.concat_tables(tables), splits)

    def row(self, config, position, columns=None):
        """One row as `datasets` decodes it but for the images, which are {"bytes", "path"} or None.

        `position` counts through all splits of the config. `columns` are the columns to read, None for all.
        """
        _, path, at = self._place(config, position)

        def read(file):
            group, first = 0, 0
            while at >= first + file.metadata.row_group(group).num_rows:
                first += file.metadata.row_group(group).num_rows
                group += 1
            return validated(file.read_row_group(group, columns).slice(at - first, 1)).to_pylist()[0]

        return self._read(path, read)

    def split(self, config, position):
        """The split of a row."""
        return self._place(config, position)[0]

    def code(self, config, split):
        """The Python lines that load a split."""
        return (
            f'from datasets import load_dataset\n\nload_dataset({json.dumps(self.path)}, "{config}", split="{split}")'
        )

    def _place(self, config, position):
        """(split, path of its shard, position in the shard) of a row. Raises IndexError where there is no such row."""
        for split, path, count in self._shards[config]:
            if position < count:
                return split, path, position
            position -= count
        raise IndexError(position)

    def _read(self, path, read):
        """What `read` makes of the ParquetFile at `path`. Raises ReleaseError where that cannot be read."""
        try:
            with files.open_file(path) as file:
                return read(pq.ParquetFile(file))
        except FileNotFoundError:
            raise MissingFileError(
                f"{path}: not there, though the manifest names it. Build the folder again."
            ) from None
        except (OSError, pa.ArrowException, IndexError) as error:
            raise DamagedFileError(f"{path}: cannot be read: {error}. Build the folder again.") from None


def validated(table):
    """The same table. Raises ArrowInvalid where it is inconsistent, or a text is no UTF-8, as in a damaged file."""
    table.validate(full=True)
    return table


class ReleaseRows:
    """The rows of a Release, read from the official files.

    `path` is its root, absolute or a URL; `configs` are the names of the configs that it has images for. Raises
    MissingFileError where it has none.
    """

    def __init__(self, release):
        self.path = release.root
        self._release = release
        self.configs = [name for name in CONFIGS if _images(name) <= set(release.sources)]
        if not self.configs:
            raise MissingFileError(
                f"{self.path}: neither a built folder (there is no {MANIFEST}) nor a release (there are no images "
                f"below it). To try things out without either: celeba-dialog demo demo-release"
            )

    def labels(self, config):
        """The labels of all rows of a config; see `flat`."""
        index = self._index(config)
        splits = [split for split, (first, last) in index.splits.items() for _ in range(last - first)]
        return flat(index.table, splits)

    def row(self, config, position, columns=None):
        """One row as `datasets` decodes it but for the images, which are {"bytes", "path"} or None.

        `position` counts through all splits of the config. `columns` makes no difference here, as it does in BuiltRows.
        """
        index = self._index(config)
        rows = index.table.slice(position, 1)
        size = CONFIGS[config].get("image_size")
        return next(celeba_dialog.examples(rows, celeba_dialog.read_images(index, rows, [size])[size]))

    def split(self, config, position):
        """The split of a row."""
        splits = self._index(config).splits
        return next(split for split, (_, last) in splits.items() if position < last)

    def code(self, config, split):
        """The Python lines that load a split."""
        return (
            f"import celeba_dialog\nfrom datasets import load_dataset\n\nceleba_dialog.register()\n"
            f'load_dataset("celeba_dialog", "{config}", split="{split}", data_dir={json.dumps(self.path)})'
        )

    def _index(self, config):
        key = celeba_dialog.index_key(self._release, *family(config))
        return celeba_dialog.open_index(key, self._release)


def _images(config):
    """The roles of the images without which a config is not offered."""
    subset, parts = family(config)
    return {f"{subset}_images", "hq_parts"} if parts else {f"{subset}_images"}


def flat(table, splits):
    """The labels of the rows of a config as one table without nesting, for filters.

    Args:
        table: the columns of the contract; those of images, `parts` and `attribute_captions` need not be there, and of
            `mask` (hq) it only counts whether it is null.
        splits: the split of each row.

    Columns: split, row (position in the split, from 0), the five degrees (int8), the forty attributes by their names
    (bool), caption, request, request_attribute … request_target (int8), identity, file_name, celeba_file_name or
    hq_file_name, and for hq `mask` (bool). A missing label is null, a missing text "".
    """
    table = table.combine_chunks()
    codes = np.array([SPLITS.index(split) for split in splits], np.int8)
    columns = {"split": pa.DictionaryArray.from_arrays(pa.array(codes), pa.array(SPLITS))}
    starts = np.searchsorted(codes, range(len(SPLITS)))
    columns["row"] = pa.array(np.arange(len(codes)) - starts[codes])
    for name in DEGREES:
        columns[name] = _known(table[name].to_numpy())
    width = len(ATTRIBUTES)
    attributes = pc.list_flatten(table["attributes"]).to_numpy().reshape(-1, width)
    for name, values in zip(ATTRIBUTES, attributes.T.astype(np.int8)):
        columns[name] = _known(values).cast(pa.bool_())
    for name in ("caption", "request"):
        columns[name] = table[name]
    requests = table["request_labels"].combine_chunks()
    for field in requests.type:
        columns[f"request_{field.name}"] = _known(pc.struct_field(requests, field.name).to_numpy())
    columns["identity"] = _known(table["identity"].to_numpy(), np.int32)
    for name in ("file_name", *COUNTERPARTS):
        if name in table.column_names:
            columns[name] = table[name]
    if "mask" in table.column_names:
        columns["mask"] = table["mask"].is_valid()
    return pa.table(columns)


def _known(values, dtype=np.int8):
    """An Arrow array of the numbers, with a null for each -1."""
    return pa.array(values.astype(dtype), mask=values < 0)
