"""A slice of the table and its bytes."""

import re
from collections.abc import Collection, Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow.parquet import filters_to_expression

from .errors import ReleaseError, UsageError
from .images import check_image, sized_image
from .index import IndexKey, check_unchanged, open_index
from .masks import check_mask, sized_mask, sized_part
from .official import FILES, mask_name, part_name
from .table import Index
from .vocabulary import SUBSETS, UNLABELED

READ_ROWS = 32  # rows that the builder reads at once: 3 MB of HQ images
FULL_SHARDS = {"train": 64, "validation": 8, "test": 8, UNLABELED: 1}
_FEWEST_ROWS = 8  # a shard holds at least so many, unless the split is smaller


def shard_count(split: str, rows: int) -> int:
    """Shards of a split with so many rows: a power of two, so that 2, 4 and 8 nodes each get the same number."""
    return min(FULL_SHARDS[split], 1 << max(0, (rows // _FEWEST_ROWS).bit_length() - 1))


def shard_ranges(split: str, first: int, last: int) -> list[tuple[int, int]]:
    """The (first row, row after the last) of each shard of a split; as even as can be, none empty."""
    count = shard_count(split, last - first)
    bounds = [first + (last - first) * index // count for index in range(count + 1)]
    return list(zip(bounds[:-1], bounds[1:]))


def shards_with(index: Index, filters: Any = None) -> dict[str, list[tuple[int, int]]]:
    """{split: its shards, see `shard_ranges`} of an index, without those in which no row meets some filters.

    Raises UsageError for filters that cannot be answered, or that no row meets.
    """
    shards = {split: shard_ranges(split, *bounds) for split, bounds in index.splits.items()}
    if filters is None:
        return shards
    place = pa.table({**_labels(index.table), "place": pa.array(range(len(index.table)))})
    places = _filtered(place, filters)["place"].to_numpy()
    for split, ranges in shards.items():
        shards[split] = [each for each in ranges if np.searchsorted(places, each[0]) < np.searchsorted(places, each[1])]
    found = {split: ranges for split, ranges in shards.items() if ranges}
    if not found:
        raise UsageError(f"filters: no row meets {filters}.")
    return found


def _labels(table: pa.Table) -> dict[str, Any]:
    return {name: table[name] for name in table.column_names if name not in ("image", "mask", "parts")}


def _filtered(table: pa.Table, filters: Any) -> pa.Table:
    """The rows that meet some filters. Raises UsageError for filters that cannot be answered."""
    try:
        expression = filters if isinstance(filters, pc.Expression) else filters_to_expression(filters)
        return table.filter(expression)
    except (pa.ArrowException, ValueError, TypeError, KeyError) as error:
        unknown = re.match(r"No match for FieldRef\.Name\((.*?)\)", str(error))
        what = f"no column {unknown[1]}, of {', '.join(_labels(table))}." if unknown else " ".join(str(error).split())
        raise UsageError(f"filters: {what[:400]}") from None


# {column: [of each row]} of image, mask and parts, as far as they are asked for, see `read_images`.
Pictures = dict[str, list[Any]]
Sizes = Sequence[int | None]


def read_rows(
    key: IndexKey,
    first: int,
    last: int,
    count: int,
    sizes: Sizes,
    columns: Collection[str] | None = None,
    filters: Any = None,
) -> Iterator[tuple[pa.Table, dict[int | None, Pictures]]]:
    """The rows of an index from `first` to the one before `last` that meet some filters, of at most `count` at a time.

    Yields (a slice of `index.table`, its images as `read_images` gives them). Raises ChangedReleaseError where an image
    cannot be read because the release is another by now, and what `read_images` raises.
    """
    index = open_index(key)
    for start in range(first, last, count):
        rows = index.table.slice(start, min(count, last - start))
        if filters is not None:
            rows = _filtered(rows, filters)
        try:
            images = read_images(index, rows, sizes, columns)
        except ReleaseError:
            check_unchanged(key)  # of an older release's index, the file that was read is not to blame
            raise
        yield rows, images


def read_images(
    index: Index, rows: pa.Table, sizes: Sizes, columns: Collection[str] | None = None
) -> dict[int | None, Pictures]:
    """The images of some rows of an index, for each of several sizes.

    Args:
        index: Index.
        rows: a slice of `index.table`.
        sizes: sides in pixels; None for the release's own bytes. An image is decoded once for all of them.
        columns: those that are wanted, None for all; others are not read.

    Returns {size: {"image": [bytes], "mask": [bytes or None], "parts": [[(index into PARTS, bytes)]]}}, with the
    columns that the index has. Raises FormatError for an image or mask that is not what the dataset promises; what is
    looked at is said in `images` and `masks`.
    """
    readers = {"image": _read_photos, "mask": _read_masks, "parts": _read_parts}
    found = {
        column: read(index, rows[column].combine_chunks(), sizes)
        for column, read in readers.items()
        if column in rows.column_names and (columns is None or column in columns)
    }
    return {size: {column: of_size[size] for column, of_size in found.items()} for size in sizes}


def _read_photos(index: Index, places: pa.StructArray, sizes: Sizes) -> dict[int | None, list[Any]]:
    role = _photo_role(index)
    found = [sized_image(data, sizes, SUBSETS[FILES[role].subset], name) for data, name in index.read(role, places)]
    return {size: [photo[size] for photo in found] for size in sizes}


def _photo_role(index: Index) -> str:
    return "hq_images" if "hq_images" in index.sources else "standard_images"


def _read_masks(index: Index, places: pa.StructArray, sizes: Sizes) -> dict[int | None, list[Any]]:
    masks = index.read("hq_masks", places)
    return {size: [None if data is None else sized_mask(data, size, name) for data, name in masks] for size in sizes}


def _read_parts(index: Index, lists: pa.ListArray, sizes: Sizes) -> dict[int | None, list[Any]]:
    flat = lists.flatten()
    masks = index.read("hq_parts", flat.field("mask"))
    kinds = flat.field("part").to_pylist()
    ends = np.cumsum(lists.value_lengths().to_numpy()).tolist()
    result = {}
    for size in sizes:
        pairs = [(kind, sized_part(data, size, name)) for kind, (data, name) in zip(kinds, masks)]
        result[size] = [pairs[start:end] for start, end in zip([0, *ends], ends)]
    return result


def check_first(index: Index, size: int | None, columns: Collection[str] | None = None) -> None:
    """Raises FormatError where the first image or mask shows that none of `size` pixels, None for its own, serves."""
    role = _photo_role(index)
    if columns is None or "image" in columns:
        ((data, name),) = index.read(role, index.table["image"].slice(0, 1).combine_chunks())
        check_image(data, [size], SUBSETS[FILES[role].subset], name)
    if "mask" in index.table.column_names and (columns is None or "mask" in columns):
        first = pc.index(pc.is_valid(index.table["mask"]), True).as_py()
        if first >= 0:
            ((data, name),) = index.read("hq_masks", index.table["mask"].slice(first, 1).combine_chunks())
            check_mask(data, name)


def examples(rows: pa.Table, images: Pictures, columns: Collection[str] | None = None) -> Iterator[dict[str, Any]]:
    """Rows of an index and their images as the dictionaries that `datasets` encodes, with the columns wanted."""
    numbers = rows["number"].to_pylist()
    names = rows["file_name"].to_pylist()
    plain = rows.select(
        [
            name
            for name in rows.column_names
            if name not in ("number", "image", "mask", "parts") and (columns is None or name in columns)
        ]
    ).to_pylist()
    for position, (number, row) in enumerate(zip(numbers, plain or [{}] * len(numbers))):
        example: dict[str, Any] = {}
        if "image" in images:
            example["image"] = {"bytes": images["image"][position], "path": names[position]}
        if "mask" in images:
            mask = images["mask"][position]
            example["mask"] = None if mask is None else {"bytes": mask, "path": mask_name(number)}
        example.update(row)
        if "parts" in images:
            example["parts"] = [
                {"part": part, "mask": {"bytes": mask, "path": part_name(number, part)}}
                for part, mask in images["parts"][position]
            ]
        yield example
