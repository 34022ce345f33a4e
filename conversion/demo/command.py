"""Write a small made-up release in the official layout, its faces drawn from their own labels.

Everything in it is invented: the faces are drawings, the sentences our own, and the file numbers a sample of the
official ones, from all three splits. It is laid out to the byte like the official release, blemishes included (tabs,
CRLF line ends, trailing spaces, an image without labels), so that every command works on it as on the real one. The
same arguments give the same files.

OUT must not exist yet, or be empty, or hold nothing but an earlier demo, which is then replaced.
"""

import io
import json
import os
import random
import shutil
import zipfile
from pathlib import PurePath
from pathlib import PurePosixPath
from typing import NamedTuple

from celeba_dialog import ATTRIBUTES
from celeba_dialog import DEGREE_MEANINGS
from celeba_dialog import DEMO_HOLDS
from celeba_dialog import DEMO_MARKER as MARKER
from celeba_dialog import DEMO_README as README
from celeba_dialog import DRAWING
from celeba_dialog import FILES
from celeba_dialog import HQ
from celeba_dialog import MASK_CLASSES
from celeba_dialog import PARTITION
from celeba_dialog import PARTITION_ENDS
from celeba_dialog import PARTS
from celeba_dialog import PARTS_PER_FOLDER
from celeba_dialog import RELEASE_NAMES
from celeba_dialog import REQUEST_DIRECTIONS
from celeba_dialog import REQUEST_MODES
from celeba_dialog import STANDARD
from celeba_dialog import UNLABELED
from celeba_dialog import EnvironmentFault
from celeba_dialog import UsageError
from celeba_dialog import part_of

from ..machine import files
from . import faces

MOST = 10000  # images of a subset: a demo stays small
UNLABELED_HQ, UNLABELED_STANDARD = 5380, 39459  # one image in two sizes, without labels, captions and requests
IDENTITIES = 10177
COLUMNS = tuple(RELEASE_NAMES)

METADATA = f"{STANDARD.folder}/metadata.txt"
PALETTE_FOLDER = (
    "mnt/lustre/share/zqhuang/datasets_face/Face-Diffusion-raw-datasets/CelebA-Dialog-combined/mask/"
    "CelebAMask-HQ-mask-color-palette"
)
PART_FOLDER = "CelebAMask-HQ-mask-anno"
# Key of a row's request_labels -> key in the release.
REQUEST_KEYS = {
    "mode": "request_mode",
    "attribute": "attribute",
    "direction": "score_change_direction",
    "value": "score_change_value",
    "target": "target_score",
}

README_TEXT = """\
It has the layout of the official release, so that the commands and the loader can be tried without it:
file names, columns, line ends and blemishes are those of the official files, and everything in them is
invented. The two folders hold fewer images than the official ones; their numbers are a sample.

This folder is recognised by the first line of this file and may be replaced by a later demo.
"""

METADATA_TEXT = (
    f"{MARKER}\n\nFiles\n"
    + "".join(f"- {file.name}: {file.what}\n" for file in FILES.values() if file.subset == "standard")
    + "\nDegrees\n"
    + "".join(
        f"{RELEASE_NAMES[column]}\n" + "".join(f"  {degree}  {text}\n" for degree, text in enumerate(meanings))
        for column, meanings in DEGREE_MEANINGS.items()
    )
)


class Truth(NamedTuple):
    """What a reader has to find in the release, known from the making of it and not from reading.

    `rows["hq"]` and `rows["standard"]` are lists of dicts in the order of the file number, all splits together, with
    the columns of the dataset (images as {"bytes", "path"}, missing values as the dataset has them), "split", and
    for HQ "parts".
    """

    rows: dict


