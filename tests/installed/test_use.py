"""From `pip install` to training and publication, as a user does it: in a folder that is not the clone.

Run by tox in clean environments, each with the wheel and what it asks for, on every Python; by plain pytest in an
environment that borrows its other packages from this one.
"""

import importlib.util
import io
import json
import re
import signal
import subprocess
import urllib.request
import zipfile
import zlib
from pathlib import Path

import clusters
import installation
import pytest
from commands import tree
from hub import Hub
from installation import ROOT
from PIL import Image

import celeba_dialog
from conversion.parquet import command as building
from conversion.release.official import FILES

CONFIGS = ("hq", "standard")
RELEASE, BUILT = "CelebA-Dialog", "celeba_dialog"  # in the home folder


@pytest.fixture(scope="module")
def run(installed, home):
    """run("celeba-dialog", "check", …, VARIABLE=…): the process, when it is done; it has to end with status 0."""

    def run(*words, status=0, **more):
        done = installation.run(installed, home, *words, **more)
        assert done.returncode == status, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done

    return run


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def release(run, home):
    """The path of a demo release that the command wrote."""
    run("celeba-dialog", "demo", RELEASE, "--hq=9", "--standard=30")
    return home / RELEASE


@pytest.fixture(scope="module")
def built(run, release, home):
    """The path of the Parquet folder that the command built."""
    run("celeba-dialog", "build", RELEASE, BUILT)
    return home / BUILT


@pytest.fixture(scope="module")
def truth(release):
    """{config: {name of an image: CRC-32 of its pixels}}, from the zips."""
    found = {}
    for config in CONFIGS:
        with zipfile.ZipFile(release / FILES[f"{config}_images"].path) as archive:
            images = {
                name.rpartition("/")[2]: archive.read(name) for name in archive.namelist() if name.endswith("jpg")
            }
        found[config] = {
            name: zlib.crc32(Image.open(io.BytesIO(data)).convert("RGB").tobytes()) for name, data in images.items()
        }
    return found


def test_nothing_of_the_clone_is_there(run, installed):
    where = "import celeba_dialog as one, celeba_dialog_conversion as other; print(one.__file__, other.__file__)"
    for path in run("python", "-c", where).stdout.split():
        assert Path(path).is_relative_to(installed.parent)
        assert not Path(path).is_relative_to(ROOT / "conversion")
    assert (
        "ModuleNotFoundError"
        in run("python", "-c", "try: import conversion\nexcept Exception as e: print(repr(e))").stdout
    )
    for command in (["celeba-dialog"], ["python", "-m", "celeba_dialog_conversion"]):
        assert run(*command, "--help").stdout.startswith("usage: celeba-dialog ")


def test_check_verify_and_preview(run, built, home):
    run("celeba-dialog", "check", RELEASE)
    run("celeba-dialog", "verify", BUILT, RELEASE)
    run("celeba-dialog", "preview", BUILT, "contact-sheet.png")
    with Image.open(home / "contact-sheet.png") as picture:
        assert picture.format == "PNG"
    assert "Agreement" in (built / "README.md").read_text()


@pytest.mark.skipif(not importlib.util.find_spec("gdown"), reason="an environment without the extra `fetch`")
def test_fetch_shows_the_agreement(run, tmp_path):
    said = run("celeba-dialog", "fetch", tmp_path / "out", status=2).stderr
    assert (ROOT / "dataset_card" / "agreement.md").read_text() in said
    assert "Nothing was downloaded." in said


def test_the_clone_builds_the_same_bytes(built, release, tmp_path):
    """The card included: its texts lie elsewhere where they are installed."""
    building.build(release, tmp_path / BUILT, workers=1)
    assert tree(tmp_path / BUILT) == tree(built)


