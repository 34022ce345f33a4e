"""Download the official release from Google Drive: what the configurations need, or with --all every file.

It shows the agreement and what it would download, and asks. Both subsets take 5.1 GB, with --all 6.1 GB.

Files land under OUT as in the official release. The same command, repeated, goes on where the last one stopped: what is
there and sound is left alone, also what you downloaded by hand, wherever it lies below OUT.

An organisation that keeps a mirror names it in the environment variable CELEBA_DIALOG_DRIVE, as http://host:port. It
has to answer as Drive does: /uc?id=ID with the file as an attachment, /embeddedfolderview?id=ID with the links of a
folder.
"""

import argparse
import contextlib
import inspect
import os
import shlex
import sys
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from ..release.errors import EnvironmentFault, UsageError
from ..release.finding import RELEASE_VARIABLE, Release
from ..release.official import CHECKSUMS, FILES, OfficialFile, needs, serving
from ..release.vocabulary import AGREEMENT_URL, SUBSETS
from ..runtime import extras, files, streams
from ..runtime.files import say
from .present import Present, look, refuse_drive_zips
from .registry import REMOTES, RESOURCE_KEYS
from .transfer import in_words, size_of, transfer_all

if TYPE_CHECKING:  # gdown is an extra
    from .drive import Drive

GDOWN = "gdown>=6.3"  # the first version with `retries` and `timeout`
DRIVE_VARIABLE = "CELEBA_DIALOG_DRIVE"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("out", metavar="OUT", help="the folder that receives the release")
    parser.add_argument(
        "--subset",
        action="append",
        choices=sorted(SUBSETS),
        help="download only this part; may be given twice (default: both)",
    )
    parser.add_argument(
        "--all",
        action="store_true",
        help="also the part masks (1 GB), for the config hq_parts, and texts that repeat what others say",
    )
    parser.add_argument(
        "--accept-agreement", action="store_true", help="you have read the agreement and will keep to it"
    )


@files.libraries_say()
def run(args: argparse.Namespace) -> int:
    out = files.local_path(args.out)
    files.refuse_no_folder(out)
    mirror = os.environ.get(DRIVE_VARIABLE)
    if mirror and not files.is_http_address(mirror):
        raise UsageError(f"{DRIVE_VARIABLE} is {mirror!r}. It names a mirror's address, as http://host:port.")
    subsets = args.subset or list(SUBSETS)
    try:
        complete = _fetch(out, subsets, args.all, mirror, args.accept_agreement)
    except OSError as error:
        path = error.filename2 or error.filename or out
        raise EnvironmentFault(f"{files.printable(path)}: {error.strerror or error}.") from error
    if not complete:
        return 1

    from .. import report  # which imports `datasets`: seconds in which nobody would see anything

    found = report.examine(Release(out))
    streams.put(files.printable_lines(report.as_text(found)))
    if any(found["configs"][subset] for subset in subsets):  # what else the folder lacks was not asked for
        return 1
    say(f"Next: celeba-dialog build {shlex.quote(out)} celeba_dialog")
    say(f"or, without building it: export {RELEASE_VARIABLE}={shlex.quote(out)}")
    return 0


def _fetch(out: str, subsets: Sequence[str], everything: bool, mirror: str | None, accepted: bool) -> bool:
    """Downloads what is missing, every file with `everything`. Returns whether the subsets lack nothing then."""
    roles = _roles(subsets, everything)
    present: dict[str, Present] = {}
    if os.path.isdir(out):
        release = Release(out)
        if release.demo:
            raise UsageError(
                f"{out}: this is a demo, made up by `celeba-dialog demo`, and official files do not fit into it. Give "
                "another folder."
            )
        present = look(release, [FILES[role] for role in FILES if role in roles])
    sound = {role for role, found in present.items() if found.whole}
    wanted = roles if everything else _needed(subsets, sound)
    for role, found in present.items():
        found.tell(role in wanted)
    missing = {
        FILES[role]: present[role].replaced if role in present else {}
        for role in FILES
        if role in wanted and role not in sound
    }
    if missing:
        refuse_drive_zips(out)
        drive = _drive(mirror)
        if not accepted:
            _agree(missing, [FILES[role] for role in FILES if role not in wanted | sound], subsets)
        failed = transfer_all(out, missing, drive)
        sound |= wanted - {file.role for file in failed}
        if failed:
            say(f"{len(failed)} of {len(wanted)} files are still missing: {', '.join(file.name for file in failed)}.")
            return _can_do_without(sound, subsets, everything)
    say(f"All {len(wanted)} files{'' if everything else ' that are needed'} are in {out}.")
    return True


