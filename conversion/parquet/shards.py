"""The shards: which rows go into which file, and the jobs that write them, in whatever process."""

import contextlib
import functools
import hashlib
import io
import json
import platform
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import datasets
import numpy as np
import PIL
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

import celeba_dialog
from celeba_dialog import CONFIGS, family

from ..release.errors import EnvironmentFault
from ..release.finding import Release, code_digest
from ..release.index import IndexKey, index_key
from ..release.official import mask_name, part_name
from ..release.rows import read_rows, shard_ranges
from ..release.table import Index
from ..runtime import files
from . import schema

ROW_GROUP = {"hq": 100, "standard": 1000}  # rows, of about 10 MB of images in either


@dataclass(frozen=True)
class Job:
    """One range of rows to write, as one shard for each of some configs of a family. Small, so cheap to send."""

    index: IndexKey
    state: str  # digest of everything that the bytes of the shards depend on
    first: int  # row of the index
    last: int  # the row after the last
    targets: tuple[tuple[str, int | None, str], ...]  # (config, image size or None, path of the shard below OUT)


def plan(release: Release, indexes: Mapping[tuple[str, bool], Index], configs: Iterable[str]) -> list[Job]:
    """The Jobs that build some configs; `indexes` is {family: Index}."""
    jobs = []
    for (subset, parts), index in indexes.items():
        key = index_key(release, subset, parts)
        names = [name for name in configs if family(name) == (subset, parts)]
        for split, rows in index.splits.items() if names else ():
            ranges = shard_ranges(split, *rows)
            for number, (first, last) in enumerate(ranges):
                targets = tuple(
                    (name, CONFIGS[name].get("image_size"), shard_path(name, split, number, len(ranges)))
                    for name in names
                )
                jobs.append(Job(key, _state(key.digest), first, last, targets))
    return jobs


def count_rows(jobs: Iterable[Job]) -> int:
    """The rows of all shards that some jobs write."""
    return sum((job.last - job.first) * len(job.targets) for job in jobs)


def release_rows(job: Job, sizes: list[int | None]) -> Iterator[tuple[pa.Table, dict[int | None, Any]]]:
    """The rows of a job with their images, a row group at a time; see `read_rows`."""
    return read_rows(job.index, job.first, job.last, ROW_GROUP[job.index.subset], sizes)


def shard_path(config: str, split: str, number: int, count: int) -> str:
    """Where the shard `number` of `count` lies below the built folder."""
    return f"{config}/{split}-{number:05d}-of-{count:05d}.parquet"


def _state(digest: str) -> str:
    """Hexadecimal digits that change with everything the bytes of a shard depend on; `digest` is of the release."""
    return hashlib.sha256(f"{digest} {_maker()}".encode()).hexdigest()[:32]


@functools.cache
def _maker() -> str:
    """Hexadecimal digits that change with the code and the libraries."""
    code = [code_digest(), *(files.checksum(path) for path in (__file__, schema.__file__, celeba_dialog.__file__))]
    return hashlib.sha256(repr((code, versions())).encode()).hexdigest()


def versions() -> dict[str, str]:
    """The libraries that the bytes of a shard depend on."""
    return {
        "celeba_dialog": celeba_dialog.__version__,
        "datasets": datasets.__version__,
        "numpy": np.__version__,
        "pillow": PIL.__version__,
        "pyarrow": pa.__version__,
    }


def write_shards(job: Job, data: str, records: str) -> list[dict[str, Any]]:
    """The job of a worker: writes its shards below the folder `data`, and for each a record below `records`.

    A shard whose record fits the job and whose bytes fit the record is not written again. Returns the records:
    {"path", "rows", "size", "sha256", "memory_bytes", "state"} each. Raises EnvironmentFault where it would write other
    bytes than the machine that planned the job, or cannot write, and ReleaseError where the release is at fault.
    """
    if job.state != _state(job.index.digest):
        here = ", ".join(f"{name} {version}" for name, version in versions().items())
        raise EnvironmentFault(
            f"The worker on {platform.node()} has another copy of this project than this command, or other libraries: "
            f"{here}. Install the same there."
        )
    done = {path: record for _, _, path in job.targets if (record := _finished(job, path, data, records))}
    todo = [target for target in job.targets if target[2] not in done]
    if todo:
        try:
            done |= _write(job, todo, data, records)
        except OSError as error:
            raise storage_fault(error, data) from error
    return [done[path] for _, _, path in job.targets]


def storage_fault(error: Exception, path: str) -> EnvironmentFault:
    """The EnvironmentFault for an OSError while writing below `path`."""
    what = getattr(error, "strerror", None) or error
    return EnvironmentFault(
        f"{getattr(error, 'filename', None) or path}: cannot be written: {what}. Finished shards are kept: mend that "
        f"and run the same command again."
    )


def _finished(job: Job, path: str, data: str, records: str) -> dict[str, Any] | None:
    """The record of a shard that an earlier build finished; None where there is none or it does not fit the shard."""
    try:
        record = json.loads(files.read(f"{records}/{path}.json"))
        if record["state"] == job.state and record["size"] == files.size(f"{data}/{path}"):
            right = {"path": path, "rows": job.last - job.first, "sha256": files.checksum(f"{data}/{path}")}
            if record == record | right and type(record["memory_bytes"]) is int:
                return record
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        pass
    return None


