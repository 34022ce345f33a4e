"""What a folder or a zip holds of a release: texts, sets of images, and what is not read.

A text is known by its name, and its subset by its content, because people keep the HQ captions as `captions.json` and
rename folders. Images are known by the name of their folder or zip, never by a look at one of them: other face sets
look the same. A zip is looked through like a folder.
"""

import contextlib
import functools
import os
import urllib.parse
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from .errors import DamagedFileError, EnvironmentFault, MissingFileError, how_to_get_it, printable, some
from .names import (
    ANY_KEY,
    DRIVE_ZIP,
    MAPS,
    PICTURE,
    image_name,
    image_role,
    is_likely,
    is_visible,
    official_role,
    rank_of,
    stem_and_ending,
    text_roles,
    unread,
    without_shares,
)
from .official import FILES
from .storage import file_status, filesystem, is_url, kind_of, read_range, status_of
from .vocabulary import HQ, STANDARD
from .zips import End, Listed, Member, end_of_zip, first_bytes, zip_files


class Source(NamedTuple):
    """What serves a role: a file, a folder of images, or a part of a zip."""

    role: str
    path: str  # absolute path or URL of the file; that of a folder ends in "/"
    size: int  # bytes of the file; of a folder, the sum of its images
    stamp: str  # changes when the file does: size and times, or what the server says
    problem: str = ""  # why it cannot serve, empty where it can
    member: Member | None = None  # of a text in a zip
    rank: int = 0  # 0 for an official name, 1 for one with another ending, 2 for any other name

    @property
    def is_file(self) -> bool:
        """Whether the whole file at `path` is what serves the role, as in the official release."""
        name = self.path.rsplit("/", 1)[-1]
        own_zip = self.role not in ZIPPED or official_role(stem_and_ending(name)[0]) == self.role
        return name != "" and own_zip and self.member is None


ZIPPED = tuple(role for role, file in FILES.items() if file.path.endswith(".zip"))  # the roles of images


class Note(NamedTuple):
    """What looks like a file of the release and is not read."""

    roles: tuple[str, ...]  # what it might serve; empty for any
    path: str
    text: str
    aside: bool = False  # whether what it might serve is there
    moot: bool = False  # whether it then stops mattering

    def __str__(self) -> str:
        return f"{self.path}: {self.text}"


class Images:
    """Images of one kind that lie in a folder, or in the folders of one name in a zip."""

    def __init__(self, path: str, kind: str, folder: bytes, stem: str, status: tuple[int, str] | None) -> None:
        self.path = path  # of the folder, ending in "/", or of the zip
        self.kind = kind  # see `image_name`
        self.role, self.is_official = image_role(kind, folder, stem)
        self.status = status  # (size, stamp) of the zip
        inside = printable(folder.decode("utf-8", "replace"))
        self.place = f"{path}: {inside}/" if status else path  # for messages
        self.count, self.lowest, self.highest = 0, STANDARD.images, 0
        self.files: list[Listed] = []  # those in a folder

    def add(self, number: int, listed: Listed) -> None:
        self.count += 1
        self.lowest, self.highest = min(self.lowest, number), max(self.highest, number)
        if not self.status:
            self.files.append(listed)


Found = Source | Images | Note


# --------------------------------------------------------------------------------------------------- files and folders


