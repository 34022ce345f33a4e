"""However a command is started and whatever stands in its way: it ends, with one line and the right status."""

import itertools
import os
import shutil
import signal
import socket
import subprocess
import sys

import pytest
from commands import ROOT, tree

import celeba_dialog
from conversion import __main__ as cli
from conversion.parquet import command as build
from conversion.release.errors import CelebADialogError, UsageError
from conversion.runtime.interrupts import TEXT as INTERRUPTED

pytest_plugins = ["building"]

ERROR = "celeba-dialog: error: "
NO_SPACE = f"{ERROR}Standard output: No space left on device.\n"
PORT = "http://127.0.0.1:1"  # nobody listens there


@pytest.fixture
def lines(small, fine, tmp_path):
    """{command: a line that calls it, and its status}. `browse` would go on for ever: it is given nothing to show."""
    return {
        "demo": (["demo", tmp_path / "demo", "--hq=1", "--standard=1"], 0),
        "fetch": (["fetch", tmp_path / "fetched", "--accept-agreement"], 1),
        "check": (["check", small], 0),
        "build": (["build", small, tmp_path / "out", "--allow-incomplete", "--config=standard"], 0),
        "verify": (["verify", fine, small], 0),
        "preview": (["preview", fine, tmp_path / "sheet.png", "--rows=1"], 0),
        "browse": (["browse", tmp_path / "nowhere"], 1),
        "push": (["push", fine, "me/mine"], 1),
    }


@pytest.fixture
def run(commands):
    """A function that runs a command without a network."""

    def run(argv, *faults, **options):
        faults = [("plain_card",), *faults, *[("without_pauses",)] * (argv[0] == "fetch")]
        return commands.run(*argv, faults=faults, environment={"CELEBA_DIALOG_DRIVE": PORT}, **options)

    return run


def one_line(done, status, *parts):
    """Asserts that a command ended with a status and one line, which has these parts."""
    assert done.status == status, done.text
    assert done.text.count("\n") == 1, done.text
    assert "Traceback" not in done.text
    assert "not foreseen" not in done.text
    for part in parts:
        assert part in done.text


# ---------------------------------------------------------------------------------------------------------- the streams


# Each command and each way a stream can fail, in some pair; `make trials` has all of them.
PAIRS = list(itertools.product(cli.COMMANDS, (0, 1, 2), ("closed", "/dev/full", "broken pipe")))
SOME_PAIRS = [*PAIRS[::10], ("check", 1, "broken pipe"), ("check", 1, "/dev/full"), ("build", 2, "/dev/full")]


@pytest.mark.parametrize(
    "name, number, what", [pytest.param(*pair, marks=[pytest.mark.trials] * (pair not in SOME_PAIRS)) for pair in PAIRS]
)
def test_a_stream_that_is_not_there(name, number, what, lines, run):
    """Whatever becomes of its messages, a command does its work; only a result that cannot be printed is a failure."""
    argv, status = lines[name]
    done = run(argv, ("stream", number, what))
    assert "Traceback" not in done.text and "not foreseen" not in done.text and "Exception" not in done.text
    if number == 1 and what != "closed" and name == "check":
        assert (done.status, done.text) == ((141, "") if what == "broken pipe" else (1, NO_SPACE))
    else:
        assert done.status == status, done.text


def test_no_file_takes_the_number_of_a_closed_stream(build_small, fine, tmp_path):
    """A shard opened as file number 2 would have messages in it."""
    for number in (1, 2):
        out = tmp_path / f"out {number}"
        build_small(out, "--workers=1", faults=[("stream", number, "closed")])
        assert tree(out) == tree(fine)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_an_encoding_without_arrows(encoding, small, run, tmp_path):
    release = shutil.copytree(small, tmp_path / "here → there")
    expected = run(["check", release]).text
    assert "→" in expected
    found = run(["check", release], ("encoding", encoding)).text
    assert found == expected.replace("→", "->").replace("…", "...").replace("·", "-")
    done = run(["check", tmp_path / "späte Gäste, 顔"], ("encoding", encoding))
    one_line(done, 1, f"{ERROR}{tmp_path}/sp", "no such folder", "\\u9854")


# ----------------------------------------------------------------------------------------------------- folders and URLs


@pytest.mark.parametrize("name", ["demo", "build", "browse"])
def test_a_working_folder_that_is_gone(name, lines, run):
    argv, _ = lines[name]
    one_line(run(argv, ("no_working_folder",)), 1, "The working folder")


ADDRESSES = ["http://[", "foo://bar", "file://", "::", "http://a b/", "://", "zip://::", "zip://::no.zip"]
NAMES = ["check", "build", "build OUT", "verify", "verify RELEASE", "preview", "browse", "push"]
SILENT = [(f"{PORT}/somewhere", name) for name in ("check", "verify RELEASE", "preview")]


