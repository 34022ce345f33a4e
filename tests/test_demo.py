"""The demo release: its bytes by other readers, its drawings by their pixels."""

import dataclasses
import errno
import io
import json
import os
import random
import re
import shlex
import subprocess
import sys
import zipfile
from collections import Counter
from pathlib import Path
from unittest import mock

import making
import numpy as np
import pytest
from commands import tree
from pictures import opened
from PIL import Image
from releases import at

from conversion import __main__ as command_line
from conversion.demo import drawing, painting, people
from conversion.demo.command import write_release
from conversion.release.errors import EnvironmentFault, UsageError
from conversion.release.official import FILES
from conversion.release.vocabulary import ATTRIBUTES, MASK_CLASSES

ROOT = Path(__file__).resolve().parents[1]
HQ, STANDARD = "CelebA-Dialog (HQ)", "CelebA-Dialog (standard)"
DEGREES = ("bangs", "eyeglasses", "beard", "smiling", "age")
NAMES = ("Bangs", "Eyeglasses", "No_Beard", "Smiling", "Young")
SKIN, NOSE, EYE_G, L_EYE, R_EYE, L_BROW, R_BROW, L_EAR, R_EAR, MOUTH, U_LIP, L_LIP = range(1, 13)
HAIR, HAT, EAR_R, NECK_L, NECK, CLOTH = range(13, 19)


@pytest.fixture(scope="module")
def default(tmp_path_factory):
    """(folder, rows by subset) of a demo as the command makes it, but for its pictures."""
    root = tmp_path_factory.mktemp("default") / "demo"
    return root, making.write_release(root)


def attributes_of(row):
    return dict(zip(ATTRIBUTES, row["attributes"], strict=True))


