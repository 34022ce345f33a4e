"""What `load_dataset` takes besides a config: columns, filters, names that need no files, a clone in the way."""

import subprocess
import sys

import datasets
import pyarrow.compute as pc
import pytest
from doors import ROOT

import celeba_dialog
from celeba_dialog import CelebADialog, UsageError


@pytest.fixture(autouse=True)
def home(monkeypatch, tmp_path):
    """A working directory without a folder celeba_dialog/, and the name registered."""
    monkeypatch.chdir(tmp_path)
    celeba_dialog.register()
    return tmp_path


def load(demo, home, config="hq", **options):
    options |= {"data_dir": str(demo.root), "cache_dir": str(home / "cache")}
    return datasets.load_dataset("celeba_dialog", config, **options)


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize(("config", "columns"), [("hq", ["smiling", "caption"]), ("hq_parts", ["parts"])])
def test_columns(demo, home, config, columns, streaming):
    found = load(demo, home, config, columns=columns, streaming=streaming)
    for split, rows in demo.splits(config).items():
        assert list(found[split].features) == columns
        assert len(list(found[split])) == len(rows)
        if "smiling" in columns:
            assert list(found[split]) == [{name: row[name] for name in columns} for row in rows]


def test_images_that_are_not_asked_for_are_not_read(demo, copy, home):
    for role in ("HQ)/image.zip", "HQ)/mask/CelebAMask-HQ-mask-color-palette.zip"):
        path = copy / f"CelebA-Dialog ({role}"
        data = bytearray(path.read_bytes())
        data[200:5000] = bytes(4800)  # among the bytes of the first image, not in the directory
        path.write_bytes(data)
    builder = CelebADialog(config_name="hq", data_dir=str(copy), cache_dir=str(home), columns=["file_name", "age"])
    rows = [row for rows in builder.as_streaming_dataset().values() for row in rows]
    assert rows == [{"age": row["age"], "file_name": row["file_name"]} for row in demo.rows("hq")]


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize(
    ("filters", "meets"),
    [
        ([("smiling", ">=", 4)], lambda row: row["smiling"] >= 4),
        ([("smiling", "==", 0), ("age", ">", 1)], lambda row: row["smiling"] == 0 and row["age"] > 1),
        ([[("bangs", "==", 5)], [("beard", "==", 5)]], lambda row: row["bangs"] == 5 or row["beard"] == 5),
        (pc.field("caption") == "", lambda row: row["caption"] == ""),
    ],
    ids=["one", "and", "or", "expression"],
)
def test_filters(demo, home, filters, meets, streaming):
    found = load(demo, home, "standard", filters=filters, columns=["file_name", "smiling"], streaming=streaming)
    kept = {split: list(filter(meets, rows)) for split, rows in demo.splits("standard").items()}
    assert {split: [row["file_name"] for row in rows] for split, rows in found.items()} == {
        split: [row["file_name"] for row in rows] for split, rows in kept.items() if rows
    }


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"columns": ["smilin"]}, "smilin"),
        ({"columns": []}, "expected some of image, mask"),
        ({"columns": ["hq_file_name"]}, "hq_file_name"),
        ({"filters": [("smilin", ">", 3)]}, "no column smilin, of"),
        ({"filters": [("smiling", ">", 5)]}, "no row meets"),
        ({"filters": "smiling > 3"}, "filters: "),
        ({"filters": [("smiling", "~", 3)]}, "filters: "),
    ],
)
def test_options_that_cannot_be(demo, home, options, words):
    with pytest.raises(UsageError, match=words):
        load(demo, home, **options)


def test_names_need_no_files():
    assert datasets.get_dataset_config_names("celeba_dialog") == list(celeba_dialog.CONFIGS)
    assert datasets.get_dataset_split_names("celeba_dialog", "hq") == list(celeba_dialog.SPLITS)
    assert list(datasets.load_dataset_builder("celeba_dialog", "standard").info.features)[:2] == ["image", "bangs"]


def test_other_names_and_a_built_folder_are_left_to_datasets(home, fine, monkeypatch):
    shard = next((fine / "hq").glob("train-*"))
    assert datasets.load_dataset_builder("parquet", data_files=str(shard)).name == "parquet"
    (home / "celeba_dialog").symlink_to(fine)
    assert type(datasets.load_dataset_builder("celeba_dialog", "hq")).__bases__[0].__name__ == "Parquet"
    monkeypatch.delattr(datasets.load, "DatasetModule")
    with pytest.raises(celeba_dialog.EnvironmentFault, match="no place to register .*celeba-dialog build RELEASE"):
        celeba_dialog.register()


def test_a_clone_called_celeba_dialog_in_the_working_directory(home):
    (home / "celeba_dialog").mkdir()
    (home / "celeba_dialog" / "celeba_dialog.py").write_text("")
    with pytest.raises(celeba_dialog.MissingFileError, match="Pass data_dir=RELEASE"):
        datasets.load_dataset("celeba_dialog", "hq")


def test_a_script_without_its_package_says_what_to_install(tmp_path):
    (tmp_path / "celeba_dialog.py").write_text((ROOT / "celeba_dialog.py").read_text())
    blind = f"[path for path in sys.path if 'editable' not in path and path != {str(ROOT)!r}]"
    code = f"import sys, datasets; sys.path = {blind}; sys.path_importer_cache.clear(); "
    code += "import celeba_dialog; celeba_dialog.DEGREES"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)  # noqa: S603
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last.startswith("ImportError: ") and str(tmp_path) in last and "pip install" in last
