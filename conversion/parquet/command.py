"""Write the Parquet folder that `load_dataset` reads by name, from the official files.

Builds `hq` and `standard`, as far as the release has them, or the configs given with --config. Shards are written
beside OUT and appear there together, when all are done. Killed at any point, the same command goes on where it
stopped. An incomplete release is refused unless --allow-incomplete is given.

OUT and RELEASE may be fsspec URLs; for --dask they must be paths that every worker sees.
"""

import concurrent.futures
import contextlib
import io
import os

import numpy as np

from celeba_dialog import CONFIGS, family

from .. import card
from ..release.errors import MissingFileError
from ..release.finding import Release
from ..release.missing import no_images, unlisted_lines
from ..release.rows import examples, read_images
from ..runtime import files, pool
from ..viewer import sheet
from ..viewer.rows import ReleaseRows
from . import shards
from .folder import Folder
from .manifest import files_entry, hashed_sources, make_manifest, shortfalls

PREVIEW_ROWS = 4  # of the contact sheet in the card


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
    """Build the folder `out` from `release`, paths or URLs; returns its manifest, a dict. The rest are the options.

    `configs` are names, None for `hq` and `standard`, as far as the release has them; `dask` is the address of a
    scheduler. Raises ReleaseError where the release is at fault, EnvironmentFault where the machine is, UsageError for
    `out` or an option.
    """
    processes = pool.executor(workers, dask)
    release = Release(release)
    folder = Folder(out)
    configs = _configs(release, configs)
    with folder.claimed(force):
        kept = folder.kept(configs, release)
        indexes = shards.open_indexes(release, [name for name in CONFIGS if name in configs or name in kept])
        incomplete = shortfalls(indexes)
        if incomplete and not allow_incomplete:
            raise MissingFileError(
                f"{release.root}: the release is incomplete:\n  " + "\n  ".join(incomplete) + "\n"
                "See what to do with: celeba-dialog check RELEASE. To build what is there: --allow-incomplete"
            )
        jobs = shards.plan(release, indexes, configs)
        with processes as executor:
            folder.prepare(jobs, kept)
            futures = pool.submit(executor, shards.write_shards, [(job, folder.data, folder.records) for job in jobs])
            with hashed_sources(release, indexes) as sources:
                records = _collect(futures, jobs, folder.data)
                manifest = make_manifest(jobs, records, indexes, kept, sources.result())
        beside = card.render(manifest, _example(indexes, manifest), with_preview)
        if with_preview:
            beside["preview.png"] = _preview(release)
        manifest["files"] = files_entry(beside)
        folder.publish(manifest, beside)
    for index in indexes.values():
        for line in unlisted_lines(index):
            files.say(line)
    above, name = os.path.split(folder.path)
    configs = list(manifest["configs"])
    load = f'datasets.load_dataset("{name}", "{configs[0]}")'
    files.say(f"{folder.path}: {', '.join(configs)} built. Next, in {above or '.'}: {load}")
    return manifest


def _preview(release):
    """A contact sheet of the release as a PNG, for the card."""
    source = ReleaseRows(release)
    config = source.configs[0]
    positions = sheet.spread(np.arange(len(source.labels(config))), PREVIEW_ROWS)
    file = io.BytesIO()
    sheet.contact_sheet(source, config, positions, f"CelebA-Dialog · {config}", "").save(file, "PNG")
    return file.getvalue()


def _configs(release, names):
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


def _collect(futures, jobs, data):
    """{path of the shard: its record} of all jobs, when they are done. Raises what a job raises.

    The shards are synced here, in a thread, so that the workers need not wait for the disk.
    """
    records, synced = {}, []
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


def _example(indexes, manifest):
    """The first row of the first config, with a few words in the place of each image: the example in the card."""
    config = next(iter(manifest["configs"]))
    index, size = indexes[family(config)], CONFIGS[config].get("image_size")
    rows = index.table.slice(0, 1)
    row = next(examples(rows, read_images(index, rows, [size])[size]))
    for name in ("image", "mask"):
        if row.get(name):
            row[name] = f"<{len(row[name]['bytes']):,} bytes of {'JPEG' if name == 'image' else 'PNG'}>"
    row.pop("parts", None)
    return row
