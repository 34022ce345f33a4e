"""Each recipe runs as a researcher runs it, on the demo, and shows what it is for. `make recipes` runs these tests."""

import collections
import importlib
import io
import math
import os
import re
import subprocess
import sys
from pathlib import Path

import datasets
import numpy as np
import pyarrow.parquet as pq
import pytest
from making import write_release
from PIL import Image

from conversion.parquet import command as build

transformers = pytest.importorskip("transformers", reason="the recipes have an environment of their own: make recipes")

import analysis  # noqa: E402
import classification  # noqa: E402
import dialogue  # noqa: E402
import image_text  # noqa: E402
import segmentation  # noqa: E402
import timm  # noqa: E402
import torch  # noqa: E402
from torchvision import tv_tensors  # noqa: E402

from celeba_dialog import DEGREE_MEANINGS, DEGREES, MASK_CLASSES  # noqa: E402

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
CONFIGS = ("hq", "hq_512", "hq_256", "standard")


@pytest.fixture(scope="session")
def home(tmp_path_factory):
    """A folder as the recipes assume it to be the working directory: the built folder celeba_dialog/ is in it."""
    home = tmp_path_factory.mktemp("home")
    write_release(home / "release", hq=24, standard=66)
    build.build(home / "release", home / "celeba_dialog", CONFIGS, workers=1, allow_incomplete=True)
    return home


@pytest.fixture
def here(home, monkeypatch):
    """The same folder, as the working directory of this process."""
    monkeypatch.chdir(home)
    return home


def run(home, script, *words, launcher=(sys.executable,)):
    """What a recipe prints. It runs in the folder `home`, and must end well."""
    environment = os.environ | {
        "HF_HOME": str(home / ".cache"),
        "HF_HUB_OFFLINE": "1",
        "ACCELERATE_USE_CPU": "1",
        "OMP_NUM_THREADS": "1",  # the models are too small for more
        "PYTHONDONTWRITEBYTECODE": "",  # or each recipe compiles these libraries anew, for 20 seconds
    }
    done = subprocess.run(  # noqa: S603
        [*launcher, str(HERE / script), *words], cwd=home, env=environment, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def shards(home, config, split="train"):
    return sorted((home / "celeba_dialog" / config).glob(f"{split}-*.parquet"))


def truth(home, config, columns=None):
    """The rows of train, read by pyarrow alone."""
    return [row for path in shards(home, config) for row in pq.read_table(path, columns=columns).to_pylist()]


def assert_epochs(text, rows):
    """More than one epoch, each of which saw every row once, with a loss that is a number."""
    epochs = re.findall(r"^epoch (\d+): (\d+) rows, (\d+) different, loss (\S+)$", text, re.M)
    assert len(epochs) == 2
    for epoch in epochs:
        assert int(epoch[1]) == int(epoch[2]) == rows > 4
        assert 0 < float(epoch[3]) < math.inf


def test_text_to_image(home):
    options = "--dataset_name celeba_dialog --dataset_config_name hq_512 --image_column image --caption_column caption"
    assert_epochs(run(home, "text_to_image.py", *options.split()), len(truth(home, "hq_512", ["caption"])))


def test_a_filtered_set_is_handed_on(home, tmp_path):
    smiling = [row for row in truth(home, "hq", ["smiling", "image"]) if row["smiling"] >= 3]
    assert f"{len(smiling)} of " in run(home, "filtered.py")
    assert pq.read_table(home / "smiling" / "train.parquet").column("image").to_pylist() == [
        row["image"] for row in smiling
    ]
    assert_epochs(run(home, "text_to_image.py", "--dataset_name", "smiling"), len(smiling))


def test_segmentation(home):
    text = run(home, "segmentation.py")
    assert_epochs(text, len(truth(home, "hq_512", ["file_name"])))
    for line in re.findall("^classes: (.*)$", text, re.M):
        assert {"background", "skin", "nose", "hair"} <= set(line.split()) <= set(MASK_CLASSES)


def test_one_crop_and_one_flip_for_image_and_mask():
    """A picture that is white where the mask is background, whichever way both are turned and cut."""
    torch.manual_seed(0)
    indices = np.zeros((512, 512), np.uint8)
    indices[100:400, 50:300] = 4
    image, mask = Image.fromarray(np.where(indices == 0, 255, 0).astype(np.uint8)), Image.fromarray(indices)
    sides = set()
    for _ in range(12):
        picture, classes = segmentation.augment(image, mask)
        assert picture.shape == (3, 256, 256)
        assert ((picture[:1] > 127) == (classes == 0)).float().mean() > 0.98
        sides |= set(classes.unique().tolist())
    assert sides == {0, 4, 5}  # some mirrored, some not


def test_in_a_mirror_left_and_right_change_places(home):
    """The left eye, brow and ear are to the right in the picture, before and after; the rest is turned around."""
    image = tv_tensors.Image(torch.zeros(3, 512, 512, dtype=torch.uint8))
    seen = set()
    for row in truth(home, "hq_512", ["mask"]):
        mask = tv_tensors.Mask(np.array(Image.open(io.BytesIO(row["mask"]["bytes"])))[None])
        mirrored = segmentation.mirror(image, mask)[1]
        assert torch.equal(segmentation.mirror(image, mirrored)[1], mask)
        for index, name in enumerate(MASK_CLASSES):
            if name.startswith(("l_", "r_")) and name != "l_lip":
                for faces in (mask, mirrored):
                    across = (faces[0] == index).nonzero()[:, 1].float()
                    assert not len(across) or (across.mean() > 256) == (name[0] == "l"), name
                    seen |= {name} if len(across) else set()
            else:
                assert torch.equal((mirrored == index).flip(-1), mask == index), name
    assert len(seen) == 6


@pytest.fixture(scope="module")
def grey(home):
    """What the recipe writes, read by pyarrow alone."""
    assert run(home, "grey_masks.py") == f"{len(truth(home, 'hq_256', ['age']))} rows in grey/train.parquet\n"
    return pq.read_table(home / "grey" / "train.parquet").to_pylist()


# Module -> how it reads a PNG as one number for each pixel.
READERS = {
    "cv2": lambda cv2, data: cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE),
    "tensorflow": lambda tensorflow, data: tensorflow.io.decode_png(data, channels=1)[..., 0].numpy(),
    "daft": lambda daft, data: (
        daft.from_pydict({"mask": [data]})
        .select(daft.col("mask").decode_image(mode="L"))
        .to_pydict()["mask"][0][..., 0]
    ),
    "PIL.Image": lambda pillow, data: np.asarray(pillow.open(io.BytesIO(data)).convert("L")),
}


