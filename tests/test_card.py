"""The dataset card and the portable features, against plain pyarrow, YAML and the real `datasets`."""

import hashlib
import io
import json
import re
import sys

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from PIL import Image

import celeba_dialog
from conversion import card
from conversion.parquet import schema
from conversion.release import vocabulary
from conversion.release.errors import EnvironmentFault
from conversion.release.vocabulary import ATTRIBUTES, CITATION, DEGREE_MEANINGS, MASK_CLASSES, MASK_COLORS
from conversion.runtime import files

SPLITS = {"train": 6, "validation": 3, "test": 2, "unlabeled": 1}
DEGREES = ("bangs", "eyeglasses", "beard", "smiling", "age")
CONFIGS = ("hq", "hq_256", "hq_parts", "standard")


def features_of(name):
    return celeba_dialog.features_of(*celeba_dialog.family(name))


def picture(mode, number, kind):
    buffer = io.BytesIO()
    image = Image.new(mode, (8, 8), number if mode == "P" else (number * 20, 90, 40))
    if mode == "P":
        image.putpalette([value for color in MASK_COLORS.values() for value in color])
    image.save(buffer, kind)
    return buffer.getvalue()


def row(number, salt=""):
    """A made-up row with all columns. Row 1 has sunglasses, row 7 no labels and texts, row 4 no mask."""
    labelled = number != 7
    mask = {"bytes": picture("P", 13 + number % 5, "PNG"), "path": f"{number}.png"}
    return {
        "image": {"bytes": picture("RGB", number, "JPEG"), "path": f"{number}.jpg"},
        "mask": None if number == 4 else mask,
        **dict.fromkeys(DEGREES, number % 6 if labelled else -1),
        "eyeglasses": (5 if number == 1 else 0) if labelled else -1,
        "attributes": [number % 2] * 40 if labelled else [-1] * 40,
        "caption": f"Number {number}{salt}." if labelled else "",
        "attribute_captions": {name: f"{name} {number}" if labelled else "" for name in DEGREES},
        "request": f"Change {number}." if labelled else "",
        "request_labels": {"attribute": 3, "mode": 0, "direction": 0, "value": -1, "target": number % 6},
        "identity": 100 + number,
        "file_name": f"{number}.jpg",
        "celeba_file_name": f"{number:06d}.jpg",
        "hq_file_name": "",
        "parts": [{"part": 12, "mask": mask}] * number,
    }


def labels(rows, columns):
    counts = {name: [sum(row[name] == degree for row in rows) for degree in range(-1, 6)] for name in DEGREES}
    counts["attributes"] = [sum(row["attributes"][index] == 1 for row in rows) for index in range(40)]
    counts["attributes_missing"] = sum(row["attributes"][0] == -1 for row in rows)
    counts["captions"] = sum(row["caption"] != "" for row in rows)
    counts["requests"] = sum(row["request"] != "" for row in rows)
    if "mask" in columns:
        counts["masks"] = sum(row["mask"] is not None for row in rows)
    return counts


def built(folder, names=CONFIGS, incomplete=(), salt="", splits=SPLITS):
    """Writes shards with plain pyarrow and the card; returns the manifest."""
    configs = {}
    for name in names:
        subset, parts = celeba_dialog.family(name)
        features = features_of(name)
        metadata = {"huggingface": json.dumps(schema.portable_json(features))}
        entries = {}
        for split, count in splits.items():
            rows = [row(number, salt) for number in (range(count) if split != "unlabeled" else [7])]
            table = pa.Table.from_pylist(rows, features.arrow_schema.with_metadata(metadata))
            path = f"{name}/{split}-00000-of-00001.parquet"
            (folder / name).mkdir(parents=True, exist_ok=True)
            pq.write_table(table, folder / path, compression="NONE")
            data = (folder / path).read_bytes()
            shard = {"path": path, "rows": count, "size": len(data), "memory_bytes": table.nbytes}
            shard["sha256"] = hashlib.sha256(data).hexdigest()
            entries[split] = {
                "rows": count,
                "bytes": len(data),
                "memory_bytes": table.nbytes,
                "labels": labels(rows, features),
                "shards": [shard],
            }
        size = 256 if name == "hq_256" else None
        configs[name] = {"subset": subset, "image_size": size, "parts": parts, "digest": "d", "splits": entries}
    manifest = {
        "format": 1,
        "dataset": "celeba_dialog",
        "release": {"digest": "abc", "incomplete": list(incomplete)},
        "sources": [
            {"role": "hq_images", "path": "image.zip", "size": 1234567, "sha256": "5" * 64},
            {"role": "hq_masks", "path": "a|b/masks/", "size": 89, "files": 4321, "sha256": "6" * 64},
        ],
        "configs": configs,
        "versions": {"celeba_dialog": "1.0.0", "datasets": "5.2.0", "pyarrow": "26.0.1"},
    }
    for name, data in card.render(manifest, example()).items():
        (folder / name).write_bytes(data)
    return manifest


