"""The files that only repeat what others say, held against a table.

Reading them takes a fifth of the time of the others, so whoever loads rows does without; check, build and verify
do not.
"""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from .agreement import check_agreement, check_texts_agree
from .errors import ConflictError, ReleaseError, logger
from .finding import Release
from .official import ANNOTATIONS
from .table import Index
from .vocabulary import ATTRIBUTES, DEGREES, HQ, STANDARD, SUBSETS


def compare_copies(release: Release, subset: str, index: Index) -> dict[str, int]:
    """Compares the files of a subset that an Index was not made from with what it says.

    Returns {role: rows or entries of its file}. Raises ConflictError where they differ. A file that cannot be read is
    left aside, with a warning.
    """
    table, other = index.table, "standard" if subset == "hq" else "hq"
    own = table["number"].to_numpy()
    theirs = _numbers(table["celeba_file_name" if subset == "hq" else "hq_file_name"])
    degrees = np.column_stack([table[name].to_numpy() for name in DEGREES])
    attributes = pc.list_flatten(table["attributes"]).to_numpy().reshape(-1, len(ATTRIBUTES))
    identities = table["identity"].to_numpy()
    counts: dict[str, int] = {}
    for role in ANNOTATIONS[subset]:
        if role in index.counts or role not in release.sources:
            continue
        found, count = _read(release, role)
        if count is None:
            continue
        counts[role] = count
        if role.endswith("_requests_txt"):
            _compare_requests(release, f"{subset}_requests", role, table, found["request"])
        elif role.startswith("labels_"):
            _compare(release, "degrees", f"{subset}_labels", own, degrees, role, found, own)
        elif role == f"{other}_attributes":
            _compare(release, "attributes", f"{subset}_attributes", own, attributes, role, found, theirs)
        elif role == f"{other}_identity":
            _compare(release, "identities", f"{subset}_identity", own, identities, role, found, theirs)
    return counts


def _read(release: Release, role: str) -> tuple[Any, int | None]:
    try:
        return release.read(role)
    except ConflictError:
        raise
    except ReleaseError as error:
        logger.warning(f"{error} It is left aside, because another file says the same.")
        return None, None
    finally:
        pa.default_memory_pool().release_unused()  # what splitting a text took, before the next one is read


def _compare(
    release: Release,
    what: str,
    role: str,
    numbers: np.ndarray,
    values: np.ndarray,
    other_role: str,
    table: np.ndarray,
    places: np.ndarray,
) -> None:
    """Holds `values` of the images `numbers`, from the file of `role`, against a `table` that has them at `places`."""
    if role not in release.sources:
        return
    there = places >= 0
    subset = SUBSETS["hq" if role.startswith("hq") else "standard"]
    own = np.full((subset.first + subset.images, *values.shape[1:]), -1, values.dtype)
    other = np.full_like(own, -1)
    own[numbers[there]], other[numbers[there]] = values[there], table[places[there]]
    check_agreement(release, what, other_role, other, role, own)


def _compare_requests(release: Release, role: str, other_role: str, table: pa.Table, requests: pa.Array) -> None:
    """Holds the requests of a text file, by file number, against those of a table of rows."""
    subset = HQ if role.startswith("hq") else STANDARD
    row = np.full(subset.first + subset.images, -1)
    row[table["number"].to_numpy()] = np.arange(len(table))
    taken = table["request"].combine_chunks().take(pa.array(row, mask=row < 0))
    check_texts_agree(release, role, pc.fill_null(taken, ""), other_role, requests)


def _numbers(names: pa.ChunkedArray) -> np.ndarray:
    """File numbers of an array of file names, -1 for ""."""
    stems = pc.replace_substring(names, ".jpg", "")
    return pc.if_else(pc.equal(stems, ""), "-1", stems).cast(pa.int32()).to_numpy()
