"""The release in every form that people have it: whatever is changed on disk, its rows are still the truth."""

import io
import json
import os
import random
import re
import shutil
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from releases import PALETTE, TEXTS, ZIPS, at, change_json, edit, members, pack, png, read, unpack

from conversion.release.errors import MissingFileError, UsageError
from conversion.release.finding import Release
from conversion.release.masks import mask_indices
from conversion.release.official import FILES
from conversion.release.table import read_index
from conversion.release.vocabulary import ATTRIBUTES, DEGREES, HQ, RELEASE_NAMES, STANDARD

UNLABELED_HQ, UNLABELED = "5380.jpg", "039459.jpg"

# ---------------------------------------------------------------------------------------------------------- variants
# Each takes the root of a copy, changes it, and returns None, or another root, or a function that puts the change into
# the expected rows: change(config, rows).

VARIANTS = []


def variant(function):
    VARIANTS.append(function)
    return function


@variant
def official(root):
    pass


@variant
def flat(root):
    for path in [path for path in root.rglob("*") if path.is_file()]:
        path.rename(root / path.name)
    for folder in sorted((path for path in root.rglob("*") if path.is_dir()), reverse=True):
        folder.rmdir()


@variant
def unpacked_in_place(root):
    for role in ZIPS:
        unpack(root, role, at(root, role).parent)


@variant
def unpacked_beside_the_zips(root):
    for role in ZIPS:
        with zipfile.ZipFile(at(root, role)) as archive:
            archive.extractall(at(root, role).parent)


@variant
def zipped_and_unpacked(root):
    unpack(root, "hq_images", root)
    unpack(root, "standard_images", root / "elsewhere" / "celeba")


@variant
def half_unpacked(root):
    """The zip holds the first images, the folder that it is unpacked into the others."""
    path = at(root, "hq_images")
    entries = members(path)
    (path.parent / "image").mkdir()
    for name, data in entries[7:]:
        (path.parent / "image" / os.path.basename(name)).write_bytes(data)
    pack(path, entries[:7])


@variant
def renamed_folders(root):
    hq = (root / HQ.folder).rename(root / "celebADialogHQ")
    (hq / "text").rename(hq / "text_hq")
    (hq / "identity").rename(hq / "metadata")
    (hq / "metadata" / "identity_CelebA-HQ.txt").rename(hq / "metadata" / "identity_hq.txt")
    standard = (root / STANDARD.folder).rename(root / "img")
    (standard / "Anno").mkdir()
    (standard / "Eval").mkdir()
    (standard / "list_attr_celeba.txt").rename(standard / "Anno" / "list_attr_celeba.txt")
    (standard / "list_eval_partition.txt").rename(standard / "Eval" / "list_eval_partition.txt")


@variant
def renamed_image_folders(root):
    unpack(root, "hq_images", root / "tmp")
    (root / "tmp" / "image").rename(root / "pictures of 1024")
    unpack(root, "standard_images", root / "tmp")
    (root / "tmp" / "img_align_celeba").rename(root / "img_align_celeba_png")


@variant
def deep_below(root):
    below = root / "a" / "b c" / "d"
    below.mkdir(parents=True)
    for folder in (HQ.folder, STANDARD.folder):
        (root / folder).rename(below / folder)


@variant
def path_of_other_letters(root):
    return Path(root.rename(root.with_name("Größe 顔\u202f\xa0'x' (1)")))


@variant
def parts_in_folders_of_2000(root):
    unpack(root, "hq_parts", root)


@variant
def one_part_beside_an_empty_one(root):
    shutil.rmtree(root / STANDARD.folder)
    (root / STANDARD.folder).mkdir()
    return lambda config, rows: rows if config != "standard" else None


@variant
def the_root_is_one_part(root):
    """The folder of the standard part is passed, so there is no mapping."""
    return (
        root / STANDARD.folder,
        lambda config, rows: [row | {"hq_file_name": ""} for row in rows] if config == "standard" else None,
    )


