"""Say what of the release is there, what is missing, what is damaged, and what to do next.

One line per official file: its state, where it was found, and how many rows or images it holds of how many. --deep also
reads every image (its checksum in the zip), decodes all of them and looks at every pixel of the masks. Exit status 0
means that everything a full build of `hq` and `standard` needs is there and sound.
"""

import contextlib
import hashlib
import json
import os
import shlex

import celeba_dialog
from celeba_dialog import CHECKSUMS
from celeba_dialog import CONFIGS
from celeba_dialog import FILES
from celeba_dialog import HQ
from celeba_dialog import STANDARD
from celeba_dialog import SUBSETS
from celeba_dialog import CelebADialogError
from celeba_dialog import Release

from .fetch import registry
from .machine import files
from .machine import pool

CHUNK = 500  # images that a worker reads at a time
OPTIONAL = ("hq_parts", "partition")  # of use, but no column of `hq` and `standard` comes from them


def add_arguments(parser):
    parser.add_argument("release", metavar="RELEASE", help="folder with the official files")
    parser.add_argument("--deep", action="store_true", help="read and decode every image and mask")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def run(args):
    return 0 if run_check(args.release, args.deep, args.json) else 1


def run_check(root, deep=False, as_json=False):
    """Checks a release and prints the result. Returns whether a full build of `hq` and `standard` is possible."""
    report = examine(Release(root), deep)
    print(json.dumps(report, indent=1) if as_json else as_text(report))
    return report["complete"]


def examine(release, deep=False):
    """What there is of a release, as a dict that `--json` prints.

    Keys: "release", "complete"; "files", a list of {"role", "file", "state", "found", "count", "official", "note",
    "next"} with state one of complete, partial, missing, damaged, not needed; "splits", {subset: {split: images}};
    "configs", {config: what it lacks}; "damaged_images", with `deep`; "notes".
    """
    lines, members = {}, {}
    for role in files.progress(FILES, total=len(FILES), desc="check", unit="files"):
        line = {"role": role, "file": FILES[role].path, "official": FILES[role].count, "found": [], "count": None}
        lines[role] = line | {"state": "missing", "note": "", "next": ""}
        line = lines[role]
        sources = release.sources.get(role, [])
        line["found"] = [release.shown(source.path) for source in sources]
        if not sources:
            continue
        try:
            if role in READERS:
                _, line["count"] = _read(release, role)
            else:
                members[role] = celeba_dialog.find_members(release, role)
                line["count"] = len(members[role].numbers)
            line["state"] = "complete" if line["count"] >= line["official"] else "partial"
            line["note"] = _checksum_note(release, role, sources) if line["state"] == "complete" else ""
        except CelebADialogError as error:
            line["state"], line["note"] = "damaged", str(error)
    splits, short = _splits(release)
    needed = _needed(lines)
    for role, line in lines.items():
        if role not in needed:
            line["state"] = "not needed" if line["state"] == "missing" else line["state"]
        elif line["state"] != "complete":
            line["next"] = f"{registry.link(role)} → {FILES[role].path}"
    damaged = _decode_all(release, members) if deep else None
    return {
        "release": release.root,
        "complete": all(lines[role]["state"] == "complete" for role in needed) and not damaged,
        "files": list(lines.values()),
        "splits": splits,
        "configs": {name: _lacks(name, lines) for name in CONFIGS},
        "damaged_images": damaged,
        "notes": [*short, *_notes(release)],
    }


# Role -> its reader; what is not here is a source of images.
READERS = {
    "hq_labels": celeba_dialog.read_degrees,
    "hq_attributes": celeba_dialog.read_attributes,
    "hq_captions": celeba_dialog.read_captions,
    "hq_requests": celeba_dialog.read_requests,
    "hq_requests_txt": celeba_dialog.read_requests_txt,
    "hq_request_labels": celeba_dialog.read_request_labels,
    "hq_identity": celeba_dialog.read_identity,
    "mapping": lambda data, shown, subset: celeba_dialog.read_mapping(data, shown),
    "standard_labels": celeba_dialog.read_degrees,
    "labels_train": celeba_dialog.read_degrees,
    "labels_validation": celeba_dialog.read_degrees,
    "labels_test": celeba_dialog.read_degrees,
    "standard_attributes": celeba_dialog.read_attributes,
    "standard_identity": celeba_dialog.read_identity,
    "partition": lambda data, shown, subset: (None, celeba_dialog.read_partition(data, shown)),
    "standard_captions": celeba_dialog.read_captions,
    "standard_requests": celeba_dialog.read_requests,
    "standard_requests_txt": celeba_dialog.read_requests_txt,
    "standard_request_labels": celeba_dialog.read_request_labels,
}


def _read(release, role):
    return READERS[role](*release.text(role), SUBSETS[FILES[role].subset])


def _checksum_note(release, role, sources):
    """What the published checksum says of a file that has the published size."""
    if role not in CHECKSUMS or len(sources) != 1 or sources[0].path.endswith("/"):
        return ""
    size, md5 = CHECKSUMS[role]
    if sources[0].size != size:
        return "another copy than the published one: its size differs"
    digest = hashlib.md5(usedforsecurity=False)
    with files.open_file(sources[0].path) as file:
        while block := file.read(files.BLOCK):
            digest.update(block)
    return "as published" if digest.hexdigest() == md5 else f"of the published size, but its MD5 is not {md5}"