@pytest.mark.parametrize("address, name", [*zip(ADDRESSES, NAMES), *zip(ADDRESSES[1:], ["check"] * 7), *SILENT])
def test_an_address_that_leads_nowhere(address, name, lines, run, tmp_path):
    """No address at all, or one of a server that does not answer: a line, and nothing written."""
    argv = [*lines[name.split()[0]][0]]
    argv[2 if " " in name else 1] = address
    (tmp_path / "empty").mkdir()
    done = run(argv, cwd=tmp_path / "empty")
    assert done.status == 1 or done.status == 2 and PORT not in address
    one_line(done, done.status, *[address] * (PORT in address))
    assert list((tmp_path / "empty").iterdir()) == []


# What stands at OUT, or above it -> a part of what is said of that.
FOREIGN, INSIDE = "holds something that is no earlier build", "this command runs inside that folder"
PLACES = {
    "/dev/null": "/dev/null is no folder",
    "/dev/null/out": "/dev/null is no folder",
    "pipe": "pipe is no folder",
    "socket": "socket is no folder",
    "file": "file: is a file, and no folder",
    "file/out": "file is no folder",
    "link to nowhere": "which is not there",
    "link to nowhere/out": "which is not there",
    "link to itself": "which is not there",
    "link to a file": "file: is a file, and no folder",
    "mine": FOREIGN,
    "mine/release": "lies in the release",
    "mine/release/CelebA-Dialog (HQ)": "lies in the release",
    "link to a release": "lies in the release",
    "manifest of another": FOREIGN,
    ".": INSIDE,
    "..": INSIDE,
    "link to here": INSIDE,
    "": "The path is empty",
    os.fsdecode(b"not\xffUTF-8"): "not valid text",
    "n" * 255: "File name too long",  # that of the working folder, which is longer
    "s3://bucket/out": "aws s3 sync",
    "file:///tmp/out": "aws s3 sync",
    "a[1]": "pattern",
    "b*/out": "pattern",
    "link to a pattern/out": "pattern",
}
LINKS = {"to nowhere": "no/where", "to itself": "link to itself", "to a file": "file", "to a release": "mine/release"}
LINKS |= {"to here": ".", "to a pattern": "c?"}


@pytest.fixture
def places(small, tmp_path, monkeypatch):
    """The working folder, in which such things are."""
    shutil.copytree(small, tmp_path / "mine" / "release")
    (tmp_path / "c?").mkdir()
    (tmp_path / "manifest of another").mkdir()
    (tmp_path / "manifest of another" / "manifest.json").write_text('{"dataset": "another"}')
    (tmp_path / "file").write_text("mine")
    os.mkfifo(tmp_path / "pipe")
    for name, target in LINKS.items():
        (tmp_path / f"link {name}").symlink_to(target)
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")
        yield tmp_path


@pytest.mark.parametrize("out", PLACES)
def test_an_out_that_cannot_be(out, places):
    """Refused before anything is built, and nothing is changed by it."""
    before = sorted(os.walk(places)), tree(places)
    with pytest.raises(CelebADialogError) as error:
        build.build("mine/release", out)
    assert PLACES[out] in str(error.value) and "\n" not in str(error.value)
    assert (sorted(os.walk(places)), tree(places)) == before


@pytest.mark.parametrize("kind", ["a release", "a link", "an empty folder", "a file among the shards", "a pipe"])
def test_what_someone_put_into_the_built_folder_is_not_lost(kind, fine, small, tmp_path):
    """Nor is a pipe opened, in which a build would hang."""
    out = shutil.copytree(fine, tmp_path / "out")
    inside = out / ("hq/mine" if kind.endswith("shards") else "README.md" if kind == "a pipe" else "mine")
    make = {
        "a release": lambda: shutil.copytree(small, inside),
        "a link": lambda: inside.symlink_to(small),
        "an empty folder": inside.mkdir,
        "a file among the shards": lambda: inside.write_text("mine"),
        "a pipe": lambda: (inside.unlink(), os.mkfifo(inside)),
    }
    make[kind]()
    release = inside if kind == "a release" else small
    before = sorted(os.walk(tmp_path))
    for force in (False, True):
        with pytest.raises(UsageError, match=f"{out}: holds {inside.relative_to(out)}.*Move it away"):
            build.build(release, out, force=force)
    assert sorted(os.walk(tmp_path)) == before


# --------------------------------------------------------------------------------------------------------------- limits


UNFORESEEN = "That was not foreseen: please report this line, and the command, where this project keeps its issues."
RAISED = {
    "MemoryError()": "Not enough memory or threads (MemoryError).",
    "pyarrow.lib.ArrowMemoryError('malloc of size 64')": "Not enough memory or threads (malloc of size 64)",
    "RuntimeError('can\\'t start new thread')": "Not enough memory or threads (can't start new thread).",
    "ImportError('libarrow.so: failed to map segment from shared object')": "Not enough memory or threads (libarrow.so",
    "ImportError('No module named \\'numpy\\'')": "No module named 'numpy'. What this command needs is not installed",
    "RuntimeError('two\\nlines\\x1b[2J')": f"RuntimeError: two lines\\x1b[2J. {UNFORESEEN} {cli.DEBUG}=1 shows more.\n",
    "KeyError('name')": f"KeyError: 'name'. {UNFORESEEN}",
    "AssertionError()": f"AssertionError. {UNFORESEEN}",
    "BrokenPipeError(32, 'Broken pipe')": "Broken pipe.",
}