@pytest.mark.parametrize("name", READERS)
def test_who_needs_grey_masks(name, grey, home):
    """They see other numbers in the palette masks, without a word, and the classes in grey ones."""
    module = importlib.import_module(name)
    for palette, one in zip(truth(home, "hq_256", ["mask"]), grey):
        indices = np.asarray(Image.open(io.BytesIO(palette["mask"]["bytes"])))
        assert not np.array_equal(READERS[name](module, palette["mask"]["bytes"]), indices)
        assert np.array_equal(READERS[name](module, one["mask"]["bytes"]), indices)


def test_grey_masks_harm_nothing(grey, home):
    rows = truth(home, "hq_256")
    assert [row | {"mask": None} for row in grey] == [row | {"mask": None} for row in rows]
    assert {Image.open(io.BytesIO(row["mask"]["bytes"])).mode for row in grey} == {"L"}
    features = datasets.load_dataset(str(home / "celeba_dialog"), "hq_256", split="train").features
    assert datasets.load_dataset(str(home / "grey"), split="train").features == features


def test_classification(home):
    text = run(home, "classification.py")
    count = len(truth(home, "standard", ["smiling"]))
    rows = count - math.ceil(count / 4)
    for task in ("degree", "attributes"):
        found = re.search(rf"^{task}: (\d+) rows, (\d+) steps, loss (\S+), accuracy (\S+)$", text, re.M)
        assert (int(found[1]), int(found[2])) == (rows, 2 * math.ceil(rows / 8))
        assert 0 < float(found[3]) < math.inf
        assert 0 <= float(found[4]) <= 1


def test_an_attribute_by_name_of_some_of_the_rows(here):
    """Of all rows, tests/matrix/test_names.py has it."""
    rows = datasets.load_dataset("celeba_dialog", "standard", split="train")
    few = rows.filter(lambda degree: degree >= 3, input_columns="smiling")
    named = classification.with_attribute(few, "Wearing_Hat")
    assert named["Wearing_Hat"][:] == [row[35] for row in few["attributes"]]
    assert 0 < len(few) < len(rows)


