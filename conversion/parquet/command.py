"""Write the Parquet folder that `load_dataset` reads by name, from the official files.

Builds `hq` and `standard`, as far as the release has them, or the configs given with --config. Shards are written
beside OUT and appear there together, when all are done. Killed at any point, the same command goes on where it
stopped, and where all is built already there is nothing to do. An incomplete release is refused unless
--allow-incomplete is given.

RELEASE may be an fsspec URL; OUT is a folder on this machine. For --dask, every worker has to see both.
"""

import argparse
import concurrent.futures
import contextlib
import os
import shlex
from pathlib import Path
from typing import Any

from celeba_dialog import CONFIGS, family

from .. import card
from ..indexes import open_indexes
from ..release.errors import MissingFileError, UsageError
from ..release.finding import Release
from ..release.missing import no_images, shortages
from ..release.official import roles_of
from ..release.storage import is_url
from ..runtime import files, pool
from . import shards
from .folder import Folder
from .manifest import Manifest, files_entry, hashed_sources, make_manifest, shortfalls


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("release", metavar="RELEASE", help="folder with the official files")
    parser.add_argument("out", metavar="OUT", help="folder to write; call it celeba_dialog to load it by that name")
    parser.add_argument("--config", action="append", choices=list(CONFIGS), help="what to build; may be repeated")
    parser.add_argument("--workers", type=int, metavar="N", help="processes (default: one per CPU)")
    parser.add_argument("--dask", metavar="ADDRESS", help="scheduler of a Dask cluster that does the work instead")
    parser.add_argument("--allow-incomplete", action="store_true", help="build what is there of an incomplete release")
    parser.add_argument("--with-preview", action="store_true", help="show faces of the dataset in the card")
    parser.add_argument("--force", action="store_true", help="build every shard anew, and drop configs not named")


def run(args: argparse.Namespace) -> None:
    options = {"allow_incomplete": args.allow_incomplete, "with_preview": args.with_preview, "force": args.force}
    build(args.release, args.out, args.config, args.workers, args.dask, **options)


def build(
    release: str | os.PathLike[str],
    out: str | os.PathLike[str],
    configs: list[str] | None = None,
    workers: int | None = None,
    dask: str | None = None,
    *,
    allow_incomplete: bool = False,
    with_preview: bool = False,
    force: bool = False,
) -> Manifest:
    """Build the folder `out` from `release`, a path or URL; returns its manifest, a dict. The rest are the options.

    `configs` are names, None for `hq` and `standard`, as far as the release has them; `dask` is the address of a
    scheduler. Raises ReleaseError where the release is at fault, EnvironmentFault where the machine is, UsageError for
    `out` or an option.
    """
    processes = pool.executor(workers, dask)
    folder = Folder(out)
    found = Release(release)
    configs = _configs(found, configs)
    if not is_url(found.root) and Path(folder.path).is_relative_to(os.path.realpath(found.root)):
        raise UsageError(f"{folder.path}: lies in the release, which it would become a part of. Give another OUT.")
    with folder.claimed(force):
        if found.demo and folder.earlier and not card.is_of_demo(folder.path):
            raise UsageError(
                f"{folder.path}: holds a build of the real release, and {found.root} is a demo. Give another OUT, or "
                f"--force to lose that build."
            )
        kept = folder.kept(configs, found)
        families = list(dict.fromkeys(family(name) for name in CONFIGS if name in configs or name in kept))
        sources = folder.known_sources({key: found.digest(roles_of(*key)) for key in families})
        with hashed_sources(found, families if sources is None else ()) as hashed:
            indexes = open_indexes(found, families, workers=workers)
            incomplete = shortfalls(indexes)
            if incomplete and not allow_incomplete:
                path = shlex.quote(found.root)
                raise MissingFileError(
                    f"{found.root}: the release is incomplete:\n  " + "\n  ".join(incomplete) + "\n"
                    f"See what to do with: celeba-dialog check {path}. To build what is there: --allow-incomplete"
                )
            jobs = shards.plan(found, indexes, configs)
            folder.prepare(jobs, kept)
            records = folder.untouched(jobs)
            todo = [job for job in jobs if not all(path in records for _, _, path in job.targets)]
            if todo:
                with processes as executor:
                    tasks = [(job, folder.data, folder.records) for job in todo]
                    records |= _collect(pool.submit(executor, shards.write_shards, tasks), todo, folder.data)
            manifest = make_manifest(jobs, records, indexes, kept, hashed() if sources is None else sources)
        if todo:
            files.say(f"{folder.path}: writing the card …")
        beside = card.beside_shards(manifest, found, indexes, with_preview)
        manifest["files"] = files_entry(beside)
        changed = folder.publish(manifest, beside)
    for index in indexes.values():
        for line in shortages(index):
            files.say(line)
    above, name = os.path.split(folder.path)
    configs = list(manifest["configs"])
    done = f"{', '.join(configs)} built." if changed else f"nothing to do, {', '.join(configs)} are built already."
    load = f'datasets.load_dataset("{name}", "{configs[0]}")'
    files.say(f"{folder.path}: {done} Next, in {above or '.'}: {load}")
    return manifest


def _configs(release: Release, names: list[str] | None) -> list[str]:
    """The configs to build, in the usual order. Without names, those of `hq` and `standard` that have images.

    Raises MissingFileError where neither has.
    """
    if names:
        return [name for name in CONFIGS if name in names]
    found = [name for name in ("hq", "standard") if f"{name}_images" in release.sources]
    if not found:
        raise no_images(release, "hq", "standard")
    for name in {"hq", "standard"} - set(found):
        notes = "".join(f"\n  {note}" for note in release.notes_on(f"{name}_images"))
        files.say(f"{release.root}: no {name} images below it, so the config {name} is left out.{notes}")
    return found


def _collect(futures: list[concurrent.futures.Future], jobs: list[shards.Job], data: str) -> dict[str, dict[str, Any]]:
    """{path of the shard: its record} of all jobs, when they are done. Raises what a job raises.

    The shards are synced here, in a thread, so that the workers need not wait for the disk.
    """
    records: dict[str, dict[str, Any]] = {}
    synced = []
    with contextlib.ExitStack() as stack:
        bar = stack.enter_context(files.progress(total=shards.count_rows(jobs), desc="build"))
        disk = concurrent.futures.ThreadPoolExecutor(1)
        stack.callback(disk.shutdown, cancel_futures=True)
        for done in pool.results(futures):
            for record in done:
                records[record["path"]] = record
                synced.append(disk.submit(files.sync, f"{data}/{record['path']}"))
                bar.update(record["rows"])
        for future in synced:
            future.result()
    return records