@variant
def other_files_around(root):
    for name in ("list_bbox_celeba.txt", "list_landmarks_align_celeba.txt", "notes.txt", "config.json", "Thumbs.db"):
        (root / STANDARD.folder / name).write_bytes(b"000001.jpg 1 2 3 4\n")
    for folder in (root / ".git", root / HQ.folder / ".ipynb_checkpoints", root / "__MACOSX"):
        folder.mkdir()
        for name in ("combined_annotation.txt", "captions.json", "3.jpg", "000003.jpg"):
            (folder / name).write_bytes(b"000003.jpg of another time")
    (root / "image_sizes.txt").write_text("0.jpg 1024 1024\n")
    pack(root / "code.zip", [("main.py", b"print()"), ("figure.jpg", b"x")])
    (root / "preview.png").write_bytes(b"x")
    (root / "celeba_000001.jpg").write_bytes(b"x")


@variant
def macos(root):
    """Zips made by the Finder, and what it leaves in folders."""
    for role in ZIPS:
        entries = []
        for name, data in members(at(root, role)):
            entries += [(name, data), ("__MACOSX/" + os.path.dirname(name) + "/._" + os.path.basename(name), b"\0\5")]
        pack(at(root, role), [*entries, ("image/.DS_Store", b"x"), ("__MACOSX/0.jpg", b"x"), ("__MACOSX/1.png", b"x")])
        (at(root, role).parent / ".DS_Store").write_bytes(b"x")
        (at(root, role).parent / ("._" + at(root, role).name)).write_bytes(b"\0\5")


@variant
def macos_members_all_at_the_end(root):
    """More of them than fit in the part of the directory that a glance at the zip reads."""
    for role in ZIPS:
        others = [(f"__MACOSX/a rather long name for a folder/._{number}.jpg", b"") for number in range(1200)]
        pack(at(root, role), members(at(root, role)) + others)


@variant
def hq_captions_named_as_the_standard_ones(root):
    at(root, "hq_captions").rename(at(root, "hq_captions").with_name("captions.json"))
    at(root, "hq_requests").rename(at(root, "hq_requests").with_name("request.json"))
    at(root, "hq_labels").rename(at(root, "hq_labels").with_name("combined_annotation.txt"))


@variant
def renamed_by_a_browser(root):
    for role, file in FILES.items():
        stem, _, kind = file.name.rpartition(".")
        at(root, role).rename(at(root, role).with_name(f"{stem} (1).{kind}" if role in ZIPS else f"{stem}(2).{kind}"))


@variant
def names_in_capitals(root):
    for role in (*ZIPS, "hq_labels", "partition", "hq_captions"):
        at(root, role).rename(at(root, role).with_name(FILES[role].name.upper()))


@variant
def two_copies_of_everything(root):
    for role, file in FILES.items():
        copy = root / "backup" / file.path
        copy.parent.mkdir(parents=True, exist_ok=True)
        data = at(root, role).read_bytes()
        copy.write_bytes(data if role in ZIPS else data.replace(b"\r\n", b"\n"))


@variant
def members_stored(root):
    for role in ZIPS:
        pack(at(root, role), members(at(root, role)), zipfile.ZIP_STORED)


@variant
def members_deflated(root):
    for role in ZIPS:
        pack(at(root, role), members(at(root, role)), zipfile.ZIP_DEFLATED)


@variant
def members_in_any_order(root):
    for role in ZIPS:
        entries = members(at(root, role))
        random.Random(1).shuffle(entries)  # noqa: S311
        pack(at(root, role), entries)


@variant
def directory_in_another_order_than_the_members(root):
    for role in ZIPS:
        with zipfile.ZipFile(at(root, role), "a") as archive:
            archive.filelist.reverse()
            archive.comment = b"reversed"  # has the directory written anew


@variant
def members_in_any_folder(root):
    fronts = ("", "/", "/abs/olute/", "../../../", "C:\\Users\\me\\", "a/b/c/d/", "..\\..\\", "./", "été/")
    for role in ZIPS:
        entries = members(at(root, role))
        pack(
            at(root, role),
            [(fronts[i % len(fronts)] + os.path.basename(name), data) for i, (name, data) in enumerate(entries)],
        )


@variant
def members_of_folders(root):
    """Folders have members of their own in many zips."""
    for role in ZIPS:
        pack(at(root, role), [("image/", b""), *members(at(root, role)), ("image/0.jpg/", b"")])


@variant
def data_in_front(root):
    for role in ZIPS:
        data = at(root, role).read_bytes()
        at(root, role).write_bytes(b"#!/bin/sh\nexit 1\n" * 1000 + data)


