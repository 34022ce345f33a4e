"""Download the official release from Google Drive.

Files land under OUT as in the official release. The same command, repeated, goes on where the last one stopped: what is
there and sound is left alone, also what you downloaded by hand, wherever it lies below OUT. Without --accept-agreement
it shows the agreement and what it would download.

An organisation that keeps a mirror names it in the environment variable CELEBA_DIALOG_DRIVE, as http://host:port. It
has to answer as Drive does: /uc?id=ID with the file as an attachment, /embeddedfolderview?id=ID with the links of a
folder.
"""

import contextlib
import hashlib
import inspect
import json
import os
import re
import shlex
import shutil
import sys
import zipfile
from pathlib import Path
from urllib.parse import urlsplit

from filelock import FileLock
from filelock import Timeout

from celeba_dialog import AGREEMENT_URL
from celeba_dialog import CHECKSUMS
from celeba_dialog import DRIVE_ZIP
from celeba_dialog import FILES
from celeba_dialog import HQ
from celeba_dialog import RELEASE_VARIABLE
from celeba_dialog import SUBSETS
from celeba_dialog import DamagedFileError
from celeba_dialog import EnvironmentFault
from celeba_dialog import MissingFileError
from celeba_dialog import Release
from celeba_dialog import ReleaseError
from celeba_dialog import UsageError
from celeba_dialog import needs

from ..machine import extras
from ..machine import files
from ..machine.files import say
from .registry import REMOTES
from .registry import RESOURCE_KEYS
from .registry import file_link
from .registry import folder_link

GDOWN = "gdown>=6.3"  # the first version with `retries` and `timeout`
DRIVE_VARIABLE = "CELEBA_DIALOG_DRIVE"
AGREEMENT = Path(__file__).resolve().parents[2] / "dataset_card" / "agreement.md"
STAGING = ".fetch"  # beside each file: what is on its way. Hidden, so that no reader takes it for the release

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


def run(args):
    out = os.path.abspath(os.path.expanduser(args.out))
    base = _base()
    if os.path.exists(out) and not os.path.isdir(out):
        raise UsageError(f"{args.out} is a file. Name a folder for the release; it need not exist yet.")
    subsets = args.subset or list(SUBSETS)
    needed = {role for subset in subsets for groups in needs(subset) for role in groups[0]}
    wanted = [file for file in FILES.values() if file.subset in subsets or file.role in needed]
    failed = []
    try:
        missing, unsound = _look(out, wanted)
        if missing:
            _refuse_drive_zips(out)
            drive = _drive(base)
            if not args.accept_agreement:
                _agree(missing)
            failed = _download(out, missing, unsound, drive)
    except OSError as error:
        raise EnvironmentFault(f"{error.filename or out}: {error.strerror or error}.") from error
    if failed:
        say(f"{len(failed)} of {len(wanted)} files are still missing: {', '.join(file.name for file in failed)}.")
        there = {file.role for file in wanted if file not in failed}
        if any(_lacks(there, subset) for subset in subsets):
            say("What to do about each stands above. The same command, repeated, leaves alone what is there.")
            return 1
        say("No configuration lacks anything without them.")
    else:
        say(f"All {len(wanted)} files are in {out}.")
    # Commands do not import each other; this one ends with the other's work, so it is the exception.
    from .. import check

    report = check.examine(Release(out))
    print(check.as_text(report))
    if any(report["configs"][subset] for subset in subsets):  # what else the folder lacks was not asked for
        return 1
    say(f"Next: celeba-dialog build {shlex.quote(args.out)} celeba_dialog")
    say(f"or, without building it: export {RELEASE_VARIABLE}={shlex.quote(out)}")
    return 0


def _lacks(there, subset):
    """Whether these roles leave out anything of a subset. Some files say the same in another form."""
    groups_of_each = needs(subset, parts=subset == HQ.name)
    return any(not any(set(group) <= there for group in groups) for groups in groups_of_each)


def _base():
    """The server in place of Drive, or None."""
    base = os.environ.get(DRIVE_VARIABLE)
    if not base:
        return None
    parts = urlsplit(base)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise UsageError(f"{DRIVE_VARIABLE} is {base!r}. It names a mirror's address, as http://host:port.")
    return base


def _drive(base):
    try:
        import gdown

        from .drive import Drive
    except ImportError as error:
        raise extras.missing("fetch", "fetch", error, GDOWN) from error
    if "retries" not in inspect.signature(gdown.download).parameters:
        raise extras.missing("fetch", "fetch", f"gdown {gdown.__version__} is too old", GDOWN)
    return Drive(base, RESOURCE_KEYS)


# ------------------------------------------------------------------------------------------------ what is there already


