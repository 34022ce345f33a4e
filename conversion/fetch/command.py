"""Download the official release from Google Drive.

Files land under OUT as in the official release. The same command, repeated, goes on where the last one stopped: what is
there and sound is left alone, also what you downloaded by hand, wherever it lies below OUT. Without --accept-agreement
it shows the agreement and what it would download.

An organisation that keeps a mirror names it in the environment variable CELEBA_DIALOG_DRIVE, as http://host:port. It
has to answer as Drive does: /uc?id=ID with the file as an attachment, /embeddedfolderview?id=ID with the links of a
folder.
"""

import contextlib
import copy
import inspect
import os
import re
import shlex
import shutil
import sys
from pathlib import Path

from filelock import FileLock, Timeout

from .. import report as check
from ..release.errors import (
    ConflictError,
    DamagedFileError,
    EnvironmentFault,
    MissingFileError,
    ReleaseError,
    UsageError,
)
from ..release.finding import READERS, RELEASE_VARIABLE, Release
from ..release.members import find_members
from ..release.names import DRIVE_ZIP
from ..release.official import CHECKSUMS, FILES, needs, serving
from ..release.vocabulary import AGREEMENT_URL, SUBSETS
from ..runtime import extras, files, streams
from ..runtime.files import say
from .registry import REMOTES, RESOURCE_KEYS, file_link, folder_link

GDOWN = "gdown>=6.3"  # the first version with `retries` and `timeout`
DRIVE_VARIABLE = "CELEBA_DIALOG_DRIVE"

STAGING = ".fetch"  # the folder beside each file for what is on its way; hidden, so that no reader looks into it

UNFINISHED = re.compile(r".+\.(?:crdownload|opdownload|download|part)")  # what browsers call a download under way


def add_arguments(parser):
    parser.add_argument("out", metavar="OUT", help="the folder that receives the release")
    parser.add_argument(
        "--subset",
        action="append",
        choices=sorted(SUBSETS),
        help="download only this part; may be given twice (default: both)",
    )
    parser.add_argument(
        "--accept-agreement", action="store_true", help="you have read the agreement and will keep to it"
    )


@files.libraries_say()
def run(args):
    out = files.local_path(args.out)
    files.refuse_no_folder(out)
    mirror = os.environ.get(DRIVE_VARIABLE)
    if mirror and not files.is_http_address(mirror):
        raise UsageError(f"{DRIVE_VARIABLE} is {mirror!r}. It names a mirror's address, as http://host:port.")
    subsets = args.subset or list(SUBSETS)
    wanted = _wanted(subsets)
    try:
        missing = _look(out, wanted)
        if missing:
            _refuse_drive_zips(out)
            drive = _drive(mirror)
            if not args.accept_agreement:
                _agree(missing)
            missing = _download(out, missing, drive)
    except OSError as error:
        raise EnvironmentFault(f"{files.printable(error.filename or out)}: {error.strerror or error}.") from error
    if not missing:
        say(f"All {len(wanted)} files are in {out}.")
    elif not _can_do_without(missing, wanted, subsets):
        return 1
    # Commands do not import each other; this is the exception, because `check` has to agree with what `fetch` says.
    report = check.examine(Release(out))
    streams.put(files.printable_lines(check.as_text(report)))
    if any(report["configs"][subset] for subset in subsets):  # what else the folder lacks was not asked for
        return 1
    say(f"Next: celeba-dialog build {shlex.quote(args.out)} celeba_dialog")
    say(f"or, without building it: export {RELEASE_VARIABLE}={shlex.quote(out)}")
    return 0


def _wanted(subsets):
    """The OfficialFiles of some subsets, and those of the other subset that they need."""
    needed = {role for subset in subsets for groups in needs(subset) for role in groups[0]}
    return [file for file in FILES.values() if file.subset in subsets or file.role in needed]


def _can_do_without(missing, wanted, subsets):
    """Says which files are missing, and whether the subsets are complete without them, which is returned."""
    say(f"{len(missing)} of {len(wanted)} files are still missing: {', '.join(file.name for file in missing)}.")
    there = {file.role for file in wanted if file not in missing}
    needed = [groups for subset in subsets for groups in needs(subset, parts=True)]
    if any(set(serving(groups, there)) - there for groups in needed):
        say("What to do about each stands above. The same command, repeated, leaves alone what is there.")
        return False
    say("No configuration lacks anything without them.")
    return True


