"""What there is of a release, examined and put into words: for `check`, and for `fetch` when it is done."""

import shlex
from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from celeba_dialog import CONFIGS, family

from .fetch import registry
from .indexes import try_indexes
from .release.errors import CelebADialogError
from .release.finding import READERS, Release
from .release.images import check_image, decode_image
from .release.looking import Source
from .release.masks import sized_mask, sized_part
from .release.members import Members, find_members
from .release.missing import shortages, taken_roles
from .release.official import CHECKSUMS, FILES, without
from .release.rows import check_first
from .release.table import Index
from .release.vocabulary import DEGREES, MASK_SIDE, SUBSETS, UNLABELED, Subset
from .release.zips import member_names, read_members
from .runtime import files, pool

Report = dict[str, Any]  # what `examine` gives
Line = dict[str, Any]  # its entry of one official file

CHUNK = 500  # images that are one job of a worker
FEW_NOTES = 3  # lines printed where nothing of the release is there
MOST_NOTES = 20  # lines printed; --json has them all


def examine(release: Release, deep: bool = False) -> Report:
    """What there is of a release, as the dict that `--json` prints:

    complete: whether `hq` and `standard` can be built in full.
    demo: {subset: images} of a made-up release, else None.
    configs: {config: paths of the files that it lacks to be complete}.
    refused: {config: why it cannot be built at all, empty where it can}.
    files: a list of {"role", "file", "state", "found", "count", "official", "note", "next"}; the state is one of
        complete, partial, missing, damaged, not needed.
    splits: {subset: {split: images}}.
    values: {subset: {column: annotated images with a value}}.
    notes, left_aside: lists of lines, on what is not read and on copies beside the official files.
    damaged_images: with `deep` a list of lines, else None.
    """
    lines, members = {}, {}
    opened, refusals = try_indexes(release, [(subset, False) for subset in SUBSETS])
    indexes = {subset: index for (subset, _), index in opened.items()}
    faults = {subset: error for (subset, _), error in refusals.items()}
    counts: dict[str, int] = {}  # of texts, as far as they were read for the indexes
    for index in indexes.values():
        counts |= index.counts | (index.copies or {})
    for role in files.progress(FILES, total=len(FILES), desc="check", unit="files"):
        lines[role], found = _examine_file(release, role, counts)
        if found:
            members[role] = found
    _mark_needed(release, lines)
    refused = {name: _refusal(release, name, indexes, faults, lines) for name in CONFIGS}
    damaged = _decode_all(release, members) if deep else None
    whole = not any(line["next"] for line in lines.values())
    return {
        "release": release.root,
        "complete": whole and not damaged and not any(refused[name] for name in SUBSETS),
        "demo": {subset: release.expected(f"{subset}_images") for subset in SUBSETS} if release.demo else None,
        "configs": {name: _lacking(release, name, lines) for name in CONFIGS},
        "refused": refused,
        "files": list(lines.values()),
        "splits": {
            subset: {split: last - first for split, (first, last) in index.splits.items()}
            for subset, index in indexes.items()
        },
        "values": {subset: _values(index) for subset, index in indexes.items()},
        **_notes(release, members, indexes),
        "damaged_images": damaged,
    }


def _examine_file(release: Release, role: str, counts: Mapping[str, int]) -> tuple[Line, Members | None]:
    """(entry of the report's "files", Members of images or None) of one official file.

    `counts` are those of the files that were read already.
    """
    sources, members = release.sources.get(role, []), None
    line: Line = {"role": role, "file": FILES[role].path, "official": release.expected(role), "state": "missing"}
    line |= {"found": [release.source_name(source) for source in sources], "count": None, "note": "", "next": ""}
    try:
        if not line["official"]:  # a very small demo may lack a split
            line["count"] = 0
        elif sources and role in READERS:
            line["count"] = counts[role] if role in counts else release.read(role)[1]
        elif sources:
            members = find_members(release, role)
            line["count"] = len(members.numbers)
        if line["count"] is not None:
            line["state"] = "complete" if line["count"] >= line["official"] else "partial"
            line["note"] = _checksum_note(release, role, sources) if line["state"] == "complete" else ""
    except CelebADialogError as error:
        line["state"], line["note"] = "damaged", str(error)
    return line, members


def _mark_needed(release: Release, lines: Mapping[str, Line]) -> None:
    """Marks the files that are not needed, and says of the others where to get them."""
    needed = {role for subset in SUBSETS for role in taken_roles(release, subset)}
    for role, line in lines.items():
        if role not in needed and line["state"] == "missing":
            line["state"] = "not needed"
        elif role in needed and line["state"] != "complete":
            line["next"] = ("" if release.demo else f"{registry.link(role)} -> ") + FILES[role].path


def _lacking(release: Release, config: str, lines: Mapping[str, Line]) -> list[str]:
    """The paths of the files that a config lacks to be complete."""
    taken = taken_roles(release, *family(config))
    return [FILES[role].path for role in taken if lines[role]["state"] != "complete"]


