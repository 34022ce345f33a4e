"""Write the Parquet folder that `load_dataset` reads by name, from the official files.

Builds `hq` and `standard`, as far as the release has them, or the configs given with --config. Shards are written
beside OUT and appear there together, when all are done. Killed at any point, the same command goes on where it
stopped. An incomplete release is refused unless --allow-incomplete is given.

OUT and RELEASE may be fsspec URLs; for --dask they must be paths that every worker sees.
"""

import concurrent.futures
import contextlib
import fcntl
import functools
import hashlib
import io
import json
import os
import platform
import shutil
import threading
from dataclasses import dataclass

import datasets
import numpy as np
import PIL
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

import celeba_dialog
from celeba_dialog import CONFIGS
from celeba_dialog import FILES
from celeba_dialog import EnvironmentFault
from celeba_dialog import MissingFileError
from celeba_dialog import Release
from celeba_dialog import UsageError

from .. import card
from ..look import sheet
from ..look.rows import open_rows
from ..machine import files
from ..machine import pool
from . import schema

MANIFEST = "manifest.json"
# All else that a folder may hold.
BESIDE_SHARDS = ("README.md", MANIFEST, "id2label.json", "statistics.png", "legend.png", "preview.png")
PREVIEW_ROWS = 4  # of the contact sheet in the card
ROW_GROUP = {"hq": 100, "standard": 1000}  # rows: about 10 MB of images each


def add_arguments(parser):
    parser.add_argument("release", metavar="RELEASE", help="folder with the official files")
    parser.add_argument("out", metavar="OUT", help="folder to write; call it celeba_dialog to load it by that name")
    parser.add_argument("--config", action="append", choices=list(CONFIGS), help="what to build; may be repeated")
    parser.add_argument("--workers", type=int, metavar="N", help="processes (default: one per CPU)")
    parser.add_argument("--dask", metavar="ADDRESS", help="scheduler of a Dask cluster that does the work instead")
    parser.add_argument("--allow-incomplete", action="store_true", help="build what is there of an incomplete release")
    parser.add_argument("--with-preview", action="store_true", help="show faces of the dataset in the card")
    parser.add_argument("--force", action="store_true", help="build every shard anew, and drop configs not named")


def run(args):
    options = {"allow_incomplete": args.allow_incomplete, "with_preview": args.with_preview, "force": args.force}
    build(args.release, args.out, args.config, args.workers, args.dask, **options)