def _drive(mirror):
    """The Drive to download from. Raises EnvironmentFault where gdown is missing or too old."""
    try:
        import gdown

        from .drive import Drive
    except ImportError as error:
        raise extras.missing("fetch", "fetch", error, GDOWN) from error
    if "retries" not in inspect.signature(gdown.download).parameters:
        raise extras.missing("fetch", "fetch", f"gdown {gdown.__version__} is too old", GDOWN)
    return Drive(mirror, RESOURCE_KEYS)


# ------------------------------------------------------------------------------------------------ what is there already


def _look(out, wanted):
    """The files of `wanted` that are missing or not whole: {file: {path: size}}, see `_examine`."""
    if not os.path.isdir(out):
        return dict.fromkeys(wanted, {})
    release = Release(out)
    looked_at = files.progress(wanted, desc="looking at what is there", unit="files")
    found = {file: _examine(release, file) for file in looked_at}
    return {file: at_fault for file, at_fault in found.items() if at_fault is not None}


def _examine(release, file):
    """Looks for an official file, and says what is wrong with it. It agrees with `check` on that.

    Returns None where all of it is there, else what to replace, {path: bytes}: its parts, and damaged files with None.
    """
    expected = release.demo.get(file.role, file.total)
    counts, problems = _count_each(release, file)
    whole = _is_whole(release, file, counts, expected)
    if not whole or file.role in READERS:
        for source, count in counts.items():
            if count < expected:
                amount = f"{count:,} of {expected:,} {file.holds}, a part of {file.what}."
                problems[source] = f"{release.source_name(source)}: {amount}"
    for problem in problems.values():
        say(f"{problem} {'Another copy is sound: delete this one.' if whole else 'It is downloaded anew.'}")
    if not whole:  # what is no file is a folder or zip with other files in it
        return {source.path: source.size if source in counts else None for source in problems if source.is_file}
    sound = [release.source_name(source) for source in counts if source not in problems]
    if sound and re.search(r"\(\d+\)\.\w+$", sound[0]):
        say(f"{sound[0]}: this has a browser's name, and is read as {file.name} all the same. Nothing to do.")
    return None


def _count_each(release, file):
    """({source: rows, entries or images in it}, {source: what is wrong with it}); each source is in one of the two."""
    counts, problems = {}, {}
    for source in release.sources.get(file.role, ()):
        try:
            counts[source] = count_in_source(release, source, file, release.source_name(source))
        except DamagedFileError as error:
            problems[source] = error
    return counts, problems


def _is_whole(release, file, counts, expected):
    """Whether the sound sources of a file hold all of it; several sources of images may do so together."""
    if len(counts) > 1:
        try:
            return _count(release, file, list(counts)) >= expected
        except ConflictError as error:
            if min(counts.values()) >= expected or file.role not in READERS:
                say(error)  # which of them is right no download can tell
    return max(counts.values(), default=0) >= expected


def _refuse_drive_zips(out):
    """Raises ReleaseError for zips that Drive made, since what is missing may lie in them; says what is unfinished."""
    zips = []
    for folder, folders, names in os.walk(out):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            shown = _shown(os.path.join(folder, name), out)
            if DRIVE_ZIP.fullmatch(name):
                zips.append(f"{shown}: Google Drive made this zip of a folder or selection; the files lie inside.")
            elif UNFINISHED.fullmatch(name):
                say(f"{shown}: a browser's unfinished download. It is not used; delete it once the browser is done.")
    if zips:
        raise ReleaseError(
            "\n".join(sorted(zips)) + f"\nUnpack every part into {out}, delete the zips and repeat this command. "
            "Or move them elsewhere, and everything missing is downloaded."
        )


def count_in_source(release, source, file, shown):
    """How many rows, entries or images of a file a source holds, as `check` counts them.

    `source` is None where the reader does not recognise it, `shown` is its name in messages. Raises DamagedFileError
    for what cannot be the official file or a part of it.
    """
    try:
        if source is None:
            raise DamagedFileError(f"it holds none of the {file.holds}.")
        if source.role != file.role:
            raise DamagedFileError(f"it is {FILES[source.role].what}.")
        if source.is_file and file.role in CHECKSUMS and not release.demo:
            _refuse_other_bytes(source.path, *CHECKSUMS[file.role])
        return _count(release, file, [source])
    except ReleaseError as error:
        finding = str(error).removeprefix(f"{release.source_name(source)}: " if source else "")
        finding = finding.removesuffix(" Download it again.")  # which is what happens
        raise DamagedFileError(f"{shown}: this is not {file.what}, or damaged: {finding}") from error


