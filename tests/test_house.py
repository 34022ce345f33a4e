"""The house: which room may import which, how large a room may be, and one name for the package in a process."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PATHS = [ROOT / "celeba_dialog.py", *sorted((ROOT / "conversion").rglob("*.py"))]
MODULES = {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path for path in PATHS}
COMMANDS = "demo.command fetch.command check parquet.command verify viewer.preview viewer.browse push".split()
COMMANDS = [f"conversion.{name}" for name in COMMANDS]
# The modules of release in their order: each imports only those above it.
TOLD = ast.get_docstring(ast.parse(MODULES["conversion.release"].read_text())) or ""
ORDER = [line.split()[0] for line in TOLD.split("\n") if line.startswith("    ")]


def imports_of(name):
    """The modules of the project that a module imports anywhere in it, but for what only type checkers see."""
    tree, found = ast.parse(MODULES[name].read_text()), set()
    package = name.split(".") if MODULES[name].name == "__init__.py" else name.split(".")[:-1]
    typing_only = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if node in typing_only:
            continue
        if isinstance(node, ast.ImportFrom):
            base = ".".join([*package[: len(package) - node.level + 1], *filter(None, [node.module])])
            base = base if node.level else node.module
            found |= {f"{base}.{alias.name}" for alias in node.names} | {base}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return found & set(MODULES) - {name}


GRAPH = {name: imports_of(name) for name in MODULES}


def test_no_module_is_a_warehouse():
    lengths = {name: len(path.read_text().splitlines()) for name, path in MODULES.items()}
    assert {name: lines for name, lines in lengths.items() if lines > 400} == {}
    assert lengths["celeba_dialog"] <= 350


def test_no_circle():
    settled = set()
    while ready := {name for name in GRAPH if name not in settled and GRAPH[name] - {"conversion"} <= settled}:
        settled |= ready
    assert set(GRAPH) - settled == set()


def test_release_imports_nothing_of_the_rest():
    for name, imported in GRAPH.items():
        if name.startswith("conversion.release"):
            assert all(other.startswith("conversion") for other in imported), name
            assert imported - {"conversion"} <= {n for n in MODULES if n.startswith("conversion.release")}, name


def test_the_modules_of_release_stand_in_their_order():
    modules = [name.rsplit(".", 1)[1] for name in MODULES if name.startswith("conversion.release.")]
    assert sorted(ORDER) == sorted(modules)
    for name in modules:
        for other in GRAPH[f"conversion.release.{name}"] - {"conversion", "conversion.release"}:
            assert ORDER.index(other.rsplit(".", 1)[1]) < ORDER.index(name), f"{name} imports {other}"


def test_commands_import_no_other_command():
    for name in COMMANDS:
        assert GRAPH[name] & set(COMMANDS) == set(), name


@pytest.mark.parametrize("name", MODULES)
def test_no_private_name_crosses_modules(name):
    for node in ast.walk(ast.parse(MODULES[name].read_text())):
        if isinstance(node, ast.ImportFrom):
            private = [alias.name for alias in node.names if alias.name.startswith("_")]
            assert [each for each in private if not each.startswith("__")] == []


# What a process may import first, and how it was started; then the package has one name, whatever follows.
STARTS = (
    "import celeba_dialog; celeba_dialog.DEGREES",
    "import conversion.check",
    "import conversion.__main__",
    "import celeba_dialog_conversion.check",
    "import celeba_dialog_conversion.__main__; import celeba_dialog; celeba_dialog.DEGREES",
    "import celeba_dialog; celeba_dialog.register(); from conversion.release import zips",
)


@pytest.mark.parametrize("start", STARTS)
def test_one_name_for_the_package_in_a_process(start):
    code = (
        f"{start}\nimport sys, celeba_dialog\nceleba_dialog.ReleaseError\n"
        "print(sorted({name.split('.')[0] for name in sys.modules if '.release.' in name and 'conversion' in name}))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)  # noqa: S603
    assert done.returncode == 0, done.stderr
    expected = "celeba_dialog_conversion" if "celeba_dialog_conversion" in start else "conversion"
    assert done.stdout.strip() == str([expected])


def test_the_public_names_are_all_there_and_nothing_else():
    code = "import celeba_dialog as c; print(dir(c) == sorted(c.__all__) and all(hasattr(c, n) for n in c.__all__))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)  # noqa: S603
    assert done.stdout.strip() == "True", done.stderr


def test_the_help_of_the_builder_tells_configs_options_columns_and_an_example():
    import celeba_dialog

    text = celeba_dialog.CelebADialog.__doc__ or ""
    for word in (*celeba_dialog.CONFIGS, *celeba_dialog.features_of("hq", True), "image_size", "parts", "data_dir"):
        assert word in text
    assert 'CelebADialog(config_name="hq"' in text
