"""The wheel and the sdist hold what they should, and say of themselves what the sources say."""

import email
import hashlib
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
def metadata(wheel):
    """What the wheel says of itself, as an email message."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        return email.message_from_bytes(archive.read(name))


@pytest.fixture(scope="module")
def distributions(tmp_path_factory):
    """(sdist, the wheel that was built from it), as `python -m build` makes them."""
    pytest.importorskip("build")
    folder = tmp_path_factory.mktemp("package")
    out = folder / "dist"
    installation.copy_sources(folder / "sources")
    subprocess.run(  # noqa: S603
        [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), str(folder / "sources")],
        cwd=folder,
        env={"PATH": "/usr/bin:/bin", **installation.EPOCH},
        check=True,
        capture_output=True,
    )
    (sdist,) = out.glob("*.tar.gz")
    (built,) = out.glob("*.whl")
    return sdist, built


def tracked(*names):
    """{path: bytes} of these files of the clone, and of all files below these folders, compiled ones left out."""
    paths = [path for name in names for path in (ROOT / name, *(ROOT / name).rglob("*"))]
    return {
        path.relative_to(ROOT).as_posix(): path.read_bytes()
        for path in paths
        if path.is_file() and "__pycache__" not in path.parts
    }


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
    assert (ROOT / "pyproject.toml").read_text().count(celeba_dialog.__version__) == 0


def test_the_dependencies_are_those_of_the_file(metadata):
    stated = re.findall(r"^[a-z]\S*", (ROOT / "requirements.txt").read_text(), re.M)
    needed = [line for line in metadata.get_all("Requires-Dist") if "extra ==" not in line]
    assert sorted(needed) == sorted(stated)
    assert len(stated) > 5


def test_what_a_command_names_is_what_its_extra_brings(metadata):
    assert f'{GDOWN}; extra == "fetch"' in metadata.get_all("Requires-Dist")


def test_all_is_all_and_the_readme_tells_it(metadata):
    extras = set(metadata.get_all("Provides-Extra"))
    (told,) = re.findall("^Some commands need more packages.*?\n\n", README, re.M | re.S)
    assert set(re.findall(r"`(\w+)`", told)) == extras
    (brought,) = re.findall(
        r'^celeba-dialog\[(.*)\]; extra == "all"$', "\n".join(metadata.get_all("Requires-Dist")), re.M
    )
    assert set(brought.split(",")) == extras - {"all"}


@pytest.mark.trials
def test_the_sdist_holds_the_repository(distributions):
    with tarfile.open(distributions[0]) as archive:
        files = {
            member.name.partition("/")[2]: archive.extractfile(member).read() for member in archive if member.isfile()
        }
    expected = tracked(*installation.TOP)
    assert {path: content for path, content in files.items() if path in expected} == expected
    assert all(
        path.startswith(("PKG-INFO", "setup.cfg", "celeba_dialog.egg-info/")) for path in files.keys() - expected.keys()
    )


@pytest.mark.trials
def test_the_sdist_builds_the_same_wheel(distributions, wheel):
    assert distributions[1].name == wheel.name
    assert hashlib.sha256(distributions[1].read_bytes()).digest() == hashlib.sha256(wheel.read_bytes()).digest()


@pytest.mark.trials
def test_twine_finds_no_fault(distributions):
    pytest.importorskip("twine")
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-m", "twine", "check", "--strict", *map(str, distributions)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("PASSED") == 2


@pytest.mark.trials
def test_an_editable_installation(tmp_path):
    """The code is the clone's own, also where a built folder celeba_dialog/ lies in the working directory."""
    wheel = installation.build_wheel(tmp_path, "build_editable")
    commands = installation.install(wheel, tmp_path / "environment")
    (tmp_path / "celeba_dialog").mkdir()
    for path in ("celeba_dialog.py", "conversion/viewer/rows.py"):
        with open(tmp_path / "sources" / path, "a") as file:
            file.write("\nEDITED = True\n")
    code = (
        "import celeba_dialog, celeba_dialog_conversion.viewer.rows as rows; print(celeba_dialog.EDITED, rows.EDITED)"
    )
    done = installation.run(commands, tmp_path, "python", "-c", code)
    assert done.stdout == "True True\n", done.stderr
    done = installation.run(commands, tmp_path, "celeba-dialog", "--help")
    assert done.stdout.startswith("usage: celeba-dialog "), done.stderr
