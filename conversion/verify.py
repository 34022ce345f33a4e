"""Compare a built folder with the release, byte by byte, and with everything it says of itself.

Nothing but the official files is trusted: they are read anew, whatever lies in the cache. Compared are the rows of
every shard (image and mask bytes and every annotation, read with plain pyarrow), the schema of every shard, the files
of the folder, and what manifest.json and the YAML of README.md state. Each difference is one line: where it is, what
was found and what was expected. Images are compared, not decoded: `check --deep` decodes those of the release.
"""

import posixpath

import pyarrow as pa
import pyarrow.parquet as pq

from celeba_dialog import CONFIGS

from . import card
from .parquet import shards
from .parquet.manifest import MANIFEST, all_shards, hashed_sources, make_manifest, read_manifest
from .parquet.schema import validated
from .release.errors import ReleaseError, UsageError
from .release.finding import Release, normal_path
from .release.missing import unlisted_lines
from .release.rows import examples
from .runtime import files, pool

MOST_LINES = 20  # differences that are listed of one shard


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

    `configs` are the names of those to compare, None for all. Raises UsageError where there is no built folder or not
    the config asked for, ReleaseError where the release is at fault.
    """
    out = normal_path(out)
    try:
        manifest = read_manifest(out)
    except ReleaseError as error:
        raise UsageError(f"{out}: no built folder: it has no {MANIFEST} of ours. {error}") from None
    release = Release(release)
    for name in configs or []:
        if name not in manifest["configs"]:
            raise UsageError(f"{out}: has no config {name}, only {', '.join(manifest['configs'])}.")
    configs = [name for name in CONFIGS if name in (configs or manifest["configs"])]
    indexes = shards.open_indexes(release, configs)
    for line in dict.fromkeys(line for index in indexes.values() for line in unlisted_lines(index)):
        files.say(line)
    jobs = shards.plan(release, indexes, configs)
    rows = values = 0
    problems, records = _file_differences(out, manifest), {}
    with (
        hashed_sources(release, indexes) as sources,
        files.progress(total=shards.count_rows(jobs), desc="verify") as bar,
        pool.executor(workers) as executor,
    ):
        listed = {shard["path"]: shard for shard in all_shards(manifest)}
        tasks = [(job, size, path, out, listed.get(path)) for job in jobs for _, size, path in job.targets]
        for record, shard_rows, shard_values, found in pool.results(pool.submit(executor, compare_shard, tasks)):
            bar.update(shard_rows)
            rows, values = rows + shard_rows, values + shard_values
            problems += found
            records[record["path"]] = record
        expected = make_manifest(jobs, records, indexes, {}, sources.result())
    problems += _manifest_differences(manifest, expected) + _head_differences(out, manifest, expected)
    return rows, values, sorted(problems)


def _file_differences(out, manifest):
    """A line for each file that is not in the manifest, is no plain file, or (shards excepted) differs from it."""
    known = {MANIFEST, "README.md", *manifest["files"]}
    known |= {shard["path"] for shard in all_shards(manifest)}
    problems = []
    for path, kind in files.tree(out).items():
        if posixpath.basename(path) == ".DS_Store":
            continue  # build leaves it alone too
        if path not in known and not (kind == "folder" and path in manifest["configs"]):
            problems.append(f"{path}: is not in {MANIFEST}, and does not belong there")
        elif path in known and kind != "file":
            problems.append(f"{path}: is a {kind}, expected a file")
    for name in dict.fromkeys(["README.md", *manifest["files"]]):
        listed = manifest["files"].get(name)
        path = posixpath.join(out, name)
        if listed is None:
            problems.append(f"{name}: is not in {MANIFEST}")
        elif not files.is_file(path):
            problems.append(f"{name}: missing, though {MANIFEST} lists it")
        elif (files.size(path), files.checksum(path)) != (listed["size"], listed["sha256"]):
            problems.append(f"{name}: the file is not the one in {MANIFEST}: its size or SHA-256 differs")
    return problems


def _manifest_differences(manifest, expected):
    """A line for each value in the manifest that differs from `expected`, which may have fewer configs."""
    problems = []

    def compare(found, right, where):
        if isinstance(found, dict) and isinstance(right, dict):
            for key in dict.fromkeys([*right, *found]):
                compare(found.get(key), right.get(key), f"{where}, {key}")
        elif isinstance(found, list) and isinstance(right, list) and len(found) == len(right):
            for number, pair in enumerate(zip(found, right)):
                compare(*pair, f"{where}, {number}")
        elif found != right:
            problems.append(f"{MANIFEST}: {where}: {_short(found)}, expected {_short(right)}")

    roles = {source["role"] for source in expected["sources"]}
    compare([source for source in manifest["sources"] if source["role"] in roles], expected["sources"], "sources")
    if len(expected["configs"]) == len(manifest["configs"]):
        compare(manifest["release"], expected["release"], "release")
    for name, right in expected["configs"].items():
        found = manifest["configs"][name]
        # These two digests hold times of the release's files and versions of the libraries: each machine has its own.
        compare(found, right | {key: found[key] for key in ("release", "digest")}, name)
    return problems


def _head_differences(out, manifest, expected):
    """A line for each entry of README.md's YAML that is not as `build` writes it for the `expected` manifest."""
    try:
        found = card.read_head(files.read(posixpath.join(out, "README.md")))
    except FileNotFoundError:
        return []  # `_file_differences` says so
    except ValueError as error:
        return [f"README.md: no YAML at its head: {_one_line(error)}"]
    right = card.head(expected | {"versions": manifest["versions"]})
    if len(expected["configs"]) < len(manifest["configs"]):  # then only the entries of these are compared
        named = ("configs", "dataset_info")
        right = {key: right[key] for key in named}
        there = {key: found[key] if isinstance(found.get(key), list) else [] for key in named}
        found = {key: [entry for entry in right[key] if entry in there[key]] for key in named}
    return [
        f"README.md: {key} in its YAML: {_short(found.get(key))}, expected {_short(right.get(key))}"
        for key in dict.fromkeys([*right, *found])
        if found.get(key) != right.get(key)
    ]


