"""Files come from Drive into a staging folder, are checked, and take their place."""

import contextlib
import os
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ..release.errors import DamagedFileError, EnvironmentFault, MissingFileError, ReleaseError
from ..release.finding import Release
from ..release.official import CHECKSUMS, OfficialFile
from ..runtime import files
from ..runtime.files import say
from ..runtime.locks import locked
from .present import count_in_source
from .registry import REMOTES, file_link, folder_link

if TYPE_CHECKING:  # gdown is an extra
    from .drive import Drive

STAGING = ".fetch"  # the folder beside each file for what is on its way; hidden, so that no reader looks into it

Replaced = Mapping[str, int | None]  # see `present.Present`


def transfer_all(out: str, missing: Mapping[OfficialFile, Replaced], drive: "Drive") -> list[OfficialFile]:
    """Downloads the missing files, each with what it replaces. Says what went wrong and returns those still missing.

    Raises EnvironmentFault where the others would not come either: no network, no space, no more requests.
    """
    failed = []
    os.makedirs(out, exist_ok=True)
    staged = [path for file in missing for path in Path(out, file.path).parent.glob(f"{STAGING}/{file.name}*")]
    _need_space(out, size_of(missing) - sum(path.stat().st_size for path in staged))
    busy = f"{out}: another fetch is at work there. Wait until it is done."
    with locked(os.path.join(out, STAGING + ".lock"), busy):  # two would write to the same partial files
        for file in files.progress(missing, desc="all files", unit="files"):
            try:
                _fetch(out, file, missing[file], drive)
            except ReleaseError as error:  # this one does not come; others may
                say(error)
                failed.append(file)
    return failed


def size_of(missing: Iterable[OfficialFile]) -> int:
    """The bytes of some files on Drive, about."""
    return sum(REMOTES[file.role].about for file in missing)


def in_words(count: float) -> str:
    """A number of bytes in words."""
    for unit in ("bytes", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"


def _need_space(folder: str, needed: int) -> None:
    """Raises EnvironmentFault where the disk has not so many bytes free."""
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise EnvironmentFault(
            f"{folder}: about {in_words(needed)} are needed, and {in_words(free)} are free. Make room, or choose "
            "another OUT."
        )


def _fetch(out: str, file: OfficialFile, replaced: Replaced, drive: "Drive") -> None:
    """Downloads one file by its known id, or else by the id that its folder lists."""
    remote = REMOTES[file.role]
    first_error: ReleaseError | None = None
    if remote.id:
        try:
            _transfer(out, file, replaced, remote.id, drive)
            return
        except (MissingFileError, DamagedFileError) as error:  # removed or replaced: the folder may list a new one
            first_error = error
    try:
        id = _find(out, file, remote.folder, drive)
    except ReleaseError as error:
        raise first_error or error from None
    if first_error and id == remote.id:
        raise first_error
    _transfer(out, file, replaced, id, drive)


def _find(out: str, file: OfficialFile, folder: str, drive: "Drive") -> str:
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


def _transfer(out: str, file: OfficialFile, replaced: Replaced, id: str, drive: "Drive") -> None:
    """Downloads a file into the staging folder, checks it, and puts it in place of `replaced`, which is renamed."""
    final = os.path.join(out, file.path)
    staging = os.path.join(os.path.dirname(final), STAGING)
    staged = os.path.join(staging, file.name)
    by_hand = _by_hand(out, file, file_link(id))
    os.makedirs(staging, exist_ok=True)
    has_end = False
    try:
        if not os.path.isfile(staged):  # else an earlier call was stopped just before the check
            has_end = _receive(file, replaced, id, staged, drive)
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
        for path in sorted({*replaced, final}):
            if os.path.lexists(path):
                kept = _free_name(path)
                os.rename(path, kept)
                shown, name = (files.printable(text) for text in (os.path.relpath(path, out), os.path.basename(kept)))
                say(f"{shown}: replaced; what was there is kept beside it, as {name}.")
        files.sync(staged)
        os.chmod(staged, files.default_mode())  # gdown lets nobody but the owner read it
        os.replace(staged, final)
    with contextlib.suppress(OSError):  # not empty where other downloads were cut off
        os.rmdir(staging)


def _free_name(path: str) -> str:
    """A name beside `path` that nothing has: FILE.old, FILE.old.1 and so on."""
    kept, number = f"{path}.old", 0
    while os.path.lexists(kept):
        number += 1
        kept = f"{path}.old.{number}"
    return kept


def _receive(file: OfficialFile, replaced: Replaced, id: str, staged: str, drive: "Drive") -> bool:
    """Downloads a file to `staged`. Returns whether the server told where it ends."""
    estimate = 3 * REMOTES[file.role].about + (1 << 20)  # `about` is rough
    most = (CHECKSUMS[file.role].size if file.role in CHECKSUMS else 0) or estimate
    with files.progress(desc=file.name, unit="B", unit_scale=True) as bar:

        def progress(done: int, total: int | None) -> None:
            if total is not None and total in replaced.values():
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


def _check_arrived(staged: str, file: OfficialFile, has_end: bool) -> None:
    """Raises DamagedFileError for a download that is not the file, or may not be all of it.

    `has_end` is whether the server told where it ends.
    """
    release = Release(os.path.dirname(staged))
    source = next((source for found in release.sources.values() for source in found if source.path == staged), None)
    count = count_in_source(release, source, file, file.path)
    if has_end or not file.name.endswith(".txt"):  # a zip and a JSON file have an end of their own
        return
    broken_line = not files.read(staged).endswith(b"\n")
    expected = release.expected(file.role)
    if count < expected or broken_line:
        where = "in the middle of a line" if broken_line else f"after {count:,} of {expected:,} {file.holds}"
        raise DamagedFileError(
            f"{file.path}: ends {where}, and the server did not say how long it is: the connection broke off, perhaps."
        )


def _by_hand(out: str, file: OfficialFile, link: str) -> str:
    """How to download a file without this command, as a sentence."""
    folder = os.path.dirname(os.path.join(out, file.path))
    return f"By hand: open {link} in a browser, put {file.name} into {folder}, and repeat this command."
