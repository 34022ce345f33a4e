"""The manifest of a built folder, which says what was built from what: its form, how it is made, read and checked."""

import concurrent.futures
import contextlib
import functools
import hashlib
import json
import os
import re
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from celeba_dialog import CONFIGS, family

from ..indexes import Family
from ..release.errors import DamagedFileError, EnvironmentFault, MissingFileError
from ..release.finding import Release
from ..release.members import image_files
from ..release.missing import shortages
from ..release.official import FILES, roles_of, without
from ..release.storage import is_url
from ..release.table import Index
from ..release.vocabulary import DEGREES, SPLITS
from ..runtime import files
from .shards import Job, shard_path, versions

MANIFEST = "manifest.json"
Manifest = dict[str, Any]  # the manifest, and what it consists of

# The files that a built folder may hold besides shards.
BESIDE_SHARDS = ("README.md", MANIFEST, "id2label.json", "statistics.png", "legend.png", "preview.png")

# The form of the manifest. A form is a type, a pattern, a fixed value, {key: form} or [form of every item].
_HEX = re.compile("[0-9a-f]{32,64}")
_MANIFEST = {
    "dataset": "celeba_dialog",  # first, because the first difference is the one that is reported
    "format": 1,
    "release": {"digest": _HEX, "incomplete": [str]},
    "sources": [{"role": str, "path": str, "size": int, "sha256": _HEX}],
    "configs": dict,
    "versions": dict,
    "files": dict,
}
_CONFIG = {"release": _HEX, "digest": _HEX, "splits": dict}
_SPLIT = {"rows": int, "bytes": int, "memory_bytes": int, "labels": dict, "shards": list}
_SHARD = {"rows": int, "size": int, "memory_bytes": int, "sha256": _HEX}
_FILE = {"size": int, "sha256": _HEX}


def make_manifest(
    jobs: list[Job],
    records: Mapping[str, Manifest],
    indexes: Mapping[Family, Index],
    kept: Mapping[str, Manifest],
    sources: list[Manifest],
) -> Manifest:
    """The manifest, a dict, without "files"; the same for the same release, options and library versions.

    Args:
        jobs: all Jobs that were done.
        records: {path of a shard: its record}, see `write_shards`.
        indexes: {family: Index} of the configs built and kept.
        kept: {config: its entry in the earlier manifest} of the configs that were not built now.
        sources: the entries of the release's files, see `hashed_sources`.
    """
    configs: dict[str, Manifest] = {
        name: entry | {"splits": {split: {"shards": told["shards"]} for split, told in entry["splits"].items()}}
        for name, entry in kept.items()
    }
    for job in jobs:
        for name, size, path in job.targets:
            entry: Manifest = {"subset": job.index.subset, "image_size": size, "parts": job.index.parts}
            entry |= {"release": job.index.digest, "digest": job.state, "splits": {}}
            config = configs.setdefault(name, entry)
            split = path.split("/")[1].split("-")[0]
            shards = config["splits"].setdefault(split, {"shards": []})["shards"]
            shards.append({key: value for key, value in records[path].items() if key != "state"})
    for name, config in configs.items():
        index = indexes[family(name)]
        for split, entry in config["splits"].items():
            first, last = index.splits[split]
            entry["rows"] = last - first
            entry["bytes"] = sum(shard["size"] for shard in entry["shards"])
            entry["memory_bytes"] = sum(shard["memory_bytes"] for shard in entry["shards"])
            entry["labels"] = label_counts(index.table.slice(first, last - first))
    content = json.dumps([(source["role"], source["sha256"]) for source in sources])
    return {
        "format": 1,
        "dataset": "celeba_dialog",
        "release": {"digest": hashlib.sha256(content.encode()).hexdigest(), "incomplete": shortfalls(indexes)},
        "sources": sources,
        "configs": {name: configs[name] for name in CONFIGS if name in configs},
        "versions": versions(),
    }