def _roles(subsets: Sequence[str], everything: bool) -> set[str]:
    """The roles that may be needed for some subsets; with `everything` those of all their files."""
    needed = (groups[:1] if everything else groups for subset in subsets for groups in needs(subset))
    roles = {role for groups in needed for group in groups for role in group}
    return roles | {role for role, file in FILES.items() if everything and file.subset in subsets}


def _needed(subsets: Sequence[str], sound: Collection[str]) -> set[str]:
    """The roles that some subsets need, in the form of which most is there."""
    return {role for subset in subsets for groups in needs(subset) for role in serving(groups, sound)}


def _can_do_without(sound: Collection[str], subsets: Sequence[str], parts: bool) -> bool:
    """Whether the subsets are complete with the sound files alone, which is said."""
    needed = [groups for subset in subsets for groups in needs(subset, parts)]
    if any(set(serving(groups, sound)) - set(sound) for groups in needed):
        say("What to do about each stands above. The same command, repeated, leaves alone what is there.")
        return False
    say("No configuration lacks anything without them.")
    return True


def _drive(mirror: str | None) -> "Drive":
    """The Drive to download from. Raises EnvironmentFault where gdown is missing or too old."""
    try:
        import gdown

        from .drive import Drive
    except ImportError as error:
        raise extras.missing("fetch", "fetch", error, GDOWN) from error
    if "retries" not in inspect.signature(gdown.download).parameters:
        raise extras.missing("fetch", "fetch", f"gdown {gdown.__version__} is too old", GDOWN)
    return Drive(mirror, RESOURCE_KEYS)


# ------------------------------------------------------------------------------------------------------------ agreement


def _agree(missing: Mapping[OfficialFile, object], others: list[OfficialFile], subsets: Sequence[str]) -> None:
    """Shows the agreement and what would be downloaded, and what of the subsets would not.

    Raises UsageError unless the person at the terminal agrees.
    """
    say((files.DATASET_CARD / "agreement.md").read_text(encoding="utf-8"))
    say("To be downloaded:")
    for file in missing:
        about = "" if file.role in CHECKSUMS else "about "
        say(f"  {about:>6}{in_words(REMOTES[file.role].about):>9}  {file.path} ({file.what})")
    say(f"{len(missing)} files, about {in_words(size_of(missing))}.")
    others = [file for file in others if file.subset in subsets]
    if others:
        names = ", ".join(file.name for file in others)
        say(f"Not needed, and downloaded with --all only, about {in_words(size_of(others))}: {names}.")
    if not files.is_terminal(sys.stdin) or not files.is_terminal(sys.stderr):
        raise UsageError(
            f"Nothing was downloaded. Read the agreement ({AGREEMENT_URL}). At a terminal this command asks whether "
            "you agree. Where it cannot ask, as here, the option --accept-agreement says that you read it and will "
            "keep to it."
        )
    say("Do you agree? Type yes to go on:")
    answer = ""
    with contextlib.suppress(OSError, ValueError):  # no answer, or one that is no text
        answer = sys.stdin.readline().strip().lower()
    if answer not in ("y", "yes"):
        raise UsageError("Nothing was downloaded, since the agreement was not accepted.")