def _notes(release: Release, members: Mapping[str, Members], indexes: Mapping[str, Index]) -> dict[str, list[str]]:
    """{"notes": on what is not read, "left_aside": on copies beside the official files}, a list of texts each."""
    notes = [*release.notes, *(note for found in members.values() for note in found.notes)]
    unlisted = [line for index in indexes.values() for line in shortages(index)]
    return {
        "notes": unlisted + [str(note) for note in notes if not note.aside],
        "left_aside": [str(note) for note in notes if note.aside],
    }


def _values(index: Index) -> dict[str, int]:
    """{column: images with a value} of the images in train, validation and test."""
    last = max((last for split, (_, last) in index.splits.items() if split != UNLABELED), default=0)
    rows = index.table.slice(0, last)
    columns = {name: rows[name] for name in (*DEGREES, "caption", "request", "identity")}
    columns["attributes"] = pc.list_element(rows["attributes"], 0)
    columns |= {f"attribute_captions.{name}": pc.struct_field(rows["attribute_captions"], name) for name in DEGREES}
    columns["request_labels"] = pc.struct_field(rows["request_labels"], "attribute")
    return {
        name: pc.sum(pc.not_equal(values, "" if pa.types.is_string(values.type) else -1)).as_py() or 0
        for name, values in columns.items()
    } | ({"mask": last - rows["mask"].null_count} if "mask" in rows.column_names else {})


def _refusal(
    release: Release,
    config: str,
    indexes: Mapping[str, Index],
    faults: Mapping[str, CelebADialogError],
    lines: Mapping[str, Line],
) -> str:
    """Why a config cannot be built at all, empty where it can."""
    subset, parts = family(config)
    if f"{subset}_images" not in release.sources:
        return f"no {subset} images"
    try:
        if subset in faults:
            raise faults[subset]
        check_first(indexes[subset], CONFIGS[config].get("image_size"))
    except CelebADialogError as error:
        return str(error).replace(f"{release.root}: ", "").replace(f"{release.root}/", "")
    return lines["hq_parts"]["note"] if parts and lines["hq_parts"]["state"] == "damaged" else ""


def _checksum_note(release: Release, role: str, sources: list[Source]) -> str:
    """Whether a file is the published one, in words; "" where that cannot be said."""
    if role not in CHECKSUMS or len(sources) != 1 or not sources[0].is_file or release.demo:
        return ""
    size, md5, _ = CHECKSUMS[role]
    if size and sources[0].size != size:
        return f"differs from the published file: {sources[0].size:,} bytes, expected {size:,}"
    found = files.checksum(sources[0].path, "md5")
    return "as published" if found == md5 else f"differs from the published file: its MD5 is {found}, expected {md5}"


def sums(release: Release) -> list[str]:
    """The SHA-256 and size of every official file of a release, a line each as `sha256sum` writes them."""
    lines = []
    for role in files.progress(FILES, total=len(FILES), desc="sums", unit="files"):
        for source in release.sources.get(role, []):
            if source.is_file:
                digest = files.checksum(source.path)
                known = role in CHECKSUMS and CHECKSUMS[role].sha256
                note = "as published" if digest == known else "differs from the published file" if known else ""
                size = f"{source.size:,} bytes" + (f", {note}" if note else "")
                lines += [f"# {FILES[role].path}: {size}", f"{digest}  {release.shown(source.path)}"]
    return lines


# ----------------------------------------------------------------------------------------------------- every image


def _decode_all(release: Release, members: Mapping[str, Members]) -> list[str]:
    """Reads and decodes every image in worker processes. Returns a line for each that is at fault, sorted."""
    jobs = [
        (role, [source.path for source in release.sources[role]], found.places.slice(start, CHUNK))
        for role, found in members.items()
        for start in range(0, len(found.numbers), CHUNK)
    ]
    problems: list[str] = []
    with (
        files.progress(total=sum(len(places) for _, _, places in jobs), desc="decode", unit="images") as bar,
        pool.executor() as executor,
    ):
        for count, found in pool.results(pool.submit(executor, _decode, jobs)):
            bar.update(count)
            problems += found
    return sorted(problems)


def _decode(role: str, sources: list[str], places: pa.Table) -> tuple[int, list[str]]:
    """The job of a worker: (images tried, a line for each that is not what the dataset promises)."""
    problems = []
    for index, name in enumerate(member_names(places, sources)):
        try:
            data = read_members(places.slice(index, 1), sources)[0] or b""
            if role.endswith("_images"):
                check_image(data, [None], SUBSETS[FILES[role].subset], name)
                decode_image(data, name)
            elif role == "hq_masks":
                sized_mask(data, MASK_SIDE, name)
            else:
                sized_part(data, MASK_SIDE, name)
        except CelebADialogError as error:
            problems.append(str(error))
    return len(places), problems


# ------------------------------------------------------------------------------------------------------------- the text


