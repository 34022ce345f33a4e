"""The wheel and the sdist hold what they should, and say of themselves what the sources say."""

import email
import re
import subprocess
import sys
import tarfile
import zipfile

import installation
import pytest
from installation import ROOT

import celeba_dialog
from conversion.fetch.command import GDOWN

README = (ROOT / "README.md").read_text(encoding="utf-8")
README_PICTURE = "dataset_card/contact-sheet.png"


@pytest.fixture(scope="module")
def wheel(installed):
    """The path of the wheel that is installed there."""
    (path,) = installed.parents[1].glob("wheel/*.whl")
    return path


@pytest.fixture(scope="module")
def metadata(wheel):
    """What the wheel says of itself, as an email message."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        return email.message_from_bytes(archive.read(name))


def tracked(*names):
    """{path: bytes} of these files of the clone, and of all files below these folders, compiled ones left out."""
    paths = [path for name in names for path in (ROOT / name, *(ROOT / name).rglob("*"))]
    files = [path for path in paths if path.is_file() and "__pycache__" not in path.parts]
    return {path.relative_to(ROOT).as_posix(): path.read_bytes() for path in files}


def test_the_wheel_holds_the_code_and_all_its_data(wheel):
    expected = {}
    for path, content in tracked("celeba_dialog.py", "conversion", "dataset_card").items():
        path = re.sub("^conversion/", "celeba_dialog_conversion/", path)
        expected[re.sub("^dataset_card/", "celeba_dialog_conversion/dataset_card/", path)] = content
    del expected[f"celeba_dialog_conversion/{README_PICTURE}"]
    with zipfile.ZipFile(wheel) as archive:
        found = {name: archive.read(name) for name in archive.namelist() if ".dist-info/" not in name}
    assert sorted(found) == sorted(expected)
    assert found == expected


def test_the_version_is_that_of_the_module(wheel, metadata):
    assert metadata["Name"] == "celeba-dialog"
    assert metadata["Version"] == celeba_dialog.__version__
    assert wheel.name == f"celeba_dialog-{celeba_dialog.__version__}-py3-none-any.whl"
    assert f"`python -m zipfile -e {wheel.name} .`" in README
    assert (ROOT / "pyproject.toml").read_text().count(celeba_dialog.__version__) == 0


def test_the_dependencies_and_extras_are_those_that_are_told(metadata):
    required = metadata.get_all("Requires-Dist")
    stated = re.findall(r"^[a-z]\S*", (ROOT / "requirements.txt").read_text(), re.M)
    assert sorted(line for line in required if "extra ==" not in line) == sorted(stated)
    assert len(stated) > 5
    assert f'{GDOWN}; extra == "fetch"' in required  # as `fetch` says where it is missing
    extras = set(metadata.get_all("Provides-Extra"))
    (told,) = re.findall("^The extra .*? all of these", README, re.M | re.S)
    assert set(re.findall(r"`(\w+)`", told)) == extras
    (brought,) = re.findall(r'^celeba-dialog\[(.*)\]; extra == "all"$', "\n".join(required), re.M)
    assert set(brought.split(",")) == extras - {"all"}


@pytest.mark.trials
def test_the_sdist_holds_the_repository_and_builds_the_same_wheel(wheel, tmp_path):
    """As `python -m build` makes them, and twine finds no fault."""
    sources = installation.copy_sources(tmp_path / "sources")
    build = ["build", "--no-isolation", "--outdir", "dist", str(sources)]
    options = {"cwd": tmp_path, "env": {"PATH": "/usr/bin:/bin", **installation.EPOCH}}
    for words in (build, ["twine", "check", "--strict", "dist/*"]):
        done = subprocess.run([sys.executable, "-m", *words], capture_output=True, text=True, **options)  # noqa: S603
        assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("PASSED") == 2
    (built,) = tmp_path.glob("dist/*.whl")
    assert (built.name, built.read_bytes()) == (wheel.name, wheel.read_bytes())
    (sdist,) = tmp_path.glob("dist/*.tar.gz")
    with tarfile.open(sdist) as archive:
        files = {file.name.partition("/")[2]: archive.extractfile(file).read() for file in archive if file.isfile()}
    expected = tracked(*installation.TOP)
    assert {path: content for path, content in files.items() if path in expected} == expected
    for path in files.keys() - expected.keys():
        assert path.startswith(("PKG-INFO", "setup.cfg", "celeba_dialog.egg-info/"))


@pytest.mark.trials
def test_an_editable_installation(tmp_path):
    """The code is the clone's own, also where a built folder celeba_dialog/ lies in the working directory."""
    wheel = installation.build_wheel(tmp_path, "build_editable")
    commands = installation.install(wheel, tmp_path / "environment")
    (tmp_path / "celeba_dialog").mkdir()
    for path in ("celeba_dialog.py", "conversion/viewer/rows.py"):
        with open(tmp_path / "sources" / path, "a") as file:
            file.write("\nEDITED = True\n")
    code = "import celeba_dialog as one, celeba_dialog_conversion.viewer.rows as two; print(one.EDITED, two.EDITED)"
    done = installation.run(commands, tmp_path, "python", "-c", code)
    assert done.stdout == "True True\n", done.stderr
    done = installation.run(commands, tmp_path, "celeba-dialog", "--help")
    assert done.stdout.startswith("usage: celeba-dialog "), done.stderr