def _look(out, wanted):
    """The files of `wanted` that have to be downloaded, and {role: paths} of what is there and of no use for it."""
    missing, unsound = [], {}
    found = Release(out).sources if os.path.isdir(out) else {}
    for file in files.progress(wanted, desc="looking at what is there", unit="files"):
        sound, problems = None, []
        for source in found.get(file.role, ()):
            shown = os.path.relpath(source.path, out)
            try:
                if source.is_file:  # else an unpacked zip, or one of many files in a zip, which `check` reads
                    _check_content(source.path, source, file, shown)
                sound = shown
            except DamagedFileError as error:
                problems.append(error)
                unsound.setdefault(file.role, []).append(source.path)
        for problem in problems:
            say(f"{problem} {'Another copy is sound: delete this one.' if sound else 'It is downloaded anew.'}")
        if not sound:
            missing.append(file)
        elif re.search(r"\(\d+\)\.\w+$", sound):
            say(f"{sound}: this has a browser's name, and is read as {file.name} all the same. Nothing to do.")
    return missing, unsound


def _refuse_drive_zips(out):
    """Raises ReleaseError for Drive's own zips: what is missing may lie in them. Mentions unfinished downloads."""
    zips = []
    for folder, folders, names in os.walk(out):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            shown = os.path.relpath(os.path.join(folder, name), out)
            if DRIVE_ZIP.fullmatch(name):
                zips.append(f"{shown}: Google Drive made this zip of a folder or selection; the files lie inside.")
            elif UNFINISHED.fullmatch(name):
                say(f"{shown}: a browser's unfinished download. It is not used; delete it once the browser is done.")
    if zips:
        raise ReleaseError(
            "\n".join(sorted(zips)) + f"\nUnpack every part into {out}, delete the zips and repeat this command. "
            "Or move them elsewhere, and everything missing is downloaded."
        )


def _check_content(path, source, file, shown):
    """Raises DamagedFileError for a file that cannot be the official one; `source` is what the reader says of it."""
    finding = _shape(path, file) or _kind(source, file) or _other_bytes(path, file.role)
    if finding:
        raise DamagedFileError(f"{shown}: this is not {file.what}: {finding}")


def _shape(path, file):
    """What is wrong with the form of a file, or None."""
    with open(path, "rb") as opened:
        head = opened.read(1 << 16)
    if not head:
        return "the file is empty."
    if head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
        title = re.search(rb"<title[^>]*>([^<]*)", head, re.I)
        title = f" titled {title[1].decode('utf-8', 'replace').strip()!r}" if title else ""
        return f"it is a web page{title}, saved in its place."
    kind = file.name.rsplit(".", 1)[-1]
    if kind == "zip":
        if not head.startswith(b"PK\x03\x04"):
            return f"a zip starts with b'PK\\x03\\x04', and this with {head[:4]!r}."
        try:
            with zipfile.ZipFile(path):
                return None
        except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError) as error:
            return f"the directory at the end of the zip cannot be read ({error}): it was cut off or changed."
    if kind == "json":
        try:
            with open(path, "rb") as opened:
                entries = json.load(opened)
        except (ValueError, RecursionError) as error:
            return f"it is no valid JSON ({error}): it was cut off or changed."
        return None if isinstance(entries, dict) else "the JSON is no object with a key per image."
    lines = head.decode("utf-8-sig", "replace").splitlines()[:3]  # two of them may be a header
    if not any(re.search(r"(?<!\S)\d+\.jpg(?!\S)", line) for line in lines):
        return f"none of its first three lines names an image; it starts with {head[:60]!r}."
    return None


def _kind(source, file):
    """How the reader's view of a file (a Source or None) contradicts what it should be, or None."""
    if source is None:
        return f"it holds none of the {file.holds}."
    return source.problem or (f"it is {FILES[source.role].what}." if source.role != file.role else None)


def _other_bytes(path, role):
    """How a file differs from the published bytes, or None; also None where none were published."""
    if role not in CHECKSUMS:
        return None
    size, expected = CHECKSUMS[role]
    if os.path.getsize(path) != size:
        return f"it has {os.path.getsize(path):,} bytes, and the official file {size:,}."
    digest = hashlib.md5(usedforsecurity=False)
    bar = files.progress(total=size, desc=f"MD5 of {os.path.basename(path)}", unit="B", unit_scale=True)
    with bar, open(path, "rb") as opened:
        while block := opened.read(files.BLOCK):
            digest.update(block)
            bar.update(len(block))
    if digest.hexdigest() != expected:
        return f"its MD5 is {digest.hexdigest()}, and that of the official file {expected}."
    return None


# ------------------------------------------------------------------------------------------------------------ agreement


def _agree(missing):
    """Shows the agreement and the plan. Returns if the person at the terminal agrees, else raises UsageError."""
    say(AGREEMENT.read_text(encoding="utf-8"))
    say("To be downloaded:")
    for file in missing:
        about = "" if file.role in CHECKSUMS else "about "
        say(f"  {about:>6}{_size(REMOTES[file.role].about):>9}  {file.path} ({file.what})")
    say(f"{len(missing)} files, about {_size(_total(missing))}.")
    if sys.stdin.isatty() and sys.stderr.isatty():
        say("Do you agree? Type yes to go on:")
        if sys.stdin.readline().strip().lower() in ("y", "yes"):
            return
    raise UsageError(
        f"Nothing was downloaded. Read the agreement ({AGREEMENT_URL}); if you will keep to it, repeat the command "
        "with --accept-agreement."
    )