def _needed(lines):
    """The roles that `hq` and `standard` are made from."""
    return {role for subset in SUBSETS for groups in celeba_dialog.needs(subset) for role in _taken(groups, lines)}


def _taken(groups, lines):
    """Of alternatives the one that the reader takes: the first that is there, in whatever state, else the official."""
    there = [group for group in groups if all(lines[role]["found"] for role in group)]
    return (there or groups)[0]


def _lacks(name, lines):
    """The files a config lacks for a complete build, [] where it lacks nothing."""
    options = CONFIGS[name]
    needs = celeba_dialog.needs(options.get("subset", "hq"), options.get("parts", False))
    roles = [role for groups in needs for role in _taken(groups, lines)]
    return [FILES[role].path for role in roles if lines[role]["state"] != "complete"]


def _splits(release):
    """{subset: {split: images}} of the subsets that can be read, and a line for each file of degrees that is short."""
    splits, short = {}, []
    for subset in SUBSETS:
        with contextlib.suppress(CelebADialogError):  # which the files that it comes from tell
            index = celeba_dialog.read_index(release, subset)
            splits[subset] = {split: last - first for split, (first, last) in index.splits.items()}
            short += celeba_dialog.unlisted_lines(index)
    return splits, short


def _notes(release):
    if celeba_dialog.is_url(release.root):
        return []
    return [
        f"{os.path.relpath(os.path.join(folder, name), release.root)}: Google Drive's own zip of a folder. Unpack it "
        f"there; of several parts, all into one folder."
        for folder, _, names in os.walk(release.root)
        for name in sorted(names)
        if registry.DRIVE_ZIP.fullmatch(name)
    ]


# ----------------------------------------------------------------------------------------------------- every image


def _decode_all(release, members):
    """Reads and decodes every image; one line for each that cannot be."""
    jobs = [
        (role, [source.path for source in release.sources[role]], found.places.slice(start, CHUNK))
        for role, found in members.items()
        for start in range(0, len(found.numbers), CHUNK)
    ]
    problems = []
    with (
        files.progress(total=sum(len(places) for _, _, places in jobs), desc="decode", unit="images") as bar,
        pool.executor() as executor,
    ):
        for count, found in pool.results([executor.submit(_decode, *job) for job in jobs]):
            bar.update(count)
            problems += found
    return sorted(problems)


def _decode(role, sources, places):
    """(images tried, a line for each that is not what the dataset promises): what a worker does."""
    problems = []
    for index, name in enumerate(celeba_dialog.member_names(places, sources)):
        try:
            (data,) = celeba_dialog.read_members(places.slice(index, 1), sources)
            if role.endswith("_images"):
                celeba_dialog.check_image(data, [None], SUBSETS[FILES[role].subset], name)
                celeba_dialog.decode_image(data, name)
            elif role == "hq_masks":
                celeba_dialog.sized_mask(data, celeba_dialog.MASK_SIDE, name)
            else:
                celeba_dialog.sized_part(data, celeba_dialog.MASK_SIDE, name)
        except CelebADialogError as error:
            problems.append(str(error))
    return len(places), problems


# ------------------------------------------------------------------------------------------------------------ the table


def as_text(report):
    """The report as a person reads it."""
    lines = [report["release"]]
    for subset in (HQ, STANDARD):
        lines.append(f"\n{subset.folder}")
        for line in report["files"]:
            if FILES[line["role"]].subset == subset.name:
                lines += _file_lines(line, subset)
    for subset, counts in report["splits"].items():
        lines.append(f"\n{subset}: " + ", ".join(f"{split} {count:,}" for split, count in counts.items()) + " images")
    lines += ["", *report["notes"]] if report["notes"] else []
    if report["damaged_images"] is not None:
        lines.append(f"\n{len(report['damaged_images']):,} images or masks cannot be decoded or served")
        lines += report["damaged_images"]
    lines.append("")
    for name, lacks in report["configs"].items():
        what = ", ".join(path.rsplit("/", 1)[-1] for path in lacks)
        lines.append(f"config {name}: {f'incomplete without {what}' if lacks else 'complete'}")
    todo = [line["next"] for line in report["files"] if line["next"]]
    if todo:
        command = f"celeba-dialog fetch {shlex.quote(report['release'])} --accept-agreement"
        lines += [f"\nNext: {command}, or by hand, into any folder below:"]
        lines += [f"  {text}" for text in todo]
    elif report["complete"]:
        lines.append(f"\nNext: celeba-dialog build {shlex.quote(report['release'])} celeba_dialog")
    return "\n".join(lines)


def _file_lines(line, subset):
    file = FILES[line["role"]]
    name = file.path.removeprefix(subset.folder + "/")
    count = "" if line["count"] is None else f"{line['count']:,} of "
    yield f"  {line['state']:<11}{name:<56}{count}{line['official']:,} {file.holds}"
    for found in line["found"]:
        if found != file.path:
            yield f"{'':<13}found as {found}"
    if line["note"]:
        yield f"{'':<13}{line['note']}"
    if line["role"] in OPTIONAL and line["state"] == "not needed":
        yield f"{'':<13}only for the config hq_parts" if line["role"] == "hq_parts" else f"{'':<13}only a cross-check"
