"""The dataset card of a built demo, against the demo's truth, YAML and the real `datasets`."""

import hashlib
import io
import json
import re
import shutil
import sys

import datasets
import huggingface_hub
import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml
from making import write_release
from PIL import Image
from releases import at, change_json, members, pack

import celeba_dialog
from celeba_dialog import SPLITS
from conversion import card
from conversion.parquet import command as build
from conversion.parquet import schema
from conversion.release.errors import EnvironmentFault
from conversion.release.official import FILES
from conversion.release.vocabulary import ATTRIBUTES, CITATION, DEGREE_MEANINGS, DEGREES, MASK_CLASSES, MASK_COLORS
from conversion.runtime import files

CONFIGS = ("hq", "hq_256", "hq_parts", "standard")


def features_of(name):
    return celeba_dialog.features_of(*celeba_dialog.family(name))


@pytest.fixture(scope="module")
def rows():
    """{subset: {split: rows}} of the demo that the card is of; `folder` fills it."""
    return {}


@pytest.fixture(scope="module")
def folder(rows, tmp_path_factory):
    """The demo, of which a mask is missing, built."""
    home = tmp_path_factory.mktemp("card")
    truth = write_release(home / "release", hq=12, standard=30)
    *masks, (last, _) = members(at(home / "release", "hq_masks"))
    pack(at(home / "release", "hq_masks"), masks)
    for row in truth["hq"]:
        row["mask"] = None if last.endswith(f"/{row['mask']['path']}") else row["mask"]
    for subset, found in truth.items():
        rows[subset] = {split: [row for row in found if row["split"] == split] for split in SPLITS}
    build.build(home / "release", home / "celeba_dialog", CONFIGS, workers=1, allow_incomplete=True)
    return home / "celeba_dialog"


@pytest.fixture(scope="module")
def example(rows, folder):
    """The row that the card shows."""
    row = {name: value for name, value in rows["hq"]["train"][0].items() if name not in ("split", "parts")}
    image, mask = (len(row[name]["bytes"]) for name in ("image", "mask"))
    return row | {"image": f"<{image:,} bytes of JPEG>", "mask": f"<{mask:,} bytes of PNG>"}


@pytest.fixture
def render(folder, example, no_picture):
    """A function that renders the card, of a manifest that is changed."""

    def render(change=lambda manifest: None):
        manifest = json.loads((folder / "manifest.json").read_text())
        change(manifest)
        return card.render(manifest, example)["README.md"].decode()

    return render