def test_files_and_members_of_the_official_layout(default):
    root, rows = default
    assert set(tree(root)) == {file.path for file in FILES.values()} | {"README.txt", f"{STANDARD}/metadata.txt"}
    numbers = [int(row["file_name"][:-4]) for row in rows["hq"]]
    assert len({number // 2000 for number in numbers}) > 5
    names = "skin nose eye_g l_eye r_eye l_brow r_brow l_ear r_ear mouth u_lip l_lip hair hat ear_r neck_l neck cloth"
    palette = "mnt/lustre/share/zqhuang/datasets_face/Face-Diffusion-raw-datasets/CelebA-Dialog-combined/mask/"
    palette += "CelebAMask-HQ-mask-color-palette"
    standard = {f"img_align_celeba/{row['file_name']}": row["image"] for row in rows["standard"]}
    hq = list(zip(numbers, rows["hq"], strict=True))
    expected = {
        f"{HQ}/image.zip": {f"image/{n}.jpg": row["image"] for n, row in hq},
        f"{HQ}/mask/CelebAMask-HQ-mask-color-palette.zip": {f"{palette}/{n}.png": row["mask"] for n, row in hq},
        f"{HQ}/mask/CelebAMask-HQ-mask-anno.zip": {
            f"CelebAMask-HQ-mask-anno/{n // 2000}/{n:05d}_{names.split()[part['part']]}.png": part["mask"]
            for n, row in hq
            for part in row["parts"]
        },
        f"{STANDARD}/img_align_celeba.zip": standard,
    }
    for path, members in expected.items():
        with zipfile.ZipFile(root / path) as archive:
            assert archive.namelist() == list(members), path
            assert archive.testzip() is None
            for name, image in members.items():
                assert image == {"bytes": archive.read(name), "path": name.rsplit("/", 1)[1]}


def test_text_files_byte_by_byte(default):
    """Line ends, separators, headers, counts and trailing spaces, as the official files have them."""
    root, _ = default
    degrees = r"( [0-5]){5} "
    forty = " ".join(re.escape(name) for name in ATTRIBUTES)
    header = r"img_name\t" + r"\t".join(NAMES)
    shapes = {
        (STANDARD, "combined_annotation.txt"): rf"img_name {' '.join(NAMES)}\n(\d{{6}}\.jpg{degrees}\n){{59}}",
        **{(STANDARD, f"{part}_attr_list.txt"): rf"(\d{{6}}\.jpg{degrees}\n)+" for part in ("train", "val", "test")},
        (STANDARD, "list_attr_celeba.txt"): rf"60\r\n{forty} \r\n(\d{{6}}\.jpg( -1|  1){{40}}\r\n){{60}}",
        (STANDARD, "identity_CelebA.txt"): r"(\d{6}\.jpg \d+\r\n){60}",
        (STANDARD, "list_eval_partition.txt"): r"(\d{6}\.jpg [012]\r\n){60}",
        (STANDARD, "celeba_request/request.txt"): r"(\d{6}\.jpg\t[^\t\r\n]+\n){59}",
        (HQ, "classification_label/combined_annotation_hq.txt"): rf"{header}\n(\d+\.jpg(\t[0-5]){{5}}\n){{23}}",
        (HQ, "classification_label/CelebAMask-HQ-attribute-anno.txt"): rf"24\n{forty}\n(\d+\.jpg ( -?1){{40}}\n){{24}}",
        (HQ, "identity/identity_CelebA-HQ.txt"): r"(\d+\.jpg \d+\n){24}",
        (HQ, "text/request_hq.txt"): r"(\d+\.jpg\t[^\t\r\n]+\n){23}",
        (HQ, "CelebA-HQ-to-CelebA-mapping.txt"): r"idx        orig_idx   orig_file\n"
        r"((?=.{22}\d{6}\.jpg\n)\d+ +\d+ +\d{6}\.jpg\n){24}",
    }
    for (subset, path), shape in shapes.items():
        assert re.fullmatch(shape.encode(), (root / subset / path).read_bytes()), path


def test_blemishes_of_the_official_json(default):
    """A caption that is null, empty or not there, and requests without a key; every degree appears."""
    root, rows = default
    for subset in ("hq", "standard"):
        captions = json.loads(at(root, f"{subset}_captions").read_bytes())
        requests = json.loads(at(root, f"{subset}_request_labels").read_bytes())
        each = [entry["attribute_wise_captions"] for entry in captions.values()]
        assert {"", None} < {captions.get("No_Beard", "none") for captions in each}
        assert {5, 4} == {len(captions) for captions in each} and {7, 6} == {len(asked) for asked in requests.values()}
        assert len(captions) == len(requests) == len(rows[subset]) - 1
        for column in DEGREES:
            assert set(range(6)) <= {row[column] for row in rows[subset]}, column


def test_splits_and_identities(default):
    """CelebA's splits by number, and nobody in two of them."""
    _, rows = default
    identities = {}
    for subset, name in (("hq", "celeba_file_name"), ("standard", "file_name")):
        assert [row[name] for row in rows[subset] if row["split"] == "unlabeled"] == ["039459.jpg"]
        annotated = [row for row in rows[subset] if row["split"] != "unlabeled"]
        counts = Counter(row["split"] for row in annotated)
        assert min(counts["validation"], counts["test"]) > 1
        assert counts["train"] / len(annotated) == pytest.approx(0.78, abs=0.05)
        for row in annotated:
            part = sum(int(row[name][:6]) > end for end in (162770, 182637))
            assert row["split"] == ("train", "validation", "test")[part]
            identities.setdefault(row["identity"], []).append((row["split"], row[name]))
    assert all(len({split for split, _ in images}) == 1 for images in identities.values())
    assert any(len({name for _, name in images}) > 1 for images in identities.values())
    assert sum(row["hq_file_name"] != "" for row in rows["standard"]) == len(rows["hq"])


# ------------------------------------------------------------------------------------------------ labels and sentences


def test_binary_attributes_follow_the_degrees(default):
    _, rows = default
    hq = {row["celeba_file_name"]: row for row in rows["hq"]}
    for row in rows["hq"] + rows["standard"]:
        holds = attributes_of(row)
        assert len(holds) == 40 and set(holds.values()) <= {0, 1}
        if row["caption"]:
            for column, name in (("bangs", "Bangs"), ("eyeglasses", "Eyeglasses"), ("smiling", "Smiling")):
                assert holds[name] == (row[column] > 0)
            assert holds["No_Beard"] == (row["beard"] == 0)
            assert holds["Young"] == (row["age"] <= 2)
            assert holds["Male"] or not row["beard"]
        assert sum(holds[name] for name in ("Black_Hair", "Blond_Hair", "Brown_Hair", "Gray_Hair", "Bald")) <= 1
        assert not (holds["Bald"] and holds["Bangs"])
    for row in rows["standard"]:
        if row["hq_file_name"]:
            twin = hq[row["file_name"]]
            for column in (*DEGREES, "attributes", "identity", "split"):
                assert row[column] == twin[column]
    assert set().union(*(member.person.attributes for member in people.cast(2, 300, 0))) == set(ATTRIBUTES)


@pytest.mark.parametrize("subset", ["hq", "standard"])
def test_men_and_women_in_each_subset(subset, default):
    """And every caption says which."""
    seen = Counter()
    for row in default[1][subset]:
        if row["caption"]:
            male, grown = attributes_of(row)["Male"], row["age"] > 0
            seen[male] += 1
            noun = {(0, 0): "girl", (0, 1): "woman", (1, 0): "boy", (1, 1): "man"}[male, grown]
            words = re.findall(r"\w+", row["caption"].lower())
            assert {*words} & {"girl", "woman", "boy", "man", "he", "she"} == {noun, "he" if male else "she"}
    assert min(seen[0], seen[1]) > len(default[1][subset]) // 4


# A word of each degree, looked for in the sentences by hand.
WORDS = {
    "bangs": "no bangs|no fringe; very short|tiny; fairly short|less than half; good half|medium; "
    "strip|a little above; right down|full",
    "eyeglasses": "no glasses|nothing in front; rim; slim frame|thin-framed; heavy|glasses with a thick; "
    "thin frame|slim; sunglasses with a thick|chunky",
    "beard": "no beard|smooth; shadow; stubble; medium length|some weeks; tidy|neatly; bushy|wild",
    "smiling": "no smile|serious; closed|no teeth; few teeth|bit of teeth; whole row|all the upper; "
    "slightly parted|a little open; wide open",
    "age": "under fifteen|not yet fifteen; fifteen and thirty|fifteen but under; thirty and forty|over thirty; "
    "forty and fifty|middle-aged; fifty and sixty|over fifty; over sixty|older than sixty",
}


def test_captions_say_what_the_labels_say(default):
    _, rows = default
    words = {column: line.split("; ") for column, line in WORDS.items()}
    for row in rows["hq"] + rows["standard"]:
        if row["caption"]:
            assert re.fullmatch(r"[ -~]+", row["caption"])
            for column in DEGREES:
                word = words[column][row[column]]
                if column != "beard" or row["beard"]:
                    assert re.search(word, row["caption"]), (column, row[column], row["caption"])
                each = row["attribute_captions"][column]
                assert each == "" or re.search(word, each), (column, row[column], each)


def test_requests_say_what_their_labels_say(default):
    _, rows = default
    modes, steps = set(), ["one", "two", "three", "four", "five"]
    subject = {"bangs": "bangs|fringe", "eyeglasses": "glasses|eyes", "beard": "beard|chin|stubble"}
    subject |= {"smiling": "smile|mouth", "age": "older|younger|fifteen|thirty|forty|middle-aged|sixty"}
    for row in rows["hq"] + rows["standard"]:
        if not row["request"]:
            continue
        labels, sentence = row["request_labels"], row["request"]
        column = DEGREES[labels["attribute"]]
        degree = row[column]
        assert re.search(subject[column], sentence), sentence
        modes.add(labels["mode"])
        if labels["mode"] == 0:
            assert 0 <= labels["target"] <= 5 and labels["target"] != degree
            assert (labels["direction"], labels["value"]) == (0, -1)
            continue
        assert labels["target"] == -1
        up = re.search("longer|heavier|grow|bigger|older", sentence)
        down = re.search("shorter|lighter|trim|smaller|younger", sentence)
        assert bool(up) != bool(down)
        assert labels["direction"] == (2 if up else 1)
        step = re.search(rf"({'|'.join(steps)}) steps?", sentence)
        assert bool(step) == (labels["mode"] == 1)
        assert labels["value"] == (steps.index(step[1]) + 1 if step else -1)
        assert not step or 0 <= degree + (labels["value"] if up else -labels["value"]) <= 5
    assert modes == {0, 1, 2}


def test_images_are_of_the_official_kind(default):
    _, rows = default
    for row in rows["hq"][:8]:
        image, mask = opened(row["image"]["bytes"]), opened(row["mask"]["bytes"])
        classes = np.array(mask)
        assert (image.format, image.mode, image.size) == ("JPEG", "RGB", (1024, 1024))
        assert (mask.format, mask.mode, mask.size) == ("PNG", "P", (512, 512))
        palette = bytes(mask.getpalette())
        assert [palette[3 * n : 3 * n + 3].hex() for n in (1, 3, 13, 18)] == ["cc0000", "cccc00", "0000cc", "00cc00"]
        assert [part["part"] + 1 for part in row["parts"]] == sorted(set(classes.ravel().tolist()) - {0})
        for part in row["parts"]:
            image = opened(part["mask"]["bytes"])
            assert image.mode == "L"
            np.testing.assert_array_equal(np.array(image), 255 * (classes == part["part"] + 1))
    for row in rows["standard"]:
        image = opened(row["image"]["bytes"])
        assert (image.format, image.mode, image.size) == ("JPEG", "RGB", (178, 218))


def paint(person, side=512):
    """(picture, mask) as arrays."""
    layers = drawing.draw(person)
    picture = painting.picture(person, layers, painting.HQ_VIEW, (side, side))
    return np.array(picture).astype(int), np.array(painting.mask(layers))


@pytest.fixture(scope="module")
def faces():
    """Some people, each with picture and mask."""
    cast = [member for member in people.cast(24, 1, 0) if member.hq_number is not None]
    return [(member, *paint(member.person, 256)) for member in cast]


def test_mask_classes_follow_the_labels(faces):
    """And right and left are the person's own."""
    seen = set()
    for member, _, mask in faces:
        classes = set(mask.ravel().tolist())
        holds, person = member.person.attributes, member.person
        assert (EYE_G in classes) == (person.eyeglasses > 0)
        assert (HAT in classes) == ("Wearing_Hat" in holds)
        assert (EAR_R in classes) == ("Wearing_Earrings" in holds)
        assert (NECK_L in classes) == ("Wearing_Necklace" in holds)
        assert (HAIR in classes) != ("Bald" in holds)
        assert (MOUTH in classes) == (person.smiling > 1)
        assert (L_EYE in classes) == (R_EYE in classes) == (person.eyeglasses < 4)
        assert {SKIN, NOSE, U_LIP, L_LIP, CLOTH} <= classes
        assert NECK in classes or person.beard > 3  # a long beard hides it
        seen |= classes
        for left, right in ((L_EYE, R_EYE), (L_BROW, R_BROW), (L_EAR, R_EAR)):
            if {left, right} <= classes:
                assert np.nonzero(mask == left)[1].mean() > 256 > np.nonzero(mask == right)[1].mean()
    assert seen == set(range(19))
    assert len({picture.tobytes() for _, picture, _ in faces}) == len(faces)


def test_hair_has_its_color(faces):
    def color(name):
        ours = [(picture, mask[::2, ::2]) for member, picture, mask in faces if name in member.person.attributes]
        return np.median([np.median(picture[mask == HAIR], axis=0) for picture, mask in ours], axis=0)

    black, brown, blond, gray = map(color, ("Black_Hair", "Brown_Hair", "Blond_Hair", "Gray_Hair"))
    assert black.max() < 80 < brown.max() < 150 < blond[0] and gray.min() > 120
    assert brown[0] > brown[2] + 40 and blond[0] > blond[2] + 40 and np.ptp(gray) < 25


def by_degree(male, column, seed, **others):
    """One person with every degree of a column, all else equal."""
    degrees = dict(bangs=0, eyeglasses=0, beard=0, smiling=1, age=2) | others
    character, day = random.Random(seed), random.Random(seed)  # noqa: S311
    person = people.invent(character, day, male, degrees)
    person.attributes -= {"Goatee", "Receding_Hairline", "Wavy_Hair", "Wearing_Hat"}
    return [dataclasses.replace(person, **{column: degree}) for degree in range(6)]


def measure(column, face, first):
    """How much of a degree one sees in a face, (picture, mask), of which `first` has the degree 0."""
    picture, mask = face
    changed = abs(picture - first[0]).max(axis=2)
    eyes = (first[1] == L_EYE) | (first[1] == R_EYE)
    lines = np.arange(512)[:, None]
    if column == "bangs":
        forehead = (first[1] == SKIN) & (lines < np.nonzero(first[1] == L_BROW)[0].min())
        return (mask[forehead] == HAIR).mean()
    if column == "eyeglasses":  # through sunglasses one does not see the eyes
        return picture[eyes].mean() < 80, (changed[~eyes] > 40).sum()
    if column == "beard":
        return (changed * (lines > np.nonzero(first[1] == NOSE)[0].max())).sum()
    if column == "smiling":  # the corners of the mouth rise first, then it opens
        y, x = np.nonzero((mask == U_LIP) | (mask == L_LIP))
        corners = (x < x.min() + 4) | (x > x.max() - 4)
        return (mask == MOUTH).sum(), y[abs(x - 256) < 4].mean() - y[corners].mean()
    wrinkles = abs(np.diff(picture.sum(axis=2), axis=0))[(mask == SKIN)[1:]] > 18
    return 1.2 * (mask == L_EYE).sum() < (first[1] == L_EYE).sum(), wrinkles.sum()  # children have large eyes


@pytest.mark.parametrize(
    "column, male, seed", [("bangs", 0, 1), ("eyeglasses", 0, 8), ("beard", 1, 10), ("smiling", 1, 4), ("age", 0, 12)]
)
def test_one_sees_every_degree(column, male, seed):
    faces = [paint(person) for person in by_degree(male, column, seed)]
    seen = [measure(column, face, faces[0]) for face in faces]
    assert seen == sorted(seen) and len(set(seen)) == 6
    if column == "bangs":
        assert seen == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1], abs=0.08)