def example():
    return row(1) | {"image": "<JPEG, 8x8>", "mask": "<PNG, 8x8>", "parts": []}


@pytest.fixture(autouse=True)
def no_picture(monkeypatch):
    """It would take a second each time."""
    monkeypatch.setattr(card.charts, "statistics", lambda _: b"")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("built") / "celeba_dialog"
    built(folder)
    return folder


@pytest.fixture(scope="module")
def text(folder):
    return (folder / "README.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def head(text):
    return yaml.safe_load(text.split("---\n")[1])


@pytest.fixture
def here(folder, monkeypatch, tmp_path):
    """The working directory is where the built folder lies, and the cache is empty."""
    monkeypatch.chdir(folder.parent)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    return folder


# --------------------------------------------------------------------------------------------------- portable features


def test_yaml_has_the_forms_that_every_version_of_datasets_reads():
    columns = {column.pop("name"): column for column in schema.portable_yaml(features_of("hq_parts"))}
    assert columns["attributes"] == {"sequence": {"class_label": {"names": {"0": "no", "1": "yes"}}}, "length": 40}
    assert columns["image"] == {"dtype": "image"}
    assert columns["identity"] == {"dtype": "int32"}
    assert columns["attribute_captions"]["struct"][2] == {"name": "beard", "dtype": "string"}
    assert [field["name"] for field in columns["parts"]["list"]] == ["part", "mask"]
    names = columns["smiling"]["dtype"]["class_label"]["names"]
    assert names["0"] == "none" and names["5"] == "very_big_smile" and list(names) == list("012345")


@pytest.mark.parametrize("name", CONFIGS)
def test_the_yaml_is_the_features_again(name):
    assert datasets.Features._from_yaml_list(schema.portable_yaml(features_of(name))) == features_of(name)


# ---------------------------------------------------------------------------------------------------------- loading it


def test_names_and_splits_are_listed_in_the_usual_order(here):
    assert datasets.get_dataset_config_names("celeba_dialog") == list(CONFIGS)
    assert datasets.get_dataset_split_names("celeba_dialog", "standard") == list(SPLITS)
    assert datasets.load_dataset("celeba_dialog", split="test").features == features_of("hq")


@pytest.mark.parametrize("streaming", [False, True])
def test_a_shard_that_is_missing_is_named(streaming, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    built(tmp_path / "celeba_dialog", ["hq", "standard"])
    missing = tmp_path / "celeba_dialog" / "hq" / "test-00000-of-00001.parquet"
    missing.unlink()
    for config in ("hq", "standard"):
        with pytest.raises(FileNotFoundError, match=missing.name):
            datasets.load_dataset("celeba_dialog", config, split="train", streaming=streaming)
    # What the card warns of: a config's folder as a dataset of its own has no list of its files.
    assert "test" not in datasets.load_dataset("celeba_dialog/hq", streaming=streaming)


@pytest.mark.skipif(
    tuple(map(int, datasets.__version__.split(".")[:2])) < (3, 2), reason="`filters` came with datasets 3.2"
)
@pytest.mark.parametrize("streaming", [False, True])
def test_filters(streaming, here):
    """The YAML gives no sizes of splits, against which `datasets` would hold the rows that pass."""
    options = {"split": "train", "filters": [("smiling", ">=", 4)], "streaming": streaming}
    rows = list(datasets.load_dataset("celeba_dialog", "hq", **options))
    assert [row["file_name"] for row in rows] == ["4.jpg", "5.jpg"]


def test_rows_that_changed_are_not_served_from_the_cache(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    sizes = []
    for salt in ("x", "y"):
        manifest = built(tmp_path / "celeba_dialog", ["hq"], salt=salt, splits={"train": 3})
        sizes.append(manifest["configs"]["hq"]["splits"]["train"]["bytes"])
        assert datasets.load_dataset("celeba_dialog", "hq", split="train")[0]["caption"] == f"Number 0{salt}."
    assert sizes[0] == sizes[1], "sizes differ, so that this test would pass without a digest"


# ------------------------------------------------------------------------------------------------------------ the YAML


def test_the_yaml_tells_datasets_and_the_hub_what_is_there(head, folder):
    configs = {config["config_name"]: config for config in head["configs"]}
    assert list(configs) == list(CONFIGS)
    assert [name for name, config in configs.items() if config.get("default")] == ["hq"]
    assert configs["hq_256"]["version"] == "1.0.0"
    assert configs["standard"]["data_files"] == [
        {"split": split, "path": [f"standard/{split}-00000-of-00001.parquet"]} for split in SPLITS
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
    assert "multi-label-image-classification" in head["task_ids"] and "image-captioning" in head["task_ids"]
    assert all(source.startswith("extended|other-") for source in head["source_datasets"])
    assert "non-commercial research" in head["extra_gated_prompt"]
    assert "within the same\n  organization" in head["extra_gated_prompt"]


def test_sizes_are_those_of_images_not_of_configs(tmp_path):
    manifest = built(tmp_path, ["hq", "hq_256", "standard"], splits={"train": 1})
    for name, count in (("hq", 24000), ("hq_256", 24000), ("standard", 60000)):
        manifest["configs"][name]["splits"]["train"]["rows"] = count
    readme = card.render(manifest, example())["README.md"].decode()
    assert yaml.safe_load(readme.split("---\n")[1])["size_categories"] == ["10K<n<100K"]


def test_the_hubs_library_reads_it_and_writes_it_back_unchanged(folder, head, tmp_path):
    from huggingface_hub import DatasetCard, metadata_load

    loaded = DatasetCard.load(folder / "README.md")
    assert loaded.data.to_dict() == head == metadata_load(folder / "README.md")
    loaded.save(tmp_path / "again.md")
    assert (tmp_path / "again.md").read_bytes().rstrip() == (folder / "README.md").read_bytes().rstrip()


# ------------------------------------------------------------------------------------------------------------ the text


def test_everything_there_is_has_its_place_in_the_text(text):
    body = text.split("---\n", 2)[2]
    tables = {}
    for heading, content in re.findall("^##+ (.*)\n((?:(?!##).*\n)*)", body, re.MULTILINE):
        tables[heading] = [line for line in content.splitlines() if line.startswith("|")]

    for heading, names in ("Columns", {**features_of("hq_parts"), **features_of("standard")}), ("Loading", CONFIGS):
        assert all(any(line.startswith(f"| `{name}`") for line in tables[heading]) for name in names)
    classes = [line.split("|")[3].strip() for line in tables["Degrees"][2:]]
    assert classes == [f"`{name}`" for names in vocabulary.DEGREES.values() for name in names]
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


def test_numbers_are_those_of_the_build(text):
    assert "| `hq`, `hq_256`, `hq_parts` | 6 | 3 | 2 | 1 |" in text  # rows per split
    assert "| *complete release: hq* | *24,182* | *2,993* | *2,824* | *1* |" in text
    assert "| `hq`, `hq_256`, `hq_parts` | train | 0 | 0 | 0 | 0 | 1 |" in text  # rows without what
    assert "| `standard` | train | 0 | 0 | 0 | 0 | no masks |" in text
    assert "|  | unlabeled | 1 | 1 | 1 | 1 | no masks |" in text
    assert "| `eyeglasses` | train | 0 | 5 | 0 | 0 | 0 | 0 | 1 |" in text
    assert "| 35 | `Wearing_Hat` | 3 (50.0%) | 1 (33.3%) | 1 (50.0%) | 0 (-) |" in text
    assert "| 3 (50.0%) | 1 (33.3%) | 1 (50.0%) | 0 (-) | 3 (50.0%) | 1 (33.3%) | 1 (50.0%) | 0 (-) |" in text
    assert f"`image.zip` | 1,234,567 | `{'5' * 64}`" in text
    assert r"`a\|b/masks/` (4,321 files)" in text
    assert "1 to 162770, validation is 162771 to 182637, test is 182638 to 202599" in text
    assert "1 HQ image and 21 standard ones" in text
    known = re.search("these 19 are known:\n([0-9, ]+)[.]\n", text)[1].split(", ")
    assert len(known) == 19 and known[0] == "011793" and known[-1] == "179577" and "039459" in known


def test_the_example_names_the_classes(text):
    block = re.search("```text\n(.*?)```", text, re.DOTALL)[1]
    assert "image: <JPEG, 8x8>\nmask: <PNG, 8x8>\nbangs: 1  # very_short\neyeglasses: 5  # thick_sunglasses\n" in block
    assert "# yes for 5_o_Clock_Shadow, Arched_Eyebrows," in block
    assert 'caption: "Number 1."\n' in block
    assert "  attribute: 3  # smiling\n  mode: 0  # target\n  direction: 0  # none\n" in block


def test_agreement_and_citations_are_in_it(text):
    assert (files.DATASET_CARD / "agreement.md").read_text(encoding="utf-8").strip() in text
    assert CITATION in text
    for title in ("MaskGAN", "Progressive Growing of {GANs}", "Deep Learning Face Attributes in the Wild"):
        assert title in text
    assert len(re.findall(r"^@inproceedings\{", text, re.MULTILINE)) == 4


def test_a_partial_build_and_a_demo_say_so_first(tmp_path, text):
    manifest = built(tmp_path, ["hq"], incomplete=["image.zip: 11 of 30,000 images", "captions_hq.json: missing"])
    partial = card.render(manifest, example(), demo=True)["README.md"].decode()
    start = partial.split("\n# CelebA-Dialog\n")[1][:900]
    assert "This build is partial" in start
    assert "> * image.zip: 11 of 30,000 images\n> * captions_hq.json: missing\n" in start
    assert "Every face in it is a drawing, and every label and text is made up" in start
    assert "partial" not in text and "drawing" not in text


def test_sections_that_a_user_of_the_hub_looks_for(text):
    titles = re.findall("^##+ (.*)", text, re.MULTILINE)
    order = ["Uses", "Loading", "Known issues", "Bias, risks and limitations", "Recipes", "Label statistics"]
    assert [title for title in titles if title in order] == order
    linked = re.findall(r"\]\(#([a-z-]+)\)", text)
    assert set(linked) <= {re.sub("[^a-z -]", "", title.lower()).replace(" ", "-") for title in titles}


def test_a_fact_that_the_template_lacks_is_an_error(tmp_path, monkeypatch):
    manifest = built(tmp_path, ["hq"])
    template = (files.DATASET_CARD / "card.md.jinja").read_text(encoding="utf-8")
    monkeypatch.setattr(card, "_text", lambda name: template + "{{ standard.renamed }}")
    with pytest.raises(Exception, match="renamed"):
        card.render(manifest, example())


def test_standard_alone_needs_neither_masks_nor_hq(tmp_path, monkeypatch):
    built(tmp_path / "celeba_dialog", ["standard"], splits={"test": 2})
    alone = (tmp_path / "celeba_dialog" / "README.md").read_text(encoding="utf-8")
    assert not (tmp_path / "celeba_dialog" / "legend.png").exists()
    assert "legend.png" not in alone and "MASK_CLASSES" not in alone and "image-segmentation" not in alone
    assert 'load_dataset("celeba_dialog", "standard", split="test")' in alone
    monkeypatch.chdir(tmp_path)
    assert len(datasets.load_dataset("celeba_dialog", split="test", cache_dir=str(tmp_path / "cache"))) == 2


def test_what_a_mirror_exchanges(text):
    [pairs] = re.findall(r"exchanges ((?:\d and \d,? ?)+) in its\s+mask", text)
    sides = [(f"l_{part}", f"r_{part}") for part in ("eye", "brow", "ear")]
    assert [tuple(MASK_CLASSES[int(index)] for index in pair.split(" and ")) for pair in pairs.split(", ")] == sides


def test_recipes_run(here, text):
    pytest.importorskip("torch")
    recipes = re.findall("```python\n(.*?)```", text, re.DOTALL)
    assert len(recipes) == 6
    found = {}
    for recipe in recipes:
        exec(compile(recipe, "README.md", "exec"), found)  # noqa: S102, our own text
        if '"Male"' in recipe:
            assert found["dataset"].features["Male"] == datasets.ClassLabel(names=["no", "yes"])
            assert found["dataset"]["Male"][:] == [row[20] for row in found["dataset"]["attributes"]]
            assert not [file for file in found["dataset"].cache_files if "cache-" in file["filename"]]  # nothing copied
    assert "male" in found
    assert found["planes"].shape == (19, 8, 8) and found["hair"].all()
    assert found["dataset"].column_names == ["image", "text"]
    assert len(found["dataset"]) == 6
    assert found["captions"]["train"].column_names == ["caption", "attribute_captions"]
    assert found["sunglasses"]["file_name"] == ["1.jpg"]
    assert found["loss"].isfinite()


def test_the_legend_shows_every_colour_as_it_is(folder):
    legend = Image.open(folder / "legend.png").convert("RGB")
    shown = {color for count, color in legend.getcolors(1 << 16) if count >= 400}
    assert set(MASK_COLORS.values()) <= shown


# ------------------------------------------------------------------------------------------------------------ the rest


def test_the_same_manifest_gives_the_same_bytes(tmp_path, monkeypatch):
    manifest = built(tmp_path, ["hq", "standard"])
    monkeypatch.undo()
    first = card.render(manifest, example())
    assert sorted(first) == ["README.md", "id2label.json", "legend.png", "statistics.png"]
    assert card.render(json.loads(json.dumps(manifest, sort_keys=True)), example()) == first  # as read from its file
    assert first["README.md"].endswith(b"```\n")


def test_what_is_missing_to_write_it_is_said(tmp_path, monkeypatch):
    manifest = built(tmp_path, ["hq"])
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(EnvironmentFault, match="pip install jinja2"):
        card.render(manifest, example())
