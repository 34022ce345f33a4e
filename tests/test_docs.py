"""README, CONTRIBUTING and the help tell what there is, and the way from Google Drive to a checked folder runs.

Its other commands, and its snippets, are run from the wheel by tests/installed/test_readme.py.
"""

import configparser
import io
import re
import shlex
import sys

import drive
import pytest
from installation import ROOT
from making import write_release
from test_house import ORDER

import celeba_dialog
from conversion import __main__ as command_line
from conversion.release.official import FILES
from conversion.release.vocabulary import HQ, STANDARD

README, CONTRIBUTING, CHANGELOG, CITATION, MAKEFILE = (
    (ROOT / name).read_text(encoding="utf-8")
    for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "CITATION.cff", "Makefile")
)
BLOCKS = re.findall(r"^```sh\n(.*?)^```$", README, re.M | re.S)
COMMANDS = [line.split("#")[0].strip() for block in BLOCKS for line in re.findall("^celeba-dialog .*$", block, re.M)]
TREE = CONTRIBUTING.split("## The code")[1].split("```")[1].replace("│", " ")


def section(text, title):
    return text.split(f"\n## {title}\n")[1].split("\n## ")[0]


def rows_of(table):
    """The cells of each line of a Markdown table, without the backticks around them."""
    return [[cell.strip(" `") for cell in line.split("|")[1:-1]] for line in table.splitlines() if line[:1] == "|"]


# ----------------------------------------------------------------------------------------------------------- the README


def test_the_readme_is_short():
    assert len(README.splitlines()) <= 180


def test_every_command_line_is_one_that_the_program_accepts():
    assert {shlex.split(line)[1] for line in COMMANDS} == set(command_line.COMMANDS) - {"browse"}
    for line in COMMANDS:
        command_line.parser().parse_args(shlex.split(line)[1:])  # exits where it is wrong


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_from_nothing_to_a_checked_folder(tmp_path, monkeypatch):
    """In an empty home folder, with a Drive on this machine and somebody who says yes."""
    write_release(tmp_path / "drive", hq=6, standard=12)
    contents = {role: (tmp_path / "drive" / file.path).read_bytes() for role, file in FILES.items()}
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "stdin", Terminal("yes\n"))
    monkeypatch.setattr(sys, "stderr", said := Terminal())
    (block,) = [block for block in BLOCKS if "celeba-dialog fetch" in block]
    lines = [line for line in COMMANDS if line in block and "celeba-dialog push" not in line]
    with drive.holding(contents, monkeypatch):
        for line in lines:
            words = [re.sub("^~", str(tmp_path), word) for word in shlex.split(line)[1:]]  # as a shell does
            assert command_line.main(words) == 0, (line, said.getvalue())
    assert len(lines) == 5
    for role in ("hq_images", "mapping", "standard_captions"):
        assert (tmp_path / "CelebA-Dialog" / FILES[role].path).read_bytes() == contents[role]


@pytest.mark.parametrize("name", command_line.COMMANDS)
def test_every_command_and_option_is_in_the_readme_and_has_help(name):
    parser = command_line.parser()._subparsers._group_actions[0].choices[name]
    actions = [action for action in parser._actions if action.dest != "help"]
    words = {action.option_strings[-1] if action.option_strings else action.metavar for action in actions}
    (usage,) = [row[0] for row in rows_of(section(README, "Commands")) if row[0].split()[0] == name]
    optional = re.findall(r"\[(--[a-z-]+)[^]]*\]", usage)
    positional = re.sub(r"\[.*?\]", "", usage).split()[1:]
    assert sorted(words) == sorted([*optional, *positional])
    assert len(parser.description.split()) > 10
    assert [action.dest for action in actions if not action.help] == []


def test_every_config_column_and_split_is_in_the_readme():
    text = section(README, "Configs and columns")
    named = {name for row in rows_of(text) for name in re.findall(r"\w+", re.sub(r"\(.*?\)", "", row[0]))}
    columns = {name for subset in ("hq", "standard") for name in celeba_dialog.features_of(subset, subset == "hq")}
    assert named == {*celeba_dialog.CONFIGS, *columns, "config", "column"}
    for subset in (HQ, STANDARD):
        assert " / ".join(f"{rows:,}" for rows in subset.rows[:3]) in text


def test_nobody_agrees_by_pasting():
    """Consent is not filled in: the option stands where options are told, and in no command."""
    assert [line for line in README.splitlines() if "--accept-agreement" in line] == [
        line for line in README.splitlines() if line.startswith("| `fetch OUT ")
    ]
    for path in [*(ROOT / "conversion").rglob("*.py"), *(ROOT / "dataset_card").glob("*.*")]:
        assert not re.search(rb"celeba-dialog fetch[^\n]*--accept", path.read_bytes()), path


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md"])
def test_every_link_leads_to_a_file(name):
    links = re.findall(r"\]\(([^)]+)\)", (ROOT / name).read_text(encoding="utf-8"))
    assert [link for link in links if not link.startswith("https://") and not (ROOT / link).exists()] == []