def build(
    release, out, configs=None, workers=None, dask=None, *, allow_incomplete=False, with_preview=False, force=False
):
    """Build the folder `out` from `release`; returns its manifest, a dict.

    Args:
        release: path or URL of the official files.
        out: path or URL of the folder to write.
        configs: names of configs; None for `hq` and `standard`, as far as the release has them.
        workers: processes; None for one per CPU.
        dask: address of a Dask scheduler; None for processes of this machine.
        allow_incomplete: build although files or images are missing.
        with_preview: put a contact sheet with faces of the dataset into the card.
        force: reuse nothing that an earlier build left.

    Raises ReleaseError where the release is at fault, EnvironmentFault where the machine is, UsageError for `out`.
    """
    if workers is not None and workers < 1:
        raise UsageError(f"--workers {workers}: at least one is needed.")
    if int(pa.__version__.split(".")[0]) < 21:  # content-defined chunking
        raise EnvironmentFault(f"pyarrow {pa.__version__}: build needs 21 or newer. Try: pip install -U pyarrow")
    release = Release(release)
    folder = Folder(out)
    configs = _configs(release, configs)
    with folder.claimed(force):
        kept = {} if force else folder.kept(configs)
        for name, entry in kept.items():
            if entry["release"] != release.digest(celeba_dialog.roles_of(*family(name))):
                raise UsageError(
                    f"{folder.path}: holds the config {name}, built from another state of the release. Build it too, "
                    f"with --config {name}, or drop it with --force."
                )
        indexes = _open_indexes(release, [name for name in CONFIGS if name in configs or name in kept])
        incomplete = list(dict.fromkeys(line for index in indexes.values() for line in shortfalls(index)))
        if incomplete and not allow_incomplete:
            raise MissingFileError(
                f"{release.root}: the release is incomplete:\n  " + "\n  ".join(incomplete) + "\n"
                "See what to do with: python -m conversion check RELEASE. To build what is there: --allow-incomplete"
            )
        jobs = [
            job
            for (subset, parts), index in indexes.items()
            for job in plan(
                release, subset, parts, index, [name for name in configs if family(name) == (subset, parts)]
            )
        ]
        with pool.executor(workers, dask) as executor:
            folder.prepare(jobs, kept)
            futures = [executor.submit(write_shards, job, folder.data, folder.records) for job in jobs]
            roles = {role for subset, parts in indexes for role in celeba_dialog.roles_of(subset, parts)}
            with _Sources(release, roles) as sources:
                records = _collect(futures, jobs, folder.data)
                manifest = _manifest(jobs, records, indexes, kept, sources.result(), incomplete)
        beside = card.render(manifest, _example(indexes, manifest), with_preview)
        beside |= {"preview.png": _preview(release)} if with_preview else {}
        manifest["files"] = {
            name: {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
            for name, data in sorted(beside.items())
            if name != "README.md"
        }
        folder.publish(manifest, beside)
    for index in indexes.values():
        for line in celeba_dialog.unlisted_lines(index):
            files.say(line)
    files.say(f"{folder.path}: {', '.join(manifest['configs'])} built. {_how_to_load(folder.path, manifest)}")
    return manifest


def _preview(release):
    """A contact sheet of the release as a PNG, for the card."""
    source = open_rows(release.root)
    config = source.configs[0]
    positions = sheet.spread(np.arange(len(source.labels(config))), PREVIEW_ROWS)
    file = io.BytesIO()
    sheet.contact_sheet(source, config, positions, f"CelebA-Dialog · {config}", "").save(file, "PNG")
    return file.getvalue()


def _how_to_load(path, manifest):
    folder, name = os.path.split(path)
    return f'Next, in {folder or "."}: datasets.load_dataset("{name}", "{next(iter(manifest["configs"]))}")'


def family(name):
    """(subset, parts) of a config: configs of one family have the same rows and are built from one index."""
    options = CONFIGS[name]
    return options.get("subset", "hq"), options.get("parts", False)


def _configs(release, names):
    """The configs to build, in the order of CONFIGS. Without names those of `hq` and `standard` that have images."""
    if names:
        return [name for name in CONFIGS if name in names]
    found = [name for name in ("hq", "standard") if f"{name}_images" in release.sources]
    if not found:
        raise MissingFileError(
            f"{release.root}: no images below it, neither {FILES['hq_images'].name} nor "
            f"{FILES['standard_images'].name}. See what is there with: python -m conversion check RELEASE"
        )
    for name in {"hq", "standard"} - set(found):
        files.say(f"{release.root}: no {name} images below it, so the config {name} is left out.")
    return found


def _open_indexes(release, configs):
    return {
        (subset, parts): celeba_dialog.open_index(release, subset, parts)
        for subset, parts in dict.fromkeys(family(name) for name in configs)
    }


def shortfalls(index):
    """What an index lacks for a full build, a line each: files that are missing or hold less than the official ones."""
    lines = [f"{FILES[role].path}: missing ({FILES[role].what})" for role in index.missing]
    for role, count in index.counts.items():
        if count < FILES[role].count:
            lines.append(f"{FILES[role].path}: {count:,} of {FILES[role].count:,} {FILES[role].holds}")
    return lines + celeba_dialog.unlisted_lines(index)


# ---------------------------------------------------------------------------------------------------------- shard jobs


@dataclass(frozen=True)
class Job:
    """One range of rows to write, as one shard for each of the configs of a family. Small, and the same everywhere."""

    root: str  # of the release
    index: str  # where the index is kept
    release: str  # digest of the state of the release
    state: str  # digest of everything that the shard's bytes depend on
    first: int  # row of the index
    last: int  # the row after the last
    targets: tuple  # (config, image size or None, path of the shard below OUT)


def plan(release, subset, parts, index, configs):
    """The jobs for the configs of one family, known from the index alone."""
    digest = release.digest(celeba_dialog.roles_of(subset, parts))
    state = _state(digest)
    path = celeba_dialog.index_path(release.root, subset, parts, digest)
    jobs = []
    for split, rows in index.splits.items():
        ranges = celeba_dialog.shard_ranges(split, *rows)
        for number, (first, last) in enumerate(ranges):
            targets = tuple(
                (name, CONFIGS[name].get("image_size"), f"{name}/{split}-{number:05d}-of-{len(ranges):05d}.parquet")
                for name in configs
            )
            jobs.append(Job(release.root, path, digest, state, first, last, targets))
    return jobs


def _state(digest):
    """Changes with everything that the bytes of a shard depend on; `digest` is that of the release."""
    return hashlib.sha256(f"{digest} {_maker()}".encode()).hexdigest()[:32]


@functools.cache
def _maker():
    code = [files.sha256(path) for path in (__file__, schema.__file__, celeba_dialog.__file__)]
    return hashlib.sha256(repr((code, versions())).encode()).hexdigest()


def versions():
    """The libraries that the bytes of a shard depend on."""
    return {
        "celeba_dialog": celeba_dialog.__version__,
        "datasets": datasets.__version__,
        "numpy": np.__version__,
        "pillow": PIL.__version__,
        "pyarrow": pa.__version__,
    }


def write_shards(job, data, records):
    """Do one job: write its shards below the folder `data`, and for each a record below `records`. This is what a
    worker runs.

    A shard whose record fits the job and whose bytes fit the record is not written again. Returns the records:
    {"path", "rows", "size", "sha256", "memory_bytes", "state"} each. Raises EnvironmentFault on a worker of a cluster
    that would write other bytes.
    """
    if job.state != _state(job.release):
        here = ", ".join(f"{name} {version}" for name, version in versions().items())
        raise EnvironmentFault(
            f"The worker on {platform.node()} has another copy of this project than this command, or other libraries: "
            f"{here}. Install the same there."
        )
    done = [_finished(job, path, data, records) for _, _, path in job.targets]
    todo = [target for target, record in zip(job.targets, done) if record is None]
    if todo:
        try:
            written = _write(job, todo, data, records)
        except OSError as error:
            raise storage_fault(error, data) from error
        done = [written.get(path, record) for (_, _, path), record in zip(job.targets, done)]
    return done


def storage_fault(error, path):
    """An OSError of writing as an error of ours, with what to do."""
    what = error.strerror or str(error)
    return EnvironmentFault(
        f"{error.filename or path}: cannot be written: {what}. Finished shards are kept: mend that and run the same "
        f"command again."
    )


def _finished(job, path, data, records):
    try:
        record = json.loads(files.read(f"{records}/{path}.json"))
        if record["state"] == job.state and record["size"] == files.size(f"{data}/{path}"):
            return record if record["sha256"] == files.sha256(f"{data}/{path}") else None
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return None


def _write(job, targets, data, records):
    index = celeba_dialog.index_at(job.index, lambda: Release(job.root))
    subset = "hq" if "hq_images" in index.sources else "standard"
    arrow, leaves = _layout(subset, "parts" in index.table.column_names)
    sizes = list(dict.fromkeys(size for _, size, _ in targets))
    result = {}
    with contextlib.ExitStack() as stack:
        shards = [_Shard(stack, f"{data}/{path}", arrow, leaves) for _, _, path in targets]
        for start in range(job.first, job.last, ROW_GROUP[subset]):
            rows = index.table.slice(start, min(ROW_GROUP[subset], job.last - start))
            images = celeba_dialog.read_images(index, rows, sizes)
            for shard, (_, size, _) in zip(shards, targets):
                shard.write(to_parquet(rows, images[size], arrow))
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
def _layout(subset, parts):
    """(Arrow schema, names of the Parquet columns) of the shards of a family."""
    features = celeba_dialog.features_of(subset, parts)
    arrow = features.arrow_schema.with_metadata({"huggingface": json.dumps(schema.portable_json(features))})
    buffer = io.BytesIO()
    pq.write_table(arrow.empty_table(), buffer)
    columns = pq.ParquetFile(buffer).schema
    return arrow, [columns.column(index).path for index in range(len(columns))]


class _Shard:
    """A Parquet file being written, hashed as it goes. Image bytes are not compressed, because JPEG and PNG are."""

    def __init__(self, stack, path, arrow, leaves):
        self.digest = hashlib.sha256()
        self.size = self.memory = 0
        self._file = stack.enter_context(files.whole_file(path, synced=False))  # `_collect` does it
        # Neither a dictionary nor statistics of image bytes: both would copy and compare every image for nothing.
        others = [name for name in leaves if not name.endswith(".bytes")]
        self._writer = stack.enter_context(
            pq.ParquetWriter(
                pa.PythonFile(self, "w"),
                arrow,
                compression={name: "NONE" if name.endswith(".bytes") else "SNAPPY" for name in leaves},
                use_dictionary=others,
                write_statistics=others,
                write_page_index=True,
                use_content_defined_chunking=True,
            )
        )

    def write(self, data):
        if isinstance(data, pa.Table):
            self.memory += data.nbytes
            self._writer.write_table(data, row_group_size=max(1, data.num_rows))
            return None
        self.digest.update(data)  # called by the Parquet writer
        self.size += len(data)
        return self._file.write(data)

    closed = False

    def flush(self):
        pass

    def close(self):
        pass


def to_parquet(rows, images, arrow):
    """Rows of an index and their images as a table of the published schema."""
    columns = []
    for field in arrow:
        if field.name == "image":
            columns.append(_images(images["image"], rows["file_name"].combine_chunks()))
        elif field.name == "mask":
            names = [celeba_dialog.mask_name(number) for number in rows["number"].to_pylist()]
            columns.append(_images(images["mask"], pa.array(names)))
        elif field.name == "parts":
            columns.append(_parts(images["parts"], rows["number"].to_pylist(), field.type))
        else:
            columns.append(rows[field.name].combine_chunks().cast(field.type))
    return pa.Table.from_arrays(columns, schema=arrow)


def _images(data, names):
    data = pa.array(data, pa.binary())
    names = pc.if_else(data.is_valid(), names, pa.scalar(None, pa.string()))
    return pa.StructArray.from_arrays([data, names], names=["bytes", "path"], mask=data.is_null())


def _parts(lists, numbers, type_):
    flat = [(number, part, mask) for number, pairs in zip(numbers, lists) for part, mask in pairs]
    offsets = np.cumsum([0] + [len(pairs) for pairs in lists])
    names = pa.array([celeba_dialog.part_name(number, part) for number, part, _ in flat], pa.string())
    masks = _images([mask for _, _, mask in flat], names)
    parts = pa.array([part for _, part, _ in flat], pa.int64())
    values = pa.StructArray.from_arrays([parts, masks], names=["part", "mask"])
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), values).cast(type_)