@variant
def comments_in_the_zips(root):
    for role in ZIPS:
        with zipfile.ZipFile(at(root, role), "a") as archive:
            archive.comment = b"made by hand " * 5000
            for info in archive.filelist:
                info.comment = b"a face"


@variant
def extra_fields_longer_than_expected(root):
    """The local header's extra field is known to itself alone."""
    for role in ZIPS:
        with zipfile.ZipFile(at(root, role)) as archive:
            entries = [(info, archive.read(info)) for info in archive.infolist()]
        with zipfile.ZipFile(at(root, role), "w") as archive:
            for info, data in entries:
                info.extra = struct.pack("<HH", 0xCAFE, 300) + b"x" * 300
                archive.writestr(info, data)


@variant
def streamed_zips(root):
    """Sizes after the data, as a zip written to a pipe has them."""

    class Pipe(io.RawIOBase):
        def __init__(self):
            self.data = io.BytesIO()

        def writable(self):
            return True

        def write(self, data):
            return self.data.write(data)

    for role in ZIPS:
        pipe, entries = Pipe(), members(at(root, role))
        with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in entries:
                with archive.open(name, "w") as member:
                    member.write(data)
        at(root, role).write_bytes(pipe.data.getvalue())


@variant
def zip64(root):
    """Every size, offset and count in 64 bits, as in zips beyond 4 GB."""
    limits = {name: getattr(zipfile, name) for name in ("ZIP64_LIMIT", "ZIP_FILECOUNT_LIMIT")}
    for role in ZIPS:
        entries = members(at(root, role))
        try:
            zipfile.ZIP64_LIMIT = zipfile.ZIP_FILECOUNT_LIMIT = -1
            pack(at(root, role), entries, zipfile.ZIP_DEFLATED)
        finally:
            vars(zipfile).update(limits)
        data = at(root, role).read_bytes()
        assert b"PK\x06\x06" in data and struct.pack("<L", 0xFFFFFFFF) in data


@variant
def zip64_with_data_in_front(root):
    zip64(root)
    data_in_front(root)


@variant
def zip64_local_headers(root):
    for role in ZIPS:
        entries = members(at(root, role))
        with zipfile.ZipFile(at(root, role), "w") as archive:
            for name, data in entries:
                with archive.open(name, "w", force_zip64=True) as member:
                    member.write(data)


@variant
def byte_order_marks(root):
    for role in TEXTS:
        edit(root, role, lambda data: b"\xef\xbb\xbf" + data)


@variant
def windows_line_ends(root):
    for role in TEXTS:
        edit(root, role, lambda data: re.sub(rb"\r?\n", b"\r\n", data))


@variant
def unix_line_ends(root):
    for role in TEXTS:
        edit(root, role, lambda data: data.replace(b"\r\n", b"\n"))


@variant
def no_final_newline(root):
    for role in TEXTS:
        edit(root, role, lambda data: data.rstrip())


@variant
def blank_lines(root):
    for role in TEXTS:
        edit(root, role, lambda data: b"\n \t\n" + data.replace(b"\n", b"\n\n") + b"\n \r\n\t\n")


def _rows_as(separator):
    def change(data):
        lines = data.decode().splitlines()
        return "".join(separator.join(line.split()) + "\n" for line in lines).encode()

    return change


@variant
def tabs(root):
    for role in TEXTS:
        if role.endswith("_txt"):
            edit(root, role, lambda data: data.replace(b"\t", b"  "))
        elif FILES[role].path.endswith(".txt"):
            edit(root, role, _rows_as("\t"))


@variant
def single_spaces(root):
    for role in TEXTS:
        if FILES[role].path.endswith(".txt") and not role.endswith("_txt"):
            edit(root, role, _rows_as(" "))


@variant
def trailing_tabs(root):
    for role in TEXTS:
        if FILES[role].path.endswith(".txt"):
            edit(root, role, lambda data: re.sub(rb"(\r?\n)", rb"\t \1", data))


@variant
def json_in_one_line(root):
    for role in TEXTS:
        if FILES[role].path.endswith(".json"):
            edit(root, role, lambda data: json.dumps(json.loads(data), separators=(",", ":")).encode())