@contextlib.contextmanager
def hashed_sources(release: Release, families: Iterable[Family]) -> Iterator[Callable[[], list[Manifest]]]:
    """Hashes every source of some families in a thread, while annotations are read and workers read the same bytes.

    Gives a function that returns the manifest's entries, [{"role", "path", "size", "sha256"}], a folder's with "files",
    how many it has; it raises EnvironmentFault for a file that cannot be read. Behind an address they are hashed when
    it is called: not every file system there, as that in memory, gives two threads a file each.
    """
    roles = sorted({role for subset, parts in families for role in roles_of(subset, parts)})
    stop = threading.Event()
    if is_url(release.root):
        yield lambda: _entries(release, roles, stop)
        return
    with concurrent.futures.ThreadPoolExecutor(1) as thread:
        try:
            yield thread.submit(_entries, release, roles, stop).result
        finally:
            stop.set()


def _entries(release: Release, roles: list[str], stop: threading.Event) -> list[Manifest]:
    def check_wanted(_: int) -> None:
        if stop.is_set():
            raise concurrent.futures.CancelledError

    @functools.cache  # one zip may serve several roles
    def sha256(path: str) -> str:
        try:
            return files.checksum(path, progress=check_wanted)
        except OSError as error:
            raise EnvironmentFault(f"{path}: cannot be read: {error.strerror or repr(error)}.") from error

    found = []
    for role in roles:
        for source in release.sources.get(role, []):
            entry: Manifest = {"role": role, "path": release.shown(source.path), "size": source.size}
            if source.path.endswith("/"):
                names = image_files(release, source)
                lines = [f"{sha256(source.path + name)}  {name}\n" for name in names]
                entry["files"] = len(names)
                entry["sha256"] = hashlib.sha256("".join(lines).encode()).hexdigest()
            else:
                entry["sha256"] = sha256(source.path)
            found.append(entry)
    return found


def files_entry(beside: Mapping[str, bytes]) -> Manifest:
    """The manifest's entry of the files beside the shards; `beside` is {name: bytes}."""
    return {name: {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()} for name, data in beside.items()}


def shortfalls(indexes: Mapping[Family, Index]) -> list[str]:
    """A line for each file that some indexes lack for a full build, or that holds too little."""
    lines: list[str] = []
    for index in indexes.values():
        lines += [f"{FILES[role].path}: missing, so {without(role)}" for role in index.missing]
        for role, count in index.counts.items():
            if count < index.expected[role]:
                lines.append(f"{FILES[role].path}: {count:,} of {index.expected[role]:,} {FILES[role].holds}")
        lines += shortages(index)
    return list(dict.fromkeys(lines))


def read_manifest(folder: str) -> Manifest:
    """The manifest of the built `folder`, a path or URL: a dict of the form that `make_manifest` gives.

    Raises MissingFileError where there is none, EnvironmentFault where it cannot be read, DamagedFileError where it is
    of another form.
    """
    path = f"{folder}/{MANIFEST}"
    try:
        if not files.is_file(path):
            what = f"is a {files.kind(path)}" if not is_url(path) and os.path.lexists(path) else "not there"
            raise MissingFileError(f"{path}: {what}, so this folder is no finished build. Run build first.")
        return parse_manifest(files.read(path), path)
    except OSError as error:
        raise EnvironmentFault(f"{path}: cannot be read: {error.strerror or error}.") from error


def parse_manifest(data: bytes, path: str, advice: str = "Build the folder again, under another name.") -> Manifest:
    """The manifest in `data`, bytes of JSON that messages call `path`. Raises DamagedFileError for another form."""
    try:
        manifest = json.loads(data.decode(), object_pairs_hook=_object)
        _check(manifest)
    except (ValueError, RecursionError) as error:
        if data.startswith(files.LFS_START):
            raise DamagedFileError(f"{path}: {files.LFS_POINTER}.") from None
        raise DamagedFileError(f"{path}: is not what build writes: {error}. {advice}") from None
    return manifest