@pytest.fixture(scope="module")
def text(folder):
    return (folder / "README.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def head(folder, text):
    """The YAML, which the Hub's library reads alike."""
    head = yaml.safe_load(text.split("---\n")[1])
    assert huggingface_hub.metadata_load(folder / "README.md") == head
    return head


@pytest.fixture
def no_picture(monkeypatch):
    """It would take a second each time."""
    monkeypatch.setattr(card.charts, "statistics", lambda _: b"")


@pytest.fixture
def home(monkeypatch, tmp_path):
    """The working directory, and an empty cache."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    return tmp_path


@pytest.fixture
def here(folder, home, monkeypatch):
    """The working directory is where the built folder lies."""
    monkeypatch.chdir(folder.parent)


@pytest.mark.parametrize("name", CONFIGS)
def test_the_yaml_is_the_features_again(name):
    assert datasets.Features._from_yaml_list(schema.portable_yaml(features_of(name))) == features_of(name)


def test_names_and_splits_are_listed_in_the_usual_order(here):
    assert datasets.get_dataset_config_names("celeba_dialog") == list(CONFIGS)
    assert datasets.get_dataset_split_names("celeba_dialog", "standard") == list(SPLITS)
    assert datasets.load_dataset("celeba_dialog", split="test").features == features_of("hq")


@pytest.mark.parametrize("streaming", [False, True])
def test_a_shard_that_is_missing_is_named(streaming, folder, home):
    shutil.copytree(folder, "celeba_dialog")
    missing = home / "celeba_dialog" / "hq" / "test-00000-of-00001.parquet"
    missing.unlink()
    for config in ("hq", "standard"):
        with pytest.raises(FileNotFoundError, match=missing.name):
            datasets.load_dataset("celeba_dialog", config, split="train", streaming=streaming)
    # What the card warns of: a config's folder as a dataset of its own has no list of its files.
    assert "test" not in datasets.load_dataset("celeba_dialog/hq", streaming=streaming)


@pytest.mark.skipif(tuple(map(int, datasets.__version__.split(".")[:2])) < (3, 2), reason="`filters` came with 3.2")
@pytest.mark.parametrize("streaming", [False, True])
def test_filters(streaming, rows, here):
    """The YAML gives no sizes of splits, against which `datasets` would hold the rows that pass."""
    options = {"split": "train", "filters": [("smiling", ">=", 4)], "streaming": streaming}
    found = [row["file_name"] for row in datasets.load_dataset("celeba_dialog", "hq", **options)]
    assert found == [row["file_name"] for row in rows["hq"]["train"] if row["smiling"] >= 4] != []


def test_rows_that_changed_are_not_served_from_the_cache(no_picture, home):
    def size_with(caption):
        change_json(home / "release", "hq_captions", lambda told: told["0.jpg"].update(overall_caption=caption))
        build.build(home / "release", home / "celeba_dialog", ["hq"], workers=1)
        assert datasets.load_dataset("celeba_dialog", "hq", split="train")["caption"][:] == [caption]
        return sum(path.stat().st_size for path in home.glob("celeba_dialog/hq/*"))

    write_release(home / "release", hq=1, standard=1)
    assert size_with("x") == size_with("y"), "sizes differ, so that this test would pass without a digest"


# ------------------------------------------------------------------------------------------------------------ the YAML


def test_the_yaml_tells_datasets_and_the_hub_what_is_there(head, folder):
    configs = {config["config_name"]: config for config in head["configs"]}
    assert list(configs) == list(CONFIGS)
    assert [name for name, config in configs.items() if config.get("default")] == ["hq"]
    assert configs["hq_256"]["version"] == celeba_dialog.__version__
    assert configs["standard"]["data_files"] == [
        {"split": split, "path": sorted(f"standard/{path.name}" for path in folder.glob(f"standard/{split}-*"))}
        for split in SPLITS
    ]
    digests = {re.fullmatch("content ([0-9a-f]{64})", config["description"])[1] for config in configs.values()}
    assert len(digests) == 4

    for info in head["dataset_info"]:
        shards = sorted((folder / info["config_name"]).iterdir())
        assert info["download_size"] == sum(shard.stat().st_size for shard in shards)
        assert info["dataset_size"] == pytest.approx(sum(pq.read_table(shard).nbytes for shard in shards), rel=0.02)
        assert "splits" not in info


def test_the_yaml_names_license_tasks_and_sources(head):
    assert (head["pretty_name"], head["license"], head["language"]) == ("CelebA-Dialog", "other", ["en"])
    assert re.fullmatch("[a-z0-9.-]+", head["license_name"])  # as the Hub wants it
    assert head["license_link"] == "https://mmlab.ie.cuhk.edu.hk/projects/CelebA/CelebA_Dialog.html"
    assert head["size_categories"] == ["n<1K"]
    tasks = "image-classification image-segmentation image-to-image image-to-text text-to-image"
    assert sorted(head["task_categories"]) == tasks.split()
    assert all(source.startswith("extended|other-") for source in head["source_datasets"])
    agreement = (files.DATASET_CARD / "agreement.md").read_text(encoding="utf-8")
    assert head["extra_gated_prompt"].strip() == agreement.strip()


def test_sizes_are_those_of_images_not_of_configs(render):
    def full(manifest):
        for name, count in (("hq", 24000), ("hq_256", 24000), ("hq_parts", 24000), ("standard", 60000)):
            manifest["configs"][name]["splits"]["train"]["rows"] = count
        manifest["sources"][0].update(path="a|b/masks/", files=4321)

    readme = render(full)
    assert yaml.safe_load(readme.split("---\n")[1])["size_categories"] == ["10K<n<100K"]
    assert r"`a\|b/masks/` (4,321 files)" in readme


# ------------------------------------------------------------------------------------------------------------ the text


def test_everything_there_is_has_its_place_in_the_text(text):
    body = text.split("---\n", 2)[2]
    tables = {}
    for heading, content in re.findall("^##+ (.*)\n((?:(?!##).*\n)*)", body, re.MULTILINE):
        tables[heading] = [line for line in content.splitlines() if line.startswith("|")]

    for heading, names in ("Columns", {**features_of("hq_parts"), **features_of("standard")}), ("Loading", CONFIGS):
        assert all(any(line.startswith(f"| `{name}`") for line in tables[heading]) for name in names)
    classes = [line.split("|")[3].strip() for line in tables["Degrees"][2:]]
    assert classes == [f"`{name}`" for names in DEGREES.values() for name in names]
    meanings = [line.split("|")[4].strip() for line in tables["Degrees"][2:]]
    assert meanings == [meaning for column in DEGREE_MEANINGS.values() for meaning in column]
    masks = [[cell.strip("` ") for cell in line.split("|")[1:4]] for line in tables["Masks"][2:]]
    assert [mask[:2] for mask in masks] == [[str(i), name] for i, name in enumerate(MASK_CLASSES)]
    assert masks[13] == ["13", "hair", "#0000CC"]
    named = [line.split("|")[2].strip() for line in tables["Binary attributes"][2:]]
    assert named == [f"`{name}`" for name in ATTRIBUTES]
    for line in tables["Columns"][2:] + tables["Masks"][2:] + tables["What it was built from"][2:]:
        assert all(cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]), line
    assert "`ClassLabel`: 0 `target`, 1 `change_definite`, 2 `change_indefinite`" in body
    assert not re.search(r"\{\{|\}\}|\{%|undefined|  \n", body)
    titles = re.findall("^##+ (.*)", body, re.MULTILINE)
    anchors = {re.sub("[^a-z -]", "", title.lower()).replace(" ", "-") for title in titles}
    assert set(re.findall(r"\]\(#([a-z-]+)\)", body)) <= anchors


def line(*cells):
    return f"\n| {' | '.join(map(str, cells))} |"


def count(rows, column, value):
    return sum(row[column] == value for row in rows)


def test_numbers_are_those_of_the_build(text, rows, folder):
    shares = []
    for subset, names in (("hq", "`hq`, `hq_256`, `hq_parts`"), ("standard", "`standard`")):
        splits = rows[subset]
        assert line(names, *map(len, splits.values())) in text
        assert line("`eyeglasses`", "train", *(count(splits["train"], "eyeglasses", n) for n in range(-1, 6))) in text
        for split, found in splits.items():
            lacking = [count(found, name, value) for name, value in (("age", -1), ("caption", ""), ("request", ""))]
            masks = count(found, "mask", None) if subset == "hq" else "no masks"
            assert line(names if split == "train" else "", split, lacking[0], 0, *lacking[1:], masks) in text
            men = sum(row["attributes"][20] for row in found)
            shares.append(f"{men} ({100 * men / len(found):.1f}%)")
    assert line(20, "`Male`", *shares) in text
    assert "| *complete release: hq* | *24,182* | *2,993* | *2,824* | *1* |" in text
    path = at(folder.parent / "release", "hq_images")
    size, digest = path.stat().st_size, hashlib.sha256(path.read_bytes()).hexdigest()
    assert f"`{FILES['hq_images'].path}` | {size:,} | `{digest}`" in text
    assert "1 to 162770, validation is 162771 to 182637, test is 182638 to 202599" in text
    assert "1 HQ image and 21 standard ones" in text
    known = re.search("these 19 are known:\n([0-9, ]+)[.]\n", text)[1].split(", ")
    assert len(known) == 19 and known[0] == "011793" and known[-1] == "179577" and "039459" in known


def test_the_example_names_the_classes(text, example):
    block = re.search("```text\n(.*?)```", text, re.DOTALL)[1]
    bangs, labels = example["bangs"], example["request_labels"]
    assert f"image: {example['image']}\nmask: {example['mask']}\nbangs: {bangs}  # {DEGREES['bangs'][bangs]}\n" in block
    first, second, *_ = [name for name, yes in zip(ATTRIBUTES, example["attributes"]) if yes]
    assert f"  # yes for {first}, {second}," in block
    assert f'celeba_file_name: "{example["celeba_file_name"]}"\n' in block
    attribute = labels["attribute"]
    assert f"request_labels:\n  attribute: {attribute}  # {list(DEGREES)[attribute]}\n  mode: " in block


def test_agreement_and_citations_are_in_it(text):
    assert (files.DATASET_CARD / "agreement.md").read_text(encoding="utf-8").strip() in text
    assert CITATION in text
    for title in ("MaskGAN", "Progressive Growing of {GANs}", "Deep Learning Face Attributes in the Wild"):
        assert title in text
    assert len(re.findall(r"^@inproceedings\{", text, re.MULTILINE)) == 4


def test_a_partial_build_and_a_demo_say_so_first(text, render):
    start = text.split("\n# CelebA-Dialog\n")[1][:900]
    assert "This build is partial" in start
    assert "\n> * CelebA-Dialog (HQ)/mask/CelebAMask-HQ-mask-color-palette.zip: 11 of 12 masks\n" in start
    assert "Every face in it is a drawing, and every label and text is made up" in start
    official = render(lambda manifest: manifest["release"].update(incomplete=[]))
    assert "partial" not in official and "drawing" not in official


def test_standard_alone_needs_neither_masks_nor_hq(no_picture, home):
    """Nor a label."""
    write_release(home / "release", hq=1, standard=2)
    at(home / "release", "standard_attributes").unlink()
    build.build(home / "release", home / "celeba_dialog", ["standard"], workers=1, allow_incomplete=True)
    alone = (home / "celeba_dialog" / "README.md").read_text(encoding="utf-8")
    assert not (home / "celeba_dialog" / "legend.png").exists()
    assert "legend.png" not in alone and "MASK_CLASSES" not in alone and "image-segmentation" not in alone
    assert 'load_dataset("celeba_dialog", "standard", split="train")' in alone
    assert "| 20 | `Male` | 0 (-) |" in alone
    assert len(datasets.load_dataset("celeba_dialog", split="train")) > 0


def test_what_a_mirror_exchanges(text):
    [pairs] = re.findall(r"exchanges ((?:\d and \d,? ?)+) in its\s+mask", text)
    sides = [(f"l_{part}", f"r_{part}") for part in ("eye", "brow", "ear")]
    assert [tuple(MASK_CLASSES[int(index)] for index in pair.split(" and ")) for pair in pairs.split(", ")] == sides


def test_recipes_run(here, text, rows):
    pytest.importorskip("torch")
    recipes = re.findall("```python\n(.*?)```", text, re.DOTALL)
    assert len(recipes) == 6
    train, found = rows["hq"]["train"], {}
    for recipe in recipes:
        exec(compile(recipe, "README.md", "exec"), found)  # noqa: S102, our own text
        if '"Male"' in recipe:
            assert found["dataset"].features["Male"] == datasets.ClassLabel(names=["no", "yes"])
            assert found["dataset"]["Male"][:] == [row["attributes"][20] for row in train]
            assert not [file for file in found["dataset"].cache_files if "cache-" in file["filename"]]  # nothing copied
    mask = np.asarray(Image.open(io.BytesIO(train[0]["mask"]["bytes"])))
    assert found["planes"].shape == (19, 512, 512) and np.array_equal(found["hair"], mask == 13)
    assert found["dataset"].column_names == ["image", "text"]
    assert found["dataset"]["text"][:] == [row["caption"] for row in train]
    assert found["captions"]["train"].column_names == ["caption", "attribute_captions"]
    assert found["sunglasses"]["file_name"][:] == [row["file_name"] for row in train if row["eyeglasses"] >= 4]
    assert found["loss"].isfinite()


def test_the_legend_shows_every_colour_as_it_is(folder):
    legend = Image.open(folder / "legend.png").convert("RGB")
    shown = {color for count, color in legend.getcolors(1 << 16) if count >= 400}
    assert set(MASK_COLORS.values()) <= shown


def test_the_same_manifest_gives_the_same_bytes(folder, example):
    """In whatever order it is: that of the file is not that of the build."""
    found = card.render(json.loads((folder / "manifest.json").read_text()), example, demo=True)
    assert sorted(found) == ["README.md", "id2label.json", "legend.png", "statistics.png"]
    assert found == {name: (folder / name).read_bytes() for name in found}


def test_what_is_missing_to_write_it_is_said(render, monkeypatch):
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(EnvironmentFault, match="pip install jinja2"):
        render()