def label_counts(rows):
    """What the card tells of the labels of some rows of an index: how many rows there are of each degree, and so on."""
    counts = {
        name: np.bincount(np.asarray(rows[name]) + 1, minlength=7).tolist() for name in celeba_dialog.DEGREES
    }  # the first is -1: missing
    attributes = rows["attributes"].combine_chunks().flatten().to_numpy().reshape(rows.num_rows, -1)
    counts["attributes"] = (attributes == 1).sum(axis=0).tolist()
    counts["attributes_missing"] = int((attributes == -1).any(axis=1).sum())
    counts["captions"] = pc.sum(pc.not_equal(rows["caption"], "")).as_py()
    counts["requests"] = pc.sum(pc.not_equal(rows["request"], "")).as_py()
    if "mask" in rows.column_names:
        counts["masks"] = rows.num_rows - rows["mask"].null_count
    return counts


# ----------------------------------------------------------------------------------------------------- running the jobs


def _collect(futures, jobs, data):
    """The records of all jobs, by the path of the shard. A failure ends the build; what is finished is kept.

    The shards are synced here, in a thread, so that the workers need not wait for the disk.
    """
    total = sum((job.last - job.first) * len(job.targets) for job in jobs)
    records, synced = {}, []
    with files.progress(total=total, desc="build") as bar, concurrent.futures.ThreadPoolExecutor(1) as disk:
        for done in pool.results(futures):
            for record in done:
                records[record["path"]] = record
                synced.append(disk.submit(files.sync, f"{data}/{record['path']}"))
                bar.update(record["rows"])
        for future in synced:
            future.result()
    return records


