"""Which file below a folder is which."""

import contextlib
import functools
import hashlib
import os
import re
import urllib.parse
from typing import NamedTuple

from .captions import READERS
from .errors import (
    HOW_TO_GET_IT,
    ConflictError,
    DamagedFileError,
    EnvironmentFault,
    FormatError,
    MissingFileError,
    ReleaseError,
    UsageError,
    printable,
    some,
)
from .images import HQ_COPIES, _is_drawing, in_pixels, opened_image, what_size
from .masks import mask_indices
from .names import (
    ALSO_OFFICIAL,
    ANY_KEY,
    CELEBA,
    DRIVE_ZIP,
    LIKELY_NAMES,
    MAPS,
    OFFICIAL_NAMES,
    PICTURE,
    SHARE,
    UNREAD,
    image_name,
    is_visible,
    likely_roles,
    official_role,
    official_stems,
    own_name,
    plain_name,
    stem_and_ending,
    text_roles,
)
from .official import DEMO_HOLDS, DEMO_MARKER, DEMO_README, FILES
from .storage import MOST_TEXT_BYTES, file_status, filesystem, folder_files, is_url, read_range, what_is
from .texts import decoded
from .vocabulary import HQ, MASK_SIDE, STANDARD, SUBSETS
from .zips import end_of_zip, first_bytes, read_member, zip_files

# ----------------------------------------------------------------------------------------------------------- release
# Which file below a folder is which. A text is known by its name, and its subset by its content, because people keep
# the HQ captions as `captions.json` and rename folders. Images are known by their names and, where these leave a doubt,
# by a look at one of them. A zip is looked through like a folder. A file of official name is preferred, and its copies
# are left aside. Whatever looks like a file of the release and is not read gets a Note.

RELEASE_VARIABLE = "CELEBA_DIALOG_RELEASE"  # where the release lies, for those who do not pass data_dir


class Source(NamedTuple):
    """What serves a role: a file, a folder of images, or a part of a zip."""

    role: str
    path: str  # absolute path or URL of the file; that of a folder ends in "/"
    size: int  # bytes of the file; of a folder, the sum of its images
    stamp: str  # changes when the file does: size and times, or what the server says
    problem: str = ""  # why it cannot serve, empty where it can
    kinds: tuple = ()  # of images: the kinds of names that count, see `image_name`
    folders: tuple | None = None  # of images in a zip: what the folders are called that count, None for all
    member: tuple | None = None  # of a text in a zip: its MEMBER
    rank: int = 0  # 0 for an official name, 1 for one with another ending, 2 for any other name

    @property
    def is_file(self):
        """Whether the whole file at `path` is what serves the role, as in the official release."""
        return not self.path.endswith("/") and self.folders is None and self.member is None


class Note(NamedTuple):
    """What looks like a file of the release and is not read."""

    roles: tuple  # what it might serve; empty for any
    path: str
    text: str
    aside: bool = False  # whether it is a copy beside the official file
    moot: bool = False  # whether it stops mattering once all these roles are served
    holds: tuple = ()  # roles whose official zip lies inside this zip, where it cannot be read

    def __str__(self):
        return f"{self.path}: {self.text}"