def compare_shard(job, size, path, out, listed):
    """Compares the shard at `path` below `out` with the release: the job of a worker.

    `job` and `size` are what `build` wrote it by; `listed` is the manifest's entry of it, None where there is none.
    Returns (the record that `build` would keep of it, rows compared, values compared, list of differences).
    """
    record = (listed or {"size": 0, "sha256": "", "memory_bytes": 0}) | {"path": path, "rows": job.last - job.first}
    rows = values = memory = 0
    problems = []
    place = posixpath.join(out, path)
    try:
        record |= {"size": files.size(place), "sha256": files.checksum(place)}
        if listed is None or (listed["size"], listed["sha256"]) != (record["size"], record["sha256"]):
            problems.append(f"{path}: the file is not the one in {MANIFEST}: its size or SHA-256 differs")
        with files.open_file(place) as file:
            parquet = pq.ParquetFile(file)
            problems += _schema_differences(path, parquet, job)
            found = _rows(parquet)
            arrow = shards.layout(job.index.subset, job.index.parts)
            for slice_, images in shards.release_rows(job, [size]):
                memory += shards.to_parquet(slice_, images[size], arrow).nbytes
                for right in examples(slice_, images[size]):
                    where, row = next(found, (None, None))
                    if row is None:
                        break
                    rows, values = rows + 1, values + len(right)
                    problems += _row_differences(f"{path}: {where} ({right['file_name']})", row, right)
            rows += sum(1 for _ in found)
            record["memory_bytes"] = memory
    except FileNotFoundError:
        problems.append(f"{path}: missing, though the release has rows for it")
    except (OSError, pa.ArrowException) as error:
        problems.append(f"{path}: cannot be read: {_one_line(error)}")
    else:
        if rows != record["rows"]:
            problems.append(f"{path}: {rows:,} rows, expected {record['rows']:,}")
    if len(problems) > MOST_LINES:
        problems[MOST_LINES:] = [f"{path}: {len(problems) - MOST_LINES:,} more differences"]
    return record, rows, values, problems


def _rows(parquet):
    """Yields (where it is, in words; the row, a dict) for every row of a Parquet file."""
    for group in range(parquet.num_row_groups):
        for index, row in enumerate(validated(parquet.read_row_group(group)).to_pylist()):
            yield f"row group {group}: row {index}", row


def _row_differences(where, found, right):
    """A line for each column in which a row of the shard is not the one of the release."""
    same_image = found.get("file_name") == right["file_name"]  # else every column would differ
    for column in sorted(right.keys() | found.keys()) if same_image else ["file_name"]:
        if column not in found or column not in right or found[column] != right[column]:
            what = f"{_short(found.get(column))}, the release has {_short(right.get(column))}"
            yield f"{where}: column {column}: {what}"


def _schema_differences(path, parquet, job):
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


def _one_line(error):
    return (getattr(error, "strerror", None) or str(error)).split("\n")[0]


def _short(value):
    if isinstance(value, dict) and isinstance(value.get("bytes"), bytes):
        return f"{len(value['bytes']):,} bytes named {value.get('path')}"
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "…"