@variant
def texts_of_other_letters(root):
    """Escaped in one part and plain UTF-8 in the other."""
    suffix = " – « ç » 顔 😀 \u2028"

    for subset, ascii_only in (("hq", True), ("standard", False)):
        captions = json.loads(at(root, f"{subset}_captions").read_bytes())
        for entry in captions.values():
            entry["overall_caption"] += suffix
        at(root, f"{subset}_captions").write_text(json.dumps(captions, ensure_ascii=ascii_only), encoding="utf-8")
    return lambda config, rows: [row | {"caption": row["caption"] and row["caption"] + suffix} for row in rows]


@variant
def mapping_without_a_header(root):
    edit(root, "mapping", lambda data: data.split(b"\n", 1)[1])


@variant
def identities_with_a_header(root):
    for role in ("hq_identity", "standard_identity"):
        edit(root, role, lambda data: b"image_id identity\n" + data)


@variant
def no_hq_identity(root):
    """The standard identities serve, through the mapping, for the HQ images whose CelebA image is in the demo."""
    at(root, "hq_identity").unlink()
    known = {line.split()[0] for line in at(root, "standard_identity").read_text().splitlines()}

    def change(config, rows):
        if config == "standard":
            return rows
        return [row if row["celeba_file_name"] in known else row | {"identity": -1} for row in rows]

    return change


@variant
def no_standard_identity(root):
    at(root, "standard_identity").unlink()
    return lambda config, rows: [
        row | {"identity": -1} if config == "standard" and row["hq_file_name"] == "" else row for row in rows
    ]


@variant
def no_identity(root):
    at(root, "hq_identity").unlink()
    at(root, "standard_identity").unlink()
    return lambda config, rows: [row | {"identity": -1} for row in rows]


@variant
def labels_in_three_lists(root):
    at(root, "standard_labels").unlink()


@variant
def labels_with_a_list_missing(root):
    at(root, "standard_labels").unlink()
    at(root, "labels_test").unlink()
    tested = {line.split()[0] for line in at(root, "partition").read_text().splitlines() if line.split()[1] == "2"}
    return lambda config, rows: [
        row | dict.fromkeys(DEGREES, -1) if config == "standard" and row["file_name"] in tested else row for row in rows
    ]


@variant
def labels_without_a_header(root):
    for role in ("hq_labels", "standard_labels"):
        edit(root, role, lambda data: data.split(b"\n", 1)[1])


@variant
def labels_with_a_count(root):
    for role in ("hq_labels", "standard_labels"):
        edit(root, role, lambda data: str(data.count(b"\n") - 1).encode() + b"\n" + data)


@variant
def labels_headed_without_a_name_for_the_file(root):
    for role in ("hq_labels", "standard_labels"):
        edit(root, role, lambda data: data.replace(b"img_name", b"", 1))


@variant
def columns_in_another_order(root):
    """The header says which is which."""
    for role in ("hq_labels", "standard_labels", "hq_attributes", "standard_attributes"):
        order = list(range(len(RELEASE_NAMES) if role.endswith("labels") else len(ATTRIBUTES)))
        random.Random(2).shuffle(order)  # noqa: S311
        lines = []
        for line in at(root, role).read_text().splitlines():
            words = line.split()
            if len(words) >= len(order):
                words = words[: len(words) - len(order)] + [words[len(words) - len(order) :][i] for i in order]
            lines.append(" ".join(words) + "\n")
        at(root, role).write_text("".join(lines))


@variant
def attributes_without_a_count(root):
    for role in ("hq_attributes", "standard_attributes"):
        edit(root, role, lambda data: data.split(b"\n", 1)[1])


@variant
def attributes_of_0_and_1(root):
    for role in ("hq_attributes", "standard_attributes"):
        edit(root, role, lambda data: re.sub(rb"-1(?=\s)", b"0", data))


@variant
def requests_as_text_only(root):
    at(root, "hq_requests").unlink()
    at(root, "standard_requests").unlink()


def _unlabeled(row, columns):
    return b" ".join([row.encode(), *columns]) + b"\n"


@variant
def unlabeled_row_is_blank(root):
    edit(root, "hq_labels", lambda data: data + _unlabeled(UNLABELED_HQ, []))
    edit(root, "standard_labels", lambda data: data + _unlabeled(UNLABELED, []))
    edit(root, "hq_requests_txt", lambda data: data + _unlabeled(UNLABELED_HQ, []))
    at(root, "hq_requests").unlink()
    for role, name in (("hq_captions", UNLABELED_HQ), ("standard_captions", UNLABELED)):
        change_json(root, role, lambda entries, name=name: entries | {name: {"overall_caption": ""}})
    change_json(root, "standard_requests", lambda entries: entries | {UNLABELED: ""})