LOAD = """
import json, sys, zlib
import celeba_dialog
from datasets import load_dataset

def look(**options):
    return {
        f"{config}, streaming={streaming}": {
            row["file_name"]: zlib.crc32(row["image"].convert("RGB").tobytes())
            for rows in load_dataset("celeba_dialog", config, streaming=streaming, **options).values()
            for row in rows
        }
        for config in ("hq", "standard")
        for streaming in (False, True)
    }

found = {"folder": look()}
celeba_dialog.register()
found["release"] = look(data_dir=sys.argv[1])
print(json.dumps(found))
"""


def test_load_dataset(run, built, truth):
    found = json.loads(run("python", "-c", LOAD, RELEASE).stdout)
    for way in ("folder", "release"):
        for config in CONFIGS:
            for streaming in (False, True):
                assert found[way][f"{config}, streaming={streaming}"] == truth[config], (way, config, streaming)


# A worker that is spawned imports everything anew, and this file too.
SPAWN = """
import importlib.util, json, multiprocessing, os, sys
import celeba_dialog
from datasets import load_dataset

os.fork = None  # whoever forks fails

def names(rows):
    return os.getpid(), [row["file_name"] for row in rows]

if __name__ == "__main__":
    celeba_dialog.register()
    options = {"data_dir": sys.argv[1], "split": "train"}
    table = load_dataset("celeba_dialog", "standard", **options)
    stream = load_dataset("celeba_dialog", "standard", streaming=True, **options)
    found = {}
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        for kind, parts in (
            ("table", [table.shard(2, index) for index in range(2)]),
            ("stream", [stream.shard(2, index) for index in range(2)]),
        ):
            done = pool.map(names, parts, chunksize=1)
            assert os.getpid() not in dict(done)
            found[kind] = sorted(name for _, part in done for name in part)
    if importlib.util.find_spec("torch"):
        from torch.utils.data import DataLoader
        for kind, rows in (("table, torch", table), ("stream, torch", stream)):
            loader = DataLoader(
                rows.select_columns(["file_name"]), batch_size=4, num_workers=2, multiprocessing_context="spawn"
            )
            found[kind] = sorted(name for batch in loader for name in batch["file_name"])
    print(json.dumps(found))
"""


def test_spawned_workers(run, release, home, truth):
    (home / "spawn.py").write_text(SPAWN)
    found = json.loads(run("python", "spawn.py", RELEASE).stdout)
    with_torch = ["table, torch", "stream, torch"] if importlib.util.find_spec("torch") else []
    assert sorted(found) == sorted(["table", "stream", *with_torch])
    assert set(found["table"]) < set(truth["standard"])
    assert len(found["table"]) > 10
    assert all(names == found["table"] for names in found.values())


SPAWNED_BUILD = """
import multiprocessing, os, sys
from celeba_dialog_conversion.__main__ import main

os.fork = None  # whoever forks fails
multiprocessing.get_all_start_methods = lambda: ["spawn"]
if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
"""


def test_a_build_by_spawned_workers(run, built, tmp_path):
    """On systems that cannot fork, a job comes to its worker by the name of its module, which in a clone is another."""
    (tmp_path / "build.py").write_text(SPAWNED_BUILD)
    run("python", tmp_path / "build.py", "build", RELEASE, tmp_path / BUILT, "--workers=2")
    assert tree(tmp_path / BUILT) == tree(built)


def cluster(installed, folder, *lacking):
    """The address of a Dask cluster with one worker, of the environment with the wheel, that lacks some modules."""
    environment = installation.environment(installed, folder)
    return clusters.cluster(installed / "python", folder, environment, lacking=lacking)


@pytest.mark.skipif(not importlib.util.find_spec("distributed"), reason="an environment without the extra `dask`")
def test_a_build_by_a_cluster(run, built, installed, tmp_path):
    with cluster(installed, tmp_path) as address:
        run("celeba-dialog", "build", RELEASE, tmp_path / BUILT, f"--dask={address}")
    assert tree(tmp_path / BUILT) == tree(built)