def test_mask_and_picture_are_one_drawing():
    """Where the mask says hat, the picture has the hat's shapes: painted in plain colors the two agree."""
    person = dataclasses.replace(by_degree(True, "bangs", 14)[3], eyeglasses=3)
    person.attributes.add("Wearing_Hat")
    layers = [layer for layer in drawing.draw(person) if layer.part]
    layers = [layer._replace(color=(12 * MASK_CLASSES.index(layer.part),) * 3) for layer in layers]
    picture = np.array(painting.picture(person, layers, painting.HQ_VIEW, (512, 512), finer=1))[:, :, 0] // 12
    assert (picture == np.array(painting.mask(drawing.draw(person)))).mean() > 0.995


# --------------------------------------------------------------------------------------------- the same, and the place


def test_same_arguments_same_bytes(tmp_path):
    """In two processes that hash strings differently."""
    code = "import sys; from conversion.demo.command import write_release; write_release(sys.argv[1], 1, 2, 7)"
    environment = os.environ | {"PYTHONHASHSEED": "1", "TZ": "UTC1"}
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "1")], check=True, cwd=ROOT, env=environment)  # noqa: S603
    write_release(str(tmp_path / "2"), 1, 2, 7)
    assert tree(tmp_path / "1") == tree(tmp_path / "2")
    making.write_release(tmp_path / "3", 1, 1, 7)
    making.write_release(tmp_path / "4", 1, 1, 8)
    assert tree(tmp_path / "3")[f"{HQ}/image.zip"] != tree(tmp_path / "4")[f"{HQ}/image.zip"]


