"""What OUT and PNG may be: refused before anything is made, where they cannot be written. `fetch` has its own tests."""

import io
import logging
import os
import stat
import warnings
from unittest import mock

import pytest
from making import write_release

from conversion.demo import people
from conversion.push import push
from conversion.release.errors import CelebADialogError, EnvironmentFault, UsageError
from conversion.runtime import files
from conversion.viewer import preview as preview_module
from conversion.viewer import sheet
from conversion.viewer.preview import preview

ADDRESSES = ["http://127.0.0.1/x.png", "http://[::1/x.png", "s3://bucket/x.png", "file:///x.png", "::"]


def demo(out):
    write_release(out, hq=1, standard=1)


@pytest.fixture
def place(tmp_path, monkeypatch):
    """The working directory, with one of everything that is no folder; nothing may be drawn."""
    (tmp_path / "file").write_text("as it was")
    os.mkfifo(tmp_path / "pipe")
    os.mknod(tmp_path / "socket", stat.S_IFSOCK | 0o600)
    (tmp_path / "link").symlink_to("file")
    (tmp_path / "circle").symlink_to("circle")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "\x1b[2J\n").write_text("theirs")
    (tmp_path / "half").mkdir()
    os.mkfifo(tmp_path / "half" / "README.txt")
    for name, target in (("folder", "full"), ("pipe", "pipe"), ("null", "/dev/null"), ("socket", "socket")):
        (tmp_path / f"{name}.png").symlink_to(target)
    (tmp_path / "circle.png").symlink_to("circle.png")
    monkeypatch.chdir(tmp_path)
    for module, name in ((people, "cast"), (sheet, "contact_sheet"), (preview_module.rows, "open_rows")):
        monkeypatch.setattr(module, name, lambda *_, **__: pytest.fail("it was drawn before OUT was looked at"))
    before = {name: os.lstat(name)[:2] for name in os.listdir()}
    yield
    assert {name: os.lstat(name)[:2] for name in os.listdir()} == before
    assert (tmp_path / "file").read_text() == "as it was"


@pytest.mark.usefixtures("place")
@pytest.mark.parametrize(
    ("out", "says"),
    [
        ("/dev/null/release", "/dev/null is a device"),
        ("link/release", "link is a file|file is a file"),
        ("pipe/a/b", "pipe is a pipe"),
        ("circle/a", "leads nowhere"),
        ("/proc/release", "cannot write the demo there"),
        ("/dev/null", "is a device"),
        ("file", "is a file"),
        ("link", "is a file"),
        ("pipe", "is a pipe"),
        ("socket", "is a socket"),
        ("circle", "leads nowhere"),
        ("full", r"holds \\x1b\[2J\\n"),
        ("half", "no README.txt of a demo"),
        ("/", "neither empty nor an earlier demo|working directory"),
        (".", "working directory"),
        ("..", "working directory"),
        ("", "is empty"),
        *((address, "is an address") for address in ADDRESSES),
    ],
)
def test_demo_refuses_what_can_be_no_folder(out, says):
    with pytest.raises(CelebADialogError, match=says) as error:
        demo(out)
    assert str(error.value).isprintable()


def test_demo_keeps_the_folder_one_stands_in(tmp_path, monkeypatch):
    out = tmp_path / "release"
    demo(out)
    for inside in (out, out / "CelebA-Dialog (HQ)"):
        monkeypatch.chdir(inside)
        with pytest.raises(UsageError, match="working directory"):
            demo(out)
    assert os.path.isdir(os.getcwd())
    monkeypatch.chdir(tmp_path)
    demo(out)


@pytest.mark.usefixtures("place")
@pytest.mark.parametrize(
    ("png", "says"),
    [
        ("/dev/null", "should end in .png"),
        ("file/x.png", "there is no folder"),
        ("nowhere/x.png", "there is no folder"),
        ("folder.png", "is a folder"),
        ("pipe.png", "is a pipe"),
        ("null.png", "is a device"),
        ("circle.png", "is a link that leads nowhere"),
        ("socket.png", "is a socket"),
        ("", "is empty"),
        *((address, "is an address") for address in ADDRESSES),
    ],
)
def test_preview_refuses_what_can_be_no_picture(png, says):
    with pytest.raises(UsageError, match=says) as error:
        preview("release", png)
    assert str(error.value).isprintable()


@pytest.mark.parametrize("out", [*ADDRESSES, ""])
def test_push_takes_a_local_folder(out, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    with pytest.raises(UsageError, match="is an address|is empty") as error:
        push(out, "org/celeba_dialog")
    assert str(error.value).isprintable()


def test_what_cannot_be_read_or_listed(tmp_path, monkeypatch):
    class NoCredentials(Exception):
        """As file systems behind addresses have of their own."""

    monkeypatch.setattr(files, "filesystem", mock.Mock(side_effect=NoCredentials("none")))
    with pytest.raises(OSError, match="NoCredentials: none"):
        files.read("memory://out/manifest.json")
    monkeypatch.setattr(os, "scandir", mock.Mock(side_effect=OSError(13, "Permission denied", "out")))
    with pytest.raises(EnvironmentFault, match="out: cannot be listed: Permission denied"):
        files.tree(str(tmp_path))


# ------------------------------------------------------------------------------------------------------------- messages


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_message_cannot_move_the_cursor(monkeypatch):
    monkeypatch.setattr("sys.stderr", terminal := Terminal())
    files.say("a\x1b[2Jb\u202ec\x9bd\re\x00f\udcffg\u2028h\ti é 雪\nsecond line")
    first, second, *_ = terminal.getvalue().split("\n")
    assert (first, second) == (r"a\x1b[2Jb\u202ec\x9bd\re\x00f\udcffg\u2028h\ti é 雪", "second line")


def test_a_progress_bar_cannot_either(monkeypatch):
    monkeypatch.setattr("sys.stderr", terminal := Terminal())
    with files.progress(total=2, desc="\x1b[2J\n\u202ename") as bar:
        bar.update(2)
    assert r"\x1b[2J\n\u202ename" in terminal.getvalue()
    assert "\x1b[2J" not in terminal.getvalue() and "\u202e" not in terminal.getvalue()


def test_what_libraries_warn_of_is_a_message_too(monkeypatch):
    monkeypatch.setattr("sys.stderr", terminal := Terminal())
    with files.libraries_say():
        logging.getLogger("urllib3.connection").warning("header %s", "\x1b[2J\nmore")
        logging.getLogger("huggingface_hub.utils._http").warning("\u202eheader")
        warnings.warn("page \x1b[2J\nmore", stacklevel=1)
    assert terminal.getvalue().splitlines() == [r"header \x1b[2J more", r"\u202eheader", r"page \x1b[2J more"]