def _count(release, file, sources):
    """Rows, entries or images of a file in these sources together. Raises ReleaseError as the readers do."""
    alone = copy.copy(release)
    alone.sources = {file.role: sources}
    if file.role in READERS:
        return alone.read(file.role)[1]
    return len(find_members(alone, file.role).numbers)


def _refuse_other_bytes(path, size, expected):
    """Raises DamagedFileError where a file does not have the published size and MD5."""
    if os.path.getsize(path) != size:
        raise DamagedFileError(f"it has {os.path.getsize(path):,} bytes, and the official file {size:,}.")
    with files.progress(total=size, desc=f"MD5 of {os.path.basename(path)}", unit="B", unit_scale=True) as bar:
        found = files.checksum(path, "md5", bar.update)
    if found != expected:
        raise DamagedFileError(f"its MD5 is {found}, and that of the official file {expected}.")


# ------------------------------------------------------------------------------------------------------------ agreement


def _agree(missing):
    """Shows the agreement and what would be downloaded. Raises UsageError unless the person at the terminal agrees."""
    say((files.DATASET_CARD / "agreement.md").read_text(encoding="utf-8"))
    say("To be downloaded:")
    for file in missing:
        about = "" if file.role in CHECKSUMS else "about "
        say(f"  {about:>6}{_size(REMOTES[file.role].about):>9}  {file.path} ({file.what})")
    say(f"{len(missing)} files, about {_size(_total(missing))}.")
    if files.is_terminal(sys.stdin) and files.is_terminal(sys.stderr):
        say("Do you agree? Type yes to go on:")
        with contextlib.suppress(OSError, ValueError):  # no answer, or one that is no text
            if sys.stdin.readline().strip().lower() in ("y", "yes"):
                return
    raise UsageError(
        f"Nothing was downloaded. Read the agreement ({AGREEMENT_URL}); if you will keep to it, repeat the command "
        "with --accept-agreement."
    )


