"""Which file below a folder is which.

A file of official name is preferred, and its copies are left aside. Whatever looks like a file of the release and is
not read gets a Note.
"""

import contextlib
import functools
import gc
import hashlib
import os
import re
import urllib.parse
from collections.abc import Iterable, Iterator
from typing import Any

from .captions import read_captions, read_request_labels, read_requests
from .errors import ConflictError, DamagedFileError, FormatError, MissingFileError, UsageError, how_to_get_it, printable
from .lists import read_attributes, read_degrees, read_identity, read_mapping, read_partition, read_requests_txt
from .looking import Images, Note, Source, look_through, notes_on_images, walk
from .official import DEMO_HOLDS, DEMO_MARKER, DEMO_README, FILES
from .storage import file_status, is_url, read_range
from .vocabulary import PARTITION, SUBSETS
from .zips import Listed, read_member

RELEASE_VARIABLE = "CELEBA_DIALOG_RELEASE"  # where the release lies, for those who do not pass data_dir
_MOST_TEXT_BYTES = 1 << 30  # of one text or JSON file: six times the largest official one
_BUILT = "manifest.json"  # stands in a folder that `build` wrote

# Role of a text -> its reader.
READERS: dict[str, Any] = {
    "mapping": read_mapping,
    "partition": read_partition,
    **dict.fromkeys(("hq_labels", "standard_labels", *(f"labels_{part}" for part in PARTITION)), read_degrees),
    **dict.fromkeys(("hq_attributes", "standard_attributes"), read_attributes),
    **dict.fromkeys(("hq_identity", "standard_identity"), read_identity),
    **dict.fromkeys(("hq_captions", "standard_captions"), read_captions),
    **dict.fromkeys(("hq_requests", "standard_requests"), read_requests),
    **dict.fromkeys(("hq_requests_txt", "standard_requests_txt"), read_requests_txt),
    **dict.fromkeys(("hq_request_labels", "standard_request_labels"), read_request_labels),
}


