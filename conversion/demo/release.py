"""The files of a demo: members of its cast become rows of the dataset, rows become the official texts and zips."""

import io
import json
import zipfile
from collections.abc import Iterable
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

from PIL import Image

from ..release.official import (
    DEMO_HOLDS,
    DEMO_MARKER,
    DEMO_README,
    FILES,
    PARTS_PER_FOLDER,
    mask_name,
    part_name,
    part_of,
)
from ..release.vocabulary import (
    ATTRIBUTES,
    DEGREE_MEANINGS,
    HQ,
    MASK_CLASSES,
    PARTITION,
    PARTS,
    RELEASE_NAMES,
    REQUEST_DIRECTIONS,
    REQUEST_MODES,
    STANDARD,
    UNLABELED,
    Subset,
)
from ..runtime import files
from . import drawing, painting, people, sentences
from .people import COLUMNS, Member

METADATA = f"{STANDARD.folder}/metadata.txt"

# Folders inside the zips.
PALETTE_FOLDER = (
    "mnt/lustre/share/zqhuang/datasets_face/Face-Diffusion-raw-datasets/CelebA-Dialog-combined/mask/"
    "CelebAMask-HQ-mask-color-palette"
)
PART_FOLDER = "CelebAMask-HQ-mask-anno"

# What a request asks for -> its key in the release.
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
    f"{DEMO_MARKER}\n\nFiles\n"
    + "".join(f"- {file.name}: {file.what}\n" for file in FILES.values() if file.subset == "standard")
    + "\nDegrees\n"
    + "".join(
        f"{RELEASE_NAMES[column]}\n" + "".join(f"  {degree}  {text}\n" for degree, text in enumerate(meanings))
        for column, meanings in DEGREE_MEANINGS.items()
    )
)

# -------------------------------------------------------------------------------------------------------------- rows


class Entry(NamedTuple):
    """One image as the dataset's row, and its sentences as the release's JSON has them (None where unlabeled)."""

    row: dict[str, Any]
    captions: dict[str, Any] | None
    request: dict[str, Any] | None


Entries = dict[str, list[Entry]]  # by subset, in the order of the file number


def entries(members: Iterable[Member], seed: int) -> Entries:
    """Draw the members: {subset name: entries in the order of the file number}."""
    found: dict[str, dict[int, Entry]] = {"hq": {}, "standard": {}}
    for member in files.progress(members, desc="drawing", unit="faces"):
        layers = drawing.draw(member.person)
        if member.hq_number is not None:
            picture = painting.picture(member.person, layers, painting.HQ_VIEW, HQ.side)
            row = {"celeba_file_name": STANDARD.file_name(member.number)}
            row |= _mask_columns(painting.mask(layers), member.hq_number)
            found["hq"][member.hq_number] = _entry(HQ, member, member.hq_number, picture, row, seed)
        if member.in_standard:
            picture = painting.picture(member.person, layers, painting.STANDARD_VIEW, STANDARD.side, finer=4)
            row = {"hq_file_name": "" if member.hq_number is None else HQ.file_name(member.hq_number)}
            found["standard"][member.number] = _entry(STANDARD, member, member.number, picture, row, seed)
    return {name: [by_number[number] for number in sorted(by_number)] for name, by_number in found.items()}


def _mask_columns(mask: Image.Image, number: int) -> dict[str, Any]:
    """The palette mask and the part masks cut from it; a part that nobody sees has no file."""
    parts = []
    for index, part in enumerate(PARTS):
        white = MASK_CLASSES.index(part)
        found = mask.point([255 if value == white else 0 for value in range(256)], "L")
        if found.getbbox():
            parts.append({"part": index, "mask": {"bytes": _png(found), "path": part_name(number, index)}})
    return {"mask": {"bytes": _png(mask), "path": mask_name(number)}, "parts": parts}