def _object(pairs: list[tuple[str, Any]]) -> Manifest:
    """A JSON object as a dict. Raises ValueError where a key is there twice."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key is there twice")
    return found


def _check(manifest: Any) -> None:
    """Raises ValueError where a value read from JSON does not have the form of a manifest."""
    _check_form(manifest, _MANIFEST, "")
    for name, file in _known(manifest["files"], BESIDE_SHARDS, "files"):
        _check_form(file, _FILE, f"files, {name}")
    for config, entry in _known(manifest["configs"], CONFIGS, "configs"):
        subset, parts = family(config)
        fixed = {"subset": subset, "parts": parts, "image_size": CONFIGS[config].get("image_size")}
        _check_form(entry, _CONFIG | fixed, config)
        for split, told in _known(entry["splits"], SPLITS, f"{config}, splits"):
            where = f"{config}, {split}"
            _check_form(told, _SPLIT, where)
            for number, shard in enumerate(told["shards"]):
                path = shard_path(config, split, number, len(told["shards"]))
                _check_form(shard, _SHARD | {"path": path}, f"{where}, shards, {number}")
    splits = [entry["splits"] for entry in manifest["configs"].values()]
    if not (splits and all(splits) and all(told["shards"] for each in splits for told in each.values())):
        raise ValueError("no shards in a config or split")


def _known(entries: Manifest, names: Collection[str], where: str) -> Iterable[tuple[str, Any]]:
    """The items of a dict. Raises ValueError for a key that is none of `names`."""
    for name in entries:
        if name not in names:
            raise ValueError(f"{where}: {name!a:.40}, expected one of {', '.join(names)}")
    return entries.items()


def _check_form(value: Any, form: Any, where: str) -> None:
    """Raises ValueError where a value does not have a form, see _MANIFEST; `where` is what the message calls it."""
    if isinstance(form, dict):
        _check_form(value, dict, where)
        for key, inner in form.items():
            if key not in value:
                raise ValueError(f"{where or 'it'}: no {key}")
            _check_form(value[key], inner, f"{where}, {key}" if where else key)
    elif isinstance(form, list):
        _check_form(value, list, where)
        for number, item in enumerate(value):
            _check_form(item, form[0], f"{where}, {number}")
    else:
        if form is int:
            fits = type(value) is int and 0 <= value < 1 << 63
        elif isinstance(form, re.Pattern):
            fits = type(value) is str and bool(form.fullmatch(value))
        elif isinstance(form, type):
            fits = type(value) is form
        else:
            fits = type(value) is type(form) and value == form
        if not fits:
            raise ValueError(f"{where} {value!a:.60}, expected {_IN_WORDS.get(form, ascii(form))}".lstrip())


_IN_WORDS = {dict: "an object", list: "a list", str: "a text", int: "a whole number", _HEX: "hexadecimal digits"}


def label_counts(rows: pa.Table) -> Manifest:
    """How many rows of an index there are with each label, for the card.

    Returns {"bangs": [missing, 0, …, 5], … "age": […], "attributes": [those with yes, for each of the forty],
    "attributes_missing": n, "captions": n, "requests": n, "masks": n (hq)}.
    """
    counts = {name: np.bincount(np.asarray(rows[name]) + 1, minlength=7).tolist() for name in DEGREES}
    attributes = rows["attributes"].combine_chunks().flatten().to_numpy().reshape(rows.num_rows, -1)
    counts["attributes"] = (attributes == 1).sum(axis=0).tolist()
    counts["attributes_missing"] = int((attributes == -1).any(axis=1).sum())
    counts["captions"] = pc.sum(pc.not_equal(rows["caption"], "")).as_py()
    counts["requests"] = pc.sum(pc.not_equal(rows["request"], "")).as_py()
    if "mask" in rows.column_names:
        counts["masks"] = rows.num_rows - rows["mask"].null_count
    return counts


def shards_of(entry: Manifest) -> list[Manifest]:
    """All shards of a config's entry in the manifest: [{"path", "rows", "size", "sha256", "memory_bytes"}]."""
    return [shard for split in entry["splits"].values() for shard in split["shards"]]


def all_shards(manifest: Manifest) -> list[Manifest]:
    """All shards of a manifest, as `shards_of` gives them."""
    return [shard for entry in manifest["configs"].values() for shard in shards_of(entry)]


def written_paths(manifest: Manifest) -> set[str]:
    """The paths of all files that a build with this manifest may have written."""
    return {*BESIDE_SHARDS, *(shard["path"] for shard in all_shards(manifest))}


def content_digest(entry: Manifest) -> str:
    """SHA-256 over the paths and SHA-256 of a config's shards, as hexadecimal digits."""
    lines = [f"{shard['sha256']}  {shard['path']}\n" for shard in shards_of(entry)]
    return hashlib.sha256("".join(lines).encode()).hexdigest()
