"""An attribute by its name, as the recipe for classification does it: on every version of `datasets`, and no copies."""

import ast
import json
import os
import subprocess
import sys

from doors import ROOT

from celeba_dialog import ATTRIBUTES

RECIPE = ast.parse((ROOT / "tests" / "recipes" / "classification.py").read_text(encoding="utf-8"))
(FUNCTION,) = [node for node in RECIPE.body if isinstance(node, ast.FunctionDef) and node.name == "with_attribute"]
SAY = f"""
import json
from datasets import ClassLabel, Dataset, Features, concatenate_datasets, load_dataset
from celeba_dialog import ATTRIBUTES

{ast.unparse(FUNCTION)}

train = with_attribute(load_dataset("celeba_dialog", "hq", split="train"), "Male")
splits = train.train_test_split(test_size=2, stratify_by_column="Male", seed=0)
files = [file["filename"].split("/")[-1].split("-")[0] for file in train.cache_files]
male, test = train["Male"][:], splits["test"]["Male"][:]
print(json.dumps([train.features["Male"].names, train.column_names, files, male, test]))
"""


def test_an_attribute_by_name(data, truth, tmp_path):
    environment = os.environ | {"HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", SAY], cwd=data, env=environment, capture_output=True, text=True)  # noqa: S603
    assert done.returncode == 0, done.stderr[-2000:]
    classes, columns, files, male, test = json.loads(done.stdout)
    rows = truth["hq"]["train"]
    assert classes == ["no", "yes"]
    assert sorted(columns) == sorted([*rows[0], "Male"])
    assert male == [row["attributes"][ATTRIBUTES.index("Male")] for row in rows]
    assert sorted(test) == [0, 1]
    assert set(files) == {"celeba_dialog"}  # those of load_dataset: no file with copies of the images