def as_text(report: Report) -> str:
    """The report as a person reads it."""
    if not any(line["found"] for line in report["files"]):
        return "\n".join([report["release"], *_nothing(), *_some(report["notes"], FEW_NOTES)])
    parts = [[report["release"]], _verdict(report), _some(report["notes"]), _to_do(report), _some(report["left_aside"])]
    parts += [_table(report, subset) for subset in SUBSETS.values()]
    if report["damaged_images"] is not None:
        count = f"{len(report['damaged_images']):,} images or masks cannot be decoded or served"
        parts.append([count, *report["damaged_images"]])
    return "\n\n".join("\n".join(lines) for lines in parts if lines)


def _nothing() -> list[str]:
    return [
        "Nothing of CelebA-Dialog is below this folder. Give the folder that holds the official files. To download",
        "them: celeba-dialog fetch CelebA-Dialog. To try things out without: celeba-dialog demo demo-release.",
    ]


def _verdict(report: Report) -> list[str]:
    """A line for the configs of which the same is true: whether they can be built."""
    if report["demo"] and report["complete"] and all(line["state"] == "complete" for line in report["files"]):
        images = " and ".join(f"{count:,}" for count in report["demo"].values())
        return [f"a demo of {images} images: every file is there and sound; sizes are not those of the release"]
    verdicts: dict[str, list[str]] = {}
    for name in report["configs"]:
        verdicts.setdefault(_verdict_on(report, name), []).append(name)
    return [f"config{'s' * (len(names) > 1)} {', '.join(names)}: {verdict}" for verdict, names in verdicts.items()]


def _verdict_on(report: Report, config: str) -> str:
    """Whether a config can be built, and what it would lack, in words."""
    if report["refused"][config]:
        return f"cannot be built: {report['refused'][config]}"
    lines = [line for line in report["files"] if line["file"] in report["configs"][config]]
    if not lines:
        return "can be built"
    few = [_count(line) for line in lines if line["state"] == "partial" and line["role"].endswith("_images")]
    lacking = [without(line["role"]) for line in lines if line["state"] in ("missing", "not needed")]
    return "can be built, incomplete: " + ("; ".join([*few, *lacking]) or "some files are not whole")


def _count(line: Line) -> str:
    return f"{line['count']:,} of {line['official']:,} {FILES[line['role']].holds}"


def _to_do(report: Report) -> list[str]:
    """What is missing or not whole, where it is to be had, and the command to run next."""
    release, lines = shlex.quote(report["release"]), []
    for line in report["files"]:
        if line["next"]:
            lines.append(f"  {line['next']} ({line['state']})")
            if line["state"] == "damaged" and not any(line["note"] in why for why in report["refused"].values()):
                lines.append(f"      {line['note']}")
    if lines and report["demo"]:
        return [f"This demo is not whole. Next: celeba-dialog demo {release} writes it anew.", *lines]
    build = _to_build(report, release)
    if lines:
        lines.insert(0, f"Next: celeba-dialog fetch {release}, or by hand, into any folder below:")
        return lines + [f"Or, of what is there: {command}" for command in build]
    return [f"Next: {command}" for command in build]


def _to_build(report: Report, release: str) -> list[str]:
    """The command that builds what can be built, in a list; an empty one where nothing can be."""
    ready = [name for name, why in report["refused"].items() if not why]
    ready = [name for name in ready if name in SUBSETS or "hq" not in ready]  # the others are made from hq
    if not ready:
        return []
    configs = "" if set(ready) == set(SUBSETS) else "".join(f" --config {name}" for name in ready)
    incomplete = " --allow-incomplete" if any(report["configs"][name] for name in ready) else ""
    return [f"celeba-dialog build {release} celeba_dialog{configs}{incomplete}"]


def _some(notes: list[str], most: int = MOST_NOTES) -> list[str]:
    """The first notes, and how many more there are."""
    more = len(notes) - most
    return notes[:most] + ([f"and {more:,} more such files or folders"] if more > 0 else [])


def _table(report: Report, subset: Subset) -> list[str]:
    """The lines on the files and images of a subset."""
    lines, others = [subset.folder], []
    for line in report["files"]:
        file = FILES[line["role"]]
        if file.subset == subset.name and line["found"]:
            count = "" if line["count"] is None else _count(line)
            lines.append(f"  {line['state']:<11}{file.name:<42}{count}".rstrip())
            lines += [f"{'':<13}found as {found}" for found in line["found"] if found != file.path]
            if line["note"] and not line["next"]:
                lines.append(f"{'':<13}{line['note']}")
        elif file.subset == subset.name and line["state"] == "not needed":
            others.append(file.name)
    if others:
        lines.append(f"  not needed: {', '.join(others)}")
    if subset.name in report["splits"]:
        lines += _image_lines(report["splits"][subset.name], report["values"][subset.name])
    return lines


def _image_lines(splits: Mapping[str, int], values: Mapping[str, int]) -> list[str]:
    """The lines on the images of each split, and on the columns that are not filled for every annotated image."""
    annotated = sum(count for split, count in splits.items() if split != UNLABELED)
    less = [f"{name} {count:,}" for name, count in values.items() if count < annotated]
    return [
        f"  images: {', '.join(f'{split} {count:,}' for split, count in splits.items())}",
        f"  of the {annotated:,} annotated, with a value: {', '.join([*less, 'all other columns all'])}",
    ]