def walk(root: str) -> Iterator[tuple[str, list[Listed]] | Note]:
    """(folder, its plain files) for every folder from `root` down, in order; a Note for one that cannot be listed.

    Hidden folders and those of systems are left out. Links are followed, because people link the image folders; a
    folder is entered once, so loops end. Raises MissingFileError where there is no such folder, EnvironmentFault where
    the root cannot be listed.
    """
    if is_url(root):
        yield from _walk_url(root)
        return
    if not os.path.isdir(root):
        what = "is a file, not a folder" if os.path.exists(root) else "no such folder"
        how = how_to_get_it() if os.path.exists(root) else how_to_get_it(root)
        raise MissingFileError(f"{root}: {what}. Pass the folder that holds the official files. {how}")
    seen, folders = set(), [root]
    while folders:
        folder = folders.pop()
        try:
            status = os.stat(folder)
            if (status.st_dev, status.st_ino) in seen:
                continue
            seen.add((status.st_dev, status.st_ino))
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError as error:
            if folder == root:
                raise EnvironmentFault(f"{folder}: cannot be listed: {error.strerror}.") from error
            yield Note((), folder, f"cannot be listed: {error.strerror}.", moot=True)
            continue
        shown = [entry for entry in entries if is_visible(entry.name)]
        placeholders = [entry for entry in entries if entry.name.startswith(".") and entry.name.endswith(".icloud")]
        place = os.fsencode(folder)
        # Among the names are links to nowhere, devices and pipes, which reading would wait for.
        yield folder + "/", [_listed(place, entry) for entry in [*shown, *placeholders] if _is(entry.is_file)]
        folders += [entry.path for entry in reversed(shown) if _is(entry.is_dir)]


def _is(test: Callable[[], bool]) -> bool:
    """Whether an entry of a folder is a file, or a folder; a link to itself is neither."""
    try:
        return test()
    except OSError:
        return False


def _listed(place: bytes, entry: os.DirEntry[str]) -> Listed:
    """A file of a folder. Its status is asked for once, and kept for all who need it."""
    try:
        status = entry.stat()
    except OSError:  # it went meanwhile, and whoever reads it says so
        return Listed(place, os.fsencode(entry.name), Member(0, entry.name, -1, -1, -1, -1, -1))
    size, stamp = status_of(status)
    member = Member(0, entry.name, status.st_mtime_ns, -1, size, -1, -1)
    return Listed(place, os.fsencode(entry.name), member, stamp)


def _walk_url(root: str) -> Iterator[tuple[str, list[Listed]]]:
    fs = filesystem(root)
    try:
        paths = fs.find(root) or fs.ls(root, detail=False)  # find leaves out what cannot be listed, ls says why
    except Exception as error:
        raise EnvironmentFault(f"{root}: cannot be listed: {error!r}.") from error
    if not paths:
        raise MissingFileError(
            f"{root}: nothing is listed there. Pass the address of the folder with the official files."
        )
    folders: dict[str, list[str]] = {}
    for path in map(fs.unstrip_protocol, paths):
        folder, name = path.rsplit("/", 1)
        if all(is_visible(part) for part in path[len(root) :].split("/") if part):
            folders.setdefault(folder + "/", []).append(name)
    for folder in sorted(folders):
        place = os.fsencode(urllib.parse.unquote(folder))
        yield (
            folder,
            [
                Listed(place, os.fsencode(urllib.parse.unquote(name)), Member(0, name, -1, -1, -1, -1, -1))
                for name in sorted(folders[folder])
            ],
        )


def look_through(
    path: str, files: Iterable[Listed], stem: str = "", status: tuple[int, str] | None = None
) -> Iterator[Found]:
    """What a folder or a zip holds of a release.

    Args:
        path: of the folder, ending in "/", or of the zip.
        files: those in it.
        stem: what a zip is called; one of official name holds images of one role, whatever their folders are called.
        status: (size, stamp) of a zip.
    """
    images: dict[tuple[str, str | bytes], Images] = {}
    pictures: list[Listed] = []
    zips = []
    for listed in files:
        folder, base, member, _ = listed
        image = image_name(base)
        if image:
            kind, number, _ = image
            role, is_official = image_role(kind, folder, stem)
            key = kind, role if is_official else folder
            if key not in images:
                images[key] = Images(path, kind, folder, stem, status)
            images[key].add(number, listed)
        elif PICTURE.fullmatch(base):
            pictures.append(listed)
        else:
            name = printable(base.decode("utf-8", "replace"))
            if not name.lower().endswith(".zip"):
                yield from _look_at(path, name, listed, status)
            elif status:
                zips.append(name)
            else:
                its_status = (member.size, listed.stamp) if listed.stamp else file_status(path + member.name)
                yield from _look_into(path + member.name, *its_status, stem_and_ending(name)[0])
    for group in images.values():
        if group.is_official and not status:
            group.files += pictures  # for a Note when the images are read, as on those in a zip
        yield group
    if zips:
        yield _note_of_zips(path, zips)
    if len(pictures) >= _MANY and not images:
        names = some([listed.member.name for listed in pictures])
        text = f"{len(pictures):,} pictures, not read: their names, {names}, are no file numbers."
        yield Note(("hq_images", "standard_images"), path, text, moot=True)


