"""celeba_dialog.py alone, copied beside the training script: on a cluster where nothing of ours is installed."""

import json
import os
import shutil
import subprocess
import sys

import datasets
import doors
import pytest

TRAIN = """
import json, sys
from datasets import load_dataset

door, release = sys.argv[1:]
if door == "script":
    dataset = load_dataset("celeba_dialog.py", "hq", data_dir=release, trust_remote_code=True)
else:
    import celeba_dialog
    if door == "register":
        celeba_dialog.register()
        dataset = load_dataset("celeba_dialog", "hq", data_dir=release)
    else:
        builder = celeba_dialog.CelebADialog(config_name="hq", data_dir=release)
        builder.download_and_prepare()
        dataset = builder.as_dataset()
    print(celeba_dialog.__file__, file=sys.stderr)
look = lambda row: [row["file_name"], row["smiling"], *row["image"].size]
print(json.dumps({split: [look(row) for row in rows] for split, rows in dataset.items()}))
"""


@pytest.mark.parametrize("door", [door for door in doors.doors_of(datasets.__version__) if door in doors.FROM_RELEASE])
def test_the_file_alone(data, truth, tmp_path, door):
    folder = tmp_path / "training"
    folder.mkdir()
    shutil.copy(doors.SCRIPT, folder)
    (folder / "train.py").write_text(TRAIN)
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "CELEBA_", "PYTHONPATH"))}
    done = subprocess.run(  # noqa: S603
        [sys.executable, "train.py", door, str(data / "release")],
        cwd=folder,
        env=clean | {"HF_HOME": str(tmp_path / "home"), "HF_HUB_OFFLINE": "1", "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    expected = {
        split: [[row["file_name"], row["smiling"], 1024, 1024] for row in rows] for split, rows in truth["hq"].items()
    }
    assert json.loads(done.stdout.splitlines()[-1]) == expected
    assert door == "script" or str(folder / "celeba_dialog.py") in done.stderr
    assert sorted(path.name for path in folder.iterdir()) == ["celeba_dialog.py", "train.py"]