class _Sources:
    """The size and SHA-256 of every source, computed in a thread while the workers read the same bytes."""

    def __init__(self, release, roles):
        self._stop = threading.Event()
        self._pool = concurrent.futures.ThreadPoolExecutor(1)
        self._future = self._pool.submit(self._hash_all, release, roles)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self._stop.set()
        self._pool.shutdown()

    def result(self):
        return self._future.result()

    def _hash_all(self, release, roles):
        found = []
        for role in sorted(roles):
            for source in release.sources.get(role, []):
                entry = {"role": role, "path": release.shown(source.path), "size": source.size}
                if source.path.endswith("/"):
                    names = sorted(row[2] for row in celeba_dialog.folder_members(source))
                    lines = [f"{self._hash(source.path + name)}  {name}\n" for name in names]
                    entry["files"] = len(names)
                    entry["sha256"] = hashlib.sha256("".join(lines).encode()).hexdigest()
                else:
                    entry["sha256"] = self._hash(source.path)
                found.append(entry)
        return found

    def _hash(self, path):
        digest = hashlib.sha256()
        try:
            with files.open_file(path) as file:
                while not self._stop.is_set() and (block := file.read(files.BLOCK)):
                    digest.update(block)
        except Exception as error:  # a remote file system raises whatever it likes
            what = getattr(error, "strerror", None) or repr(error)
            raise EnvironmentFault(f"{path}: cannot be read: {what}.") from error
        return digest.hexdigest()