def _write(job: Job, targets: list[tuple[str, int | None, str]], data: str, records: str) -> dict[str, dict[str, Any]]:
    """Writes some targets of a job. Returns {path: record}."""
    arrow = layout(job.index.subset, job.index.parts)
    sizes = list(dict.fromkeys(size for _, size, _ in targets))
    result = {}
    with contextlib.ExitStack() as stack:
        shards = [Shard(stack, f"{data}/{path}", arrow) for _, _, path in targets]
        for rows, images in release_rows(job, sizes):
            for shard, (_, size, _) in zip(shards, targets):
                shard.add(to_parquet(rows, images[size], arrow))
    for shard, (_, _, path) in zip(shards, targets):
        result[path] = {
            "state": job.state,
            "path": path,
            "rows": job.last - job.first,
            "size": shard.size,
            "sha256": shard.digest.hexdigest(),
            "memory_bytes": shard.memory,
        }
        with files.whole_file(f"{records}/{path}.json", synced=False) as file:
            file.write(json.dumps(result[path]).encode())
    return result


@functools.cache
def layout(subset: str, parts: bool) -> pa.Schema:
    """The Arrow schema of the shards of a family, with the features as `datasets` looks for them."""
    features = celeba_dialog.features_of(subset, parts)
    return features.arrow_schema.with_metadata({"huggingface": json.dumps(schema.portable_json(features))})


def empty_shard(arrow: pa.Schema) -> pq.ParquetFile:
    """A ParquetFile of the schema `arrow` without rows: what Parquet makes of the names and types of its columns."""
    buffer = io.BytesIO()
    pq.write_table(arrow.empty_table(), buffer)
    return pq.ParquetFile(buffer)


class Shard:
    """A Parquet file being written, hashed as it goes. Image bytes are not compressed: JPEG and PNG are already.

    It has the schema `arrow`, and appears at `path` when `stack`, an ExitStack, is left without an error. `digest` is
    its SHA-256 so far, `size` its bytes, `memory` the bytes of its rows as Arrow tables.
    """

    def __init__(self, stack: contextlib.ExitStack, path: str, arrow: pa.Schema) -> None:
        self.digest = hashlib.sha256()
        self.size = self.memory = 0
        self._file = stack.enter_context(files.whole_file(path, synced=False))  # the main process syncs it
        columns = empty_shard(arrow).schema
        leaves = [columns.column(index).path for index in range(len(columns))]
        # Neither a dictionary nor statistics of image bytes: both would compare every image with others for nothing.
        others = [name for name in leaves if not name.endswith(".bytes")]
        self._parquet = stack.enter_context(
            pq.ParquetWriter(
                pa.PythonFile(self, "w"),
                arrow,
                compression={name: "NONE" if name.endswith(".bytes") else "SNAPPY" for name in leaves},
                use_dictionary=others,
                write_statistics=others,
                write_page_index=True,
            )
        )

    def add(self, table: pa.Table) -> None:
        """Writes some rows, as one row group."""
        self.memory += table.nbytes
        self._parquet.write_table(table, row_group_size=max(1, table.num_rows))

    # What pa.PythonFile asks of a file.

    closed = False

    def write(self, data: bytes) -> int:
        self.digest.update(data)
        self.size += len(data)
        return self._file.write(data)


def to_parquet(rows: pa.Table, images: Mapping[str, list], arrow: pa.Schema) -> pa.Table:
    """Rows of an index and their images, as `read_images` gives them for one size, as a table of the schema `arrow`."""
    columns = []
    for field in arrow:
        if field.name == "image":
            columns.append(_images(images["image"], rows["file_name"].combine_chunks()))
        elif field.name == "mask":
            names = [mask_name(number) for number in rows["number"].to_pylist()]
            columns.append(_images(images["mask"], pa.array(names)))
        elif field.name == "parts":
            columns.append(_parts(images["parts"], rows["number"].to_pylist(), field.type))
        else:
            columns.append(rows[field.name].combine_chunks().cast(field.type))
    return pa.Table.from_arrays(columns, schema=arrow)


def _images(data: Any, names: pa.Array) -> pa.StructArray:
    """A column of images, structs of bytes and path; null where `data`, a list, has None."""
    data = pa.array(data, pa.binary())
    names = pc.if_else(data.is_valid(), names, pa.scalar(None, pa.string()))
    return pa.StructArray.from_arrays([data, names], names=["bytes", "path"], mask=data.is_null())


def _parts(lists: list[list[tuple[int, bytes]]], numbers: list[int], type_: pa.DataType) -> pa.ListArray:
    """The column `parts`, of an Arrow type, from a list of (index into PARTS, PNG) for each file number."""
    flat = [(number, part, mask) for number, pairs in zip(numbers, lists) for part, mask in pairs]
    offsets = np.cumsum([0] + [len(pairs) for pairs in lists])
    names = pa.array([part_name(number, part) for number, part, _ in flat], pa.string())
    masks = _images([mask for _, _, mask in flat], names)
    parts = pa.array([part for _, part, _ in flat], pa.int64())
    values = pa.StructArray.from_arrays([parts, masks], names=["part", "mask"])
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), values).cast(type_)