class Release:
    """The official files, found anywhere below a folder.

    Args:
        root: path or fsspec URL of a folder that holds the release somewhere below it; `~` and relative paths too.
            What a URL needs besides (keys, tokens) comes from fsspec's own configuration.

    `sources` maps each role of `FILES` to its sources, in the order of their paths; a role that is not there is not in
    it. `files` maps the path of each folder of images to the files in it, as they were listed. `notes` tell what looks
    like a file of the release and is not read. `demo` is {role: count} for a made-up release and empty for others.
    Nothing is written and nothing is extracted. Raises MissingFileError where there is no such folder.
    """

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self.root = normal_path(root)
        self.demo: dict[str, int] = {}
        self.sources: dict[str, list[Source]] = {}
        self.files: dict[str, list[Listed]] = {}
        texts, images, notes = self._look()
        left: list[Note] = []
        for role in FILES:
            if role in READERS:
                found, others = _choose_texts(role, [source for source in texts if source.role == role], self.shown)
            else:
                broken = [source for source in texts if source.role == role]
                found, others = self._choose_images(role, [group for group in images if group.role == role], broken)
            left += others
            if found and self.expected(role):
                self.sources[role] = sorted(found, key=lambda source: source.path)
        notes += notes_on_images(group for group in images if not group.role)
        self.notes = sorted((*left, *self._told(notes)), key=lambda note: (note.aside, note.path))
        self.notes = [note._replace(path=self.shown(note.path)) for note in self.notes]

    def _look(self) -> tuple[list[Source], list[Images], list[Note]]:
        """What there is below the root: texts and zips that cannot be opened, images, notes."""
        texts: list[Source] = []
        images: list[Images] = []
        notes: list[Note] = []
        for number, step in enumerate(walk(self.root)):
            if isinstance(step, Note):
                notes.append(step)
                continue
            folder, files = step
            names = {listed.member.name for listed in files} if number == 0 else set()
            if DEMO_README in names:
                self.demo = _demo(read_range(folder + DEMO_README, 0, 8192))
            if _BUILT in names and b'"dataset": "celeba_dialog"' in read_range(folder + _BUILT, 0, 1 << 20):
                what = f'a folder that `build` wrote, not the official files. load_dataset("{self.root}", …) reads it.'
                notes.append(Note((), self.root, what))
            for thing in look_through(folder, files):
                if isinstance(thing, Source):
                    texts.append(thing)
                elif isinstance(thing, Images):
                    images.append(thing)
                else:
                    notes.append(thing)
        return texts, images, notes

    def _told(self, notes: Iterable[Note]) -> list[Note]:
        """The notes that matter beside what is there, each marked where what it might serve is there."""
        told = []
        for note in notes:
            there = set(note.roles) <= set(self.sources) if note.roles else len(self.sources) == len(FILES)
            if not (there and note.moot):
                told.append(note._replace(aside=bool(note.roles) and there))
        return told

    def _choose_images(self, role: str, found: list[Images], broken: list[Source]) -> tuple[list[Source], list[Note]]:
        """(Sources, Notes): which of the Images of a role serve it. Those of official name do, else all."""
        official = [images for images in found if images.is_official]
        chosen = official or ([] if broken else found)
        first = [*(images.path for images in official), *(source.path for source in broken)]
        why = f"left aside, because {self.shown(first[0])} bears the official name." if first else ""
        notes = [
            Note((role,), images.place, f"{images.count:,} {FILES[role].holds}, {why}", aside=True)
            for images in found
            if images not in chosen
        ]
        places: dict[str, list[Images]] = {}
        for images in chosen:
            places.setdefault(images.path, []).append(images)
        sources = [self._source(role, path, groups) for path, groups in places.items()]
        return [*sources, *broken], notes

    def _source(self, role: str, path: str, groups: list[Images]) -> Source:
        """The Source of the images of a role in one folder or zip."""
        rank = 0 if groups[0].is_official else 2
        if groups[0].status:
            return Source(role, path, *groups[0].status, rank=rank)
        files = sorted((listed for images in groups for listed in images.files), key=lambda listed: listed.base)
        self.files[path] = self.files.get(path, []) + files
        digest, total = hashlib.sha256(), 0
        for listed in files:
            size, stamp = (listed.member.size, listed.stamp) if listed.stamp else file_status(path + listed.member.name)
            total += size
            digest.update(f"{listed.member.name} {stamp}\n".encode("utf-8", "surrogateescape"))
        return Source(role, path, total, digest.hexdigest(), rank=rank)

    def shown(self, path: str) -> str:
        """A path as the person knows it: below the release's root."""
        below = path[len(self.root) :].lstrip("/") if path.startswith(self.root) else path
        return printable(urllib.parse.unquote(below) if is_url(path) else below) or self.root

    def source_name(self, source: Source) -> str:
        """The name of a source in messages: its path below the root, and for a text in a zip the member too."""
        return self.shown(_whole_name(source))

    def named(self, role: str) -> str:
        """The first source of a role, as the person knows it."""
        return self.source_name(self.sources[role][0])

    def notes_on(self, *roles: str) -> list[Note]:
        """The notes on files that might serve one of these roles."""
        return [note for note in self.notes if not note.roles or set(note.roles) & set(roles)]

    def expected(self, role: str) -> int:
        """How many rows, entries or images the file of a role has in a whole release, the official or a made-up one."""
        return self.demo.get(role, FILES[role].total)

    def read(self, role: str) -> tuple[Any, int | None]:
        """(what the reader of a text makes of it, how many rows or entries it has); (None, None) where there is none.

        Raises DamagedFileError where no copy of it can be read or one changes meanwhile, ConflictError where two copies
        differ, and what the readers raise.
        """
        found = self.sources.get(role, [])
        sources = [source for source in found if not source.problem]
        if found and not sources:
            raise DamagedFileError(f"{self.source_name(found[0])}: {found[0].problem}")
        texts = [self._read_text(source) for source in sources]
        for text, source in zip(texts[1:], sources[1:]):
            if text.replace(b"\r\n", b"\n") != texts[0].replace(b"\r\n", b"\n"):
                raise ConflictError(
                    f"{self.source_name(sources[0])} and {self.source_name(source)} are both {FILES[role].what}, and "
                    f"differ. Move the one you do not want out of the release."
                )
        if not texts:
            return None, None
        with uncollected():
            # pop: of a text of 100 MB, the reader holds the only copy.
            return READERS[role](texts.pop(0), self.source_name(sources[0]), SUBSETS[FILES[role].subset])

    def _read_text(self, source: Source) -> bytes:
        size = source.member.size if source.member else source.size
        if size > _MOST_TEXT_BYTES:
            raise FormatError(
                f"{self.source_name(source)}: {size:,} bytes, where at most {_MOST_TEXT_BYTES:,} are plausible. "
                f"This is not {FILES[source.role].name}; download that again."
            )
        data = read_member(source.path, source.member) if source.member else read_range(source.path)
        if file_status(source.path) != (source.size, source.stamp):
            raise DamagedFileError(
                f"{self.source_name(source)}: changed while it was read. Try again when nothing writes to it."
            )
        return data

    def is_unchanged(self, roles: Iterable[str]) -> bool:
        """Whether the texts and zips of some roles are still those that were listed.

        Images in folders are held against what was listed one by one, when they are read.
        """
        sources = [source for role in roles for source in self.sources.get(role, [])]
        files = {source.path: (source.size, source.stamp) for source in sources if not source.path.endswith("/")}
        return all(file_status(path) == status for path, status in files.items())

    def digest(self, roles: Iterable[str]) -> str:
        """Hexadecimal digits that change when a file of these roles does, comes or goes."""
        digest = hashlib.sha256(f"{code_digest()} {self.demo}".encode())
        for role in sorted(roles):
            for source in self.sources.get(role, []):
                digest.update(repr(source._replace(path=self.shown(source.path))).encode())
        return digest.hexdigest()[:32]