def _png(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG", compress_level=1)  # half the time, and flat shapes stay small
    return file.getvalue()


def _entry(subset: Subset, member: Member, number: int, picture: Image.Image, row: dict[str, Any], seed: int) -> Entry:
    """The entry of a member in a subset; `row` has the columns that only this subset has."""
    jpeg = io.BytesIO()
    picture.save(jpeg, "JPEG", quality=90)
    row |= {
        "image": {"bytes": jpeg.getvalue(), "path": subset.file_name(number)},
        "attributes": [int(attribute in member.person.attributes) for attribute in ATTRIBUTES],
        "identity": member.identity,
        "file_name": subset.file_name(number),
        "split": member.split if member.labeled else UNLABELED,
    }
    if not member.labeled:
        row |= dict.fromkeys(COLUMNS, -1) | {"caption": "", "attribute_captions": dict.fromkeys(COLUMNS, "")}
        row |= {"request": "", "request_labels": dict.fromkeys(REQUEST_KEYS, -1)}
        return Entry(row, None, None)

    rng = people.generator(seed, "sentences", subset.name, number)
    overall, each = sentences.captions(member.person, rng)
    request, asked = sentences.request(member.person, rng)
    row |= {column: getattr(member.person, column) for column in COLUMNS}
    row["caption"] = overall
    row["attribute_captions"] = {column: each.get(column) or "" for column in COLUMNS}
    row["request"] = request
    row["request_labels"] = {
        "attribute": COLUMNS.index(asked["attribute"]),
        "mode": REQUEST_MODES.index(asked["mode"]),
        "direction": REQUEST_DIRECTIONS.index(asked["direction"] or "none"),
        "value": -1 if asked["value"] is None else asked["value"],
        "target": -1 if asked["target"] is None else asked["target"],
    }
    captions = {
        "attribute_wise_captions": {RELEASE_NAMES[column]: text for column, text in each.items()},
        "overall_caption": overall,
    }
    return Entry(row, captions, _request_annotation(request, asked, rng))


def _request_annotation(request: str, asked: dict[str, Any], rng: Random) -> dict[str, Any]:
    """A request in the JSON of structured requests, sometimes without a key: that says what null says."""
    annotation = {"text": request, "user_mode": "start_pureRequest"}
    annotation |= {key: asked[name] for name, key in REQUEST_KEYS.items()}
    annotation["attribute"] = RELEASE_NAMES[asked["attribute"]]
    if rng.random() < 0.2:
        del annotation[next(key for key in reversed(annotation) if annotation[key] is None)]
    return annotation


# ------------------------------------------------------------------------------------------------------------- texts


def texts(entries: Entries) -> dict[str, str]:
    """The files of the release that are text: {role: content}, in the shape of the official ones.

    Of the rows it needs no images. A list of degrees without a row is left out: the release has no empty file.
    """
    hq, standard = ([entry.row for entry in entries[subset]] for subset in ("hq", "standard"))
    found = {**_sentence_texts("hq", entries["hq"]), **_sentence_texts("standard", entries["standard"])}

    header = ("img_name", *RELEASE_NAMES.values())
    found["hq_labels"] = _lines("\t".join(cells) for cells in (header, *_degree_cells(hq)))
    found["standard_labels"] = _lines((" ".join(header), *_spaced_degrees(standard)))
    for split in PARTITION:
        found[f"labels_{split}"] = _lines(_spaced_degrees(row for row in standard if row["split"] == split))

    names = " ".join(ATTRIBUTES)
    signs = (row["file_name"] + " " + _signs(row, " {}") for row in hq)
    found["hq_attributes"] = _lines((str(len(hq)), names, *signs))
    signs = (row["file_name"] + _signs(row, " {:2d}") for row in standard)
    found["standard_attributes"] = _lines((str(len(standard)), names + " ", *signs), "\r\n")

    found["hq_identity"] = _lines(f"{row['file_name']} {row['identity']}" for row in hq)
    found["standard_identity"] = _lines((f"{row['file_name']} {row['identity']}" for row in standard), "\r\n")
    parts = (f"{row['file_name']} {part_of(_number(row['file_name']))}" for row in standard)
    found["partition"] = _lines(parts, "\r\n")
    found["mapping"] = _lines(("idx        orig_idx   orig_file", *map(_origin, hq)))
    return {role: text for role, text in found.items() if text}


def _sentence_texts(subset: str, entries: list[Entry]) -> dict[str, str]:
    """The texts of a subset that hold captions and requests."""
    labeled = {entry.row["file_name"]: entry for entry in entries if entry.captions}
    requests = {name: entry.row["request"] for name, entry in labeled.items()}
    return {
        f"{subset}_captions": json.dumps({name: entry.captions for name, entry in labeled.items()}, indent=4),
        f"{subset}_requests": json.dumps(requests, indent=4),
        f"{subset}_requests_txt": _lines("\t".join(pair) for pair in requests.items()),
        f"{subset}_request_labels": json.dumps({name: entry.request for name, entry in labeled.items()}, indent=4),
    }


def _degree_cells(rows: Iterable[dict[str, Any]]) -> list[tuple[str, ...]]:
    """File name and degrees of each row, as text; the unlabeled image is not in the files of degrees."""
    labeled = (row for row in rows if row["split"] != UNLABELED)
    return [(row["file_name"], *(str(row[column]) for column in COLUMNS)) for row in labeled]


def _spaced_degrees(rows: Iterable[dict[str, Any]]) -> list[str]:
    return [" ".join(cells) + " " for cells in _degree_cells(rows)]


def _signs(row: dict[str, Any], form: str) -> str:
    """The forty attributes as 1 and -1."""
    return "".join(form.format(1 if holds else -1) for holds in row["attributes"])


def _origin(row: dict[str, Any]) -> str:
    """The line of the mapping: which image of CelebA an HQ image was made from, counted from 0 and by name."""
    number = _number(row["celeba_file_name"]) - 1
    return f"{_number(row['file_name']):<11}{number:<11}{row['celeba_file_name']}"


def _lines(lines: Iterable[str], end: str = "\n") -> str:
    return "".join(line + end for line in lines)


def _number(file_name: str) -> int:
    return int(file_name.removesuffix(".jpg"))


# ------------------------------------------------------------------------------------------------------------- files


def write(root: str, entries: Entries, arguments: str) -> None:
    """Write the release below `root`; `arguments` are those of the command, for its README."""
    contents, archives = texts(entries), _archives(entries)
    counts = {role: text.count(".jpg") for role, text in contents.items()}  # every row and entry names one image
    counts |= {role: len(members) for role, (members, _) in archives.items()}
    readme = (
        f"{DEMO_MARKER}\n\n{README_TEXT}\nIt is whole with\n"
        + "".join(DEMO_HOLDS.format(counts.get(role, 0), file.holds, file.path) for role, file in FILES.items())
        + f"\nWritten by: celeba-dialog demo OUT {arguments}\n"
    )
    for file in FILES.values():
        Path(root, file.path).parent.mkdir(parents=True, exist_ok=True)
    for role, (members, compression) in archives.items():
        with zipfile.ZipFile(Path(root, FILES[role].path), "w", compression) as archive:
            for folder, image in members:
                member = zipfile.ZipInfo(f"{folder}/{image['path']}")  # dated 1980, always the same
                member.compress_type = compression
                member.external_attr = 0o644 << 16
                member.create_system = 3  # Unix, whatever this runs on
                archive.writestr(member, image["bytes"])
    by_path = {FILES[role].path: text for role, text in contents.items()} | {
        METADATA: METADATA_TEXT,
        DEMO_README: readme,
    }
    for path, text in by_path.items():
        Path(root, path).write_bytes(text.encode())


def _archives(entries: Entries) -> dict[str, tuple[list[tuple[str, dict[str, Any]]], int]]:
    """The zips of the release: {role: ((folder inside the zip, image) of every member, compression)}."""
    hq, standard = ([entry.row for entry in entries[subset]] for subset in ("hq", "standard"))
    parts = [
        (f"{PART_FOLDER}/{_number(row['file_name']) // PARTS_PER_FOLDER}", part["mask"])
        for row in hq
        for part in row["parts"]
    ]
    return {
        "hq_images": ([("image", row["image"]) for row in hq], zipfile.ZIP_STORED),
        "hq_masks": ([(PALETTE_FOLDER, row["mask"]) for row in hq], zipfile.ZIP_DEFLATED),
        "hq_parts": (parts, zipfile.ZIP_DEFLATED),
        "standard_images": ([("img_align_celeba", row["image"]) for row in standard], zipfile.ZIP_DEFLATED),
    }
