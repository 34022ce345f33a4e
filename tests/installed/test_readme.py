"""What the README says, as it stands: in a home folder, with the wheel, and a demo for the data."""

import re
import subprocess

import hub
import installation
import pytest
from commands import contents
from installation import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```sh\n(.*?)^```$", README, re.M | re.S)
COMMANDS = [line.split("#")[0].strip() for block in BLOCKS for line in re.findall("^celeba-dialog .*$", block, re.M)]
SNIPPETS = re.findall(r"^```python\n(.*?)^```$", README, re.M | re.S)

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
        options = {"cwd": cwd, "env": installation.environment(installed, home, **more), "timeout": 600}
        done = subprocess.run(["/bin/sh", "-c", line], capture_output=True, text=True, **options)  # noqa: S603
        assert done.returncode == 0, (line, done.stdout + done.stderr)
        assert "Traceback" not in done.stderr
        return done.stdout + done.stderr

    return shell


@pytest.fixture(scope="module")
def used(shell, home):
    """The home folder after the commands of the README, as they stand there; a demo stands for what `fetch` brings."""
    with hub.Hub() as the_hub:
        online = {"HF_ENDPOINT": the_hub.endpoint, "HF_TOKEN": the_hub.token(owner="my-lab"), "HF_HUB_OFFLINE": "0"}
        online |= {"HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "NO_PROXY": "127.0.0.1"}
        for line in COMMANDS:
            if line.startswith("celeba-dialog fetch"):  # test_docs.py does that, with a Drive
                line = line.replace("fetch", "demo") + " --hq 12 --standard 40 --seed 1"
            shell(line, **online)
        assert the_hub.repositories["my-lab/celeba_dialog"].private is True
        pushed = the_hub.files("my-lab/celeba_dialog")
    assert pushed == contents(home / "celeba_dialog")
    return home


def test_every_command_and_snippet(used, shell):
    assert "Agreement" in (used / "celeba_dialog" / "README.md").read_text()
    assert (used / "contact-sheet.png").read_bytes().startswith(b"\x89PNG")
    for number, code in enumerate(SNIPPETS, 1):
        (used / f"snippet{number}.py").write_text(code, encoding="utf-8")
    assert len(SNIPPETS) >= 3
    (used / "run.py").write_text(RUN_SNIPPETS)
    shell(f"python run.py {' '.join(f'snippet{number}.py' for number in range(1, len(SNIPPETS) + 1))}")
    assert (used / "smiling.parquet").exists()
