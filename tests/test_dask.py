"""`build --dask`: a real scheduler and two worker processes on this machine write the same bytes as local ones."""

import os
import shutil
import sys

import clusters
import pyarrow
import pytest
from commands import ROOT, tree

from conversion.parquet import command as build
from conversion.parquet import shards
from conversion.release.errors import EnvironmentFault
from conversion.release.index import IndexKey

pytest.importorskip("distributed")
pytest_plugins = ["building"]
pytestmark = pytest.mark.trials

PLAIN = ("plain_card",)


def serving(workers, folder, **environment):
    """The address of a scheduler with some workers, which have the packages of this environment."""
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return clusters.cluster(sys.executable, folder, clean | {"HF_HOME": str(folder / "home")} | environment, workers)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """The address of a scheduler with two workers."""
    with serving(2, tmp_path_factory.mktemp("cluster"), PYTHONPATH=str(ROOT)) as address:
        yield address


@pytest.fixture(scope="module")
def local(small, commands, tmp_path_factory):
    """The tree of the small release, built by processes of this machine."""
    out = tmp_path_factory.mktemp("local") / "out"
    done = commands.run("build", small, out, "--allow-incomplete", faults=[PLAIN])
    assert done.status == 0, done.text
    return tree(out)


def test_a_cluster_writes_the_same_bytes(cluster, small, local, commands, tmp_path):
    out = tmp_path / "out"
    done = commands.run("build", small, out, "--allow-incomplete", f"--dask={cluster}", faults=[PLAIN])
    assert done.status == 0, done.text
    assert tree(out) == local
    before = {path: path.stat().st_ino for path in out.rglob("*.parquet")}
    done = commands.run("build", small, out, "--allow-incomplete", f"--dask={cluster}", faults=[PLAIN])
    assert done.status == 0, done.text
    assert {path: path.stat().st_ino for path in out.rglob("*.parquet")} == before


def test_what_a_worker_raises_is_one_line(cluster, small, local, commands, tmp_path):
    """An image that does not match its checksum: found by a worker, told by the command."""
    release = shutil.copytree(small, tmp_path / "release")
    path = release / "CelebA-Dialog (HQ)" / "image.zip"
    data = bytearray(path.read_bytes())
    data[data.index(b"\xff\xd8\xff") + 300] ^= 1
    path.write_bytes(data)
    out = tmp_path / "out"
    done = commands.run("build", release, out, "--allow-incomplete", f"--dask={cluster}", faults=[PLAIN])
    assert done.status == 1
    assert "Traceback" not in done.text
    assert f"{path}: " in done.text
    assert "the zip is damaged or was changed" in done.text
    assert not out.exists()
    done = commands.run("build", small, out, "--allow-incomplete", f"--dask={cluster}", faults=[PLAIN])
    assert done.status == 0, done.text
    assert tree(out) == local


def test_an_interrupted_build_goes_on_elsewhere(cluster, small, local, commands, tmp_path):
    """Begun here, killed, and finished by the cluster."""
    out = tmp_path / "out"
    faults = [PLAIN, ("strike", "SIGKILL", 400)]
    done = commands.run("build", small, out, "--allow-incomplete", "--workers=1", faults=faults)
    assert done.status == -9
    finished = list((tmp_path / ".out.building" / "records").rglob("*.json"))
    assert finished
    done = commands.run("build", small, out, "--allow-incomplete", f"--dask={cluster}", faults=[PLAIN])
    assert done.status == 0, done.text
    assert tree(out) == local


def test_ctrl_c_while_a_cluster_works(cluster, small, local, commands, tmp_path):
    out = tmp_path / "out"
    argv = ["build", small, out, "--allow-incomplete", f"--dask={cluster}"]
    events = commands.run(*argv, faults=[PLAIN, ("record",)]).events
    shutil.rmtree(out)
    first_file = events.index("open") + len(events) // 2
    done = commands.run(*argv, faults=[PLAIN, ("strike", "SIGINT", first_file)])
    assert done.status == 130, done.text
    assert "Interrupted. The same command goes on where this one stopped." in done.text
    assert "Traceback" not in done.text
    done = commands.run(*argv, faults=[PLAIN])
    assert done.status == 0, done.text
    assert tree(out) == local


def test_a_cluster_that_does_not_know_the_project(small, commands, tmp_path):
    (tmp_path / "cluster").mkdir()
    with serving(1, tmp_path / "cluster") as address:
        done = commands.run("build", small, tmp_path / "out", "--allow-incomplete", f"--dask={address}")
    assert done.status == 1
    assert "cannot import conversion" in done.text
    assert f"PYTHONPATH={ROOT} " in done.text
    assert "Traceback" not in done.text


def test_a_worker_with_other_libraries(tmp_path):
    key = IndexKey("/release", "hq", False, "0", "/cache")
    job = shards.Job(key, "the state of another pyarrow", 0, 1, ())
    with pytest.raises(EnvironmentFault, match=f"The worker on .*pyarrow {pyarrow.__version__}"):
        shards.write_shards(job, tmp_path, tmp_path)


def test_an_address_that_is_empty(small, commands, tmp_path):
    """As of a variable that is not set: no local build instead."""
    done = commands.run("build", small, tmp_path / "out", "--allow-incomplete", "--dask=")
    assert (done.status, done.text) == (2, "celeba-dialog: error: --dask: the address of the scheduler is empty.\n")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("address", ["nonsense", "tcp://"])
def test_an_address_that_is_none(address, small, commands, tmp_path):
    done = commands.run(
        "build", small, tmp_path / "out", "--allow-incomplete", f"--dask={address}", faults=[("impatient",)]
    )
    assert done.status == 1, done.text
    assert done.text.startswith(f"celeba-dialog: error: {address}: no Dask scheduler answers there")
    assert done.text.count("\n") == 1


def test_distributed_is_not_installed(small, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    says = 'pip install "celeba-dialog.dask.".*pip install "distributed"'
    with pytest.raises(EnvironmentFault, match=says):
        build.build(small, tmp_path / "out", dask="tcp://127.0.0.1:1", allow_incomplete=True)
    assert not (tmp_path / "out").exists()