class Release:
    """The official files, found anywhere below a folder.

    Args:
        root: path or fsspec URL of a folder that holds the release somewhere below it; `~` and relative paths too.
            What a URL needs besides (keys, tokens) comes from fsspec's own configuration.

    `sources` maps each role of `FILES` to its sources, in the order of their paths; a role that is not there is not in
    it. `notes` tell what looks like a file of the release and is not read. `demo` is {role: count} for a made-up
    release and empty for others. Nothing is written and nothing is extracted. Raises MissingFileError where there is no
    such folder.
    """

    def __init__(self, root):
        self.root = normal_path(root)
        self.demo, self.sources = {}, {}
        found = {_Images: [], Source: [], Note: []}
        for index, (folder, names) in enumerate(_tree(self.root)):
            if index == 0 and DEMO_README in names:
                self.demo = _demo(read_range(folder + DEMO_README, 0, 8192))
            for thing in _look_through(folder, folder_files(folder, names)):
                found[type(thing)].append(thing)
        for role in FILES:
            sources, notes = self._choose(role, found)
            found[Note] += notes
            if sources and self.expected(role):
                self.sources[role] = sorted(sources, key=lambda source: source.path)
        self.notes = [
            note._replace(path=self.shown(note.path))
            for note in sorted(found[Note], key=lambda note: (note.aside, note.path))
            if not (note.moot and set(note.roles) <= set(self.sources))
        ]

    def _choose(self, role, found):
        """(Sources, Notes): what of all that was found, {type: list}, serves a role, and why the rest does not."""
        sources = [source for source in found[Source] if source.role == role]
        if role not in OFFICIAL_NAMES:
            return _choose_texts(role, sources, self.shown)
        images = [images for images in found[_Images] if images.role == role]
        wrapped = [note.path for note in found[Note] if role in note.holds]
        return _choose_images(role, _sizes(role, found[Source]), images, sources, wrapped, self.shown)

    def shown(self, path):
        """A path as the person knows it: below the release's root."""
        below = path[len(self.root) :].lstrip("/") if path.startswith(self.root) else path
        return printable(urllib.parse.unquote(below) if is_url(path) else below)

    def source_name(self, source):
        """The name of a source in messages: its path below the root, and for a text in a zip the member too."""
        return self.shown(whole_name(source.path, source.member))

    def named(self, role):
        """The first source of a role, as the person knows it."""
        return self.source_name(self.sources[role][0])

    def notes_on(self, *roles):
        """The notes on files that might serve one of these roles."""
        return [note for note in self.notes if not note.roles or set(note.roles) & set(roles)]

    def expected(self, role):
        """How many rows, entries or images the file of a role has in a whole release, the official or a made-up one."""
        return self.demo.get(role, FILES[role].count)

    def text(self, role):
        """(bytes, shown name) of a text or JSON file, or None where there is none.

        Raises DamagedFileError where no copy of it can be read or one changes meanwhile, FormatError for one that is
        far too large, ConflictError where two copies differ.
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
        return (texts[0], self.source_name(sources[0])) if texts else None

    def _read_text(self, source):
        size = source.member[4] if source.member else source.size
        if size > MOST_TEXT_BYTES:
            raise FormatError(
                f"{self.source_name(source)}: {size:,} bytes, where at most {MOST_TEXT_BYTES:,} are plausible. "
                f"This is not {FILES[source.role].name}; download that again."
            )
        data = read_member(source.path, source.member) if source.member else read_range(source.path)
        if file_status(source.path) != (source.size, source.stamp):
            raise DamagedFileError(
                f"{self.source_name(source)}: changed while it was read. Try again when nothing writes to it."
            )
        return data

    def digest(self, roles):
        """Hexadecimal digits that change when a file of these roles does, comes or goes."""
        digest = hashlib.sha256(f"{code_digest()} {self.demo}".encode())
        for role in sorted(roles):
            for source in self.sources.get(role, []):
                digest.update(repr(source._replace(path=self.shown(source.path))).encode())
        return digest.hexdigest()[:32]


def find_root(data_dir=None):
    """Where the release lies: `data_dir`, else $CELEBA_DIALOG_RELEASE. Raises MissingFileError for neither."""
    root = data_dir or os.environ.get(RELEASE_VARIABLE)
    if not root:
        raise MissingFileError(
            f"No CelebA-Dialog files given. Pass data_dir=RELEASE, the folder with the official files, or set "
            f"{RELEASE_VARIABLE}. {HOW_TO_GET_IT}"
        )
    return normal_path(root)


def normal_path(root):
    """A release's root as an absolute path or a URL, without a slash at its end.

    Raises UsageError for an empty one, and for what only looks like a URL.
    """
    root = os.fsdecode(root)
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


def _demo(readme):
    """{role: count} that the README of a made-up release tells; {} for another README."""
    if not readme.startswith(DEMO_MARKER.encode()):
        return {}
    roles = {file.path: role for role, file in FILES.items()}
    lines = re.findall(DEMO_HOLDS.format("([0-9]+)", "[a-z]+", "(.+)"), readme.decode("utf-8", "replace"))
    return {roles[path]: int(count) for count, path in lines if path in roles}


@functools.cache
def code_digest():
    """Changes with the code of this package, so that rows cached by another version of it are not served."""
    folder = os.path.dirname(__file__)
    digest = hashlib.sha256()
    for name in sorted(os.listdir(folder)):
        if name.endswith(".py"):
            with open(os.path.join(folder, name), "rb") as file:
                digest.update(file.read())
    return digest.hexdigest()


def whole_name(path, member):
    return f"{path}: {member[1]}" if member else path


# --- what there is in a folder


def _tree(root):
    """(folder, names of its files) for every folder from `root` down, in order. Hidden ones and __MACOSX are left out.

    Links are followed, because people link the image folders; a folder is entered once, so loops end.
    """
    if is_url(root):
        yield from _remote_tree(root)
        return
    if not os.path.isdir(root):
        what = "is a file, not a folder" if os.path.exists(root) else "no such folder"
        raise MissingFileError(f"{root}: {what}. Pass the folder that holds the official files. {HOW_TO_GET_IT}")
    seen = set()
    for folder, folders, names in os.walk(root, onerror=_cannot_list, followlinks=True):
        place = os.path.realpath(folder)
        if place in seen:
            folders.clear()
            continue
        seen.add(place)
        folders[:] = sorted(filter(is_visible, folders))
        # Among the names are links to nowhere, devices and pipes, which reading would wait for.
        yield folder + "/", sorted(name for name in names if is_visible(name) and os.path.isfile(f"{folder}/{name}"))


def _cannot_list(error):
    raise EnvironmentFault(f"{error.filename}: cannot be listed: {error.strerror}.") from error


def _remote_tree(root):
    fs = filesystem(root)
    try:
        paths = fs.find(root) or fs.ls(root, detail=False)  # find leaves out what cannot be listed, ls says why
    except Exception as error:
        raise EnvironmentFault(f"{root}: cannot be listed: {error!r}.") from error
    if not paths:
        raise MissingFileError(
            f"{root}: nothing is listed there. Pass the address of the folder with the official files."
        )
    folders = {}
    for path in paths:
        path = fs.unstrip_protocol(path)
        folder, name = path.rsplit("/", 1)
        if all(is_visible(part) for part in path[len(root) :].split("/") if part):
            folders.setdefault(folder + "/", []).append(name)
    for folder in sorted(folders):
        yield folder, sorted(folders[folder])


def _look_through(path, listed, stem=None, status=None):
    """What a folder or a zip holds of a release: yields Sources of texts, _Images and Notes.

    Args:
        listed: its files, as `folder_files` and `zip_files` give them.
        stem: what a zip is called; one of official name holds images of one role, whatever their folders are called.
        status: what `file_status` says of a zip.
    """
    is_official = official_role(stem) is not None
    images, pictures, zips = {}, [], []
    for folder, base, member in listed:
        image = image_name(base)
        if image:
            kind, number, _ = image
            key = kind, None if is_official else own_name(folder)
            if key not in images:
                images[key] = _Images(path, *key, stem, status)
            images[key].add(number, member)
        elif PICTURE.fullmatch(base):
            pictures.append(member[1])
        else:
            base = printable(base.decode("utf-8", "replace"))
            if not base.lower().endswith(".zip"):
                yield from _look_at(path, base, member, status)
            elif status is None:
                yield from _look_into(path + member[1], *file_status(path + member[1]), stem_and_ending(base)[0])
            else:
                zips.append(base)
    for group in images.values():
        yield group if group.role else group.note()
    if zips:
        yield _note_of_zips(path, zips)
    if len(pictures) >= _MANY and not images:
        text = f"{len(pictures):,} pictures, not read: their names, {some(pictures)}, are no file numbers."
        yield Note(("hq_images", "standard_images"), path, text, moot=True)


_MANY = 10  # a folder with at least so many pictures, none of them read, gets a Note


@functools.lru_cache(maxsize=64)  # a process looks through the same release several times
def _look_into(path, size, stamp, stem):
    """`_look_through` of a zip, as a list. One that cannot be opened is a Source with a problem, or a Note."""
    try:
        start, length, count, ahead, tail = end_of_zip(path, size)
        in_tail = start - (size - len(tail))
        if in_tail >= 0:
            directory = tail[in_tail : in_tail + length]
        elif found := _look_at_end(path, stem, tail[: in_tail + length], ahead, start, (size, stamp)):
            return found
        else:
            directory = read_range(path, start, length)
        listed = zip_files(directory, count, ahead, start, path)
        return list(_look_through(path, listed, stem, (size, stamp)))
    except DamagedFileError as error:
        problem = str(error).removeprefix(f"{path}: ")
        roles = likely_roles(stem)
        if roles:
            rank = 0 if roles[0] == official_role(stem) else 2
            return [Source(roles[0], path, size, stamp, problem, rank=rank)]
        return [Note((), path, problem)] if CELEBA.fullmatch(stem) else []


def _look_at_end(path, stem, tail, ahead, start, status):
    """The same from the end of the directory of a zip: a list of _Images, or None where that is not enough.

    It is enough for a zip of official name whose last entries are images of its role; all of them would take a second.
    """
    role = official_role(stem)
    entries = tail[max(0, tail.find(b"PK\x01\x02")) :]
    with contextlib.suppress(DamagedFileError):  # what looks like the start of an entry may be none
        found = list(_look_through(path, zip_files(entries, None, ahead, start, path), stem, status)) if role else []
        if found and all(isinstance(thing, _Images) and thing.role == role for thing in found):
            return found
    return None


def _note_of_zips(path, zips):
    """The Note on a zip in which there are other zips."""
    own = DRIVE_ZIP.fullmatch(path.rsplit("/", 1)[-1])
    what = "Google Drive's own zip of a folder" if own else "a zip of zips"
    parts = "; of several parts, all into one folder" if own else ""
    text = f"{what}: it holds {some(zips)}, which cannot be read there. Unpack it there{parts}."
    stems = [stem_and_ending(base)[0] for base in zips]
    roles = tuple(role for role in LIKELY_NAMES if any(role in likely_roles(stem) for stem in stems))
    holds = tuple(filter(None, map(official_role, stems)))
    return Note(roles, path, text, moot=bool(roles), holds=holds)


def _look_at(path, base, member, status):
    """What a file that is neither an image nor a zip is to the release: yields a Source, a Note or nothing.

    It is the MEMBER of the folder `path`, or of the zip `path`, of which `file_status` says `status`.
    """
    stem, ending = stem_and_ending(base)
    roles = text_roles(stem, ending)
    if status is None:
        path, member = path + member[1], None
    found = _look_at_text(path, base, member, status or file_status(path), roles) if roles else _unread(base)
    if isinstance(found, Note):
        yield found._replace(path=whole_name(path, member))
    elif found:
        official = official_stems(roles if found.problem else [found.role]) | ALSO_OFFICIAL
        rank = 2 if stem not in official else 0 if ending == official[stem] else 1
        if found.problem and rank == 2:
            names = " or ".join(FILES[role].name for role in roles)
            yield Note(roles, whole_name(path, member), f"is no {names}: {found.problem}")
        else:
            yield found._replace(rank=rank)


def _look_at_text(path, base, member, status, roles):
    """The Source of a text whose name allows some roles: its first bytes tell which. None for another file."""
    head, problem = _head_of_text(path, member)
    text = decoded(head, "ignore").encode()
    key = ANY_KEY.search(text)
    if "mapping" in roles and stem_and_ending(base)[0] not in official_stems(roles) and not MAPS.search(text):
        return None
    if not key:  # useless, but the message is to name the file that it was meant to be
        problem = problem or what_is(head, member[4] if member else status[0])
    is_standard = len(key[1]) == STANDARD.digits if key else "hq" not in base.lower() and "(hq)" not in path.lower()
    fitting = [role for role in roles if role == "mapping" or (FILES[role].subset == "standard") == is_standard]
    return Source((fitting or roles)[0], path, *status, problem, member=member) if fitting or problem else None


def _head_of_text(path, member):
    """(first bytes of a text, "" or why it cannot be read)."""
    if member and member[6] not in (0, 8):
        return b"", "encrypted in this zip, or packed by a method that is not read. Unpack it there."
    try:
        return first_bytes(path, member), ""
    except DamagedFileError as error:
        return b"", str(error).removeprefix(f"{path}: ")


def _unread(base):
    """A Note, without a path, on a file that is called like one of the release and has another form; else None."""
    name, _, ending = base.lower().partition(".")
    why = next((why for pattern, why in UNREAD.items() if pattern.fullmatch(ending)), None)
    stem = plain_name(name)
    roles = text_roles(stem)
    if why is None or (not roles and ending in ("csv", "txt", "json")):  # a text of another name
        return None
    roles = roles or tuple(likely_roles(stem))
    if not roles and not CELEBA.fullmatch(stem):
        return None
    official = " or ".join(FILES[role].name for role in roles)
    return Note(roles, "", why + (f" The official file is {official}." if official else ""))


def _choose_texts(role, found, shown):
    """(Sources, Notes): which of the Sources of a text serve it. Copies of a less official name are left aside."""
    sound = [source for source in found if not source.problem]
    truth = min(sound, key=lambda source: source.rank, default=None)
    aside = [source for source in sound if source.rank > truth.rank]
    notes = [
        Note(
            (role,),
            whole_name(source.path, source.member),
            f"left aside, because {shown(whole_name(truth.path, truth.member))} bears the official name.",
            aside=True,
        )
        for source in aside
    ]
    return [source for source in found if source not in aside], notes


class _Images:
    """Images that lie together and whose names are of one kind: in a folder, or in the folders of one name in a zip."""

    def __init__(self, path, kind, folder, stem, status):
        self.path = path  # of the folder, ending in "/", or of the zip
        self.kind = kind
        self.folder = folder  # what their folder is called; None for any, in a zip of official name
        self.stem = stem  # what the zip is called
        self.status = status  # (size, stamp) of the zip
        self.count, self.lowest, self.highest = 0, STANDARD.images, 0
        self.names = []  # in a folder
        self.last = None  # a MEMBER

    def add(self, number, member):
        self.count += 1
        self.lowest, self.highest = min(self.lowest, number), max(self.highest, number)
        self.last = member
        if not self.status:
            self.names.append(member[1])

    def is_called(self, role):
        """Whether they bear an official name of a role."""
        return self.folder in OFFICIAL_NAMES[role] or self.stem in OFFICIAL_NAMES[role]

    @functools.cached_property
    def look(self):
        """((width, height) in pixels, Pillow's mode) of one of them; (None, "") where it does not tell."""
        kind = {"png": "PNG", "six": "JPEG", "short": "JPEG"}.get(self.kind)
        if kind:
            with contextlib.suppress(ReleaseError):
                data = read_member(self.path, self.last)
                with opened_image(data, kind, self.path) as image:
                    return HQ.side if _is_drawing(data, image.size) else image.size, image.mode
        return None, ""

    @functools.cached_property
    def role(self):
        """What they serve, None for copies of another form. Where names leave a doubt, one of them is looked at."""
        if self.kind == "part":
            return "hq_parts"
        if self.kind == "png":
            return "hq_masks" if self.is_called("hq_masks") or self._are_masks() else None
        if self.kind not in ("six", "short"):
            return None
        return "hq_images" if not self.is_called("standard_images") and self._are_hq() else "standard_images"

    def _are_masks(self):
        with contextlib.suppress(ReleaseError):
            data = read_member(self.path, self.last)
            return self.look[0] == (MASK_SIDE, MASK_SIDE) and mask_indices(data, self.path) is not None
        return False

    def _are_hq(self):
        """Whether JPEGs are HQ images."""
        if self.kind == "short":
            return self.is_called("hq_images") or (self.highest < HQ.images and self.look[0] != STANDARD.side)
        if self.highest >= HQ.images or self.lowest == 0:
            return self.lowest == 0
        width, height = self.look[0] or (0, 1)
        name = self.folder or self.stem or ""
        return width == height and (width >= 512 or self.is_called("hq_images") or "hq" in name)

    def fit(self, sizes):
        """How well they fit: images by the place of their size in `sizes`, masks 0 where they hold indices, else 1.
        None for images of another size."""
        size, mode = self.look
        if self.kind == "png":
            return int(mode not in ("P", "L"))
        return 0 if size is None else sizes.index(size) if size in sizes else None

    @property
    def together(self):
        """The path that shares of one set have in common, and a zip with what was unpacked from it: without endings
        such as `/train`, `/0` and `.zip`."""
        path = re.sub("[.]zip$", "", self.path, flags=re.I).rstrip("/")
        while SHARE.fullmatch(path.rsplit("/", 1)[-1]):
            path = path.rsplit("/", 1)[0]
        return path

    def note(self, why="the release's own images are JPEGs, and its palette masks PNGs of indices", aside=False):
        """The Note that says why they are not read."""
        what = {"part": "part masks", "six": "JPEGs", "short": "JPEGs"}.get(self.kind, f"{self.kind.upper()} copies")
        size = f" of {in_pixels(self.look[0])}" if self.look[0] else ""
        where = f"{self.path}: {self.folder}/" if self.status and self.folder is not None else self.path
        role = self.role or ("standard_images" if self.highest >= HQ.images else "hq_images")
        return Note((role,), where, f"{self.count:,} {what}{size}, not read: {why.removesuffix('.')}.", aside)


def _sizes(role, texts):
    """The (width, height) of images that can serve a role, the best first; () for masks. `texts` are Sources.

    Smaller copies of HQ images may also be those of an experiment: they serve where texts for them are there.
    """
    if role == "standard_images":
        return (STANDARD.side,)
    has_texts = any(source.role.startswith("hq_") and source.role not in OFFICIAL_NAMES for source in texts)
    return (HQ.side, *(HQ_COPIES if has_texts else ())) if role == "hq_images" else ()


def _choose_images(role, sizes, found, damaged, wrapped, shown):
    """(Sources, Notes): which of the _Images `found` for a role serve it, and why the others do not.

    Args:
        sizes: what `_sizes` says.
        damaged: Sources of zips that cannot be opened.
        wrapped: paths of zips that hold the official zip, which cannot be read there.
        shown: a function that makes a path one for messages.
    """
    official = [images for images in found if images.is_called(role)]
    broken = [source for source in damaged if source.rank == 0]
    if not official and not broken and not wrapped:
        return _choose_by_look(role, sizes, found, damaged, shown)
    official = _of_best_size(official, sizes)
    first = [*[each.path for each in (*official, *broken)], *wrapped][0]
    has = "bears the official name" if official or broken else "holds the official zip"
    why = f"left aside, because {shown(first)} {has}"
    notes = [images.note(why, aside=True) for images in found if images not in official]
    notes += [Note((role,), source.path, source.problem) for source in damaged if source.rank]
    return [*_image_sources(role, official), *broken], notes


def _of_best_size(official, sizes):
    """Of _Images that bear an official name, the best first and those that go with it: not folders of another size."""
    if not sizes or len(official) < 2:
        return official
    best = min(official, key=lambda images: (images.look[0] != sizes[0], not images.status))
    others = [images for images in official if images.status or images.look[0] in (best.look[0], None)]
    return [best, *(images for images in others if images is not best)]


def _choose_by_look(role, sizes, found, damaged, shown):
    """`_choose_images` where nothing bears an official name: what fits best serves, and has to lie in one place."""
    fits = {images: images.fit(sizes) for images in found}
    best = min((fit for fit in fits.values() if fit is not None), default=None)
    chosen, notes = [], []
    for images, fit in fits.items():
        if fit is None:
            notes.append(images.note(what_size(images.look[0], SUBSETS[FILES[role].subset])))
        elif fit > best:
            notes.append(images.note("left aside, because there are better ones", aside=True))
        else:
            chosen.append(images)
    if not chosen:
        return damaged, notes
    first, *others = {images.together: images.path for images in chosen}.values()
    if others:
        name = OFFICIAL_NAMES[role][0]
        problem = (
            f"these may be {FILES[role].what}, and those in {some(list(map(shown, others)))} too: none bears an "
            f"official name ({name}.zip or {name}/). Move what you do not want out of the release."
        )
        return [Source(role, first, 0, "", problem)], notes
    notes += [Note((role,), source.path, source.problem) for source in damaged]
    return list(_image_sources(role, chosen)), notes


def _image_sources(role, chosen):
    """The Sources of some _Images, one for each folder or zip."""
    places = {}
    for images in chosen:
        places.setdefault(images.path, []).append(images)
    for path, found in places.items():
        kinds = tuple(sorted({images.kind for images in found}))
        if found[0].status:
            folders = {images.folder for images in found}
            folders = None if None in folders else tuple(sorted(folders))
            yield Source(role, path, *found[0].status, "", kinds, folders)
            continue
        digest, total = hashlib.sha256(), 0
        for name in sorted(name for images in found for name in images.names):
            size, stamp = file_status(path + name)
            total += size
            digest.update(f"{name} {stamp}\n".encode("utf-8", "surrogateescape"))
        yield Source(role, path, total, digest.hexdigest(), "", kinds)


def read_text(release, role):
    """(what the reader of a role makes of its file, how many rows or entries that has); (None, None) without a file."""
    text = release.text(role)
    return READERS[role](*text, SUBSETS[FILES[role].subset]) if text else (None, None)