@contextlib.contextmanager
def uncollected() -> Iterator[None]:
    """Lets the garbage collector rest, which would look through a million new objects again and again."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


def _choose_texts(role: str, found: list[Source], shown: Any) -> tuple[list[Source], list[Note]]:
    """(Sources, Notes): which of the Sources of a text serve it. Copies of a less official name are left aside."""
    sound = [source for source in found if not source.problem]
    if not sound:
        return found, []
    truth = min(sound, key=lambda source: source.rank)
    aside = [source for source in sound if source.rank > truth.rank]
    why = f"left aside, because {shown(_whole_name(truth))} bears the official name."
    notes = [Note((role,), _whole_name(source), why, aside=True) for source in aside]
    return [source for source in found if source not in aside], notes


def _whole_name(source: Source) -> str:
    return f"{source.path}: {source.member.name}" if source.member else source.path


def find_root(data_dir: str | os.PathLike[str] | None = None) -> str:
    """Where the release lies: `data_dir`, else $CELEBA_DIALOG_RELEASE. Raises MissingFileError for neither."""
    root = data_dir or os.environ.get(RELEASE_VARIABLE)
    if not root:
        raise MissingFileError(
            f"No CelebA-Dialog files given. Pass data_dir=RELEASE, the folder with the official files, or set "
            f"{RELEASE_VARIABLE}. {how_to_get_it()}"
        )
    return normal_path(root)


def normal_path(path: str | os.PathLike[str]) -> str:
    """A release's root as an absolute path or a URL, without a slash at its end.

    Raises UsageError for an empty one, and for what only looks like a URL.
    """
    root = os.fsdecode(path)
    if not root.strip():
        raise UsageError("The path of the release is empty. Pass the folder that holds the official files.")
    try:
        root.encode()
    except UnicodeEncodeError:
        raise UsageError(
            f"{root!r}: not valid text, which `datasets` needs of a path. Rename it, or pass a link to it."
        ) from None
    if is_url(root):
        kind, _, rest = root.partition("://")
        try:
            urllib.parse.urlsplit(root)
        except ValueError:
            rest = ""
        if not re.match("[A-Za-z][A-Za-z0-9+.:-]*$", kind) or not rest.strip("/:"):
            raise UsageError(f"{root}: no address. One looks like https://host/folder; a path has no :// and no ::.")
        if kind != "file":
            return root.rstrip("/")
        root = rest
    return os.path.abspath(os.path.expanduser(root))


def _demo(readme: bytes) -> dict[str, int]:
    """{role: count} that the README of a made-up release tells; {} for another README."""
    if not readme.startswith(DEMO_MARKER.encode()):
        return {}
    roles = {file.path: role for role, file in FILES.items()}
    lines = re.findall(DEMO_HOLDS.format("([0-9]+)", "[a-z]+", "(.+)"), readme.decode("utf-8", "replace"))
    return {roles[path]: int(count) for count, path in lines if path in roles}


@functools.cache
def code_digest() -> str:
    """Changes with the code of this package, so that rows cached by another version of it are not served."""
    folder = os.path.dirname(__file__)
    digest = hashlib.sha256()
    for name in sorted(os.listdir(folder)):
        if name.endswith(".py"):
            with open(os.path.join(folder, name), "rb") as file:
                digest.update(file.read())
    return digest.hexdigest()
