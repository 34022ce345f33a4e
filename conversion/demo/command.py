"""Write a small made-up release in the official layout, its faces drawn from their own labels.

Everything in it is invented: the faces are drawings, the sentences our own, and the file numbers a sample of the
official ones, from all three splits. It is laid out to the byte like the official release, blemishes included (tabs,
CRLF line ends, trailing spaces, an image without labels), so that every command works on it as on the real one. The
same arguments give the same files.

The default takes about 6 seconds and 3 MB. Each further HQ image takes 0.2 seconds and 100 kB, each further standard
image 0.03 seconds and 8 kB.

OUT must not exist yet, or be empty, or hold nothing but an earlier demo, which is then replaced.
"""

import argparse
import os
import shlex
import shutil
from pathlib import PurePath, PurePosixPath
from typing import Any

from ..release.errors import EnvironmentFault, UsageError
from ..release.official import DEMO_MARKER, DEMO_README, FILES
from ..release.vocabulary import HQ, STANDARD
from ..runtime import files
from . import people, release

MOST = 10000  # images of a subset: a demo stays small


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("out", metavar="OUT", help="the folder to write")
    parser.add_argument("--hq", type=int, default=24, metavar="N", help="HQ images (default: %(default)s)")
    parser.add_argument("--standard", type=int, default=60, metavar="N", help="standard images (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="other seeds, other faces (default: 0)")


def run(args: argparse.Namespace) -> None:
    write_release(args.out, args.hq, args.standard, args.seed)
    out = files.local_path(args.out)
    files.say(
        f"{out}: {args.hq} HQ and {args.standard} standard images, all made up.\n"
        f"Next: celeba-dialog build {shlex.quote(out)} celeba_dialog"
    )


def write_release(out: str, hq: int = 24, standard: int = 60, seed: int = 0) -> dict[str, list[dict[str, Any]]]:
    """Write a made-up release into the folder `out`, which appears whole or not at all.

    `hq` and `standard` are the numbers of images. Returns {"hq": rows, "standard": rows}, what a reader has to find:
    dicts in the order of the file number, all splits together, with the columns of the dataset (images as {"bytes",
    "path"}), "split", and for HQ "parts". Raises UsageError where the numbers are out of range or `out` holds anything
    but an earlier demo, EnvironmentFault where it cannot be written.
    """
    for subset, count in ((HQ, hq), (STANDARD, standard)):
        if not 1 <= count <= MOST:
            raise UsageError(f"--{subset.name} {count}: a demo has 1 to {MOST} {subset.name} images.")
    out = os.path.realpath(files.local_path(out))
    files.refuse_no_folder(out)
    temporary = f"{out}.{os.getpid()}.tmp"
    try:
        _refuse_what_is_no_demo(out)
        os.makedirs(temporary)  # before anything is drawn: it may not be allowed
        entries = release.entries(people.cast(hq, standard, seed), seed)
        release.write(temporary, entries, f"--hq {hq} --standard {standard} --seed {seed}")
        if os.path.isdir(out):
            shutil.rmtree(out)
        os.rename(temporary, out)
    except OSError as error:
        raise EnvironmentFault(
            f"{error.filename or out}: cannot write the demo there: {error.strerror}. "
            "Give another folder, or see to its permissions and space."
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return {subset: [entry.row for entry in found] for subset, found in entries.items()}


def _refuse_what_is_no_demo(out: str) -> None:
    """Raise UsageError for a folder that holds anything but a demo, or that the working directory lies in."""
    if not os.path.exists(out):
        return
    if PurePath(os.path.realpath(os.getcwd())).is_relative_to(out):
        raise UsageError(
            f"{out}: is the working directory, or above it, and would be replaced. Give a folder below it."
        )
    ours = {DEMO_README, release.METADATA, *(file.path for file in FILES.values())}
    ours |= {str(parent) for path in ours for parent in PurePosixPath(path).parents}
    there = (
        os.path.relpath(os.path.join(folder, name), out).replace(os.sep, "/")
        for folder, folders, names in os.walk(out)
        for name in folders + names
    )
    found = next((f"it holds {files.printable(path)}" for path in there if path not in ours), None)
    if not found and os.listdir(out) and not _has_marker(os.path.join(out, DEMO_README)):
        found = f"it has no {DEMO_README} of a demo"
    if found:
        raise UsageError(f"{out}: is neither empty nor an earlier demo: {found}. Give a new or empty folder.")


def _has_marker(readme: str) -> bool:
    """Whether this is the README of a demo. A pipe of that name is not opened: nobody may ever write into it."""
    if not os.path.isfile(readme):
        return False
    with open(readme, encoding="utf-8", errors="replace") as file:
        return file.readline(1000).strip() == DEMO_MARKER
