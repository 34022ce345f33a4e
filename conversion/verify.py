"""Read every row of a built folder back and compare it with the release, byte by byte.

Files are compared with the manifest first, then the rows: image and mask bytes and every annotation, read with plain
pyarrow. Each difference is one line: shard, row group, row, column, what was found and what was expected.
"""

import posixpath

import pyarrow as pa
import pyarrow.parquet as pq

import celeba_dialog
from celeba_dialog import CONFIGS
from celeba_dialog import Release
from celeba_dialog import ReleaseError
from celeba_dialog import UsageError

from .build.manifest import read_manifest
from .build.manifest import shards_of
from .look.rows import sound
from .machine import files
from .machine import pool

MOST_LINES = 20  # differences shown of one shard


def add_arguments(parser):
    parser.add_argument("out", metavar="OUT", help="the built folder")
    parser.add_argument("release", metavar="RELEASE", help="folder with the official files")
    parser.add_argument("--config", action="append", choices=list(CONFIGS), help="compare only this; may be repeated")
    parser.add_argument("--workers", type=int, metavar="N", help="processes (default: one per CPU)")


def run(args):
    rows, values, problems = verify(args.out, args.release, args.config, args.workers)
    for problem in problems:
        files.say(problem)
    if problems:
        files.say(f"{args.out}: {len(problems):,} differences. Build it again, with --force.")
        return 1
    files.say(f"{args.out}: {rows:,} rows, {values:,} values, all as in {args.release}.")
    return 0


def verify(out, release, configs=None, workers=None):
    """Compares a built folder with the release. Returns (rows, values, list of differences, a line each).

    Raises UsageError where there is no built folder or not the config asked for, ReleaseError where the release is at
    fault.
    """
    out = celeba_dialog.normal_path(out)
    try:
        manifest = read_manifest(out)
    except ReleaseError as error:
        raise UsageError(f"{out}: no built folder: it has no manifest.json of ours. {error}") from None
    release = Release(release)
    for name in configs or []:
        if name not in manifest["configs"]:
            raise UsageError(f"{out}: has no config {name}, only {', '.join(manifest['configs'])}.")
    jobs, problems = [], strangers(out, manifest)
    for name in configs or manifest["configs"]:
        entry = manifest["configs"][name]
        index = celeba_dialog.open_index(release, entry["subset"], entry["parts"])
        digest = release.digest(celeba_dialog.roles_of(entry["subset"], entry["parts"]))
        path = celeba_dialog.index_path(release.root, entry["subset"], entry["parts"], digest)
        for line in celeba_dialog.unlisted_lines(index):
            files.say(f"{name}: {line}")
        for split, (first, last) in index.splits.items():
            shards = entry["splits"].get(split, {"shards": []})["shards"]
            total = sum(shard["rows"] for shard in shards)
            if total != last - first:
                problems.append(
                    f"{name} {split}: {total:,} rows, expected {last - first:,}, as many as the release has"
                )
            for shard in shards:
                jobs.append((out, shard, release.root, path, first, entry["image_size"]))
                first += shard["rows"]
        for split in set(entry["splits"]) - set(index.splits):
            problems.append(f"{name} {split}: built, but the release has no image of that split")
    rows = values = 0
    total = sum(job[1]["rows"] for job in jobs)
    with files.progress(total=total, desc="verify") as bar, pool.executor(workers) as executor:
        for shard_rows, shard_values, found in pool.results([executor.submit(compare_shard, *job) for job in jobs]):
            bar.update(shard_rows)
            rows, values = rows + shard_rows, values + shard_values
            problems += found
    return rows, values, sorted(problems)


def strangers(out, manifest):
    """A line for each Parquet file that no build wrote, and that `load_dataset` would take for a shard all the same;
    and one where the README is missing, which says which file belongs to which config."""
    known = {shard["path"] for entry in manifest["configs"].values() for shard in shards_of(entry)}
    found = {f"{name}/{file}" for name in manifest["configs"] for file in files.names(posixpath.join(out, name))}
    problems = [f"{path}: is not in manifest.json" for path in found - known]
    if not files.is_file(posixpath.join(out, "README.md")):
        problems.append("README.md: missing, so that the configs do not load by name")
    return problems


def compare_shard(out, shard, root, index, first, size):
    """(rows, values compared, differences) of one shard: what a worker does.

    `shard` is the manifest's entry, `first` the row of the index that it starts with, `size` the image size or None.
    """
    path = posixpath.join(out, shard["path"])
    problems = []
    try:
        if files.size(path) != shard["size"] or files.sha256(path) != shard["sha256"]:
            problems.append(f"{shard['path']}: the file is not the one in manifest.json: its size or SHA-256 differs")
        with files.open_file(path) as file:
            rows, values, found = _compare_rows(
                file, shard, celeba_dialog.index_at(index, lambda: Release(root)), first, size
            )
    except FileNotFoundError:
        return 0, 0, [f"{shard['path']}: missing, though manifest.json lists it"]
    except (OSError, pa.ArrowException) as error:
        return 0, 0, [*problems, f"{shard['path']}: cannot be read: {_one_line(error)}"]
    problems += found
    if len(problems) > MOST_LINES:
        problems[MOST_LINES:] = [f"{shard['path']}: {len(problems) - MOST_LINES:,} more differences"]
    return rows, values, problems


def _compare_rows(file, shard, index, first, size):
    rows = values = 0
    problems = []
    parquet = pq.ParquetFile(file)
    for group in range(parquet.num_row_groups):
        found = sound(parquet.read_row_group(group)).to_pylist()
        slice_ = index.table.slice(first + rows, len(found))
        images = celeba_dialog.read_images(index, slice_, [size])[size]
        for row, (one, other) in enumerate(zip(found, celeba_dialog.examples(slice_, images))):
            values += len(other)
            same_image = one.get("file_name") == other["file_name"]  # else every column would differ
            for column in sorted(other.keys() | one.keys()) if same_image else ["file_name"]:
                if column not in one or column not in other or one[column] != other[column]:
                    problems.append(
                        f"{shard['path']}: row group {group}: row {row} ({other['file_name']}): column {column}: "
                        f"{_short(one.get(column))}, the release has {_short(other.get(column))}"
                    )
        rows += len(found)
    if rows != shard["rows"]:
        problems.append(f"{shard['path']}: {rows:,} rows, manifest.json says {shard['rows']:,}")
    return rows, values, problems


def _one_line(error):
    return (getattr(error, "strerror", None) or str(error)).split("\n")[0]


def _short(value):
    if isinstance(value, dict) and isinstance(value.get("bytes"), bytes):
        return f"{len(value['bytes']):,} bytes named {value.get('path')}"
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "…"
