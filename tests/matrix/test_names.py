"""An attribute by its name, as the README gives the lines: on every version of `datasets`, and without a copy."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

from conversion.release.vocabulary import ATTRIBUTES

README = (Path(__file__).resolve().parents[2] / "README.md").read_text(encoding="utf-8")
(LINES,) = re.findall(r"^```python\n([^`]*^ATTRIBUTES = .*?)^```$", README, re.M | re.S)
SAY = """
import json
splits = train.train_test_split(test_size=2, stratify_by_column="Male", seed=0)
print(json.dumps({
    "names": ATTRIBUTES,
    "classes": train.features["Male"].names,
    "columns": train.column_names,
    "files": [file["filename"].split("/")[-1].split("-")[0] for file in train.cache_files],
    "male": train["Male"][:],
    "test": splits["test"]["Male"][:],
}))
"""


def test_an_attribute_by_name(data, truth, tmp_path):
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", LINES + SAY],
        cwd=data,
        env=os.environ | {"HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout)
    rows = truth["hq"]["train"]
    male = [row["attributes"][20] for row in rows]
    assert found["names"] == list(ATTRIBUTES)
    assert found["classes"] == ["no", "yes"]
    assert sorted(found["columns"]) == sorted([*rows[0], "Male"])
    assert found["male"] == male
    assert sorted(found["test"]) == [0, 1]
    assert set(found["files"]) == {"celeba_dialog"}  # those of load_dataset: no file with copies of the images
