"""The README says everything; that what it says works as it stands is for tests/installed/test_readme.py."""

import configparser
import re
import shlex
from pathlib import Path

import drive
import pytest
from commands import held

import celeba_dialog
from celeba_dialog import CONFIGS
from conversion import __main__ as command_line
from conversion.demo import command as demo
from conversion.release.official import FILES

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = [line.split("#")[0].strip() for line in re.findall(r"^celeba-dialog .*$", README, re.M)]


def subcommands():
    """{command: its argparse parser}."""
    choices = command_line.parser()._subparsers._group_actions[0].choices
    return dict(choices)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A home folder with a release in ~/CelebA-Dialog."""
    home = tmp_path_factory.mktemp("home")
    demo.write_release(str(home / "CelebA-Dialog"), hq=24, standard=120)
    return home


def test_every_command_line_is_one_that_the_program_accepts():
    assert len(COMMANDS) >= 6
    for line in COMMANDS:
        command_line.parser().parse_args(shlex.split(line)[1:])  # exits where it is wrong


def test_the_first_five_minutes_run_as_they_stand(home, tmp_path, monkeypatch, capsys):
    """From an empty home folder to a contact sheet, with a Drive on this machine."""
    for role, file in FILES.items():  # as if the demo were all there is
        monkeypatch.setitem(FILES, role, file._replace(count=held(home / "CelebA-Dialog", role)))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    contents = {role: (home / "CelebA-Dialog" / file.path).read_bytes() for role, file in FILES.items()}
    with drive.holding(contents, monkeypatch):
        for line in COMMANDS:
            words = shlex.split(line)[1:]
            if words[0] == "push":  # tests/installed/test_readme.py does that
                continue
            words = [re.sub("^~", str(tmp_path), word) for word in words]  # as a shell does
            assert command_line.main(words) == 0, (line, capsys.readouterr())
    for role, file in FILES.items():
        assert (tmp_path / "CelebA-Dialog" / file.path).read_bytes() == contents[role]
    assert (tmp_path / "contact-sheet.png").read_bytes().startswith(b"\x89PNG")


def test_the_versions_are_those_of_the_matrix():
    """The README's table has a line for each environment of tox.ini, with the versions that are installed there."""
    matrix = configparser.ConfigParser(inline_comment_prefixes="#")
    matrix.read(ROOT / "tox.ini")
    pins = [re.match(r"ds([\d.]+)(-!?py310)?: (\w+)==(\S+)", line) for line in matrix["testenv"]["deps"].splitlines()]
    rows = [[cell.strip(" `") for cell in line.split("|")[1:-1]] for line in README.splitlines()]
    told = [row for row in rows if len(row) == 8 and re.match(r"\d", row[0])]
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
        assert len(found) == 1, f"README: no line for {name}: {expected}"
        assert found[0][4] == ("✓" if int(version[0]) < 4 else "—")  # scripts ended with 4.0
        assert found[0][5:] == ["✓"] * 3
    lowest = told[-1]
    bounds = dict(re.findall(r"^(\w+)>=([\d.]+)", (ROOT / "requirements.txt").read_text(), re.M))
    assert "lowest" in names
    assert lowest[0] == f"{bounds['datasets']}, and the oldest of everything"
    for version, package in zip(lowest[2:4], ("pyarrow", "huggingface_hub")):
        assert version.removesuffix(".0").removesuffix(".0") == bounds[package]


@pytest.mark.parametrize("name", command_line.COMMANDS)
def test_every_command_and_option_is_in_the_readme_and_has_help(name):
    parser = subcommands()[name]
    row = next((line for line in README.splitlines() if line.startswith(f"| `{name} ")), "")
    assert row, f"README: the table of commands lacks {name}"
    assert len(parser.description.split()) > 10
    for action in parser._actions:
        if action.dest == "help":
            continue
        assert action.help, f"{name}: {action.dest} has no help"
        word = action.option_strings[-1] if action.option_strings else action.metavar
        assert word in row, f"README: the row of {name} lacks {word}"


def test_every_config_and_column_is_in_the_readme():
    for name in CONFIGS:
        assert f"| `{name}` |" in README
    columns = {name for subset in ("hq", "standard") for name in celeba_dialog.features_of(subset, subset == "hq")}
    table = README.split("## Columns")[1].split("\n## ")[0]
    for column in columns:
        assert f"`{column}`" in table


def test_help_tells_every_command(capsys):
    with pytest.raises(SystemExit) as stop:
        command_line.main(["--help"])
    assert stop.value.code == 0
    text = capsys.readouterr().out
    for name in command_line.COMMANDS:
        assert re.search(rf"^    {name} +\S", text, re.M)


def test_no_command_is_wrong_usage():
    with pytest.raises(SystemExit) as stop:
        command_line.main([])
    assert stop.value.code == 2


TREE = README.split("## The code")[1].split("```")[1]


def test_the_tree_in_the_readme_is_the_tree():
    lines = dict(re.findall(r"^(?:[├└]── )?([\w.]+/?) +(.*(?:\n {10,}.*)*)", TREE, re.M))
    assert all((ROOT / name).exists() or (ROOT / "conversion" / name).exists() for name in lines)
    package = [path for path in (ROOT / "conversion").iterdir() if path.name not in ("__init__.py", "__pycache__")]
    for path in package:
        if path.is_file():
            assert path.name in lines
            continue
        named = {item.split()[0] for item in lines[f"{path.name}/"].split(": ")[-1].split("·")}
        modules = {each.stem for each in path.glob("*.py") if each.name != "__init__.py"}
        assert named == modules | {each.name for each in path.iterdir() if each.is_file() and each.suffix != ".py"}
    for path in (ROOT / "dataset_card").iterdir():
        assert path.name in lines["dataset_card/"]


def test_the_readme_names_the_sections_of_the_loading_script():
    """A reader of loading scripts finds what he expects in the first 400 lines."""
    script = (ROOT / "celeba_dialog.py").read_text(encoding="utf-8")
    sections = re.findall(r"^# -{9,} (.+)$", script, re.M)
    assert sections[:4] == ["vocabulary", "features", "configs and builder", "register"]
    assert script.index("how the files are read\n#") < len("\n".join(script.splitlines()[:400]))
    assert f"errors, {', '.join(sections[5:])}" in " ".join(TREE.split())
    for name in sections:
        assert name in celeba_dialog.__doc__
