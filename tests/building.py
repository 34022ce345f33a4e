"""Fixtures of the tests that build: a test file that says `pytest_plugins = ["building"]` has them."""

import pytest
from commands import Commands
from making import write_release

from celeba_dialog import CONFIGS


@pytest.fixture(scope="session")
def commands(tmp_path_factory):
    """Commands."""
    with Commands(tmp_path_factory.mktemp("commands")) as commands:
        yield commands


@pytest.fixture(scope="session")
def built(demo, commands, tmp_path_factory):
    """The demo release built with all configs, by two workers: the path of the folder."""
    out = tmp_path_factory.mktemp("built") / "celeba_dialog"
    options = [word for config in CONFIGS for word in ("--config", config)]
    done = commands.run("build", demo.root, out, "--allow-incomplete", "--workers=2", *options)
    assert done.status == 0, done.text
    return out


@pytest.fixture(scope="session")
def small(tmp_path_factory):
    """The path of a release with few and small images, for tests that build it often."""
    root = tmp_path_factory.mktemp("small") / "release"
    write_release(str(root), hq=9, standard=20)
    return root


@pytest.fixture(scope="session")
def build_small(small, commands):
    """build_small(out, "--config=hq"): Done. Builds the small release, or another, with a card without pictures."""

    def build_small(out, *options, release=small, faults=(), status=0, **more):
        argv = ["build", release, out, "--allow-incomplete", *options]
        done = commands.run(*argv, faults=[("plain_card",), *faults], **more)
        assert done.status == status, done.text
        return done

    return build_small


@pytest.fixture(scope="session")
def fine(build_small, tmp_path_factory):
    """The small release, built: a folder that no test changes."""
    out = tmp_path_factory.mktemp("fine") / "celeba_dialog"
    build_small(out)
    return out
