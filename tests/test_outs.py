"""What OUT and PNG may be: refused before anything is made, where they cannot be written. `fetch` has its own tests."""

import os
import stat

import pytest
from making import write_release

from conversion.demo import people
from conversion.push import push
from conversion.release.errors import EnvironmentFault, UsageError
from conversion.runtime import files
from conversion.viewer import preview as preview_module
from conversion.viewer import sheet
from conversion.viewer.preview import preview

ADDRESSES = ["http://127.0.0.1/x.png", "http://[::1/x.png", "s3://bucket/x.png", "file:///x.png", "::"]


@pytest.fixture
def place(tmp_path, monkeypatch):
    """The working directory, with one of everything that is no folder."""
    (tmp_path / "file").write_text("as it was")
    os.mkfifo(tmp_path / "pipe")
    os.mknod(tmp_path / "socket", stat.S_IFSOCK | 0o600)
    (tmp_path / "link").symlink_to("file")
    (tmp_path / "circle").symlink_to("circle")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "\x1b[2J\n").write_text("theirs")
    monkeypatch.chdir(tmp_path)
    before = sorted(os.listdir(tmp_path))
    yield tmp_path
    assert sorted(os.listdir(tmp_path)) == before
    assert (tmp_path / "file").read_text() == "as it was"


@pytest.fixture
def nothing_drawn(monkeypatch):
    def drawn(*_, **__):
        pytest.fail("it was drawn before OUT was looked at")

    monkeypatch.setattr(people, "cast", drawn)
    monkeypatch.setattr(sheet, "contact_sheet", drawn)
    monkeypatch.setattr(preview_module.rows, "open_rows", drawn)


@pytest.mark.usefixtures("nothing_drawn")
@pytest.mark.parametrize(
    ("out", "says"),
    [
        ("/dev/null", "is a device"),
        ("file", "is a file"),
        ("link", "is a file"),
        ("pipe", "is a pipe"),
        ("socket", "is a socket"),
        ("circle", "leads nowhere"),
        ("full", r"holds \x1b[2J\n"),
        ("/", "neither empty nor an earlier demo|working directory"),
        (".", "working directory"),
        ("..", "working directory"),
        ("", "is empty"),
        *((address, "is an address") for address in ADDRESSES),
    ],
)
def test_demo_refuses_what_can_be_no_folder(place, out, says):
    with pytest.raises(UsageError) as error:
        write_release(out, hq=1, standard=1)
    assert any(words in str(error.value) for words in says.split("|"))
    assert str(error.value).isprintable()


def test_demo_keeps_the_folder_one_stands_in(tmp_path, monkeypatch):
    out = tmp_path / "release"
    write_release(str(out), hq=1, standard=1)
    (out / "CelebA-Dialog (HQ)").resolve(strict=True)
    for inside in (out, out / "CelebA-Dialog (HQ)"):
        monkeypatch.chdir(inside)
        with pytest.raises(UsageError, match="working directory"):
            write_release(str(out), hq=1, standard=1)
    assert os.path.isdir(os.getcwd())
    monkeypatch.chdir(tmp_path)
    write_release(str(out), hq=1, standard=2)


def test_demo_does_not_wait_for_a_pipe(tmp_path):
    out = tmp_path / "release"
    out.mkdir()
    os.mkfifo(out / "README.txt")
    with pytest.raises(UsageError, match="no README.txt of a demo"):
        write_release(str(out), hq=1, standard=1)


@pytest.mark.usefixtures("nothing_drawn")
def test_demo_finds_out_first_that_it_may_not_write(tmp_path):
    if os.geteuid() == 0:
        pytest.skip("root may write anywhere")
    tmp_path.chmod(0o500)
    with pytest.raises(EnvironmentFault, match="cannot write the demo there"):
        write_release(str(tmp_path / "release"), hq=1, standard=1)