@pytest.mark.parametrize("error, workers", [*((error, 1) for error in RAISED), *((e, 2) for e in list(RAISED)[:2])])
def test_whatever_is_raised(error, workers, small, run, tmp_path):
    """By the code that writes shards, in a thread or a worker process."""
    argv = ["build", small, tmp_path / "out", "--allow-incomplete", f"--workers={workers}"]
    done = run(argv, ("raise_in_shards", error))
    assert (done.status, done.text.count("\n")) == (1, 1), done.text
    assert RAISED[error] in done.text
    assert "Traceback" not in done.text


def test_debugging_shows_the_traceback(commands, tmp_path):
    for value in ("", "1"):
        done = commands.run("check", tmp_path / "nowhere", environment={cli.DEBUG: value})
        assert done.status == 1
        assert ("Traceback (most recent call last)" in done.text) == (value == "1")
        assert done.text.splitlines()[-1].startswith(f"{ERROR}{tmp_path}/nowhere: no such folder")


def test_an_endpoint_that_is_no_address(commands, tmp_path):
    done = commands.run("check", tmp_path, environment={"HF_ENDPOINT": "http://127.0.0.1:port"})
    one_line(done, 1, "HF_ENDPOINT: is 'http://127.0.0.1:port'")


@pytest.mark.parametrize("name", ["check", "build"])
def test_a_limit_of_memory_that_is_too_low(name, lines, run):
    one_line(run(lines[name][0], ("limit", "RLIMIT_AS", 500 << 20)), 1, "ulimit -v is 500 MB")


# ------------------------------------------------------------------------------------------------------------ the start
# In new processes, since none of this can be had by forking one that has everything imported.


def begin(argv, *, redirect="", environment=None, output=subprocess.PIPE):
    """Runs Python as a user starts it: CompletedProcess. `redirect` is what follows the command in a line of it."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "LC_", "LANG"))}
    return subprocess.run(  # noqa: S603
        ["/bin/sh", "-c", f'exec "$@" {redirect}', "sh", sys.executable, *map(str, argv)],
        env=clean | {"PYTHONPATH": str(ROOT)} | (environment or {}),
        cwd=ROOT,
        stdout=output,
        stderr=subprocess.PIPE,
        timeout=600,
        # SIGINT is ignored where the tests run in the background.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


IMPORTS = """
import runpy, signal, sys

class Strike:
    def find_spec(self, name, path=None, target=None):
        if name == NAME:
            sys.meta_path.remove(self)
            signal.raise_signal(signal.SIGINT)

sys.meta_path.insert(0, Strike())
runpy.run_module("conversion", run_name="__main__", alter_sys=True)
"""


@pytest.mark.parametrize("module", [pytest.param("numpy", marks=pytest.mark.trials), "conversion.parquet.shards"])
def test_interrupted_while_importing(module, small, tmp_path):
    program = f"NAME = {module!r}\n{IMPORTS}"
    done = begin(["-c", program, "build", small, tmp_path / "out", "--allow-incomplete"])
    assert (done.returncode, done.stdout, done.stderr.decode()) == (130, b"", f"{INTERRUPTED}\n")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.trials
@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("words", [["check"], ["build", "--help"]])
def test_a_reader_that_goes_away(words, unbuffered, small):
    argv = ["-m", "conversion", *words, *[small] * (words == ["check"])]
    environment = {"PYTHONUNBUFFERED": unbuffered}
    done = begin(argv, redirect="> /dev/full", environment=environment)
    assert (done.returncode, done.stderr.decode()) == (1, NO_SPACE)
    reader, writer = os.pipe()
    os.close(reader)
    done = begin(argv, environment=environment, output=writer)
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, b"")


# ----------------------------------------------------------------------------------------------------- the command line


@pytest.mark.parametrize(
    "argv, status, out, err",
    [
        ([], 0, "usage: celeba-dialog [-h]", ""),
        (["--version"], 0, f"celeba-dialog {celeba_dialog.__version__}\n", ""),
        (["check"], 2, "", "the following arguments are required: RELEASE\n"),
        (["nothing"], 2, "", "invalid choice: 'nothing'"),
        (["build", "", "out"], 2, "", "empty"),
        (["build", ".", "out", "--config=hq_1024"], 2, "", "invalid choice: 'hq_1024'"),
        (["build", ".", "out", "--workers=0"], 2, "", "--workers 0: at least one"),
        (["build", ".", "out", "--dask="], 2, "", "--dask: the address of the scheduler is empty."),
        (["check", "/nowhere/at/all"], 1, "", "/nowhere/at/all: no such folder"),
    ],
)
def test_the_command_line(argv, status, out, err, capsys):
    try:
        found = cli.main(argv)
    except SystemExit as exit:
        found = exit.code
    said = capsys.readouterr()
    assert (found, said.out.startswith(out), err in said.err) == (status, True, True), said
    assert bool(said.out) == bool(out)
    if err:
        assert said.err.splitlines()[-1].startswith(ERROR)
