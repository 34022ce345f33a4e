"""What of the official files is there already: what is whole is not downloaded, what is damaged is replaced."""

import copy
import os
import re
from collections.abc import Iterable
from typing import NamedTuple

from ..release.errors import ConflictError, DamagedFileError, ReleaseError
from ..release.finding import READERS, Release
from ..release.looking import Source
from ..release.members import find_members
from ..release.names import DRIVE_ZIP
from ..release.official import CHECKSUMS, FILES, OfficialFile, Sums
from ..runtime import files
from ..runtime.files import say

UNFINISHED = re.compile(r".+\.(?:crdownload|opdownload|download|part)")  # what browsers call a download under way


class Present(NamedTuple):
    """What there is of an official file."""

    whole: bool
    problems: list[str]  # what is wrong with it or with copies of it, a line each
    remarks: list[str]  # what else there is to say
    replaced: dict[str, int | None]  # path -> bytes of what a download replaces: parts; None for what is damaged

    def tell(self, wanted: bool) -> None:
        """Says what was found; `wanted` is whether the file is downloaded where it is not whole."""
        advice = "Another copy is sound: delete this one." if self.whole else "It is downloaded anew."
        if not self.whole and not wanted:
            advice = "It is not needed: delete it."
        for line in self.problems:
            say(f"{line} {advice}")
        for line in self.remarks:
            say(line)


def look(release: Release, wanted: list[OfficialFile]) -> dict[str, Present]:
    """{role: what there is} of some official files. It agrees with `check` on that."""
    looked_at = files.progress(wanted, desc="looking at what is there", unit="files")
    return {file.role: _examine(release, file) for file in looked_at}


def _examine(release: Release, file: OfficialFile) -> Present:
    expected = release.expected(file.role)
    counts, problems = _count_each(release, file)
    whole, remarks = _is_whole(release, file, counts, expected)
    if not whole or file.role in READERS:
        for source, count in counts.items():
            if count < expected:
                amount = f"{count:,} of {expected:,} {file.holds}, a part of {file.what}."
                problems[source] = f"{release.source_name(source)}: {amount}"
    sound = [release.source_name(source) for source in counts if source not in problems]
    if whole and sound and re.search(r"\(\d+\)\.\w+$", sound[0]):
        remarks.append(f"{sound[0]}: this has a browser's name, and is read as {file.name} all the same.")
    # What is no file is a folder, or a zip with other files in it: both stay.
    replaced = {source.path: source.size if source in counts else None for source in problems if source.is_file}
    return Present(whole, list(problems.values()), remarks, {} if whole else replaced)


def _count_each(release: Release, file: OfficialFile) -> tuple[dict[Source, int], dict[Source, str]]:
    """({source: rows, entries or images in it}, {source: what is wrong with it}); each source is in one of the two."""
    counts, problems = {}, {}
    for source in release.sources.get(file.role, ()):
        try:
            counts[source] = count_in_source(release, source, file, release.source_name(source))
        except DamagedFileError as error:
            problems[source] = str(error)
    return counts, problems


def _is_whole(release: Release, file: OfficialFile, counts: dict[Source, int], expected: int) -> tuple[bool, list[str]]:
    """(whether the sound sources of a file hold all of it, remarks); several ones of images may do so together."""
    remarks = []
    if len(counts) > 1:
        try:
            return _count(release, file, list(counts)) >= expected, []
        except ConflictError as error:
            if min(counts.values()) >= expected or file.role not in READERS:
                remarks.append(str(error))  # which of them is right no download can tell
    return max(counts.values(), default=0) >= expected, remarks


def count_in_source(release: Release, source: Source | None, file: OfficialFile, shown: str) -> int:
    """How many rows, entries or images of a file a source holds, as `check` counts them.

    `source` is None where the reader does not recognise it, `shown` is its name in messages. Raises DamagedFileError
    for what cannot be the official file or a part of it.
    """
    try:
        if source is None:
            raise DamagedFileError(f"it holds none of the {file.holds}.")
        if source.role != file.role:
            raise DamagedFileError(f"it is {FILES[source.role].what}.")
        if source.is_file and file.role in CHECKSUMS:
            _refuse_other_bytes(source.path, CHECKSUMS[file.role])
        return _count(release, file, [source])
    except ReleaseError as error:
        finding = str(error).removeprefix(f"{release.source_name(source)}: " if source else "")
        finding = finding.removesuffix(" Download it again.")  # which is what happens
        raise DamagedFileError(f"{shown}: this is not {file.what}, or damaged: {finding}") from error


def _count(release: Release, file: OfficialFile, sources: list[Source]) -> int:
    """Rows, entries or images of a file in these sources together. Raises ReleaseError as the readers do."""
    alone = copy.copy(release)
    alone.sources = {file.role: sources}
    if file.role in READERS:
        return alone.read(file.role)[1] or 0
    return len(find_members(alone, file.role).numbers)


def _refuse_other_bytes(path: str, expected: Sums) -> None:
    """Raises DamagedFileError where a file does not have the published size and MD5."""
    size = os.path.getsize(path)
    if expected.size and size != expected.size:
        raise DamagedFileError(f"it has {size:,} bytes, and the official file {expected.size:,}.")
    with files.progress(total=size, desc=f"MD5 of {os.path.basename(path)}", unit="B", unit_scale=True) as bar:
        found = files.checksum(path, "md5", bar.update)
    if found != expected.md5:
        raise DamagedFileError(f"its MD5 is {found}, and that of the official file {expected.md5}.")


def refuse_drive_zips(out: str) -> None:
    """Raises ReleaseError for zips that Drive made, since what is missing may lie in them; says what is unfinished."""
    zips = []
    for path in _paths(out):
        name, shown = os.path.basename(path), files.printable(os.path.relpath(path, out))
        if DRIVE_ZIP.fullmatch(name):
            zips.append(f"{shown}: Google Drive made this zip of a folder or selection; the files lie inside.")
        elif UNFINISHED.fullmatch(name):
            say(f"{shown}: a browser's unfinished download. It is not used; delete it once the browser is done.")
    if zips:
        raise ReleaseError(
            "\n".join(sorted(zips)) + f"\nUnpack every part into {out}, delete the zips and repeat this command. "
            "Or move them elsewhere, and everything missing is downloaded."
        )


def _paths(out: str) -> Iterable[str]:
    """The files below a folder, hidden folders excepted."""
    for folder, folders, names in os.walk(out):
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield from (os.path.join(folder, name) for name in names)