@variant
def unlabeled_row_is_minus_one(root):
    edit(root, "hq_labels", lambda data: data + _unlabeled(UNLABELED_HQ, [b"-1"] * 5))
    edit(root, "standard_labels", lambda data: data + _unlabeled(UNLABELED, [b"-1"] * 5))
    edit(root, "hq_requests_txt", lambda data: data + _unlabeled(UNLABELED_HQ, [b"-1"]))
    at(root, "hq_requests").unlink()
    for role in ("hq_captions", "hq_request_labels"):
        change_json(root, role, lambda entries: entries | {UNLABELED_HQ: -1})
    for role in ("standard_captions", "standard_requests"):
        change_json(root, role, lambda entries: entries | {UNLABELED: "-1"})


@variant
def unlabeled_row_is_none(root):
    edit(root, "hq_labels", lambda data: data + _unlabeled(UNLABELED_HQ, [b"None"] * 5))
    edit(root, "standard_labels", lambda data: data + _unlabeled(UNLABELED, [b"None"] * 5))
    edit(root, "hq_requests_txt", lambda data: data + _unlabeled(UNLABELED_HQ, [b"None"]))
    at(root, "hq_requests").unlink()
    for role in ("hq_captions", "hq_request_labels"):
        change_json(root, role, lambda entries: entries | {UNLABELED_HQ: "None"})
    for role in ("standard_requests", "standard_request_labels"):
        change_json(root, role, lambda entries: entries | {UNLABELED: None})


@variant
def unlabeled_entry_is_null_inside(root):
    nothing = {"attribute_wise_captions": dict.fromkeys(RELEASE_NAMES.values()), "overall_caption": None}
    change_json(root, "hq_captions", lambda entries: entries | {UNLABELED_HQ: nothing})
    change_json(root, "standard_captions", lambda entries: entries | {UNLABELED: {"attribute_wise_captions": None}})
    labels = dict.fromkeys(("request_mode", "attribute", "score_change_direction", "score_change_value"))
    change_json(root, "hq_request_labels", lambda entries: entries | {UNLABELED_HQ: labels})
    change_json(root, "standard_request_labels", lambda entries: entries | {UNLABELED: {}})


@variant
def request_labels_as_strings(root):
    def change(entries):
        for entry in entries.values():
            for key in ("score_change_value", "target_score"):
                if entry.get(key) is not None:
                    entry[key] = str(entry[key])
            entry["unknown"] = {"deep": [1, 2]}

    change_json(root, "hq_request_labels", change)
    change_json(root, "standard_request_labels", change)


@variant
def repeated_rows_that_agree(root):
    for role in ("hq_labels", "standard_labels", "hq_identity", "mapping", "hq_requests_txt"):
        edit(root, role, lambda data: data + data.split(b"\n")[2] + b"\n")
    edit(root, "hq_requests", lambda data: data.replace(b"{", b"{" + data.split(b"\n")[1], 1))


@variant
def fewer_images_than_annotations(root):
    path = at(root, "hq_images")
    pack(path, members(path)[::2])
    kept = {os.path.basename(name) for name, _ in members(path)}
    return lambda config, rows: rows if config == "standard" else [row for row in rows if row["file_name"] in kept]


@variant
def no_masks(root):
    at(root, "hq_masks").unlink()
    at(root, "hq_parts").unlink()
    return lambda config, rows: [
        row | ({"mask": None} if "mask" in row else {}) | ({"parts": []} if "parts" in row else {}) for row in rows
    ]


@variant
def some_masks(root):
    path = at(root, "hq_masks")
    kept = members(path)[1::3]
    pack(path, kept)
    names = {os.path.basename(name) for name, _ in kept}
    path = at(root, "hq_parts")
    pack(path, [(name, data) for name, data in members(path) if name.endswith(("hair.png", "l_eye.png"))])

    def change(config, rows):
        if config == "standard":
            return rows
        rows = [row if row["mask"]["path"] in names else row | {"mask": None} for row in rows]
        if config == "hq_parts":
            for row in rows:
                row["parts"] = [
                    part for part in row["parts"] if part["mask"]["path"].endswith(("hair.png", "l_eye.png"))
                ]
        return rows

    return change


