"""Where nothing of ours is installed: a clone, whose script is named by its path, or the wheel, unpacked."""

import json
import os
import shutil
import subprocess
import sys

import datasets
import doors
import pytest

TRAIN = """
import json, multiprocessing, os, sys
from datasets import load_dataset

door, script, release = sys.argv[1:]

def look(rows):
    return [[row["file_name"], row["smiling"], *row["image"].size] for row in rows]

def look_into(queue, rows):
    queue.put(look(rows))

if __name__ == "__main__":
    if door == "script":
        options = dict(data_dir=release, trust_remote_code=True)
        stream = load_dataset(script, "hq", streaming=True, **options)["train"]
        dataset = load_dataset(script, "hq", num_proc=2, **options)
        context = multiprocessing.get_context("spawn")
        queue = context.Queue()
        process = context.Process(target=look_into, args=[queue, stream])
        process.start()
        spawned = queue.get(timeout=300)
        process.join()
        assert look(stream) == spawned == look(dataset["train"]), spawned
    else:
        import celeba_dialog
        print(celeba_dialog.__file__, file=sys.stderr)
        if door == "register":
            celeba_dialog.register()
            dataset = load_dataset("celeba_dialog", "hq", data_dir=release)
        else:
            builder = celeba_dialog.CelebADialog(config_name="hq", data_dir=release)
            builder.download_and_prepare()
            dataset = builder.as_dataset()
    names = {name.split(".")[0] for name in sys.modules if name.endswith(".release.official")}
    assert len(names) == 1, names
    print(json.dumps({split: look(rows) for split, rows in dataset.items()}))
"""


@pytest.fixture
def expected(truth):
    def look(rows):
        return [[row["file_name"], row["smiling"], 1024, 1024] for row in rows]

    return json.dumps({split: look(rows) for split, rows in truth["hq"].items()})


def train(folder, home, *arguments):
    """What train.py prints, run in `folder` by a user who has nothing of ours in the environment."""
    (folder / "train.py").write_text(TRAIN)
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "CELEBA_", "PYTHONPATH"))}
    done = subprocess.run(  # noqa: S603
        [sys.executable, "train.py", *map(str, arguments)],
        cwd=folder,
        env=clean | {"HF_HOME": str(home), "HF_HUB_OFFLINE": "1", "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1], done.stderr


@pytest.mark.skipif("script" not in doors.doors_of(datasets.__version__), reason="this version refuses scripts")
@pytest.mark.parametrize("script", ["../clone/celeba_dialog.py", "{clone}/celeba_dialog.py"])
def test_the_script_of_a_clone(data, expected, tmp_path, script):
    """By a relative path, and by an absolute one beside somebody else's package `conversion`."""
    clone, folder = tmp_path / "clone", tmp_path / "training"
    folder.mkdir()
    shutil.copytree(doors.ROOT / "conversion", clone / "conversion", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(doors.SCRIPT, clone)
    if "{clone}" in script:
        (folder / "conversion").mkdir()
        (folder / "conversion" / "__init__.py").write_text("raise RuntimeError('this is not the one')")
    script = script.format(clone=clone)
    assert train(folder, tmp_path / "home", "script", script, data / "release")[0] == expected


@pytest.mark.parametrize("door", ["class", "register"])
def test_the_unpacked_wheel(data, expected, tmp_path, door):
    """What `python -m zipfile -e WHEEL .` leaves; test_package.py holds the wheel against the sources."""
    folder = tmp_path / "training"
    package = folder / "celeba_dialog_conversion"
    shutil.copytree(doors.ROOT / "conversion", package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(doors.SCRIPT, folder)
    found, said = train(folder, tmp_path / "home", door, "-", data / "release")
    assert found == expected
    assert str(folder / "celeba_dialog.py") in said
