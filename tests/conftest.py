"""What several tests share: a demo release with its truth, and a way to hold rows against it."""

import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

import installation
import pytest
from filelock import FileLock

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
_home = tempfile.TemporaryDirectory(prefix="celeba-dialog-tests-")  # goes when pytest does
os.environ["HF_HOME"] = _home.name  # read by `datasets` at its import, so nothing lands in the user's cache
os.environ.pop("CELEBA_DIALOG_RELEASE", None)

from making import write_release  # noqa: E402

from conversion.release.errors import logger  # noqa: E402
from conversion.release.vocabulary import SPLITS  # noqa: E402


class Demo(NamedTuple):
    """A demo release on disk, and what a reader has to find in it."""

    root: Path
    truth: dict  # what `write_release` returns

    def splits(self, config):
        """{split: rows} of `hq`, `hq_parts` or `standard`, in the order of the dataset."""
        splits = {split: [] for split in SPLITS}
        for row in self.truth["standard" if config == "standard" else "hq"]:
            columns = {name: value for name, value in row.items() if name != "split"}
            if config != "hq_parts":
                columns.pop("parts", None)
            splits[row["split"]].append(columns)
        return {split: rows for split, rows in splits.items() if rows}

    def rows(self, config):
        """The rows of all splits, one after the other."""
        return [row for rows in self.splits(config).values() for row in rows]


@pytest.fixture(scope="session")
def demo(tmp_path_factory):
    """The release that all tests share; whoever changes it takes a `copy`. Its standard train split has 8 shards."""
    root = tmp_path_factory.mktemp("demo") / "release"
    return Demo(root, write_release(str(root), hq=24, standard=90))


@pytest.fixture
def copy(demo, tmp_path):
    """A copy of the demo release, to be changed at will."""
    return Path(shutil.copytree(demo.root, tmp_path / "release"))


@pytest.fixture(scope="session")
def installed(tmp_path_factory):
    """The folder of the commands of an environment that has the project's wheel and knows nothing of this clone."""
    given = os.environ.get("CELEBA_DIALOG_INSTALLED")  # tox makes its own, with packages of their own
    if given:
        return Path(given)
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "installed"
    with FileLock(f"{folder}.lock"):  # pytest-xdist's workers make one together
        commands = folder / "environment" / "bin"
        if not folder.exists():
            folder.mkdir()
            installation.install(installation.build_wheel(folder), commands.parent)
    return commands


@pytest.fixture
def warnings(monkeypatch):
    """What the package warns of."""
    found = []
    monkeypatch.setattr(logger, "warning", found.append)
    return found


@pytest.fixture
def loaded(tmp_path, warnings):
    """A function that makes a stream and prepares rows, by the class and by name: what the package warned of."""
    import datasets

    import celeba_dialog

    def loaded(root, config):
        celeba_dialog.register()
        for cache in ("one", "other"):
            options = dict(data_dir=str(root), cache_dir=str(tmp_path / cache))
            celeba_dialog.CelebADialog(config_name=config, **options).as_streaming_dataset()
            datasets.load_dataset("celeba_dialog", config, **options)
        return warnings

    return loaded


@pytest.fixture(scope="session")
def same_rows():
    """A function that fails the test, in few words, where two lists of rows differ."""

    def same_rows(found, expected, where=""):
        assert [row["file_name"] for row in found] == [row["file_name"] for row in expected], where
        for one, other in zip(found, expected):
            assert sorted(one) == sorted(other), f"{where} {other['file_name']}: columns"
            for column in other:
                if one[column] != other[column]:  # no assert: pytest would spell out the difference of megabytes
                    difference = f"{str(one[column])[:200]} instead of {str(other[column])[:200]}"
                    pytest.fail(f"{where} {other['file_name']}, {column}: {difference}")

    return same_rows