@variant
def nothing_but_images_and_mapping(root):
    for role in TEXTS:
        if role != "mapping":
            at(root, role).unlink()

    def change(config, rows):
        nothing = dict.fromkeys(DEGREES, -1) | {
            "attributes": [-1] * 40,
            "caption": "",
            "attribute_captions": dict.fromkeys(DEGREES, ""),
            "request": "",
            "request_labels": dict.fromkeys(("attribute", "mode", "direction", "value", "target"), -1),
            "identity": -1,
        }
        return [row | nothing for row in rows]

    change.by_part = True  # without a file of degrees no image is known to be unlabeled

    return change


@variant
def linked_folders(root):
    """The parts lie elsewhere, and two links make circles."""
    elsewhere = root.with_name("elsewhere")
    elsewhere.mkdir()
    for folder in (HQ.folder, STANDARD.folder):
        (root / folder).rename(elsewhere / folder)
        (root / folder).symlink_to(elsewhere / folder)
    (elsewhere / HQ.folder / "up").symlink_to(root)
    (elsewhere / HQ.folder / "self").symlink_to(".")


@variant
def linked_files(root):
    elsewhere = root.with_name("elsewhere")
    elsewhere.mkdir()
    for role in FILES:
        at(root, role).rename(elsewhere / role)
        at(root, role).symlink_to(elsewhere / role)


@variant
def linked_root(root):
    link = root.with_name("link")
    link.symlink_to(root)
    return link


@variant
def links_to_themselves_and_to_nothing(root):
    (root / "loop").symlink_to("loop")
    (root / HQ.folder / "image (1).zip").symlink_to("image (1).zip")
    (root / "ping").symlink_to("pong")
    (root / "pong").symlink_to("ping")
    (root / "captions.json").symlink_to("/nowhere/captions.json")
    (root / "nothing").symlink_to("/nowhere")


@variant
def pipes_and_sockets(root):
    """Opening a pipe would wait for ever."""
    os.mkfifo(root / "captions.json")
    os.mkfifo(root / "img_align_celeba.zip")
    os.mkfifo(root / "4.jpg")


@pytest.mark.parametrize("change", VARIANTS, ids=lambda function: function.__name__)
def test_variants(change, demo, copy, same_rows):
    result = change(copy)
    root, expect = result if isinstance(result, tuple) else (result, None)
    if callable(root):
        root, expect = None, root
    for config in ("hq_parts", "standard"):
        rows = demo.rows(config)
        if hasattr(expect, "by_part"):
            rows = demo.rows_by_part(config)
        rows = expect(config, [dict(row) for row in rows]) if expect else rows
        if rows is None:
            with pytest.raises(MissingFileError, match=f"no {config[:8].removesuffix('_parts')} images"):
                read(root or copy, config)
        else:
            same_rows(read(root or copy, config), rows, config)


def test_the_splits_are_those_of_the_truth(demo):
    for subset in ("hq", "standard"):
        index = read_index(Release(demo.root), subset)
        found = {split: index.table["file_name"].to_pylist()[slice(*rows)] for split, rows in index.splits.items()}
        assert found == {split: [row["file_name"] for row in rows] for split, rows in demo.splits(subset).items()}


def test_the_demo_has_what_the_variants_are_about(demo):
    assert UNLABELED_HQ in [row["file_name"] for row in demo.rows("hq")]
    assert UNLABELED in [row["file_name"] for row in demo.rows("standard")]
    assert sum(row["hq_file_name"] == "" for row in demo.rows("standard")) > 10
    for splits in (demo.splits("hq"), demo.splits("standard")):
        assert [split for split, rows in splits.items() if len(rows) == 1] == ["unlabeled"]
    rows = demo.rows("hq")
    assert {len(row["parts"]) for row in demo.rows("hq_parts")} != {18}
    assert "" in [text for row in rows for text in row["attribute_captions"].values()]


# What each official file is the only source of: without it, the columns say missing and the others stay.
WITHOUT = {
    "hq_labels": ("hq", dict.fromkeys(DEGREES, -1)),
    "hq_attributes": ("hq", {"attributes": [-1] * 40}),
    "standard_attributes": ("standard", {"attributes": [-1] * 40}),
    "hq_captions": ("hq", {"caption": "", "attribute_captions": dict.fromkeys(DEGREES, "")}),
    "standard_captions": ("standard", {"caption": "", "attribute_captions": dict.fromkeys(DEGREES, "")}),
    "hq_request_labels": (
        "hq",
        {"request_labels": dict.fromkeys(("attribute", "mode", "direction", "value", "target"), -1)},
    ),
    "partition": ("standard", {}),
    "hq_parts": ("hq", {}),
}