def test_timm(here):
    text = run(here, "timm_reader.py")
    degrees = [row["smiling"] for row in truth(here, "hq_256", ["smiling"])]
    assert f"classes: {' '.join(DEGREES['smiling'])}\n" in text
    epochs = re.findall(r"^epoch \d: (\d+) of (\d+) rows, loss (\S+)$", text, re.M)
    assert len(epochs) == 2
    for rows, count, loss in epochs:
        assert (int(rows), int(count)) == (len(degrees) // 4 * 4, len(degrees))
        assert 0 < float(loss) < math.inf
    dataset = timm.data.create_dataset("hfds/celeba_dialog/hq_256", root=None, split="train", target_key="smiling")
    assert [dataset[index][1] for index in range(len(dataset))] == degrees


def test_image_and_text(home):
    text = run(home, "image_text.py")
    rows = truth(home, "hq_256", ["caption", "attribute_captions"])
    assert_epochs(text, len(rows))
    texts = {text for row in rows for text in (row["caption"], *row["attribute_captions"].values())}
    shown = re.findall("^[0-9]+ texts, such as: (.+)$", text, re.M)
    assert len(shown) == 2
    assert set(shown) <= texts - {""}


def test_no_text_of_an_image_is_empty(home):
    for row in truth(home, "hq_256", ["caption", "attribute_captions"]):
        each = [text for text in row["attribute_captions"].values() if text]  # some have none of the beard
        assert image_text.texts_of(row) == [row["caption"], *each]


def test_dialogue(home):
    text = run(home, "dialogue.py")
    requests = [row["request"] for row in truth(home, "hq_256", ["request"])]
    found = re.search(r"^(\d+) conversations, (\d+) steps, loss (\S+)$", text, re.M)
    assert (int(found[1]), int(found[2])) == (len(requests), 2 * math.ceil(len(requests) / 4))
    assert 0 < float(found[3]) < math.inf
    assert f"user: {requests[0]}\n" in text


@pytest.mark.parametrize(
    "direction, value, degree, wanted", [("negative", 2, 4, 2), ("negative", 2, 1, 0), ("positive", -1, 5, 5)]
)
def test_a_request_is_not_answered_beyond_the_ends(direction, value, degree, wanted):
    mode = "change_definite" if value > 0 else "change_indefinite"
    request = {"attribute": "bangs", "mode": mode, "direction": direction, "value": value, "target": -1}
    assert dialogue.wanted(request, degree) == wanted
    assert ("That is so already: " in dialogue.answer(request, degree)) == (wanted == degree)


def test_every_request_is_answered_by_its_labels(here):
    rows = truth(here, "hq_256")
    found = dialogue.conversations(datasets.load_dataset("celeba_dialog", "hq_256", split="train"))
    assert len(found) == len(rows)
    undecoded = found.cast_column("image", datasets.Image(decode=False))
    modes = set()
    for row, conversation in zip(rows, undecoded):
        assert conversation["image"]["bytes"] == row["image"]["bytes"]
        assert conversation["prompt"] == [{"role": "user", "content": row["request"]}]
        labels = row["request_labels"]
        column = list(DEGREES)[labels["attribute"]]
        sign = {0: 0, 1: -1, 2: 1}[labels["direction"]]  # none, negative, positive
        then = labels["target"] if sign == 0 else row[column] + sign * max(labels["value"], 1)
        [turn] = conversation["completion"]
        assert turn["role"] == "assistant"
        for degree in (row[column], then):
            assert DEGREE_MEANINGS[column][degree] in turn["content"]
        modes.add(labels["mode"])
    assert modes == {0, 1, 2}


@pytest.mark.parametrize("processes", [1, 2])
def test_stop_and_resume(processes, home):
    sizes = [pq.read_metadata(path).num_rows for path in shards(home, "standard")]
    by_process = [sum(math.ceil(size / 4) for size in sizes[first::2]) for first in range(2)]
    assert len(sizes) == 4
    assert by_process[0] != by_process[1]  # batches: so one process has to wait for the other
    launcher = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2"]
    text = run(home, "stop_and_resume.py", launcher=launcher if processes == 2 else (sys.executable,))
    epochs = re.findall(r"^epoch (\d): (\d+) rows, then (\d+), (\d+) different, by (\d) processes$", text, re.M)
    assert [epoch[0] for epoch in epochs] == ["0", "1"]
    for _, before, after, different, found in epochs:
        assert int(found) == processes
        assert int(before) == 8 * processes
        assert int(before) + int(after) == int(different) == sum(sizes)


def test_analysis(here):
    rows = truth(here, "standard", ["smiling", "attributes", "request_labels"])
    features = datasets.load_dataset_builder("celeba_dialog", "standard").info.features
    smiles = analysis.smiles(features).rows()
    assert [smile[0] for smile in smiles] == list(DEGREES["smiling"])
    for degree, (_, images, men) in enumerate(smiles):
        male = [row["attributes"][20] for row in rows if row["smiling"] == degree]
        assert images == len(male)
        assert men == pytest.approx(sum(male) / len(male))

    names = {name: kind.names for name, kind in features["request_labels"].items() if hasattr(kind, "names")}
    labels = [row["request_labels"] for row in rows]
    expected = collections.Counter(tuple(names[field][each[field]] for field in names) for each in labels)
    assert {row[:3]: row[3] for row in analysis.requests(features).rows()} == expected
    assert "very_big_smile" in run(here, "analysis.py")


def test_the_readme_tells_every_recipe():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    recipes = {path.name for path in HERE.glob("*.py")} - {"tiny.py", Path(__file__).name}
    assert set(re.findall(r"\]\(tests/recipes/(\w+\.py)\)", text)) == recipes
    (snippet,) = re.findall(r"^```python\n(.*?)^```$", text.split("\n## Mind\n")[1], re.M | re.S)
    *lines, _ = snippet.splitlines()  # the last one says where to
    assert "\n".join(lines) in (HERE / "filtered.py").read_text(encoding="utf-8")