def _manifest(jobs, records, indexes, kept, sources, incomplete):
    """The manifest: the same for the same release, options and library versions, whoever did the work."""
    built = {}
    for job in jobs:
        for name, size, path in job.targets:
            subset, parts = family(name)
            entry = {"subset": subset, "image_size": size, "parts": parts, "release": job.release, "digest": job.state}
            config = built.setdefault(name, entry | {"splits": {}})
            split = path.split("/")[1].split("-")[0]
            shards = config["splits"].setdefault(split, {"shards": []})["shards"]
            shards.append({key: value for key, value in records[path].items() if key != "state"})
    for name, config in built.items():
        index = indexes[family(name)]
        for split, entry in config["splits"].items():
            first, last = index.splits[split]
            entry["rows"] = sum(shard["rows"] for shard in entry["shards"])
            entry["bytes"] = sum(shard["size"] for shard in entry["shards"])
            entry["memory_bytes"] = sum(shard["memory_bytes"] for shard in entry["shards"])
            entry["labels"] = label_counts(index.table.slice(first, last - first))
    content = json.dumps([(source["role"], source["sha256"]) for source in sources])
    return {
        "format": 1,
        "dataset": "celeba_dialog",
        "release": {"digest": hashlib.sha256(content.encode()).hexdigest(), "incomplete": incomplete},
        "sources": sources,
        "configs": {name: built.get(name) or kept[name] for name in CONFIGS if name in built or name in kept},
        "versions": versions(),
    }


def _example(indexes, manifest):
    """The first row of the first config, its images told in a word: what the card shows as an example."""
    index = indexes[family(next(iter(manifest["configs"])))]
    rows = index.table.slice(0, 1)
    row = next(celeba_dialog.examples(rows, celeba_dialog.read_images(index, rows, [None])[None]))
    for name in ("image", "mask"):
        if row.get(name):
            row[name] = f"<{len(row[name]['bytes']):,} bytes of {'JPEG' if name == 'image' else 'PNG'}>"
    row.pop("parts", None)
    return row


# ----------------------------------------------------------------------------------------------------- the built folder


