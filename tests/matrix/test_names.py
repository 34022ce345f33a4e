"""An attribute by its name, as the recipe for classification does it: on every version of `datasets`, and no copies."""

import ast
import json
import os
import subprocess
import sys

from doors import ROOT

from celeba_dialog import ATTRIBUTES

RECIPE = (ROOT / "tests" / "recipes" / "classification.py").read_text(encoding="utf-8")
FUNCTIONS = {node.name: node for node in ast.parse(RECIPE).body if isinstance(node, ast.FunctionDef)}
SAY = """
import json
from datasets import ClassLabel, Dataset, Features, concatenate_datasets, load_dataset
from celeba_dialog import ATTRIBUTES

{function}

train = with_attribute(load_dataset("celeba_dialog", "hq", split="train"), "Male")
splits = train.train_test_split(test_size=2, stratify_by_column="Male", seed=0)
print(json.dumps({{
    "classes": train.features["Male"].names,
    "columns": train.column_names,
    "files": [file["filename"].split("/")[-1].split("-")[0] for file in train.cache_files],
    "male": train["Male"][:],
    "test": splits["test"]["Male"][:],
}}))
"""


def test_an_attribute_by_name(data, truth, tmp_path):
    code = SAY.format(function=ast.unparse(FUNCTIONS["with_attribute"]))
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", code],
        cwd=data,
        env=os.environ | {"HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout)
    rows = truth["hq"]["train"]
    assert found["classes"] == ["no", "yes"]
    assert sorted(found["columns"]) == sorted([*rows[0], "Male"])
    assert found["male"] == [row["attributes"][ATTRIBUTES.index("Male")] for row in rows]
    assert sorted(found["test"]) == [0, 1]
    assert set(found["files"]) == {"celeba_dialog"}  # those of load_dataset: no file with copies of the images