# ------------------------------------------------------------------------------------------------------------- the help


def test_help_tells_every_command(capsys):
    with pytest.raises(SystemExit) as stop:
        command_line.main(["--help"])
    assert stop.value.code == 0
    text = capsys.readouterr().out
    for name in command_line.COMMANDS:
        assert re.search(rf"^    {name} +\S", text, re.M)
    assert command_line.main([]) == 0
    assert capsys.readouterr().out == text


# -------------------------------------------------------------------------------------------------------- CONTRIBUTING


def test_the_tree_is_the_tree():
    lines = dict(re.findall(r"^(?:[├└]── )?([\w.]+/?) +(.*(?:\n {10,}.*)*)", TREE, re.M))
    assert [name for name in lines if not (ROOT / name).exists() and not (ROOT / "conversion" / name).exists()] == []
    for path in (ROOT / "conversion").iterdir():
        if path.name in ("__init__.py", "__pycache__"):
            continue
        if path.is_file():
            assert path.name in lines
            continue
        named = [item.split()[0] for item in lines[f"{path.name}/"].split(": ")[-1].split("·")]
        inside = {each.name.removesuffix(".py") for each in path.iterdir()} - {"__init__", "__pycache__"}
        assert sorted(named) == sorted(inside), path.name
        assert path.name != "release" or named == ORDER
    for path in (ROOT / "dataset_card").iterdir():
        assert path.name in lines["dataset_card/"]


def test_where_things_are_decided():
    table = section(CONTRIBUTING, "The code").split("| what | where |")[1]
    places = re.findall(r"`([\w/]+\.py)`", table)
    assert len(places) >= 20
    assert [path for path in places if not (ROOT / path).exists() and not (ROOT / "conversion" / path).exists()] == []


def test_every_target_of_make_is_told():
    (phony,) = re.findall("^[.]PHONY: (.*)", MAKEFILE, re.M)
    targets = set(phony.split()) - {"help"}
    assert set(re.findall(r"^\| `make (\w+)` \|", CONTRIBUTING, re.M)) == targets
    assert set(re.findall(r'^\t@echo "make (\w+) ', MAKEFILE, re.M)) == targets


def test_the_versions_are_those_of_the_matrix():
    """A line for each environment of tox.ini, with the versions that are installed there."""
    matrix = configparser.ConfigParser(inline_comment_prefixes="#")
    matrix.read(ROOT / "tox.ini")
    pins = [re.match(r"ds([\d.]+)(-!?py310)?: (\w+)==(\S+)", line) for line in matrix["testenv"]["deps"].splitlines()]
    told = [row for row in rows_of(section(CONTRIBUTING, "Versions")) if row[0][0].isdigit()]
    names = re.split(r"[,\s]+", matrix["tox"]["env_list"].strip())
    for name in names:
        version, _, python = name.removeprefix("ds").partition("-py")
        if not name.startswith("ds"):
            continue
        python = f"{python[0]}.{python[1:]}" if python else "3.11"
        others = {
            pin[3]: pin[4]
            for pin in pins
            if pin and pin[1] == version and pin[2] in (None, "-py310" if python == "3.10" else "-!py310")
        }
        expected = [others["datasets"], others["pyarrow"], others["huggingface_hub"]]
        found = [row for row in told if [row[0], *row[2:4]] == expected and python in row[1].split(", ")]
        assert len(found) == 1, f"CONTRIBUTING: no line for {name}: {expected}"
        assert found[0][4] == ("✓" if int(version[0]) < 4 else "—")  # scripts ended with 4.0
        assert found[0][5:] == ["✓"] * 3
    lowest = told[-1]
    bounds = dict(re.findall(r"^(\w+)>=([\d.]+)", (ROOT / "requirements.txt").read_text(), re.M))
    assert "lowest" in names
    assert lowest[0] == f"{bounds['datasets']}, and the oldest of everything"
    for version, package in zip(lowest[2:4], ("pyarrow", "huggingface_hub")):
        assert version.removesuffix(".0").removesuffix(".0") == bounds[package]


def test_one_version():
    assert re.findall(r"^version: (\S+)$", CITATION, re.M) == [celeba_dialog.__version__]
    assert re.findall(r"^## (\d\S*?)[, ]", CHANGELOG, re.M)[0] == celeba_dialog.__version__
    assert f"celeba_dialog-{celeba_dialog.__version__}-py3-none-any.whl" in README


def test_what_tox_runs_is_there():
    for path in re.findall(r"tests/[\w/.]+", (ROOT / "tox.ini").read_text()):
        assert (ROOT / path).exists(), path