def _size(count):
    """Bytes in words."""
    for unit in ("bytes", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"


# ------------------------------------------------------------------------------------------------------------- download


def _download(out, missing, drive):
    """Downloads the missing files, as `_look` returns them, says what went wrong, and returns those still missing.

    Raises EnvironmentFault where the others would not come either: no network, no space, no more requests.
    """
    failed = []
    os.makedirs(out, exist_ok=True)
    staged = [path for file in missing for path in Path(out, file.path).parent.glob(f"{STAGING}/{file.name}*")]
    _need_space(out, _total(missing) - sum(path.stat().st_size for path in staged))
    try:
        with FileLock(os.path.join(out, STAGING + ".lock"), timeout=0):  # two would write to the same partial files
            for file in files.progress(missing, desc="all files", unit="files"):
                try:
                    _fetch(out, file, missing[file], drive)
                except ReleaseError as error:  # this one does not come; others may
                    say(error)
                    failed.append(file)
    except Timeout as error:
        raise EnvironmentFault(f"{out}: another fetch is at work there. Wait until it is done.") from error
    except NotImplementedError as error:
        raise EnvironmentFault(
            f"{out}: its file system has no locks, which fetch needs. Choose another OUT."
        ) from error
    return failed


def _total(missing):
    return sum(REMOTES[file.role].about for file in missing)


def _need_space(folder, needed):
    """Raises EnvironmentFault where the disk has not so many bytes free."""
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise EnvironmentFault(
            f"{folder}: about {_size(needed)} are needed, and {_size(free)} are free. Make room, or choose another OUT."
        )


def _fetch(out, file, old, drive):
    """Downloads one file by its known id, or else by the id that its folder lists."""
    remote = REMOTES[file.role]
    first_error = None
    if remote.id:
        try:
            return _transfer(out, file, old, remote.id, drive)
        except (MissingFileError, DamagedFileError) as error:  # removed or replaced: the folder may list a new one
            first_error = error
    try:
        id = _find(out, file, remote.folder, drive)
    except ReleaseError as error:
        raise first_error or error from None
    if id == remote.id:
        raise first_error
    return _transfer(out, file, old, id, drive)


def _find(out, file, folder, drive):
    """The id of a file by the listing of its folder. Raises ReleaseError where it has none."""
    by_hand = _by_hand(out, file, folder_link(folder))
    try:
        listing = drive.listing(folder)
    except ReleaseError as error:
        raise type(error)(f"{file.path}: its folder on Drive cannot be read. {error} {by_hand}") from error
    for path, id in sorted(listing.items()):
        if os.path.basename(path) == file.name:
            return id
    holds = files.one_line(", ".join(sorted(listing)), 300) or "nothing"
    raise MissingFileError(f"{file.path}: its folder on Drive does not list it; it holds {holds}. {by_hand}")


class _SameSize(Exception):
    """What Drive has is as large as the part that is here, so it is no better."""


def _transfer(out, file, old, id, drive):
    """Downloads a file into the staging folder, checks it, and puts it in place; `old` are kept beside it, as .old."""
    final = os.path.join(out, file.path)
    staging = os.path.join(os.path.dirname(final), STAGING)
    staged = os.path.join(staging, file.name)
    by_hand = _by_hand(out, file, file_link(id))
    os.makedirs(staging, exist_ok=True)
    has_end = False
    try:
        if not os.path.isfile(staged):  # else an earlier call was stopped just before the check
            has_end = _receive(file, old, id, staged, drive)
        _check_arrived(staged, file, has_end)
    except _SameSize:
        drive.drop(staged)
        say(f"{file.path}: what Drive has is as large as what is here, which is left as it is.")
    except DamagedFileError as error:
        drive.drop(staged)
        raise DamagedFileError(f"{error} What Drive sent was deleted. Repeat this command. {by_hand}") from error
    except ReleaseError as error:
        if isinstance(error, MissingFileError):
            by_hand = _by_hand(out, file, folder_link(REMOTES[file.role].folder))
        raise type(error)(f"{file.path}: {error} {by_hand}") from error
    else:
        for path in sorted({*old, final}):
            if os.path.lexists(path):
                os.replace(path, path + ".old")
                say(f"{_shown(path, out)}: replaced; what was there is kept beside it, as .old.")
        files.sync(staged)
        os.chmod(staged, files.default_mode())  # gdown lets nobody but the owner read it
        os.replace(staged, final)
    with contextlib.suppress(OSError):  # not empty where other downloads were cut off
        os.rmdir(staging)


def _receive(file, old, id, staged, drive):
    """Downloads a file to `staged`. Returns whether the server told where it ends."""
    estimate = 3 * REMOTES[file.role].about + (1 << 20)  # `about` is rough
    most = CHECKSUMS[file.role][0] if file.role in CHECKSUMS else estimate
    with files.progress(desc=file.name, unit="B", unit_scale=True) as bar:

        def progress(done, total):
            if total is not None and total in old.values():
                raise _SameSize
            if (size := max(done, total or 0)) > most:
                raise DamagedFileError(
                    f"{file.path}: this is not {file.what}: {size:,} bytes or more, and it has at most {most:,}."
                )
            if total and total != bar.total:
                bar.total = total
                _need_space(os.path.dirname(staged), total - done)
            bar.update(done - bar.n)

        return drive.download(id, staged, progress)


def _shown(path, out):
    return files.printable(os.path.relpath(path, out))


def _check_arrived(staged, file, has_end):
    """Raises DamagedFileError for a download that is not the file, or may not be all of it.

    `has_end` is whether the server told where it ends.
    """
    release = Release(os.path.dirname(staged))
    source = next((source for found in release.sources.values() for source in found if source.path == staged), None)
    count = count_in_source(release, source, file, file.path)
    if has_end or not file.name.endswith(".txt"):  # a zip and a JSON file have an end of their own
        return
    broken_line = not files.read(staged).endswith(b"\n")
    if count < file.total or broken_line:
        where = "in the middle of a line" if broken_line else f"after {count:,} of {file.total:,} {file.holds}"
        raise DamagedFileError(
            f"{file.path}: ends {where}, and the server did not say how long it is: the connection broke off, perhaps."
        )


def _by_hand(out, file, link):
    """How to download a file without this command, as a sentence."""
    folder = os.path.dirname(os.path.join(out, file.path))
    return f"By hand: open {link} in a browser, put {file.name} into {folder}, and repeat this command."