@pytest.mark.parametrize("role", WITHOUT)
def test_without_one_file(role, demo, copy, same_rows):
    at(copy, role).unlink()
    config, missing = WITHOUT[role]
    rows = demo.rows_by_part(config) if role == "hq_labels" else demo.rows(config)
    same_rows(read(copy, config), [row | missing for row in rows], role)


def _as_rgb(mask):
    return mask.convert("RGB")


def _as_rgba(mask):
    return mask.convert("RGBA")


def _as_grey(mask):
    return Image.fromarray(np.asarray(mask))


def _as_grey_of_16_bits(mask):
    return Image.fromarray(np.asarray(mask).astype(np.uint16))


def _as_grey_with_alpha(mask):
    return Image.merge("LA", [_as_grey(mask), Image.new("L", mask.size, 255)])


def _as_another_palette(mask):
    """The same colours under other indices, as a conversion by way of RGB leaves them."""
    return mask.convert("RGB").convert("P", palette=Image.Palette.ADAPTIVE, colors=19)


def _as_palette_of_19(mask):
    other = mask.copy()
    other.putpalette(PALETTE)
    return other


def _as_palette_of_256(mask):
    """The palette of the official masks: the nineteen colours, then greys."""
    other = mask.copy()
    other.putpalette(PALETTE + [index for index in range(19, 256) for _ in range(3)])
    return other


RESAVED = [value for name, value in vars().items() if name.startswith("_as_")]


@pytest.mark.parametrize("resave", RESAVED, ids=lambda function: function.__name__[1:])
def test_masks_saved_anew_are_turned_back(resave, demo, copy):
    """A mask in RGB, grey or another palette becomes palette indices again, without loss."""
    entries = []
    for name, data in members(at(copy, "hq_masks")):
        file = io.BytesIO()
        resave(Image.open(io.BytesIO(data))).save(file, "PNG")
        entries.append((name, file.getvalue()))
    pack(at(copy, "hq_masks"), entries)
    for row, other in zip(read(copy, "hq"), demo.rows("hq")):
        assert row["mask"]["path"] == other["mask"]["path"]
        found = Image.open(io.BytesIO(row["mask"]["bytes"]))
        expected = np.asarray(Image.open(io.BytesIO(other["mask"]["bytes"])))
        assert found.mode == "P"
        assert np.array_equal(np.asarray(found), expected)
        assert np.array_equal(mask_indices(row["mask"]["bytes"], "mask"), expected)
        colors = np.array(found.getpalette()).reshape(-1, 3)
        assert colors[:19].ravel().tolist() == PALETTE[: len(colors[:19]) * 3]


def test_masks_of_few_bits():
    """Grey of one, two or four bits: its indices are those in the file, not Pillow's brightness."""
    for depth in (1, 2, 4):
        most = (1 << depth) - 1
        indices = [0, most if depth < 4 else 15, 1, 0]
        packed = int("".join(f"{index:0{depth}b}" for index in indices).ljust(16, "0"), 2).to_bytes(2, "big")
        data = png(4, 1, depth, 0, b"\0" + packed[: -(-4 * depth // 8)])
        assert mask_indices(data, "mask").tolist() == [indices]


def test_nothing_is_written_and_nothing_extracted(copy, tmp_path, monkeypatch):
    members_in_any_folder(copy)

    def found():
        return {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in tmp_path.rglob("*")}

    before = found()
    monkeypatch.chdir(copy)
    for config in ("hq_parts", "standard"):
        read(copy, config)
    assert found() == before
    assert not os.path.exists("/abs")


@pytest.mark.parametrize("root", ["", "  "])
def test_an_empty_path_is_wrong_usage(root):
    with pytest.raises(UsageError, match="empty"):
        Release(root)


def test_relative_and_home_paths(copy, monkeypatch):
    monkeypatch.chdir(copy.parent)
    monkeypatch.setenv("HOME", str(copy.parent))
    for root in ("release", "./release/", "~/release", f"file://{copy}", copy):
        assert Release(root).root == str(copy)
