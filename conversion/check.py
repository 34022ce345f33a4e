"""Say what of the release is there, what can be built of it, what is missing or damaged, and what to do next.

First what can be built and what would be missing in it, then what to do, then a line for each file that is there: its
state, where it was found, and how many rows or images it holds of how many. --deep also reads every image (its checksum
in the zip), decodes all of them and looks at every pixel of the masks. Exit status 0 means that everything a full build
of `hq` and `standard` needs is there and sound; a made-up release needs no more than its README says it has.
"""

import argparse
import json

from .release.vocabulary import HOMEPAGE
from .runtime import streams

REPORT = f"No sums of the HQ files are known. Please report yours where this project keeps its issues, or at {HOMEPAGE}"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("release", metavar="RELEASE", help="folder with the official files")
    parser.add_argument("--deep", action="store_true", help="read and decode every image and mask")
    parser.add_argument("--sums", action="store_true", help="print size and SHA-256 of every file, as sha256sum does")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def run(args: argparse.Namespace) -> int:
    from .release.finding import Release

    release = Release(args.release)  # says what is wrong with the path, before what takes a second to import
    from .report import as_text, examine, sums

    if args.sums:
        lines = sums(release)
        streams.put("\n".join([*lines, f"# {REPORT}"] if lines else ["# No official file is below this folder."]))
        return 0 if lines else 1
    report = examine(release, args.deep)
    streams.put(json.dumps(report, indent=1) if args.json else as_text(report))
    return 0 if report["complete"] else 1