def small(out):
    return making.write_release(out, 1, 1)


def test_an_earlier_demo_is_replaced(tmp_path):
    """An empty folder, too, and what a link leads to."""
    making.write_release(tmp_path / "demo", 2, 2)
    (tmp_path / "empty").mkdir()
    os.symlink(tmp_path / "demo", tmp_path / "link")
    for name in ("new", "empty", "link"):
        small(tmp_path / name)
        assert tree(tmp_path / name) == tree(tmp_path / "new")
    assert sorted(os.listdir(tmp_path)) == ["demo", "empty", "link", "new"]
    assert (tmp_path / "link").is_symlink()
    assert len(tree(tmp_path / "demo")) == 23  # lists of degrees without a row are left out


@pytest.mark.parametrize("name", [f"{HQ}/mine.txt", "README.txt"])
def test_nothing_of_others_is_touched(tmp_path, name):
    small(tmp_path / "out")
    (tmp_path / "out" / name).write_text("The CelebA-Dialog release\n")
    before = tree(tmp_path)
    with pytest.raises(UsageError, match="out: .*Give a new or empty folder"):
        small(tmp_path / "out")
    assert tree(tmp_path) == before and os.listdir(tmp_path) == ["out"]


def test_a_full_disk_leaves_what_was_there(tmp_path, monkeypatch):
    small(tmp_path / "demo")
    before = tree(tmp_path)
    full = mock.Mock(side_effect=OSError(errno.ENOSPC, "No space left on device"))
    monkeypatch.setattr(zipfile.ZipFile, "writestr", full)
    for name in ("demo", "new"):
        with pytest.raises(EnvironmentFault, match="No space left on device"):
            small(tmp_path / name)
    assert tree(tmp_path) == before and os.listdir(tmp_path) == ["demo"]


@pytest.mark.parametrize("numbers", [("--standard", "-1"), ("--hq", "10001")])
def test_command_refuses_odd_numbers(tmp_path, capsys, numbers):
    assert command_line.main(["demo", str(tmp_path / "demo"), *numbers]) == 2
    said = capsys.readouterr().err
    assert " ".join(numbers) in said and said.count("\n") == 1
    assert os.listdir(tmp_path) == []


def test_command(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert command_line.main(["demo", "a demo", "--hq", "1", "--standard", "2", "--seed", "5"]) == 0
    out, said = tmp_path / "a demo", capsys.readouterr()
    last = said.err.splitlines()[-1]
    assert said.out == "" and last == f"Next: celeba-dialog build {shlex.quote(str(out))} celeba_dialog"
    assert len(tree(out)) == 24  # no list of degrees of test: two images have degrees
    with zipfile.ZipFile(out / HQ / "image.zip") as archive:
        assert Image.open(io.BytesIO(archive.read("image/0.jpg"))).size == (1024, 1024)
    assert "--seed 5" in (out / "README.txt").read_text()
    with pytest.raises(SystemExit):
        command_line.main(["demo", "--help"])
    assert re.search("takes about . seconds and . MB", capsys.readouterr().out)