_MANY = 10  # a folder with at least so many pictures, none of them read, gets a Note


# --------------------------------------------------------------------------------------------------------------- zips


@functools.lru_cache(maxsize=64)  # a process looks through the same release several times
def _look_into(path: str, size: int, stamp: str, stem: str) -> list[Found]:
    """`look_through` of a zip, as a list. One that cannot be opened is a Source with a problem, or a Note."""
    try:
        end = end_of_zip(path, size)
        in_tail = end.start - (size - len(end.tail))
        if in_tail >= 0:
            directory = end.tail[in_tail : in_tail + end.length]
        elif found := _look_at_end(path, stem, end, end.tail[: in_tail + end.length], (size, stamp)):
            return found
        else:
            directory = read_range(path, end.start, end.length)
        return list(look_through(path, zip_files(directory, end, path), stem, (size, stamp)))
    except DamagedFileError as error:
        problem = str(error).removeprefix(f"{path}: ")
        role = official_role(stem)
        if role:
            return [Source(role, path, size, stamp, problem)]
        return [Note((), path, problem)] if is_likely(stem) else []


def _look_at_end(path: str, stem: str, end: End, tail: bytes, status: tuple[int, str]) -> list[Found] | None:
    """The same from the end of the directory of a zip: some Images, or None where that is not enough.

    It is enough for a zip of official name whose last entries are images of its role; all of them would take a second.
    """
    role = official_role(stem)
    entries = tail[max(0, tail.find(b"PK\x01\x02")) :]
    with contextlib.suppress(DamagedFileError):  # what looks like the start of an entry may be none
        found = list(look_through(path, zip_files(entries, end, path, whole=False), stem, status)) if role else []
        if found and all(isinstance(thing, Images) and thing.role == role for thing in found):
            return found
    return None


def _note_of_zips(path: str, zips: list[str]) -> Note:
    """The Note on a zip in which there are other zips."""
    own = DRIVE_ZIP.fullmatch(path.rsplit("/", 1)[-1])
    what = "Google Drive's own zip of a folder" if own else "a zip of zips"
    parts = "; of several parts, all into one folder" if own else ""
    roles = {official_role(stem_and_ending(base)[0]) or "" for base in zips}
    text = f"{what}: it holds {some(zips)}, which cannot be read there. Unpack it there{parts}."
    return Note(tuple(sorted(roles)) if all(roles) else (), path, text, moot=True)


# -------------------------------------------------------------------------------------------------------------- texts


def _look_at(path: str, name: str, listed: Listed, status: tuple[int, str] | None) -> Iterator[Found]:
    """What a file that is neither an image nor a zip is to the release: yields a Source, a Note or nothing.

    It is in the folder `path`, or in the zip `path`, of which `status` is (size, stamp).
    """
    stem, ending = stem_and_ending(name)
    member = listed.member
    whole = f"{path}: {member.name}" if status else path + member.name
    roles = text_roles(stem, ending)
    if not roles:
        found = unread(name)
        if found:
            yield Note(found[0], whole, found[1])
        return
    if status is None:
        path = path + member.name
        status = (member.size, listed.stamp) if listed.stamp else file_status(path)
        source = _look_at_text(path, name, None, status, roles)
    else:
        source = _look_at_text(path, name, member, status, roles)
    if source:
        rank = rank_of(stem, ending, roles if source.problem else [source.role])
        if source.problem and rank == 2:
            names = " or ".join(FILES[role].name for role in roles)
            yield Note(roles, whole, f"is no {names}: {source.problem}")
        else:
            yield source._replace(rank=rank)


