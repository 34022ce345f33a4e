"""What the README and the Makefile say, as it stands: in a home folder, with the wheel, and a demo for the data."""

import importlib.util
import re
import shlex
import shutil
import subprocess
import textwrap

import hub
import installation
import pytest
from installation import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = [line.split("#")[0].strip() for line in re.findall(r"^celeba-dialog .*$", README, re.M)]
SNIPPETS = re.findall(r"^```python\n(.*?)^```$", README, re.M | re.S)
(DEMO,) = re.findall(r"`(celeba-dialog demo .*?)`", README)
SCREEN = 24, 80  # lines and columns of a terminal

# Runs the snippets given as arguments, each as if it were alone in a file, but in one process to save imports.
RUN_SNIPPETS = """
import os, sys, traceback
for path in sys.argv[1:]:
    try:
        exec(compile(open(path).read(), path, "exec"), {"__name__": "__main__"})
    except BaseException:
        traceback.print_exc()
        sys.exit(f"{path} of the README fails")
sys.stdout.flush()
os._exit(0)  # pyarrow's threads may abort Python at its end, where a Parquet stream was left in the middle
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def shell(installed, home):
    """shell(line): runs what a person types, as a shell does; it has to succeed. Returns what was printed."""

    def shell(line, cwd=home, **more):
        environment = installation.environment(installed, home, **more)
        done = subprocess.run(  # noqa: S603
            ["/bin/sh", "-c", line], cwd=cwd, env=environment, capture_output=True, text=True, timeout=600
        )
        assert done.returncode == 0, (line, done.stdout + done.stderr)
        assert "Traceback" not in done.stderr
        return done.stdout + done.stderr

    return shell


@pytest.fixture(scope="module")
def used(shell, home):
    """The home folder after the commands of the README, with a demo in the place of what `fetch` brings."""
    shell(DEMO)
    with hub.Hub() as the_hub:
        online = {"HF_ENDPOINT": the_hub.endpoint, "HF_TOKEN": the_hub.token(owner="my-lab"), "HF_HUB_OFFLINE": "0"}
        online |= {"HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "NO_PROXY": "127.0.0.1"}
        for line in COMMANDS:
            if shlex.split(line)[1] != "fetch":  # test_docs.py does that
                shell(line, **online)
        assert "manifest.json" in the_hub.files("my-lab/celeba_dialog")
    return home


def test_the_commands(used):
    assert {shlex.split(line)[1] for line in COMMANDS} >= {"fetch", "check", "build", "verify", "preview", "push"}
    assert (used / "celeba_dialog" / "manifest.json").is_file()
    assert (used / "contact-sheet.png").read_bytes().startswith(b"\x89PNG")


def test_every_snippet(used, shell):
    assert len(SNIPPETS) >= 8
    names = []
    for number, code in enumerate(SNIPPETS, 1):
        if "torch" in code and not importlib.util.find_spec("torch"):
            continue
        (used / f"snippet{number}.py").write_text(code, encoding="utf-8")
        names.append(f"snippet{number}.py")
    assert len(names) >= 3
    (used / "run.py").write_text(RUN_SNIPPETS)
    said = shell(f"python run.py {' '.join(names)}")
    if "snippet1.py" in names:
        assert "torch.Size([16, 3, 256, 256]) torch.Size([16, 1, 256, 256])" in said


@pytest.mark.skipif(not shutil.which("make"), reason="there is no make")
def test_make_demo_reads_well(shell, tmp_path):
    """On two screens, a word on each step, and at its end what to type next."""
    said = shell("make demo TO_USE= 2>&1", cwd=installation.copy_sources(tmp_path / "clone"))
    lines = [part for line in said.splitlines() for part in textwrap.wrap(line, SCREEN[1]) or [""]]
    assert len(lines) <= 2 * SCREEN[0], said
    steps = re.findall(r"^# \d\. .*\n(celeba-dialog \w+|from datasets)", said, re.M)
    assert [step.removeprefix("celeba-dialog ") for step in steps] == [
        "demo",
        "check",
        "build",
        "from datasets",
        "preview",
    ]
    assert "incomplete" not in said
    assert "Traceback" not in said
    *_, activate, check, build = said.splitlines()
    assert activate == ". .venv/bin/activate"
    assert (check, build) == tuple(line for line in COMMANDS if re.search(" (check|build) ", line))
    assert (tmp_path / "clone" / "contact-sheet.png").read_bytes().startswith(b"\x89PNG")