@pytest.mark.skipif(not importlib.util.find_spec("distributed"), reason="an environment without the extra `dask`")
def test_a_cluster_that_lacks_the_package(run, release, installed, tmp_path):
    with cluster(installed, tmp_path, "celeba_dialog_conversion") as address:
        said = run("celeba-dialog", "build", RELEASE, tmp_path / BUILT, f"--dask={address}", status=1).stderr
    assert "The Dask cluster cannot import celeba_dialog_conversion." in said
    assert f"Install celeba-dialog {celeba_dialog.__version__}" in said
    assert not (tmp_path / BUILT).exists()


@pytest.mark.skipif(not importlib.util.find_spec("uvicorn"), reason="an environment without the extra `browse`")
def test_browse_goes_up_and_down(built, installed, home):
    with subprocess.Popen(  # noqa: S603
        [str(installed / "celeba-dialog"), "browse", BUILT, "--port", "0"],
        cwd=home,
        env=installation.environment(installed, home),
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        said = ""
        while not (address := re.search(r"http://127\.0\.0\.1:\d+\S*", said)) and (line := process.stderr.readline()):
            said += line
        assert address, said
        with urllib.request.build_opener(urllib.request.HTTPCookieProcessor()).open(address[0]) as answer:
            page = answer.read().decode()
        process.send_signal(signal.SIGINT)
        said += process.stderr.read()
    assert "</html>" in page
    assert "Traceback" not in said
    assert process.returncode == 0, said


def test_push_to_a_hub(run, built):
    with Hub() as hub:
        online = {"HF_ENDPOINT": hub.endpoint, "HF_TOKEN": hub.token(owner="my-lab"), "HF_HUB_OFFLINE": "0"}
        online |= {"HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "NO_PROXY": "127.0.0.1"}
        run("celeba-dialog", "push", BUILT, "my-lab/celeba_dialog", **online)
        assert hub.repositories["my-lab/celeba_dialog"].private is True
        pushed = hub.files("my-lab/celeba_dialog")
    assert pushed == {
        path.relative_to(built).as_posix(): path.read_bytes() for path in built.rglob("*") if path.is_file()
    }


# Runs a command as if some modules were not installed.
WITHOUT = """
import sys
sys.modules |= dict.fromkeys(sys.argv[1].split(","))
from celeba_dialog_conversion.__main__ import main
sys.exit(main(sys.argv[2:]))
"""


@pytest.mark.parametrize(
    ("module", "extra", "words"),
    [
        ("gdown", "fetch", ["fetch", "elsewhere", "--accept-agreement"]),
        ("distributed", "dask", ["build", RELEASE, "elsewhere", "--dask=tcp://127.0.0.1:1"]),
        ("matplotlib", "look", ["preview", RELEASE, "statistics.png", "--stats"]),
        ("duckdb", "look", ["preview", RELEASE, "sheet.png", "--where", "Male"]),
        ("starlette", "browse", ["browse", RELEASE]),
        ("uvicorn", "browse", ["browse", RELEASE]),
    ],
)
def test_a_command_says_what_it_lacks(run, release, module, extra, words):
    said = run("python", "-c", WITHOUT, module, *words, status=1).stderr
    assert f'pip install "celeba-dialog[{extra}]"' in said
    assert re.search(rf'pip install .*"{module}\S*"', said)


def test_no_extra_is_needed_for_most(run, release, tmp_path):
    lacking = "distributed,duckdb,gdown,matplotlib,starlette,torch,uvicorn"
    run("python", "-c", WITHOUT, lacking, "build", RELEASE, tmp_path / BUILT, "--workers=1")
    for words in (
        ["check", RELEASE],
        ["verify", tmp_path / BUILT, RELEASE],
        ["preview", RELEASE, tmp_path / "sheet.png"],
    ):
        run("python", "-c", WITHOUT, lacking, *words)