def add_arguments(parser):
    parser.add_argument("out", metavar="OUT", help="the folder to write")
    parser.add_argument("--hq", type=int, default=24, metavar="N", help="HQ images (default: %(default)s)")
    parser.add_argument("--standard", type=int, default=60, metavar="N", help="standard images (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="other seeds, other faces (default: 0)")


def run(args):
    write_release(args.out, args.hq, args.standard, args.seed)
    files.say(
        f"{args.out}: {args.hq} HQ and {args.standard} standard images, all made up.\n"
        f"Next: celeba-dialog build {args.out} celeba_dialog"
    )


def write_release(out, hq=24, standard=60, seed=0, side=1024):
    """Write a made-up release into the folder `out` and return its Truth.

    `hq` and `standard` are the numbers of images. HQ images are `side` pixels wide and high: the official 1024, or
    less where a test is in a hurry. Raises UsageError where the numbers are out of range or `out` holds anything but
    an earlier demo, EnvironmentFault where it cannot be written. `out` appears whole or not at all.
    """
    for subset, count in ((HQ, hq), (STANDARD, standard)):
        if not 1 <= count <= MOST:
            raise UsageError(f"--{subset.name} {count}: a demo has 1 to {MOST} {subset.name} images.")
    out = os.path.realpath(files.local_path(out))
    files.refuse_no_folder(out)
    temporary = f"{out}.{os.getpid()}.tmp"
    try:
        _check_free(out)
        os.makedirs(temporary)  # before there is anything to lose
        entries = _entries(_cast(hq, standard, seed), seed, side)
        _write(temporary, entries, side, f"--hq {hq} --standard {standard} --seed {seed}")
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
    return Truth({subset: [entry.row for entry in found] for subset, found in entries.items()})


def _check_free(out):
    """Refuse an `out` that holds anything but an earlier demo, or that is in use as the working directory."""
    if not os.path.exists(out):
        return
    if _is_in_use(out):
        raise UsageError(
            f"{out}: is the working directory, or above it, and would be replaced. Give a folder below it."
        )
    files_of_ours = {README, METADATA, *(file.path for file in FILES.values())}
    ours = files_of_ours | {parent for path in files_of_ours for parent in _parents(path)}
    empty = True
    for folder, folders, names in os.walk(out):
        for name in folders + names:
            path = os.path.relpath(os.path.join(folder, name), out).replace(os.sep, "/")
            if path not in ours:
                raise _foreign(out, f"it holds {files.printable(path)}")
            empty = False
    if empty:
        return
    readme = os.path.join(out, README)
    if os.path.isfile(readme):
        with open(readme, encoding="utf-8", errors="replace") as file:
            if file.readline(1000).strip() == MARKER:
                return
    raise _foreign(out, f"it has no {README} of a demo")


def _is_in_use(folder):
    """Whether the working directory is this folder or lies in it."""
    try:
        return PurePath(os.path.realpath(os.getcwd())).is_relative_to(folder)
    except FileNotFoundError:  # it is nowhere
        return False


def _foreign(out, found):
    return UsageError(f"{out}: is neither empty nor an earlier demo: {found}. Give a new or empty folder.")


def _parents(path):
    """The folders above a relative path."""
    return [str(parent) for parent in PurePosixPath(path).parents][:-1]


# ---------------------------------------------------------------------------------------------------------- the cast


class Member(NamedTuple):
    """One image of the demo: where it stands in the release and who is drawn in it."""

    split: str  # of CelebA's partition
    number: int  # of the CelebA image
    hq_number: int | None
    in_standard: bool
    identity: int
    labeled: bool
    person: faces.Person


def _random(*key):
    """A random generator of its own for each purpose, so that one more draw here changes nothing there."""
    return random.Random(" ".join(map(str, key)))  # noqa: S311


def _shares(count):
    """How many of `count` images go to each part: about 80/10/10, from three images on none empty."""
    few = max(1, round(count / 9)) if count > 2 else 0
    return {"train": count - 2 * few, "validation": few, "test": few}


def _hq_numbers(count, rng):
    """HQ file numbers, spread over the official ones: 0 is among them, and 5380 as soon as there are two."""
    edges = [i * HQ.images // count for i in range(count + 1)]
    numbers = [rng.randrange(low, high) for low, high in zip(edges, edges[1:], strict=False)]
    numbers[0] = 0
    if count > 1:
        numbers[max(1, UNLABELED_HQ * count // HQ.images)] = UNLABELED_HQ
    return numbers


def _cast(hq, standard, seed):
    """The members, HQ first."""
    rng = _random(seed, "cast")
    hq_numbers = _hq_numbers(hq, rng)
    labeled = [number for number in hq_numbers if number != UNLABELED_HQ]
    splits = [split for split, share in _shares(len(labeled)).items() for _ in range(share)]
    rng.shuffle(splits)
    parts = dict(zip(labeled, splits, strict=True)) | {UNLABELED_HQ: "train"}  # where its CelebA image is

    places = [(number, parts[number]) for number in hq_numbers]
    # The unlabeled image has a standard one too, unless that is the only one: a file without any label is refused.
    extra = UNLABELED_HQ in hq_numbers and standard > 1
    room, chosen = _shares(standard - extra), set()
    room["train"] += extra
    for number, split in sorted(places, key=lambda place: (place[0] == UNLABELED_HQ) == (standard == 1)):
        if room[split]:
            room[split] -= 1
            chosen.add(number)
    for number, _ in places:  # a split may have had too little room where the whole has enough
        if len(chosen) < standard:
            chosen.add(number)
    extra = standard - len(chosen)
    for split in reversed(PARTITION):
        share = extra if split == "train" else min(extra, room[split])
        places += [(None, split)] * share
        extra -= share

    starts = dict(zip(PARTITION, (1, *(end + 1 for end in PARTITION_ENDS)), strict=False))
    ends = dict(zip(PARTITION, PARTITION_ENDS, strict=True))
    numbers = {
        split: rng.sample([n for n in range(starts[split], ends[split] + 1) if n != UNLABELED_STANDARD], len(places))
        for split in PARTITION
    }
    identities = rng.sample(range(1, IDENTITIES + 1), len(places))
    latest, sex, deal, members = {}, {}, _Dealer(rng), []
    for hq_number, split in places:
        unlabeled = hq_number == UNLABELED_HQ
        number = UNLABELED_STANDARD if unlabeled else numbers[split].pop()
        identity = identities.pop()
        if split in latest and rng.random() < 0.2:  # someone seen before, in the same split
            identity = latest[split]
        latest[split] = identity
        male = sex.setdefault(identity, len(sex) % 2 == 0)
        degrees = dict.fromkeys(COLUMNS, 0) | {"age": 1} if unlabeled else deal(male)
        character, day = _random(seed, "identity", identity), _random(seed, "image", number)
        person = faces.invent(character, day, male, degrees, blurry=unlabeled)
        in_standard = hq_number is None or hq_number in chosen
        members.append(Member(split, number, hq_number, in_standard, identity, not unlabeled, person))
    return members


class _Dealer:
    """Deals degrees from shuffled decks, so that even few people show them all."""

    DECKS = {
        "bangs": (0, 0, 1, 2, 3, 4, 5),
        "eyeglasses": (0, 0, 0, 0, 0, 1, 2, 3, 4, 5),
        "beard": (0, 1, 2, 3, 4, 5),
        "smiling": (0, 1, 2, 3, 4, 5),
        "age": (0, 1, 1, 2, 3, 4, 5),
    }

    def __init__(self, rng):
        self.rng = rng
        self.left = {column: [] for column in self.DECKS}

    def __call__(self, male):
        degrees = {column: self._next(column) for column in ("bangs", "eyeglasses", "smiling", "age")}
        degrees["beard"] = self._next("beard") if male and degrees["age"] > 0 else 0
        return {column: degrees[column] for column in COLUMNS}

    def _next(self, column):
        if not self.left[column]:
            self.left[column] = self.rng.sample(self.DECKS[column], len(self.DECKS[column]))
        return self.left[column].pop()


# ------------------------------------------------------------------------------------------------------ the sentences

# Column -> per degree, ways to say it. They follow the meaning of the degrees; a face "has" them, and "is" of an age.
PHRASES = {
    "bangs": (
        ("no bangs, so that the whole forehead shows", "a forehead with no fringe in front of it"),
        ("a very short fringe that leaves most of the forehead free", "tiny bangs just below the hairline"),
        ("fairly short bangs over the upper forehead", "a fringe that hides less than half of the forehead"),
        ("bangs that cover a good half of the forehead", "a medium fringe past the middle of the forehead"),
        ("rather long bangs that leave a strip of forehead", "a long fringe that ends a little above the brows"),
        ("long bangs right down to the brows", "a full fringe that hides the whole forehead"),
    ),
    "eyeglasses": (
        ("no glasses", "nothing in front of the eyes"),
        ("rimless glasses", "glasses with hardly any rim"),
        ("glasses with a slim frame", "thin-framed glasses"),
        ("glasses with a thick frame", "heavy-framed glasses"),
        ("sunglasses with a thin frame", "slim sunglasses"),
        ("sunglasses with a thick frame", "chunky sunglasses"),
    ),
    "beard": (
        ("no beard", "a smooth chin"),
        ("a freshly shaved chin with a faint shadow", "the bare shadow of a beard"),
        ("short stubble", "a few days of stubble"),
        ("a beard of medium length", "a beard that has grown for some weeks"),
        ("a long and tidy beard", "a long, neatly combed beard"),
        ("a long bushy beard", "a long, wild beard"),
    ),
    "smiling": (
        ("no smile", "a serious mouth"),
        ("a small smile with closed lips", "a gentle smile that shows no teeth"),
        ("a small smile that shows a few teeth", "a slight smile with a bit of teeth"),
        ("a smile with a whole row of teeth", "a clear smile that shows all the upper teeth"),
        ("a big smile with slightly parted teeth", "a broad smile with the mouth a little open"),
        ("a huge smile with the mouth wide open", "a laughing, wide open mouth"),
    ),
    "age": (
        ("under fifteen", "not yet fifteen"),
        ("between fifteen and thirty", "over fifteen but under thirty"),
        ("between thirty and forty", "over thirty but not yet forty"),
        ("between forty and fifty", "middle-aged"),
        ("between fifty and sixty", "over fifty but not yet sixty"),
        ("over sixty", "older than sixty"),
    ),
}
MORE = {
    "bangs": "make the bangs longer",
    "eyeglasses": "go for heavier glasses",
    "beard": "let the beard grow",
    "smiling": "make the smile bigger",
    "age": "make the face older",
}
LESS = {
    "bangs": "make the bangs shorter",
    "eyeglasses": "go for lighter glasses",
    "beard": "trim the beard",
    "smiling": "make the smile smaller",
    "age": "make the face younger",
}
STEPS = ("one step", "two steps", "three steps", "four steps", "five steps")
OPENINGS = ("Please {}.", "Could you {}?", "I would like you to {}.", "Now {}.", "It would be nice if you could {}.")
OVERALL = (
    "This {noun} is {age} and has {first}. {Subject} has {rest}.",
    "The picture shows a {noun} with {first}. {Subject} is {age} and has {rest}.",
    "A {noun} with {rest}. {Subject} is {age} and has {first}.",
)


def _captions(person, rng):
    """The overall caption, and one caption per column as the release has them: None, "" or no key for none."""
    noun = ("boy" if person.male else "girl") if person.age == 0 else ("man" if person.male else "woman")
    subject = "He" if person.male else "She"

    def say(column):
        return rng.choice(PHRASES[column][getattr(person, column)])

    each = {}
    for column in COLUMNS:
        verb = "is" if column == "age" else "has"
        each[column] = f"{rng.choice((subject, f'This {noun}', f'The {noun}'))} {verb} {say(column)}."
    parts = [say(column) for column in ("bangs", "eyeglasses", "smiling")]
    if person.male and person.age:
        parts.append(say("beard"))
    rng.shuffle(parts)
    first, rest = parts[0], ", ".join(parts[1:-1]) + " and " + parts[-1]
    overall = rng.choice(OVERALL).format(noun=noun, age=say("age"), first=first, rest=rest, Subject=subject)
    if not person.male:
        each["beard"] = rng.choice((None, None, "", each["beard"]))
    if rng.random() < 0.12:
        del each[rng.choice(COLUMNS)]
    return overall, each


def _request(person, rng):
    """One editing request: the sentence, and what it asks for under the keys of REQUEST_KEYS."""
    columns = [column for column in COLUMNS if column != "beard" or (person.male and person.age)]
    column, mode = rng.choice(columns), rng.choice(REQUEST_MODES)
    degree = getattr(person, column)
    wanted = rng.choice([other for other in range(6) if other != degree])
    asked = dict.fromkeys(REQUEST_KEYS) | {"attribute": column, "mode": mode}
    if mode == "target":
        asked["target"] = wanted
        goal = rng.choice(PHRASES[column][wanted])
        deed = f"make this face look {goal}" if column == "age" else f"give this face {goal}"
    else:
        asked["direction"] = "positive" if wanted > degree else "negative"
        deed = (MORE if wanted > degree else LESS)[column]
        if mode == "change_definite":
            asked["value"] = abs(wanted - degree)
            deed += " by " + STEPS[asked["value"] - 1]
    return rng.choice(OPENINGS).format(deed), asked


# -------------------------------------------------------------------------------------------------------- the release


class _Entry(NamedTuple):
    """One image as the dataset's row, and its sentences as the release's JSON has them (None where unlabeled)."""

    row: dict
    captions: dict | None
    request: dict | None


def _entries(members, seed, side):
    """Draw the members: subset name -> entries in the order of the file number."""
    found = {"hq": {}, "standard": {}}
    for member in files.progress(members, desc="drawing", unit="faces"):
        layers = faces.draw(member.person)
        if member.hq_number is not None:
            picture = faces.picture(member.person, layers, faces.HQ_VIEW, (side, side))
            columns = {
                "image": _image(_jpeg(picture), HQ, member.hq_number),
                "celeba_file_name": STANDARD.file_name(member.number),
                **_mask_columns(faces.mask(layers), member.hq_number),
            }
            found["hq"][member.hq_number] = _entry(HQ, member, member.hq_number, columns, seed)
        if member.in_standard:
            picture = faces.picture(member.person, layers, faces.STANDARD_VIEW, STANDARD.side, finer=4)
            columns = {
                "image": _image(_jpeg(picture), STANDARD, member.number),
                "hq_file_name": "" if member.hq_number is None else HQ.file_name(member.hq_number),
            }
            found["standard"][member.number] = _entry(STANDARD, member, member.number, columns, seed)
    return {name: [entries[number] for number in sorted(entries)] for name, entries in found.items()}


def _entry(subset, member, number, columns, seed):
    holds = faces.attributes(member.person)
    row = columns | {
        "attributes": [int(attribute in holds) for attribute in ATTRIBUTES],
        "identity": member.identity,
        "file_name": subset.file_name(number),
        "split": member.split if member.labeled else UNLABELED,
    }
    if not member.labeled:
        row |= dict.fromkeys(COLUMNS, -1) | {"caption": "", "attribute_captions": dict.fromkeys(COLUMNS, "")}
        row |= {"request": "", "request_labels": dict.fromkeys(REQUEST_KEYS, -1)}
        return _Entry(row, None, None)

    rng = _random(seed, "sentences", subset.name, number)
    overall, each = _captions(member.person, rng)
    sentence, asked = _request(member.person, rng)
    captions = {
        "attribute_wise_captions": {RELEASE_NAMES[column]: text for column, text in each.items()},
        "overall_caption": overall,
    }
    request = {"text": sentence, "user_mode": "start_pureRequest"}
    request |= {REQUEST_KEYS[key]: asked[key] for key in ("mode", "attribute", "direction", "value", "target")}
    request["attribute"] = RELEASE_NAMES[asked["attribute"]]
    if rng.random() < 0.2:  # a key that is not there says what null says
        del request[next(key for key in reversed(request) if request[key] is None)]

    row |= {column: getattr(member.person, column) for column in COLUMNS}
    row["caption"] = overall
    row["attribute_captions"] = {column: each.get(column) or "" for column in COLUMNS}
    row["request"] = sentence
    row["request_labels"] = {
        "attribute": COLUMNS.index(asked["attribute"]),
        "mode": REQUEST_MODES.index(asked["mode"]),
        "direction": REQUEST_DIRECTIONS.index(asked["direction"] or "none"),
        "value": -1 if asked["value"] is None else asked["value"],
        "target": -1 if asked["target"] is None else asked["target"],
    }
    return _Entry(row, captions, request)


def _image(content, subset, number):
    return {"bytes": content, "path": subset.file_name(number)}


def _mask_columns(mask, number):
    """The palette mask and the part masks cut from it; a part that nobody sees has no file."""
    parts = []
    for index, part in enumerate(PARTS):
        white = MASK_CLASSES.index(part)
        found = mask.point([255 if value == white else 0 for value in range(256)], "L")
        if found.getbbox():
            parts.append({"part": index, "mask": {"bytes": _png(found), "path": f"{number:05d}_{part}.png"}})
    return {"mask": {"bytes": _png(mask), "path": f"{number}.png"}, "parts": parts}


def _jpeg(image):
    official = image.size in (HQ.side, STANDARD.side)
    file = io.BytesIO()
    image.save(file, "JPEG", quality=90, comment="" if official else DRAWING.format(image.width))
    return file.getvalue()


def _png(image):
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def _texts(entries):
    """The files of the release that are text: role -> content, in the shape of the official ones."""
    texts = {}
    for subset, rows in entries.items():
        labeled = {entry.row["file_name"]: entry for entry in rows if entry.captions}
        captions = {name: entry.captions for name, entry in labeled.items()}
        requests = {name: entry.request for name, entry in labeled.items()}
        sentences = {name: entry.row["request"] for name, entry in labeled.items()}
        texts[f"{subset}_captions"] = json.dumps(captions, indent=4)
        texts[f"{subset}_requests"] = json.dumps(sentences, indent=4)
        texts[f"{subset}_requests_txt"] = _lines("\t".join(pair) for pair in sentences.items())
        texts[f"{subset}_request_labels"] = json.dumps(requests, indent=4)

    hq, standard = ([entry.row for entry in entries[subset]] for subset in ("hq", "standard"))
    header = ("img_name", *RELEASE_NAMES.values())
    texts["hq_labels"] = _lines("\t".join(cells) for cells in (header, *_labels(hq)))
    texts["standard_labels"] = _lines((" ".join(header), *_spaced(standard)))
    for split in PARTITION:
        lines = _spaced(row for row in standard if row["split"] == split)
        if lines:  # an empty file is none of the release
            texts[f"labels_{split}"] = _lines(lines)

    signs = {row["file_name"]: [(-1, 1)[holds] for holds in row["attributes"]] for row in hq + standard}
    texts["hq_attributes"] = _lines(
        (
            str(len(hq)),
            " ".join(ATTRIBUTES),
            *(f"{row['file_name']}  {' '.join(map(str, signs[row['file_name']]))}" for row in hq),
        )
    )
    texts["standard_attributes"] = _lines(
        (
            str(len(standard)),
            " ".join(ATTRIBUTES) + " ",
            *(row["file_name"] + "".join(f" {sign:2d}" for sign in signs[row["file_name"]]) for row in standard),
        ),
        "\r\n",
    )
    texts["hq_identity"] = _lines(f"{row['file_name']} {row['identity']}" for row in hq)
    texts["standard_identity"] = _lines((f"{row['file_name']} {row['identity']}" for row in standard), "\r\n")
    texts["partition"] = _lines(
        (f"{row['file_name']} {part_of(_number(row['file_name']))}" for row in standard), "\r\n"
    )
    texts["mapping"] = _lines(
        (
            "idx        orig_idx   orig_file",
            *(
                f"{_number(row['file_name']):<11}{_number(row['celeba_file_name']) - 1:<11}{row['celeba_file_name']}"
                for row in hq
            ),
        )
    )
    return texts


def _counts(entries, archives):
    """How many rows, entries or members each file of the release has: {role: count}."""
    labeled = {subset: [entry.row["split"] for entry in found if entry.captions] for subset, found in entries.items()}
    counts = {role: len(members) for role, (members, _) in archives.items()}
    for role, file in FILES.items():
        if role.startswith("labels_"):
            counts[role] = labeled["standard"].count(role.removeprefix("labels_"))
        elif role.endswith(("attributes", "identity", "mapping", "partition")):
            counts[role] = len(entries[file.subset])
        else:
            counts.setdefault(role, len(labeled[file.subset]))
    return counts


def _lines(lines, end="\n"):
    return "".join(line + end for line in lines)


def _number(file_name):
    return int(file_name.removesuffix(".jpg"))


def _labels(rows):
    """The cells of the label files. The unlabeled image has no row."""
    return [(row["file_name"], *(str(row[column]) for column in COLUMNS)) for row in rows if row["caption"]]


def _spaced(rows):
    return [" ".join(cells) + " " for cells in _labels(rows)]


def _archives(entries):
    """The zips of the release: role -> (members in the order of the file number, compression)."""
    hq, standard = ([entry.row for entry in entries[subset]] for subset in ("hq", "standard"))
    return {
        "hq_images": ([("image", row["image"]) for row in hq], zipfile.ZIP_STORED),
        "hq_masks": ([(PALETTE_FOLDER, row["mask"]) for row in hq], zipfile.ZIP_DEFLATED),
        "hq_parts": (
            [
                (f"{PART_FOLDER}/{_number(row['file_name']) // PARTS_PER_FOLDER}", part["mask"])
                for row in hq
                for part in row["parts"]
            ],
            zipfile.ZIP_DEFLATED,
        ),
        "standard_images": ([("img_align_celeba", row["image"]) for row in standard], zipfile.ZIP_DEFLATED),
    }


def _write(root, entries, side, arguments):
    """Write the release below `root`."""
    texts = {FILES[role].path: text for role, text in _texts(entries).items()}
    archives = _archives(entries)
    counts = _counts(entries, archives)
    texts[METADATA] = METADATA_TEXT
    texts[README] = (
        f"{MARKER}\n\n{README_TEXT}\nIt is whole with\n"
        + "".join(DEMO_HOLDS.format(counts[role], file.holds, file.path) for role, file in FILES.items())
        + f"\nWritten by: celeba-dialog demo OUT {arguments}\n"
    )
    for path, text in texts.items():
        path = os.path.join(root, path)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8", newline="") as file:
            file.write(text)
    for role, (members, compression) in archives.items():
        path = os.path.join(root, FILES[role].path)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with zipfile.ZipFile(path, "w", compression) as archive:
            for folder, image in members:
                member = zipfile.ZipInfo(f"{folder}/{image['path']}")  # dated 1980, always the same
                member.compress_type = compression
                member.external_attr = 0o644 << 16
                member.create_system = 3  # Unix, whatever this runs on
                archive.writestr(member, image["bytes"])