class Folder:
    """The folder to build, and the working folder beside it in which that happens.

    On disk, everything is made in `.NAME.building` beside OUT, and OUT is replaced in one rename when all is there.
    At a URL there is no such rename: shards go to their places, and the README, without which no config is found,
    goes away before them and comes back last.

    Attributes:
        path: of the built folder.
        data: where the shards of the next build are written.
        records: where the record of each finished shard lies.
    """

    def __init__(self, out):
        self.path = celeba_dialog.normal_path(out)
        self.remote = celeba_dialog.is_url(self.path)
        if self.remote:
            self.work, self.data = f"{self.path}/.building", self.path
        else:
            self.path = os.path.realpath(self.path)  # a link stays: what it leads to is replaced
            parent, name = os.path.split(self.path)
            self.work = os.path.join(parent, f".{name}.building")
            self.data = os.path.join(self.work, "new")
        self.records = f"{self.work}/records"
        self._reuse = True

    def manifest(self):
        """The manifest of what is built already, None where nothing is. Raises UsageError where OUT is not ours."""
        try:
            manifest = json.loads(files.read(f"{self.path}/{MANIFEST}"))
            if manifest.get("dataset") == "celeba_dialog":
                self._refuse_others(manifest)
                return manifest
        except (FileNotFoundError, NotADirectoryError):
            pass
        except OSError as error:
            raise EnvironmentFault(f"{self.path}: cannot be read: {error.strerror or error}.") from error
        except (ValueError, AttributeError, KeyError, TypeError):
            raise self._foreign() from None
        names = files.names(self.path)
        if files.is_file(self.path) or (names and not (self.remote and ".building" in names)):
            raise self._foreign()
        return None

    def _foreign(self):
        return UsageError(
            f"{self.path}: holds something that is no earlier build. Give a new or empty folder, or move that away."
        )

    def _refuse_others(self, manifest):
        """Raises UsageError for a file in OUT that no build wrote: it would go away with the folder."""
        ours = {shard["path"] for entry in manifest["configs"].values() for shard in _shards(entry)}
        for folder, _, names in () if self.remote else os.walk(self.path):
            for name in sorted(names):
                path = os.path.relpath(os.path.join(folder, name), self.path).replace(os.sep, "/")
                if path not in ours and path not in BESIDE_SHARDS and name != ".DS_Store":
                    raise UsageError(
                        f"{self.path}: holds {path}, which no build wrote. Move it away: a build replaces the folder."
                    )

    @contextlib.contextmanager
    def claimed(self, force):
        """Holds the working folder for this build alone. Raises EnvironmentFault where another build has it."""
        self.manifest()  # before anything is written
        if self.remote:
            if force:
                files.remove(self.work)
            yield
            return
        try:
            os.makedirs(self.work, exist_ok=True)
            lock = open(os.path.join(self.work, "lock"), "w")  # noqa: SIM115, closed below
        except OSError as error:
            raise storage_fault(error, self.work) from error
        with lock:
            try:
                fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # ends with this process, whatever ends it
                if not os.path.samestat(os.fstat(lock.fileno()), os.stat(lock.name)):
                    raise BlockingIOError  # the other build has just finished and cleared up
            except (BlockingIOError, PermissionError, FileNotFoundError) as error:
                raise EnvironmentFault(
                    f"{self.path}: another build is writing it. Wait until it is done, then run this command again."
                ) from error
            except OSError as error:  # a file system without locks
                raise storage_fault(error, lock.name) from error
            old = os.path.join(self.work, "old")
            try:
                if os.path.isdir(old) and not os.path.isdir(self.path):
                    os.rename(old, self.path)  # a build was killed between its two renames
                if force:
                    for name in ("new", "records"):
                        shutil.rmtree(os.path.join(self.work, name), ignore_errors=True)
                self._reuse = not force
                yield
            except OSError as error:
                raise storage_fault(error, self.work) from error
            finally:
                if not os.path.isdir(self.data):  # it was refused before anything was made, or is done
                    shutil.rmtree(self.work, ignore_errors=True)

    def kept(self, configs):
        """The manifest's entries of the configs that are built already and not to be built now.

        Raises UsageError where a shard of theirs is not there as it was built.
        """
        manifest = self.manifest()
        kept = {name: entry for name, entry in (manifest or {"configs": {}})["configs"].items() if name not in configs}
        for name, entry in kept.items():
            for shard in _shards(entry):
                path = f"{self.path}/{shard['path']}"
                if not files.is_file(path) or files.size(path) != shard["size"]:
                    raise UsageError(
                        f"{path}: is not as it was built, and belongs to the config {name}. Build that too, with "
                        f"--config {name}, or drop it with --force."
                    )
        return kept

    def prepare(self, jobs, kept):
        """Makes the folders, and takes over the shards of an earlier build that are still right."""
        wanted = {path for job in jobs for _, _, path in job.targets}
        for folder in {os.path.dirname(path) for path in wanted} | set(kept):
            files.make_folder(f"{self.data}/{folder}")
            files.make_folder(f"{self.records}/{folder}")
        wanted |= {shard["path"] for entry in kept.values() for shard in _shards(entry)}
        if self.remote:
            for name in BESIDE_SHARDS:
                if name != MANIFEST:  # by which it is known as ours
                    files.remove(f"{self.path}/{name}")
            for name in CONFIGS:  # shards of an earlier build of something else
                for shard in files.names(f"{self.path}/{name}"):
                    if f"{name}/{shard}" not in wanted:
                        files.remove(f"{self.path}/{name}/{shard}")
            return
        for folder, _, names in os.walk(self.data):  # what an interrupted build of something else left
            for name in names:
                if os.path.relpath(os.path.join(folder, name), self.data) not in wanted:
                    os.unlink(os.path.join(folder, name))
        manifest = self.manifest() if self._reuse else None
        for entry in (manifest or {"configs": {}})["configs"].values():
            for shard in _shards(entry):
                new = os.path.join(self.data, shard["path"])
                if shard["path"] in wanted and not os.path.exists(new):
                    _link(os.path.join(self.path, shard["path"]), new)
                    record = os.path.join(self.records, shard["path"] + ".json")
                    with files.whole_file(record) as file:
                        file.write(json.dumps(shard | {"state": entry["digest"]}).encode())

    def publish(self, manifest, texts):
        """Writes manifest and card, and puts the new folder in the place of OUT; the README is written last."""
        texts = {MANIFEST: (json.dumps(manifest, indent=1, sort_keys=True) + "\n").encode(), **texts}
        for name in sorted(texts, key=lambda name: name == "README.md"):
            with files.whole_file(f"{self.data}/{name}") as file:
                file.write(texts[name])
        if self.remote:
            files.remove(self.work)
            return
        shards = [shard["path"] for entry in manifest["configs"].values() for shard in _shards(entry)]
        if all(_same(f"{self.path}/{name}", text) for name, text in texts.items()) and all(
            _one_file(f"{self.path}/{path}", f"{self.data}/{path}") for path in shards
        ):
            shutil.rmtree(self.data)  # nothing has changed
            return
        old = os.path.join(self.work, "old")
        shutil.rmtree(old, ignore_errors=True)
        try:
            if os.path.isdir(self.path) and os.listdir(self.path):
                os.rename(self.path, old)
            os.rename(self.data, self.path)
        except OSError as error:
            with contextlib.suppress(OSError):
                os.rename(old, self.path)
            raise EnvironmentFault(
                f"{self.path}: cannot be replaced: {error.strerror}. Everything is built, in {self.data}. If OUT is a "
                f"mount point, give a folder inside it."
            ) from error


def _same(path, content):
    with contextlib.suppress(OSError):
        return files.read(path) == content
    return False


def _one_file(path, other):
    with contextlib.suppress(OSError):
        return os.path.samefile(path, other)
    return False


def _shards(entry):
    return [shard for split in entry["splits"].values() for shard in split["shards"]]


def _link(old, new):
    """`new` with the content of `old`: a second name for it, or a copy where the file system has none."""
    try:
        os.link(old, new)
    except FileNotFoundError:
        pass  # it was removed by hand; the shard is built anew
    except OSError:
        with open(old, "rb") as source, files.whole_file(new) as file:
            shutil.copyfileobj(source, file)
