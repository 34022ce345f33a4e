"""A slice of the table and its bytes."""

import numpy as np

from .errors import ReleaseError
from .images import check_image, sized_image
from .index import check_unchanged, open_index
from .masks import sized_mask, sized_part
from .official import FILES, mask_name, part_name
from .vocabulary import SUBSETS, UNLABELED

# -------------------------------------------------------------------------------------------------------------- rows

READ_ROWS = 32  # rows that the builder reads at once: 3 MB of HQ images
FULL_SHARDS = {"train": 64, "validation": 8, "test": 8, UNLABELED: 1}
_FEWEST_ROWS = 8  # a shard holds at least so many, unless the split is smaller


def shard_count(split, rows):
    """Shards of a split with so many rows: a power of two, so that 2, 4 and 8 nodes each get the same number."""
    return min(FULL_SHARDS[split], 1 << max(0, (rows // _FEWEST_ROWS).bit_length() - 1))


def shard_ranges(split, first, last):
    """The (first row, row after the last) of each shard of a split; as even as can be, none empty."""
    count = shard_count(split, last - first)
    bounds = [first + (last - first) * index // count for index in range(count + 1)]
    return list(zip(bounds[:-1], bounds[1:]))


def read_rows(key, first, last, count, sizes):
    """The rows of an index from `first` to the one before `last`, at most `count` at a time.

    Yields (a slice of `index.table`, its images as `read_images` gives them). Raises ChangedReleaseError where an image
    cannot be read because the release is another by now, and what `read_images` raises.
    """
    index = open_index(key)
    for start in range(first, last, count):
        rows = index.table.slice(start, min(count, last - start))
        try:
            images = read_images(index, rows, sizes)
        except ReleaseError:
            check_unchanged(key)  # of an older release's index, the file that was read is not to blame
            raise
        yield rows, images


def read_images(index, rows, sizes):
    """The images of some rows of an index, for each of several sizes.

    Args:
        index: Index.
        rows: a slice of `index.table`.
        sizes: sides in pixels; None for the release's own bytes. An image is decoded once for all of them.

    Returns {size: {"image": [bytes], "mask": [bytes or None], "parts": [[(index into PARTS, bytes)]]}}, with the
    columns that the index has. Raises FormatError for an image or mask that is not what the dataset promises; what is
    looked at is said under "images and masks".
    """
    columns = {"image": _read_photos(index, rows["image"].combine_chunks(), sizes)}
    if "mask" in rows.column_names:
        columns["mask"] = _read_masks(index, rows["mask"].combine_chunks(), sizes)
    if "parts" in rows.column_names:
        columns["parts"] = _read_parts(index, rows["parts"].combine_chunks(), sizes)
    return {size: {column: found[size] for column, found in columns.items()} for size in sizes}


def _read_photos(index, places, sizes):
    role = _photo_role(index)
    found = [sized_image(data, sizes, SUBSETS[FILES[role].subset], name) for data, name in index.read(role, places)]
    return {size: [photo[size] for photo in found] for size in sizes}


def _photo_role(index):
    return "hq_images" if "hq_images" in index.sources else "standard_images"


def _read_masks(index, places, sizes):
    masks = index.read("hq_masks", places)
    return {size: [None if data is None else sized_mask(data, size, name) for data, name in masks] for size in sizes}


def _read_parts(index, lists, sizes):
    flat = lists.flatten()
    masks = index.read("hq_parts", flat.field("mask"))
    kinds = flat.field("part").to_pylist()
    ends = np.cumsum(lists.value_lengths().to_numpy()).tolist()
    result = {}
    for size in sizes:
        pairs = [(kind, sized_part(data, size, name)) for kind, (data, name) in zip(kinds, masks)]
        result[size] = [pairs[start:end] for start, end in zip([0, *ends], ends)]
    return result


def check_side(index, size):
    """Raises FormatError where the first image shows that none of `size`, None for the release's own, can be made."""
    role = _photo_role(index)
    ((data, name),) = index.read(role, index.table["image"].slice(0, 1).combine_chunks())
    check_image(data, [size], SUBSETS[FILES[role].subset], name)


def examples(rows, images):
    """Rows of an index and their images as the dictionaries that `datasets` encodes."""
    numbers = rows["number"].to_pylist()
    plain = rows.drop([name for name in ("number", "image", "mask", "parts") if name in rows.column_names]).to_pylist()
    for position, (number, row) in enumerate(zip(numbers, plain)):
        example = {"image": {"bytes": images["image"][position], "path": row["file_name"]}}
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
