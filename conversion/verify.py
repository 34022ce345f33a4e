"""Compare a built folder with the release, byte by byte, and with everything it says of itself.

Nothing but the official files is trusted: they are read anew, whatever lies in the cache. Compared are the rows of
every shard (image and mask bytes and every annotation, read with plain pyarrow), the schema of every shard, what
manifest.json states, and the files beside it, which are made anew for that. Each difference is one line: where it is,
what was found and what was expected. Images are compared, not decoded: `check --deep` decodes those of the release.
"""

import argparse
import contextlib
import itertools
import os
import shlex
from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from celeba_dialog import CONFIGS, family

from . import card
from .indexes import open_indexes
from .parquet import shards
from .parquet.contents import build_command, changed, misplaced
from .parquet.manifest import (
    MANIFEST,
    Manifest,
    all_shards,
    hashed_sources,
    make_manifest,
    read_manifest,
)
from .parquet.schema import validated
from .release.errors import ReleaseError, UsageError
from .release.finding import Release
from .release.missing import shortages
from .release.rows import examples
from .runtime import files, pool

MOST_LINES = 20  # differences that are listed of one shard
# File beside the shards -> what its bytes depend on besides the manifest: of another version, they may differ.
MADE_BY = {
    "README.md": ("celeba_dialog",),
    "id2label.json": (),
    "legend.png": ("celeba_dialog", "pillow"),
    "statistics.png": ("celeba_dialog", "pillow"),
    "preview.png": ("celeba_dialog", "pillow"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("out", metavar="OUT", help="the built folder")
    parser.add_argument("release", metavar="RELEASE", help="folder with the official files")
    parser.add_argument("--config", action="append", choices=list(CONFIGS), help="compare only this; may be repeated")
    parser.add_argument("--workers", type=int, metavar="N", help="processes (default: one per CPU)")


def run(args: argparse.Namespace) -> int:
    rows, values, problems = verify(args.out, args.release, args.config, args.workers)
    for problem in problems:
        files.say(problem)
    if problems:
        again = build_command(args.release, args.out, read_manifest(files.local_path(args.out)))
        files.say(f"{args.out}: {len(problems):,} differences. Build it again: {again}")
        return 1
    files.say(f"{args.out}: {rows:,} rows, {values:,} values, all as in {args.release}.")
    return 0


def verify(
    out: str | os.PathLike[str],
    release: str | os.PathLike[str],
    configs: list[str] | None = None,
    workers: int | None = None,
) -> tuple[int, int, list[str]]:
    """Compares a built folder with the release. Returns (rows, values, list of differences, a line each).

    `configs` are the names of those to compare, None for all. Raises UsageError where there is no built folder or not
    the config asked for, ReleaseError where the release is at fault.
    """
    out = files.local_path(out)
    try:
        manifest = read_manifest(out)
    except ReleaseError as error:
        why = str(error)
        if os.path.exists(os.path.join(release, MANIFEST)):
            why = f"It comes first: celeba-dialog verify {shlex.quote(str(release))} {shlex.quote(str(out))}"
        raise UsageError(f"{out}: no built folder: it has no {MANIFEST} of ours. {why}") from None
    found = Release(release)
    for name in configs or []:
        if name not in manifest["configs"]:
            raise UsageError(f"{out}: has no config {name}, only {', '.join(manifest['configs'])}.")
    configs = [name for name in CONFIGS if name in (configs or manifest["configs"])]
    rows = values = 0
    problems = _file_differences(out, manifest)
    records: dict[str, dict[str, Any]] = {}
    with contextlib.ExitStack() as stack:
        sources = stack.enter_context(hashed_sources(found, map(family, configs)))  # while the annotations are read
        indexes = open_indexes(found, map(family, configs), fresh=True, workers=workers)
        for line in dict.fromkeys(line for index in indexes.values() for line in shortages(index)):
            files.say(line)
        jobs = shards.plan(found, indexes, configs)
        bar = stack.enter_context(files.progress(total=shards.count_rows(jobs), desc="verify"))
        executor = stack.enter_context(pool.executor(workers))
        listed = {shard["path"]: shard for shard in all_shards(manifest)}
        tasks = [(job, size, path, out, listed.get(path)) for job in jobs for _, size, path in job.targets]
        for record, shard_rows, shard_values, lines in pool.results(pool.submit(executor, compare_shard, tasks)):
            bar.update(shard_rows)
            rows, values = rows + shard_rows, values + shard_values
            problems += lines
            records[record["path"]] = record
        expected = make_manifest(jobs, records, indexes, {}, sources())
    problems += _manifest_differences(manifest, expected)
    expected["versions"] = manifest["versions"]
    if len(expected["configs"]) < len(manifest["configs"]):
        problems += _entry_differences(out, expected)
    else:
        with_preview = "preview.png" in manifest["files"] or os.path.lexists(os.path.join(out, "preview.png"))
        problems += _beside_differences(out, manifest, card.beside_shards(expected, found, indexes, with_preview))
    return rows, values, sorted(problems)


def _file_differences(out: str, manifest: Manifest) -> list[str]:
    """A line for each file that does not belong there or is missing, or that, shards excepted, the manifest has not."""
    beside = dict.fromkeys(["README.md", *manifest["files"]])
    problems = misplaced(out, manifest, beside)
    for name in beside:
        path = os.path.join(out, name)
        if os.path.isfile(path) and (how := changed(path, files.checksum(path), manifest["files"].get(name))):
            problems.append(f"{name}: {how}")
    return problems


def _manifest_differences(manifest: Manifest, expected: Manifest) -> list[str]:
    """A line for each value in the manifest that differs from `expected`, which may have fewer configs."""
    problems = []

    def compare(found: Any, right: Any, where: str) -> None:
        if isinstance(found, dict) and isinstance(right, dict):
            for key in dict.fromkeys([*right, *found]):
                compare(found.get(key), right.get(key), f"{where}, {key}")
        elif isinstance(found, list) and isinstance(right, list) and len(found) == len(right):
            for number, pair in enumerate(zip(found, right)):
                compare(*pair, f"{where}, {number}")
        elif found != right:
            problems.append(f"{MANIFEST}: {where}: {_difference(found, right, 'expected')}")

    roles = {source["role"] for source in expected["sources"]}
    compare([source for source in manifest["sources"] if source["role"] in roles], expected["sources"], "sources")
    if len(expected["configs"]) == len(manifest["configs"]):
        compare(manifest["release"], expected["release"], "release")
    for name, right in expected["configs"].items():
        found = manifest["configs"][name]
        # These two digests hold times of the release's files and versions of the libraries: each machine has its own.
        compare(found, right | {key: found[key] for key in ("release", "digest")}, name)
    return problems


def _beside_differences(out: str, manifest: Manifest, expected: Mapping[str, bytes]) -> list[str]:
    """A line for each file beside the shards that is not as `build` makes it, whatever the manifest says of it."""
    problems, here = [], shards.versions()
    for name, right in expected.items():
        path = os.path.join(out, name)
        if not os.path.lexists(path):
            if name not in manifest["files"]:  # else `_file_differences` says so
                problems.append(f"{name}: missing")
        elif os.path.isfile(path) and not files.is_lfs_pointer(path):
            found = files.read(path)
            others = [library for library in MADE_BY[name] if manifest["versions"].get(library) != here[library]]
            if name == "README.md":
                problems += _card_differences(found, right, bool(others))
            elif found != right and not others:
                problems.append(f"{name}: {_difference(found, right, 'expected')}")
            if others:
                made = " and ".join(f"{library} {manifest['versions'].get(library)}" for library in others)
                files.say(f"{name}: made with {made}, other than here, so what it shows was not compared.")
    return problems


def _card_differences(data: bytes, expected: bytes, other_version: bool) -> list[str]:
    """A line for each entry of the YAML, and one for the text, in which a README.md differs from the expected one."""
    try:
        found, text = card.read_head(data)
    except ValueError as error:
        return [f"README.md: no YAML at its head: {_one_line(error)}"]
    right, right_text = card.read_head(expected)
    problems = _key_differences(found, right)
    if text != right_text and not other_version:
        head = expected[: len(expected) - len(right_text.encode())].count(b"\n")
        pairs = enumerate(zip([*text.split("\n"), None], [*right_text.split("\n"), None]), head + 1)
        number, (line, right_line) = next((number, pair) for number, pair in pairs if pair[0] != pair[1])
        what = _difference(line, right_line, "expected")
        problems.append(f"README.md: line {number}: {what}")
    return problems


def _entry_differences(out: str, expected: Manifest) -> list[str]:
    """The differences in what the YAML of README.md says of the expected configs alone."""
    try:
        found, _ = card.read_head(files.read(os.path.join(out, "README.md")))
    except OSError:
        return []  # `_file_differences` says so
    except ValueError as error:
        return [f"README.md: no YAML at its head: {_one_line(error)}"]
    named = ("configs", "dataset_info")
    right = {key: card.head(expected)[key] for key in named}
    there = {key: found[key] if isinstance(found.get(key), list) else [] for key in named}
    return _key_differences({key: [entry for entry in right[key] if entry in there[key]] for key in named}, right)


def _key_differences(found: Mapping[str, Any], right: Mapping[str, Any]) -> list[str]:
    return [
        f"README.md: {key} in its YAML: {_difference(found.get(key), right.get(key), 'expected')}"
        for key in dict.fromkeys([*right, *found])
        if found.get(key) != right.get(key)
    ]


def compare_shard(
    job: shards.Job, size: int | None, path: str, out: str, listed: dict[str, Any] | None
) -> tuple[dict[str, Any], int, int, list[str]]:
    """Compares the shard at `path` below `out` with the release: the job of a worker.

    `job` and `size` are what `build` wrote it by; `listed` is the manifest's entry of it, None where there is none.
    Returns (the record that `build` would keep of it, rows compared, values compared, list of differences).
    """
    record = (listed or {"size": 0, "sha256": "", "memory_bytes": 0}) | {"path": path, "rows": job.last - job.first}
    rows = values = memory = 0
    problems: list[str] = []
    place = os.path.join(out, path)
    try:
        record |= {"size": files.size(place), "sha256": files.checksum(place)}
        if how := changed(place, record["sha256"], listed):
            problems.append(f"{path}: {how}")
        with files.open_file(place) as file:
            parquet = pq.ParquetFile(file)
            problems += _schema_differences(path, parquet, job)
            found = validated(parquet.read())
            arrow = shards.layout(job.index.subset, job.index.parts)
            for slice_, images in shards.release_rows(job, [size]):
                right = shards.to_parquet(slice_, images[size], arrow)
                here = found.slice(rows, len(right))
                if not here.equals(right):
                    pairs = zip(_places(parquet, rows), here.to_pylist(), examples(slice_, images[size]))
                    for where, row, example in pairs:
                        problems += _row_differences(f"{path}: {where} ({example['file_name']})", row, example)
                rows, values = rows + len(here), values + len(here) * right.num_columns
                memory += right.nbytes
            rows = len(found)
            record["memory_bytes"] = memory
    except FileNotFoundError:
        problems.append(f"{path}: missing, though the release has rows for it")
    except (OSError, pa.ArrowException) as error:
        if not files.is_lfs_pointer(place):  # which was said above
            problems.append(f"{path}: cannot be read: {_one_line(error)}")
    else:
        if rows != record["rows"]:
            problems.append(f"{path}: {rows:,} rows, expected {record['rows']:,}")
    if len(problems) > MOST_LINES:
        problems[MOST_LINES:] = [f"{path}: {len(problems) - MOST_LINES:,} more differences"]
    return record, rows, values, problems


def _places(parquet: pq.ParquetFile, first: int) -> Iterator[str]:
    """Where the rows of a Parquet file are from row `first` on, in words."""
    sizes = [parquet.metadata.row_group(group).num_rows for group in range(parquet.num_row_groups)]
    places = (f"row group {group}: row {row}" for group, size in enumerate(sizes) for row in range(size))
    return itertools.islice(places, first, None)


def _row_differences(where: str, found: Mapping[str, Any], right: Mapping[str, Any]) -> Iterator[str]:
    """A line for each column in which a row of the shard is not the one of the release."""
    same_image = found.get("file_name") == right["file_name"]  # else every column would differ
    for column in sorted(right.keys() | found.keys()) if same_image else ["file_name"]:
        if column not in found or column not in right or found[column] != right[column]:
            what = _difference(found.get(column), right.get(column), "the release has")
            yield f"{where}: column {column}: {what}"


def _schema_differences(path: str, parquet: pq.ParquetFile, job: shards.Job) -> list[str]:
    """A line for each column whose type is not the published one, and one where the features in the metadata differ."""
    right = shards.empty_shard(shards.layout(job.index.subset, job.index.parts)).schema_arrow
    found = parquet.schema_arrow
    problems = []
    for name in dict.fromkeys([*right.names, *found.names]):
        types = [str(schema.field(name).type) if name in schema.names else "no column" for schema in (found, right)]
        if types[0] != types[1]:
            problems.append(f"{path}: column {name}: {types[0]}, expected {types[1]}")
    if not problems and found.names != right.names:
        problems.append(f"{path}: columns {', '.join(found.names)}, expected the order {', '.join(right.names)}")
    key = b"huggingface"
    if (found.metadata or {}).get(key) != right.metadata[key]:
        problems.append(f"{path}: the features in its metadata are not those of the dataset")
    return problems


def _one_line(error: Exception) -> str:
    return files.one_line(getattr(error, "strerror", None) or str(error))


def _difference(found: Any, right: Any, expected: str) -> str:
    """How a value differs from the right one, in words that hold both where they differ."""
    found, right, where = _innermost(found, right, "")
    if isinstance(found, bytes) and isinstance(right, bytes):
        if len(found) != len(right):
            return f"{where}{len(found):,} bytes, {expected} {len(right):,}"
        first = next(index for index, pair in enumerate(zip(found, right)) if pair[0] != pair[1])
        return f"{where}other bytes from byte {first:,} on ({len(found):,} in all)"
    if isinstance(found, str) and isinstance(right, str):
        same = len(os.path.commonprefix([found, right]))
        found, right = (_around(text, same) for text in (found, right))
    return f"{where}{_in_words(found)}, {expected} {_in_words(right)}"


def _innermost(found: Any, right: Any, where: str) -> tuple[Any, Any, str]:
    """The first parts in which two nested values differ, and where they are."""
    if isinstance(found, dict) and isinstance(right, dict):
        pairs = [(key, found.get(key), right.get(key)) for key in dict.fromkeys([*right, *found])]
    elif isinstance(found, list) and isinstance(right, list) and len(found) == len(right):
        pairs = list(zip(range(len(right)), found, right))
    else:
        return found, right, where
    for key, one, other in pairs:
        if one != other:
            return _innermost(one, other, f"{where}{key}: ")
    return found, right, where


def _around(text: str, place: int) -> str:
    """A long text, cut to what is around a place in it."""
    start = max(0, place - 20)
    cut = text[start : start + 60]
    return "…" * (start > 0) + cut + "…" * (start + 60 < len(text))


def _in_words(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, str):
        return f"“{files.printable(value)}”"
    if isinstance(value, bytes):
        return f"{len(value):,} bytes"
    if isinstance(value, (dict, list)):
        return f"{len(value):,} {'entries' if len(value) != 1 else 'entry'}"
    return str(value)