def _look_at_text(
    path: str, name: str, member: Member | None, status: tuple[int, str], roles: tuple[str, ...]
) -> Source | None:
    """The Source of a text whose name allows some roles: its first bytes tell which. None for another file."""
    head, problem = _head_of_text(path, member)
    key = ANY_KEY.search(head)
    if "mapping" in roles and rank_of(stem_and_ending(name)[0], "txt", roles) > 0 and not MAPS.search(head):
        return None
    if not key and not problem:  # useless, but the message is to name the file that it was meant to be
        kind, advice = kind_of(head)
        names = f"{HQ.file_name(0)} or {STANDARD.file_name(1)}"
        problem = (
            f"this is {kind}. {advice}" if kind else f"starts with {head[:24]!r}, and holds no name such as {names}."
        )
    is_standard = len(key[1]) == STANDARD.digits if key else "hq" not in name.lower() and "(hq)" not in path.lower()
    fitting = [role for role in roles if role == "mapping" or (FILES[role].subset == "standard") == is_standard]
    return Source((fitting or roles)[0], path, *status, problem, member) if fitting or problem else None


def _head_of_text(path: str, member: Member | None) -> tuple[bytes, str]:
    """(first bytes of a text, "" or why it cannot be read)."""
    if member and member.method not in (0, 8):
        return b"", "encrypted in this zip, or packed by a method that is not read. Unpack it there."
    try:
        return first_bytes(path, member), ""
    except DamagedFileError as error:
        return b"", str(error).removeprefix(f"{path}: ")


# ------------------------------------------------------------------------------------------------- images of no role

_WHERE = "image/, CelebA-HQ-img/ or img_align_celeba/"


def notes_on_images(groups: Iterable[Images]) -> Iterator[Note]:
    """The Notes on images that serve no role, one for all shares of a set."""
    sets: dict[tuple[str, str], list[Images]] = {}
    for images in groups:
        sets.setdefault((without_shares(images.place), images.kind), []).append(images)
    for (place, kind), shares in sets.items():
        count = sum(images.count for images in shares)
        numbers = min(images.lowest for images in shares), max(images.highest for images in shares)
        in_shares = any(images.place.rstrip("/") != place for images in shares)
        again = sum(images.lowest == numbers[0] for images in shares) > 1
        yield _note_on_set(place + "/", kind, count, numbers, in_shares, again)


def _note_on_set(place: str, kind: str, count: int, numbers: tuple[int, int], in_shares: bool, again: bool) -> Note:
    """The Note on a set of images; `again` is whether two of its shares begin at the same number."""
    role = "standard_images" if numbers[1] >= HQ.images else "hq_images"
    get = f"Get the official {FILES[role].name}."
    if kind == "png" and role == "hq_images" and not in_shares:
        name = FILES["hq_masks"].name.removesuffix(".zip")
        return Note(
            ("hq_masks", "hq_images"),
            place,
            f"{count:,} PNGs, not read: masks are read from {name}/ alone, and the official images are JPEGs. Get the "
            f"official {FILES['hq_masks'].name}; other masks, such as grey ones, are not in its class order.",
        )
    if kind != "jpeg":
        return Note((role,), place, f"{count:,} {kind.upper()} copies, not read: the official images are JPEGs. {get}")
    if again:
        why = "two of its folders begin at the same number, so these are numbered by somebody else, and no label fits"
        return Note((role,), place, f"{count:,} JPEGs, not read: {why}. {get}")
    if in_shares:
        why = "the official images lie in one folder, and sets in several are numbered by somebody else"
        return Note((role,), place, f"{count:,} JPEGs, not read: {why}. {get}")
    folder = "img_align_celeba/" if role == "standard_images" else "image/"
    return Note(
        (role,),
        place,
        f"{count:,} JPEGs, not read: images are read from {_WHERE} alone. If these are the official images under the "
        f"official numbers, rename the folder to {folder}",
    )