@pytest.mark.usefixtures("nothing_drawn")
@pytest.mark.parametrize(
    ("out", "says"),
    [
        ("/dev/null/release", "/dev/null is a device"),
        ("file/release", "file is a file"),
        ("link/release", "link is a file|file is a file"),
        ("pipe/a/b", "pipe is a pipe"),
        ("circle/a", "leads nowhere"),
    ],
)
def test_demo_refuses_what_lies_below_no_folder(place, out, says):
    with pytest.raises(EnvironmentFault, match=says):
        write_release(out, hq=1, standard=1)


@pytest.mark.usefixtures("nothing_drawn")
@pytest.mark.parametrize(
    ("png", "says"),
    [
        ("/dev/null", "should end in .png"),
        ("file/x.png", "there is no folder"),
        ("nowhere/x.png", "there is no folder"),
        ("", "is empty"),
        *((address, "is an address") for address in ADDRESSES),
    ],
)
def test_preview_refuses_what_can_be_no_picture(place, png, says):
    with pytest.raises(UsageError, match=says) as error:
        preview("release", png)
    assert str(error.value).isprintable()


@pytest.mark.usefixtures("nothing_drawn")
@pytest.mark.parametrize(
    ("make", "says"),
    [
        (os.mkdir, "is a folder"),
        (os.mkfifo, "is a pipe"),
        (lambda path: os.symlink("/dev/null", path), "is a device"),
        (lambda path: os.symlink(path, path), "is a link that leads nowhere"),
        (lambda path: os.mknod(path, stat.S_IFSOCK | 0o600), "is a socket"),
    ],
)
def test_preview_replaces_only_files(tmp_path, make, says):
    make(tmp_path / "x.png")
    kind = stat.S_IFMT(os.lstat(tmp_path / "x.png").st_mode)
    with pytest.raises(UsageError, match=says):
        preview("release", tmp_path / "x.png")
    assert stat.S_IFMT(os.lstat(tmp_path / "x.png").st_mode) == kind


@pytest.mark.parametrize("out", [*ADDRESSES, ""])
def test_push_takes_a_local_folder(out, monkeypatch):
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    with pytest.raises(UsageError, match="is an address|is empty") as error:
        push(out, "org/celeba_dialog")
    assert str(error.value).isprintable()


# ------------------------------------------------------------------------------------------------------------- messages


class Terminal:
    def __init__(self):
        self.text = ""

    def write(self, text):
        self.text += text

    def flush(self):
        pass

    def isatty(self):
        return True


def test_a_message_cannot_move_the_cursor(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    files.say("a\x1b[2Jb\u202ec\x9bd\re\x00f\udcffg\u2028h\ti é 雪\nsecond line")
    assert terminal.text.split("\n")[:2] == [
        r"a\x1b[2Jb\u202ec\x9bd\re\x00f\udcffg\u2028h\ti é 雪",
        "second line",
    ]


def test_a_progress_bar_cannot_either(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    with files.progress(total=2, desc="\x1b[2J\n\u202ename") as bar:
        bar.update(2)
    assert r"\x1b[2J\n\u202ename" in terminal.text
    assert "\x1b[2J" not in terminal.text and "\u202e" not in terminal.text


@pytest.mark.parametrize("stderr", [None, "closed", "full"])
def test_a_message_that_nobody_takes_stops_nothing(monkeypatch, tmp_path, stderr, capsys):
    if stderr == "full":
        stderr = open("/dev/full", "w", buffering=1)  # noqa: SIM115
    elif stderr:
        stderr = open(tmp_path / "closed", "w")  # noqa: SIM115
        stderr.close()
    monkeypatch.setattr("sys.stderr", stderr)
    files.say("a message")
    with files.progress(range(3), desc="no bar") as bar:
        assert list(bar) == [0, 1, 2]
    assert capsys.readouterr().out == ""


def test_what_libraries_warn_of_is_a_message_too(monkeypatch):
    import logging
    import warnings

    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    with files.libraries_say():
        logging.getLogger("urllib3.connection").warning("header %s", "\x1b[2J\nmore")
        logging.getLogger("huggingface_hub.utils._http").warning("\u202eheader")
        warnings.warn("page \x1b[2J\nmore", stacklevel=1)
    assert terminal.text.splitlines() == [r"header \x1b[2J more", r"\u202eheader", r"page \x1b[2J more"]