def _size(count):
    for unit in ("bytes", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"


# ------------------------------------------------------------------------------------------------------------- download


def _download(out, missing, unsound, drive):
    """Downloads the missing files, says what went wrong with each, and returns those still missing.

    Raises EnvironmentFault where nothing more will come: no network, no space, no more requests.
    """
    failed, listings = [], {}
    os.makedirs(out, exist_ok=True)
    _need_space(out, _total(missing) - _arrived(out, missing))
    try:
        with FileLock(os.path.join(out, STAGING + ".lock"), timeout=0):  # two would write to the same partial files
            for file in files.progress(missing, desc="all files", unit="files"):
                try:
                    _fetch(out, file, unsound.get(file.role, ()), drive, listings)
                except ReleaseError as error:  # this one does not come; others may
                    say(error)
                    failed.append(file)
    except Timeout as error:
        raise EnvironmentFault(f"{out}: another fetch is at work there. Wait until it is done.") from error
    return failed


def _total(missing):
    return sum(REMOTES[file.role].about for file in missing)


def _arrived(out, missing):
    """Bytes of the missing files that earlier calls left in staging."""
    total = 0
    for file in missing:
        staging = os.path.join(out, os.path.dirname(file.path), STAGING)
        if os.path.isdir(staging):
            with os.scandir(staging) as entries:
                total += sum(entry.stat().st_size for entry in entries if entry.name.startswith(file.name))
    return total


def _need_space(folder, needed):
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise EnvironmentFault(
            f"{folder}: about {_size(needed)} are needed, and {_size(free)} are free. Make room, or choose another OUT."
        )


def _fetch(out, file, old, drive, listings):
    """Downloads one file: by its id, or by the one its folder lists."""
    remote = REMOTES[file.role]
    first_error = None
    if remote.id:
        try:
            return _transfer(out, file, old, remote.id, drive)
        except (MissingFileError, DamagedFileError) as error:  # removed or replaced: the folder may list a new one
            first_error = error
    try:
        id = _find(out, file, remote.folder, drive, listings)
    except ReleaseError as error:
        raise first_error or error from None
    if id == remote.id:
        raise first_error
    return _transfer(out, file, old, id, drive)


def _find(out, file, folder, drive, listings):
    """The id of a file by the listing of its folder, which is read once. Raises ReleaseError where it is not in it."""
    by_hand = _by_hand(out, file, folder_link(folder))
    try:
        if folder not in listings:
            listings[folder] = drive.listing(folder)
    except ReleaseError as error:
        raise type(error)(f"{file.path}: its folder on Drive cannot be read. {error} {by_hand}") from error
    for path, id in sorted(listings[folder].items()):
        if os.path.basename(path) == file.name:
            return id
    holds = ", ".join(sorted(listings[folder]))[:300] or "nothing"
    raise MissingFileError(f"{file.path}: its folder on Drive does not list it; it holds {holds}. {by_hand}")


def _transfer(out, file, old, id, drive):
    """Downloads a file under a staged name, checks it, and puts it in its place."""
    final = os.path.join(out, file.path)
    staging = os.path.join(os.path.dirname(final), STAGING)
    staged = os.path.join(staging, file.name)
    by_hand = _by_hand(out, file, file_link(id))
    os.makedirs(staging, exist_ok=True)
    try:
        if not os.path.exists(staged):  # else an earlier call was stopped just before the check
            with files.progress(desc=file.name, unit="B", unit_scale=True) as bar:

                def progress(done, total):
                    if total and total != bar.total:
                        bar.total = total
                        _need_space(staging, total - done)
                    bar.update(done - bar.n)

                drive.download(id, staged, progress)
        sources = [source for found in Release(staging).sources.values() for source in found]
        source = next((source for source in sources if source.path == staged), None)
        _check_content(staged, source, file, file.path)
    except DamagedFileError as error:
        os.unlink(staged)
        raise DamagedFileError(f"{error} What Drive sent was deleted. Repeat this command. {by_hand}") from error
    except MissingFileError as error:
        by_hand = _by_hand(out, file, folder_link(REMOTES[file.role].folder))
        raise MissingFileError(f"{file.path}: {error} {by_hand}") from error
    except ReleaseError as error:
        raise ReleaseError(f"{file.path}: {error} {by_hand}") from error
    for path in {*old, final}:
        if os.path.lexists(path):
            os.replace(path, path + ".old")
            say(f"{os.path.relpath(path, out)}: replaced; what was there is kept beside it, as .old.")
    with open(staged, "rb") as opened:
        os.fsync(opened.fileno())
    os.chmod(staged, 0o666 & ~files._umask())  # gdown's files are for their owner alone
    os.replace(staged, final)
    with contextlib.suppress(OSError):  # others are still on their way there
        os.rmdir(staging)


def _by_hand(out, file, link):
    folder = os.path.dirname(os.path.join(out, file.path))
    return f"By hand: open {link} in a browser, put {file.name} into {folder}, and repeat this command."
