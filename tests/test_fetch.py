"""`fetch`, with the real gdown against a Drive on loopback. What OUT may be is told by the same code as for `demo`."""

import argparse
import contextlib
import email.utils
import fcntl
import io
import json
import os
import random
import re
import shutil
import socket
import sys
import time
import types
import zipfile
from pathlib import Path
from unittest import mock

import pytest
import requests
from drive import CONTENT_HOST, STRANGE, Drive, Raw, hold, serving
from filelock import FileLock
from making import write_release
from releases import members

from conversion import report
from conversion.fetch import command as fetch
from conversion.fetch import drive as drive_module
from conversion.fetch import registry, transfer
from conversion.release.errors import EnvironmentFault, ReleaseError, UsageError
from conversion.release.official import FILES, needs
from conversion.runtime import files

NEEDED = {role for groups in needs("hq") for role in groups[0]}  # what `fetch` gets for HQ
LABELS = FILES["hq_labels"]  # small, known by its id
LABELS_ID = registry.REMOTES["hq_labels"].id
IMAGES, IMAGES_ID = FILES["hq_images"].path, registry.REMOTES["hq_images"].id


@pytest.fixture(scope="module")
def contents(tmp_path_factory):
    """{role: bytes} of a whole release."""
    root = tmp_path_factory.mktemp("demo") / "release"
    write_release(root, hq=6, standard=8)
    return {role: (root / file.path).read_bytes() for role, file in FILES.items()}


@pytest.fixture(scope="module")
def server():
    with serving(Drive()) as drive:
        yield drive


@pytest.fixture(autouse=True)
def stay_here(monkeypatch):
    """Fails a test that looks beyond 127.0.0.1."""

    def connect(self, address, connect=socket.socket.connect):
        assert address[0] == "127.0.0.1", f"left the machine for {address}"
        return connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", connect)
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, port, *_, **__: [(2, 1, 6, "", (host, port))])
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)


@pytest.fixture
def drive(server, contents, monkeypatch):
    """A Drive that holds the release."""
    hold(server, contents, monkeypatch)
    return server


@pytest.fixture
def checked(monkeypatch):
    """What `check` was asked and answers: the folders, and what each config lacks."""
    state = types.SimpleNamespace(roots=[], configs={"hq": [], "standard": [], "hq_parts": ["masks"]})

    def examine(release):
        state.roots.append(release.root)
        return {"configs": state.configs}

    monkeypatch.setattr(report, "examine", examine)
    monkeypatch.setattr(report, "as_text", lambda report: "the table of check")
    return state


def run(out, *options):
    parser = argparse.ArgumentParser()
    fetch.add_arguments(parser)
    return fetch.run(parser.parse_args([str(out), *options]))


@pytest.fixture
def call(drive, checked):
    """Runs `fetch` with the agreement accepted, for HQ unless there are other options."""
    return lambda out, *options: run(out, *(options or ("--subset", "hq")), "--accept-agreement")


@pytest.fixture
def failing(call, capsys):
    """What a `fetch` says that ends with 1 or with an error: in plain words, without Python's names of errors."""

    def failing(out, *options):
        try:
            assert call(out, *options) == 1
            said = capsys.readouterr().err
        except (EnvironmentFault, UsageError) as error:
            said = str(error)
        assert all(line.isprintable() for line in said.split("\n")), said
        assert not re.search(r"Error\(|Pool\(|object at 0x|NoneType", said), said
        return said

    return failing


def names(out):
    return {str(path.relative_to(out)) for path in Path(out).rglob("*") if path.is_file()} - {".fetch.lock"}


def all_but(contents, out, *lacking, roles=NEEDED):
    """A release in OUT, what is needed for HQ, that lacks some roles."""
    for role in roles:
        path = out / FILES[role].path
        path.parent.mkdir(parents=True, exist_ok=True)
        if role not in lacking:
            path.write_bytes(contents[role])
    return out


def zipped(*members, **contents):
    """A zip of members that hold an x, and of others with contents of their own."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for member, content in {**dict.fromkeys(members, b"x"), **contents}.items():
            archive.writestr(zipfile.ZipInfo(member), content)  # no clock
    return data.getvalue()


def images(content):
    """A zip of five HQ images: content(number) is what each holds."""
    return zipped(**{f"image/{number}.jpg": content(number) for number in range(5)})


def nothing_left(out, name=""):
    """Asserts that nothing is kept of a download, with which the next call would go on."""
    assert [path for path in out.rglob(".fetch/*") if name in path.name] == []


ATTACHMENT = {"Content-Disposition": 'attachment; filename="x"', "Content-Type": "application/octet-stream"}


# -------------------------------------------------------------------------------------------------------- the whole way


def test_from_nothing_to_a_complete_release(tmp_path, drive, contents, capsys):
    out = tmp_path / "my release"
    assert run(out, "--all", "--accept-agreement") == 0
    assert {role: (out / file.path).read_bytes() for role, file in FILES.items()} == contents
    assert names(out) == {file.path for file in FILES.values()}  # and nothing is left over
    assert requests.session is requests.sessions.session  # as it was
    said = capsys.readouterr()
    assert "config" in said.out  # what `check` says
    assert f"celeba-dialog build '{out}' celeba_dialog" in said.err
    mask = os.umask(0)
    os.umask(mask)
    assert (out / LABELS.path).stat().st_mode & 0o777 == 0o666 & ~mask
    assert drive.large and all(drive.asked().count(id) == 2 for id in drive.large)  # the page that asks, then the file
    folders = drive.asked("/embeddedfolderview")
    assert registry.STANDARD_IMAGE_FOLDER in folders and len(folders) == len(set(folders))  # its key was sent

    asked = len(drive.log)
    assert run(out, "--accept-agreement") == 0
    assert len(drive.log) == asked  # what is there and sound is not asked for again


LEFT_OUT = {"hq_parts", "hq_requests_txt", "standard_requests_txt", "partition"}
LEFT_OUT |= {"labels_train", "labels_validation", "labels_test"}
SET_OF_LISTS = set(FILES) - LEFT_OUT - NEEDED - {"standard_labels"} | {"labels_test"}


@pytest.mark.parametrize(
    "options, there, roles",
    [
        ("", "", set(FILES) - LEFT_OUT),
        ("--all", "", set(FILES)),
        ("--subset hq", "", NEEDED),
        ("--subset hq --all", "", {role for role, file in FILES.items() if file.subset == "hq"}),
        ("--subset standard", "", set(FILES) - LEFT_OUT - NEEDED | {"mapping"}),
        ("--subset hq", "hq_requests_txt standard_identity", NEEDED - {"hq_requests", "hq_identity"}),
        ("--subset standard", "mapping labels_train labels_validation", SET_OF_LISTS),
    ],
)
def test_what_is_needed_is_downloaded(tmp_path, drive, contents, monkeypatch, options, there, roles):
    """What another file says as well is taken from there, and what is there in parts in the form of these parts."""
    wanted = []
    monkeypatch.setattr(fetch, "transfer_all", lambda out, missing, drive: wanted.extend(missing) or list(missing))
    all_but(contents, tmp_path, roles=there.split())
    assert run(tmp_path, *options.split(), "--accept-agreement") == 1
    assert {file.role for file in wanted} == roles


def test_a_demo_is_no_place_for_official_files(tmp_path, drive):
    write_release(tmp_path / "demo", 1, 1)
    with pytest.raises(UsageError, match="demo: this is a demo, .* Give another folder"):
        run(tmp_path / "demo", "--accept-agreement")
    assert not drive.log


@pytest.mark.parametrize("odd", [True, False])
def test_what_is_no_obstacle(tmp_path, call, drive, contents, odd):
    """No type, a path in the place of a name, failures for a moment, a document in the folder, a key in a link."""
    data = drive.files[LABELS_ID]
    headers = {"Content-Disposition": "attachment; filename*=UTF-8''%ff%00/../../x", "Content-Length": str(len(data))}
    drive.answers[LABELS_ID] = [Raw(200, headers, data)] if odd else [503, 500]
    drive.docs.add("1-read-me___________________")
    drive.folders[registry.HQ_TEXT_FOLDER].insert(0, ("Read me", "1-read-me___________________"))
    id = next(id for name, id in drive.folders[registry.HQ_TEXT_FOLDER] if name == "request_hq.json")
    drive.keys[id] = "0-known_only_to_the_folder"
    out = tmp_path / "out"
    assert call(all_but(contents, out, "hq_labels", "hq_requests", "hq_request_labels")) == 0
    assert names(tmp_path) - {"out/.fetch.lock"} == {f"out/{FILES[role].path}" for role in NEEDED}
    assert drive.asked("/embeddedfolderview") == [registry.HQ_TEXT_FOLDER]


def test_check_has_the_last_word(tmp_path, call, contents, checked, capsys):
    out = all_but(contents, tmp_path, roles=FILES)
    checked.configs["standard"] = ["request.json"]
    assert call(out, "--all") == 1
    assert "Next" not in capsys.readouterr().err
    assert call(out) == 0  # the rest was not asked for
    assert checked.roots == [str(out)] * 2 and "the table of check" in capsys.readouterr().out


def test_every_file_of_the_release_has_a_source_and_a_link():
    remotes = registry.REMOTES
    assert set(remotes) == set(FILES)
    assert all(remote.about > 0 and len(remote.folder) >= 25 for remote in remotes.values())  # gdown's least length
    ids = [remote.id for remote in remotes.values() if remote.id]
    assert len(ids) == len(set(ids))
    drive = "https://drive.google.com"
    assert registry.link("hq_labels") == f"{drive}/file/d/{LABELS_ID}/view"
    assert registry.link("hq_requests") == f"{drive}/drive/folders/{registry.HQ_TEXT_FOLDER}"
    key = registry.RESOURCE_KEYS[remotes["standard_attributes"].id]
    assert registry.link("standard_attributes").endswith(f"/view?resourcekey={key}")
    needed = [FILES[role] for role in set(FILES) - LEFT_OUT]
    sizes = [transfer.in_words(transfer.size_of(files)) for files in (needed, FILES.values())]
    assert "Both subsets take {}, with --all {}.".format(*sizes) in fetch.__doc__


# ------------------------------------------------------------------------------------------------------------ agreement


def test_without_agreement_it_shows_the_plan_and_stops(tmp_path, drive, capsys):
    out = tmp_path / "out"
    with pytest.raises(UsageError, match="Nothing was downloaded. .* the option --accept-agreement says") as error:
        run(out, "--subset", "hq")
    said = capsys.readouterr().err
    agreement = (files.DATASET_CARD / "agreement.md").read_text()
    assert agreement in said
    for phrase in ("non-commercial research", "single site within the same", fetch.AGREEMENT_URL):
        assert phrase in " ".join(agreement.split())
    plan, rest = said.split("9 files, about ")
    assert {file.path for file in FILES.values() if file.path in plan} == {FILES[role].path for role in NEEDED}
    total = sum(registry.REMOTES[role].about for role in NEEDED)
    assert rest.startswith(transfer.in_words(total))
    assert re.search(r"with --all only, about .*: CelebAMask-HQ-mask-anno.zip, request_hq.txt\.", rest)
    assert not re.search("celeba-dialog fetch.*--accept", said + str(error.value))  # nothing to paste
    assert not drive.log and not out.exists()


class Terminal(io.StringIO):
    def isatty(self):
        return True


def closed():
    terminal = Terminal("yes\n")
    terminal.close()
    return terminal


def failing_terminal(error):
    return mock.Mock(closed=False, readline=mock.Mock(side_effect=error))


# What a terminal raises that is taken away while the question stands, or at which no text is typed.
NO_ANSWER = [OSError(5, "Input/output error"), UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte")]


@pytest.mark.parametrize(
    "stdin, stderr, agreed",
    [
        *((lambda answer=answer: Terminal(answer), Terminal, True) for answer in ("yes\n", "Y\n")),
        *((lambda answer=answer: Terminal(answer), Terminal, False) for answer in ("no\n", "")),
        *((stdin, Terminal, False) for stdin in (lambda: None, closed)),
        *((lambda error=error: failing_terminal(error), Terminal, False) for error in NO_ANSWER),
        *((lambda: Terminal("yes\n"), stderr, False) for stderr in (lambda: None, closed)),
    ],
)
@pytest.mark.usefixtures("checked")
def test_on_a_terminal_it_asks(tmp_path, drive, contents, monkeypatch, stdin, stderr, agreed):
    monkeypatch.setattr(sys, "stdin", stdin())
    monkeypatch.setattr(sys, "stderr", stderr())
    out = all_but(contents, tmp_path, "hq_labels")
    with contextlib.nullcontext() if agreed else pytest.raises(UsageError, match="Nothing was downloaded"):
        assert run(out, "--subset", "hq") == 0
    assert (out / LABELS.path).exists() == bool(drive.log) == agreed


# --------------------------------------------------------------------------------------- what Drive says in place of it

HTML = {"Content-Type": "text/html"}
ODD = "\x1b[31m\x1b]0;title\x07\u202e\u2066\x9b2Jword"


def to(address, status=302):
    return Raw(status, {"Location": address}, b"")


REFUSALS = {
    "quota": ("quota", "quota for it is used up.*up to a day"),
    "sign-in": (to("https://accounts.google.com/v3/signin?service=wise"), "sign in"),
    "denied": (403, "denies access.*403.*an hour"),
    "a strange page": (Raw(200, HTML, STRANGE.encode()), "'Sorry & goodbye'"),
    "a form that leads nowhere": (Raw(200, HTML, b'<form id="download-form"></form>'), "gdown cannot read"),
    "418 with a page": (Raw(418, HTML, b"<title>Tea</title>"), "status 418 and a page titled 'Tea'"),
    "418": ((418, {"Content-Type": "text/plain\r\n \x1b[2J folded"}), "418.*text/plain"),
    "503 for ever": (503, "status 503, again and again"),
    "asked again and again": ("confirm", "again and again"),
    "gone": (404, "Drive no longer has it"),
    "to a file": (to("file:///etc/passwd"), "leads on to file:///etc/passwd, from where nothing comes"),
    "to no address": (to("http://[::1/\x1b[2J"), r"leads on to http://\[::1/\\x1b\[2J, from"),
    "to a host with a long name": (to(f"http://{70 * 'a'}.example/"), "leads on to http://aaa.*, from"),
    "to a host that is not there": (to("http://127.0.0.1:1/\x1b[2J"), "leads on to 127.0.0.1:1, which cannot be"),
    "round and round": (to(f"{CONTENT_HOST}/download?id={LABELS_ID}"), "leads on and on"),
    "to an endless address": (to(f"{CONTENT_HOST}/{70_000 * 'x'}"), "does not answer as a web server"),
    "not HTTP": (Raw(200, {f"X-{number}": "x" for number in range(150)}, b""), "does not answer as a web server"),
    "an odd title": (Raw(200, HTML, f"<title>{ODD}\x85\u2028</title>".encode()), "a page titled"),
    "an odd packing": (Raw(200, ATTACHMENT | {"Content-Encoding": "\x1b[2J"}, b""), "packs what it sends"),
    "other than all": (Raw(201, ATTACHMENT, b"x"), "status 201"),
    "no content": (Raw(204, ATTACHMENT, b""), "status 204"),
    "a part that nobody asked for": (Raw(206, ATTACHMENT | {"Content-Range": "bytes 0-0/1"}, b"x"), "status 206"),
    "an odd text": (Raw(200, HTML, f'<p class="uc-error-subcaption">{ODD}</p>/uc?export=download'.encode()), "2Jword"),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_a_refused_file_is_told_and_the_others_come(tmp_path, failing, drive, contents, case):
    answer, says = REFUSALS[case]
    drive.answers[LABELS_ID] = [answer] * 100
    out = all_but(contents, tmp_path, "hq_labels", "hq_captions")
    labels = out / LABELS.path
    labels.write_bytes(b"half of it")
    said = failing(out)
    assert f"{LABELS.path}: " in said and re.search(says, said), said
    assert re.search(r"By hand: open https://drive.google.com/\S+ in a browser", said)
    assert f"put {LABELS.name} into {labels.parent}," in said
    assert "1 of 9 files are still missing" in said
    assert labels.read_bytes() == b"half of it" and (out / FILES["hq_captions"].path).exists()
    nothing_left(out)


@pytest.mark.parametrize(
    "gone, status",
    [
        ("hq_requests_txt labels_train labels_test partition", 0),  # said elsewhere, or needed by no one
        ("hq_requests_txt hq_requests", 1),
        ("hq_parts", 1),
        ("hq_identity standard_identity", 1),
    ],
)
def test_what_is_lacking_decides(tmp_path, call, drive, contents, checked, capsys, gone, status):
    for role in gone.split():
        drive.files.pop(registry.REMOTES[role].id or f"1-{role:_<31}")
    assert call(all_but(contents, tmp_path, *gone.split(), roles=FILES), "--all") == status
    assert f"{len(gone.split())} of 23 files are still missing" in capsys.readouterr().err
    assert len(checked.roots) == 1 - status


@pytest.mark.parametrize("instead", [None, b"<html>moved</html>"])
def test_a_replaced_file_is_found_by_its_folder(tmp_path, call, drive, contents, instead):
    drive.files["2-new-id-of-the-labels_______"] = drive.files.pop(LABELS_ID)
    if instead:
        drive.files[LABELS_ID] = instead
    drive.folders[registry.HQ_LABEL_FOLDER] = [(LABELS.name, "2-new-id-of-the-labels_______")]
    assert call(all_but(contents, tmp_path, "hq_labels")) == 0
    assert (tmp_path / LABELS.path).read_bytes() == contents["hq_labels"]


def test_what_is_gone_from_drive(tmp_path, failing, drive, contents):
    """A file and its folder's entry, and a folder that holds another thing."""
    del drive.files[LABELS_ID]
    drive.folders[registry.HQ_LABEL_FOLDER].clear()
    drive.folders[registry.HQ_TEXT_FOLDER] = [(ODD + "\nline", "1-notes______________________")]
    said = failing(all_but(contents, tmp_path, "hq_labels", "hq_request_labels"))
    assert f"{LABELS.path}: Drive no longer has it" in said
    assert FILES["hq_request_labels"].path in said
    assert r"it holds \x1b[31m\x1b]0;title\x07\u202e\u2066\x9b2Jword" in said
    assert f"https://drive.google.com/drive/folders/{registry.HQ_TEXT_FOLDER} " in said


SOMETIME = "Fri, 31 Dec 9999 23:59:59 -2359"


@pytest.mark.parametrize(
    "after, says",
    [("90", "90 seconds"), ("7200", "120 minutes"), ("in 100 hours", "(59|60)[0-9]{2} minutes")]
    + [(odd, "minutes|an hour") for odd in ("soon", "9" * 4000, SOMETIME, None)],
)
def test_too_many_requests_stop_everything(tmp_path, call, drive, contents, after, says):
    if after == "in 100 hours":
        after = email.utils.formatdate(time.time() + 360_000, usegmt=True)
    drive.answers[LABELS_ID] = [(429, {"Retry-After": after} if after else {})]
    with pytest.raises(EnvironmentFault, match=f"429.*{says}"):
        call(all_but(contents, tmp_path, "hq_labels", "hq_captions"))
    assert drive.asked() == [LABELS_ID]


@pytest.mark.parametrize("role", ["hq_labels", "hq_requests"])  # a file, a folder
@pytest.mark.parametrize(
    "host, why", [("127.0.0.1:9", "Connection refused"), ("drive.google.com", "Name or service not known")]
)
def test_no_drive_at_all(tmp_path, failing, contents, monkeypatch, host, why, role):
    """Said at once: nobody waits while it is tried again."""
    tries = []

    def fail(*arguments, **_):
        tries.append(arguments)
        raise socket.gaierror(-2, why) if host == "drive.google.com" else ConnectionRefusedError(111, why)

    if host == "drive.google.com":
        monkeypatch.delenv("CELEBA_DIALOG_DRIVE")
        monkeypatch.setattr(socket, "getaddrinfo", fail)
    else:
        monkeypatch.setenv("CELEBA_DIALOG_DRIVE", f"http://{host}")
        monkeypatch.setattr(socket.socket, "connect", fail)
    said = failing(all_but(contents, tmp_path, role))
    assert said.startswith(f"{host} cannot be reached: {why}. Look at the network")
    assert len(tries) == 1


# ----------------------------------------------------------------------------------------------------- broken transfers


@pytest.fixture
def big(tmp_path, drive, contents, monkeypatch):
    """A release without its HQ images, which Drive has in 2.5 MB: gdown keeps what it got in pieces of half a MB."""
    data = images(lambda number: random.Random(number).randbytes(500_000))  # noqa: S311
    drive.files[IMAGES_ID] = data
    official(monkeypatch, "hq_images", total=5, about=len(data))
    return all_but(contents, tmp_path, "hq_images"), data


def official(monkeypatch, role, total, about=None):
    """Makes the official file of a role one of so many rows, entries or images, and bytes."""
    monkeypatch.setitem(FILES, role, FILES[role]._replace(total=total))
    if about:
        monkeypatch.setitem(registry.REMOTES, role, registry.REMOTES[role]._replace(about=about))


def part(out):
    (path,) = (out / IMAGES).parent.glob(".fetch/*.part")
    return path


@pytest.fixture
def half(big, call, drive, monkeypatch):
    """`big` after a call that was cut off, and how many bytes came."""
    out, data = big
    drive.answers[IMAGES_ID] = ["cut"]
    with monkeypatch.context() as patch, pytest.raises(EnvironmentFault, match="what has arrived is kept"):
        patch.setattr(drive_module, "RETRIES", 0)
        call(out)
    assert not (out / IMAGES).exists()
    del drive.log[:]
    came = part(out).stat().st_size
    assert part(out).read_bytes() == data[:came] and came > 0
    return out, data, came


def test_a_cut_connection_is_mended(big, call, drive):
    out, data = big
    drive.answers[IMAGES_ID] = ["cut", "cut"]
    assert call(out) == 0
    assert (out / IMAGES).read_bytes() == data
    starts = [int(wanted[6:-1]) for _, _, wanted in drive.log if wanted]
    assert len(starts) == 2 and 0 < starts[0] < starts[1]  # each time from where it was cut


def test_the_next_call_goes_on(half, call, drive, monkeypatch):
    """Also after a page in place of the rest; what has arrived needs no more space."""
    out, data, came = half
    drive.answers[IMAGES_ID] = [None, "quota"]  # the file is there at first, and its rest is not
    assert call(out) == 1
    assert drive.log[-1][2] == f"bytes={came}-"
    monkeypatch.setattr(shutil, "disk_usage", lambda path: types.SimpleNamespace(free=len(data) - came))
    assert call(out) == 0
    assert (out / IMAGES).read_bytes() == data
    assert drive.log[-1] == ("/download", IMAGES_ID, f"bytes={came}-")


RESTS = {
    "nothing": (204, {}),
    "another start": (206, {"Content-Range": "bytes 1-{last}/{size}"}),
    "of another file": (206, {"Content-Range": "bytes {came}-{size}/{more}"}),
    "another length": (206, {"Content-Range": "bytes {came}-{last}/{size}", "Content-Length": "3"}),
}


@pytest.mark.parametrize("case", [*RESTS, "shorter file", "longer file", "more than all", "no ranges", "two parts"])
def test_what_does_not_fit_starts_over(half, call, drive, case):
    out, data, came = half
    if case in RESTS:
        status, headers = RESTS[case]
        numbers = {"came": came, "last": len(data) - 1, "size": len(data), "more": len(data) + 1}
        headers = ATTACHMENT | {name: value.format(**numbers) for name, value in headers.items()}
        drive.answers[IMAGES_ID] = [None, Raw(status, headers, data[came:] if status == 206 else b"")]
    elif case in ("shorter file", "longer file"):
        size = 30 if case == "shorter file" else 700_000  # than what had come
        data = drive.files[IMAGES_ID] = images(lambda number: bytes([number]) * size)
    elif case == "more than all":
        part(out).write_bytes(bytes(len(data) + 1))
    elif case == "no ranges":
        drive.ranges = False
    else:
        part(out).with_name(part(out).name[:-13] + "abcdefgh.part").write_bytes(b"another")
    assert call(out) == 0
    assert (out / IMAGES).read_bytes() == data


def test_a_mirror_without_ranges_that_breaks_off_again_and_again(big, failing, drive):
    drive.ranges = False
    drive.answers[IMAGES_ID] = ["cut"] * 20
    assert "does not continue downloads" in failing(big[0])


def test_a_call_stopped_before_the_check_is_finished(tmp_path, call, drive, contents):
    out = all_but(contents, tmp_path, "hq_labels")
    staged = (out / LABELS.path).parent / ".fetch" / LABELS.name
    staged.parent.mkdir()
    staged.write_bytes(contents["hq_labels"])
    assert call(out) == 0
    assert not drive.log and not staged.parent.exists()
    assert (out / LABELS.path).read_bytes() == contents["hq_labels"]


# -------------------------------------------------------------------------------------------------------- wrong content

WRONG = [
    ("hq_images", b"<!DOCTYPE html><title>Google Drive - Quota exceeded</title>", "this is a web page"),
    ("hq_images", zipped("image/0.jpg")[:-30], "cut off"),
    ("hq_images", zipped("img_align_celeba/000001.jpg"), "it is the standard images|none of the images"),
    ("hq_masks", zipped("mask/0.jpg"), "this is not the HQ palette masks"),
    ("hq_captions", b'{"0.jpg": {"overall_caption": "A fa', "line 1: .* is not JSON|it is cut off"),
    ("hq_captions", b'{"000001.jpg": {"overall_caption": "x"}}', "it is the standard captions"),
    ("hq_labels", b"this is\nnot a\nlabel file\n", "holds no"),
    ("hq_labels", b"000001.jpg 0 0 0 0 0\n", "it is the standard degrees"),
    ("hq_attributes", b"30000\nx\n0.jpg 1\n", "has 16 bytes, and the official file"),
    ("hq_attributes", None, "its MD5 is .*, and that of the official file"),
]


@pytest.mark.parametrize("role, data, says", WRONG)
def test_wrong_content_never_takes_the_name(tmp_path, failing, drive, contents, role, data, says):
    drive.files[registry.REMOTES[role].id] = contents[role][:-2] + b"?\n" if data is None else data
    out = all_but(contents, tmp_path, role)
    said = failing(out)
    assert f"{FILES[role].path}: this is not {FILES[role].what}" in said
    assert re.search(says, said), said
    assert not (out / FILES[role].path).exists()
    nothing_left(out, FILES[role].name)


# ------------------------------------------------------------------------------------------------what is there already


def test_what_was_downloaded_by_hand_is_not_fetched(tmp_path, call, drive, contents, capsys):
    out = all_but(contents, tmp_path, "hq_labels", "hq_images", "standard_attributes", "standard_images", roles=FILES)
    (out / LABELS.name).write_bytes(contents["hq_labels"])  # somewhere else
    (out / "image (1).zip").write_bytes(contents["hq_images"])  # a browser's name
    (out / "Anno").mkdir()
    (out / "Anno" / "list_attr_celeba.txt").write_bytes(contents["standard_attributes"])
    with zipfile.ZipFile(io.BytesIO(contents["standard_images"])) as archive:  # unpacked
        archive.extractall(out / "somewhere")
    before = names(out)
    assert call(out, "--all") == 0
    assert not drive.log and names(out) == before
    assert "image (1).zip: this has a browser's name" in capsys.readouterr().err


def test_damaged_files_are_replaced_and_kept_aside(tmp_path, call, contents, capsys):
    """Under a name that nothing has yet, be it a file or a folder; but a zip with other things in it stays."""
    out = all_but(contents, tmp_path, "hq_images", "hq_labels")
    page = b"<!DOCTYPE html><title>Quota</title> of Google"
    images, masks = out / IMAGES, out / FILES["hq_masks"].path
    images.write_bytes(page)
    (out / LABELS.name).write_bytes(page)  # in another place than the sound one will be
    masks.write_bytes(zipped("readme.md"))  # sound, but of no use
    Path(f"{images}.old").write_bytes(b"kept by an earlier call")
    Path(f"{masks}.old").mkdir()
    Path(f"{masks}.old.1").symlink_to("nowhere")
    half = contents["mapping"][: middle(contents["mapping"])]
    texts = zipped("notes.txt", **{FILES["mapping"].path: half})
    (out / "texts.zip").write_bytes(texts)
    (out / FILES["mapping"].path).unlink()
    (out / "CelebAMask-HQ-attribute-anno (1).txt").write_bytes(contents["hq_attributes"][:-9])  # beside a sound one
    assert call(out) == 0
    said = capsys.readouterr().err
    assert f"{IMAGES}: this is not the HQ images, or damaged: this is a web page" in said
    assert "anno (1).txt: this is not" in said and "delete this one" in said
    assert f"{IMAGES}: replaced; what was there is kept beside it, as image.zip.old.1." in said
    assert images.read_bytes() == contents["hq_images"] and masks.read_bytes() == contents["hq_masks"]
    assert (out / FILES["mapping"].path).read_bytes() == contents["mapping"]
    assert (out / "texts.zip").read_bytes() == texts
    assert Path(f"{images}.old").read_bytes() == b"kept by an earlier call"
    assert Path(f"{images}.old.1").read_bytes() == page
    assert (out / (LABELS.name + ".old")).read_bytes() == page and not (out / LABELS.name).exists()
    assert Path(f"{masks}.old").is_dir() and Path(f"{masks}.old.2").read_bytes() == zipped("readme.md")


def test_drives_own_zips_are_to_be_unpacked_first(tmp_path, call, drive, contents, capsys):
    out = all_but(contents, tmp_path, "hq_labels")
    odd = out / "\x1b[2J\u202e\n"
    odd.mkdir()
    (odd / "image.zip.crdownload").write_bytes(b"PK")
    zips = ["CelebA-Dialog (HQ)-20240131T093000Z-3-001.zip", "text-20240131T093000Z-002 (1).zip"]
    zips.append("\x1b[2J-20240131T093000Z-001.zip")
    for name in zips:
        (out / name).write_bytes(zipped("CelebA-Dialog (HQ)/image.zip"))
    with pytest.raises(ReleaseError, match="Unpack every part into") as error:
        call(out)
    assert all(name.replace("\x1b", r"\x1b") in str(error.value) for name in zips) and not drive.log
    assert r"\x1b[2J\u202e\n/image.zip.crdownload: a browser's unfinished download" in capsys.readouterr().err
    (out / LABELS.path).write_bytes(contents["hq_labels"])
    assert call(out) == 0  # nothing is missing, so they are in no one's way


# ------------------------------------------------------------------------------------------------machine and arguments


def test_space_is_looked_at_before_and_when_the_size_is_known(big, failing, drive, monkeypatch):
    out, data = big
    monkeypatch.setattr(shutil, "disk_usage", lambda path: types.SimpleNamespace(free=len(data) // 2))
    assert "are needed, and 1 MB are free" in failing(out)
    assert not drive.log
    official(monkeypatch, "hq_images", 5, about=len(data) // 3)
    assert "are needed, and 1 MB are free" in failing(out)
    assert drive.log and not (out / IMAGES).exists()


def test_a_page_that_breaks_off(tmp_path, failing, drive, contents):
    drive.answers[LABELS_ID] = [Raw(200, HTML | {"Transfer-Encoding": "chunked"}, b"9\r\n<html>")] * 100
    assert "fails: the connection broke off. Look at" in failing(all_but(contents, tmp_path, "hq_labels"))


def test_a_proxy_that_is_no_address(tmp_path, failing, drive, contents, monkeypatch):
    out = all_but(contents, tmp_path, "hq_labels")
    monkeypatch.setenv("http_proxy", "http:///")
    assert "the proxy of this machine has no usable address" in failing(out)


def test_only_one_at_a_time_and_not_without_locks(tmp_path, failing, drive, contents, monkeypatch):
    out = all_but(contents, tmp_path, "hq_labels")
    with FileLock(out / ".fetch.lock"):
        assert "another fetch is at work" in failing(out)
    monkeypatch.setattr(fcntl, "flock", mock.Mock(side_effect=OSError(37, "No locks available")))
    assert "has no locks" in failing(out)
    assert not drive.log


def test_gdown_is_missing_or_too_old(tmp_path, call, contents, monkeypatch):
    out = all_but(contents, tmp_path, "hq_labels")
    old = types.SimpleNamespace(download=lambda url=None, output=None, quiet=False: None, __version__="5.2.0")
    for gdown, says in ((None, 'pip install "celeba-dialog.fetch.".*'), (old, "gdown 5.2.0 is too old.*")):
        monkeypatch.setitem(sys.modules, "gdown", gdown)
        monkeypatch.delitem(sys.modules, "conversion.fetch.drive", raising=False)
        with pytest.raises(EnvironmentFault, match=says + 'pip install "gdown>='):
            call(out)
    (out / LABELS.path).write_bytes(contents["hq_labels"])
    assert call(out) == 0  # nothing to download: not needed


def test_an_address_that_is_none(tmp_path, call, monkeypatch):
    monkeypatch.setenv("CELEBA_DIALOG_DRIVE", "drive.example.org")
    with pytest.raises(UsageError, match="CELEBA_DIALOG_DRIVE"):
        call(tmp_path)


@pytest.mark.parametrize("out, says", [("file/release", "is a file"), ("s3://b/r", "is an address")])
def test_out_that_can_be_no_folder(tmp_path, failing, drive, monkeypatch, out, says):
    (tmp_path / "file").write_text("as it was")
    monkeypatch.chdir(tmp_path)
    assert says in failing(out)
    assert not drive.log and os.listdir(tmp_path) == ["file"] and (tmp_path / "file").read_text() == "as it was"


# ------------------------------------------------------------------------------- what check calls damaged, fetch mends


def middle(data):
    """Where a line in the middle starts."""
    return data.index(b"\n", len(data) // 2) + 1


@pytest.mark.parametrize(
    "role, damage",
    [
        ("hq_labels", lambda data: data[: middle(data)]),
        ("hq_labels", lambda data: data[: middle(data) + 4]),  # within a line
        ("hq_labels", lambda data: data[: middle(data)] + bytes(len(data) - middle(data))),
        ("hq_attributes", lambda data: data[: middle(data)]),
        ("hq_captions", lambda data: json.dumps(dict(list(json.loads(data).items())[:-1])).encode()),
        ("hq_captions", lambda data: data[:-20]),
        ("hq_images", lambda data: zipped(**dict(members(io.BytesIO(data))[:-1]))),
        ("hq_masks", lambda data: data[: len(data) // 2]),
    ],
)
def test_what_check_calls_damaged_or_partial_is_fetched_anew(tmp_path, call, contents, role, damage):
    """Damage behind the first lines, which are as they should be."""
    data, path = damage(contents[role]), tmp_path / FILES[role].path
    all_but(contents, tmp_path, role)
    path.write_bytes(data)
    assert call(tmp_path) == 0
    assert path.read_bytes() == contents[role] != data
    assert Path(f"{path}.old").read_bytes() == data


def test_a_part_that_drive_has_no_more_of_is_left(tmp_path, call, drive, contents, capsys, monkeypatch):
    """Else each call would download it again."""
    official(monkeypatch, "hq_labels", 29999)
    out = all_but(contents, tmp_path)
    for _ in range(2):
        del drive.log[:]
        assert call(out) == 0
        said = capsys.readouterr().err
        assert f"{LABELS.path}: 5 of 29,999 rows, a part of the HQ degrees." in said
        assert f"{LABELS.path}: what Drive has is as large" in said
        assert drive.asked() == [LABELS_ID] and not list(out.rglob("*.old")) and not list(out.rglob(".fetch/*"))


def test_parts_of_the_images_count_together(tmp_path, call, drive, contents):
    """A folder with some stays beside the zip that is downloaded; two folders with all of them are whole."""
    out = all_but(contents, tmp_path, "hq_images")
    with zipfile.ZipFile(io.BytesIO(contents["hq_images"])) as archive:
        archive.extractall(out / "here", archive.namelist()[:2])
        assert call(out) == 0
        assert (out / IMAGES).read_bytes() == contents["hq_images"]
        (out / IMAGES).unlink()
        del drive.log[:]
        archive.extractall(out / "there", archive.namelist()[2:])
    assert call(out) == 0
    assert not drive.log


@pytest.mark.parametrize(
    "role, name, change, says",
    [
        ("hq_labels", LABELS.name, lambda data: data[: middle(data)], "2 of 5 rows, a part .* is sound: delete this"),
        ("hq_labels", LABELS.name, lambda data: re.sub(rb"[0-5]\t", b"0\t", data), "both the HQ degrees, and differ"),
        ("hq_requests_txt", FILES["hq_requests_txt"].path, lambda _: b"<html>", "is not .* It is not needed: delete"),
        ("hq_images", "image (1).zip", lambda data: images(str), "have the same number and differ"),
    ],
)
def test_copies_beside_a_whole_file_stay(tmp_path, call, drive, contents, capsys, role, name, change, says):
    """And are told. Which of two whole ones is right nobody knows."""
    out = all_but(contents, tmp_path)
    (out / name).write_bytes(change(contents[role]))
    before = names(out)
    assert call(out) == 0  # `check` has the last word, and does not speak here
    assert not drive.log and names(out) == before
    assert re.search(says, capsys.readouterr().err)


# --------------------------------------------------------------------------------- servers that do not say what they do


NO_LENGTHS = [(role, None) for role in ("hq_labels", "hq_captions", "hq_masks")]


@pytest.mark.parametrize("role, length", [*NO_LENGTHS, ("hq_labels", "about 100"), ("hq_labels", "9" * 30)])
def test_a_server_that_tells_no_length(tmp_path, call, failing, drive, contents, role, length):
    """Whole, a file is taken; broken off it is not, wherever that was."""
    out, path, data = all_but(contents, tmp_path, role), tmp_path / FILES[role].path, contents[role]
    headers = ATTACHMENT | ({} if length is None else {"Content-Length": length})
    cuts = [len(data) // 2, len(data) - 1, *([middle(data)] if role == "hq_labels" else [])]
    for cut in cuts if length is None else cuts[-1:]:
        drive.answers[registry.REMOTES[role].id] = [Raw(200, headers, data[:cut])]
        assert failing(out)
        assert not path.exists() and (length or not list(out.rglob(f".fetch/*{path.name}*")))
    drive.answers[registry.REMOTES[role].id] = [Raw(200, ATTACHMENT, data)]
    assert call(out) == 0
    assert path.read_bytes() == data


def test_chunks_have_an_end_of_their_own(tmp_path, call, drive, contents, monkeypatch):
    """So a part of the official file is as good as Drive's; but one that broke off is not, and is asked for again."""
    official(monkeypatch, "hq_labels", 29999)
    data = contents["hq_labels"]
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in (data[:7], data[7:]))
    headers = ATTACHMENT | {"Transfer-Encoding": "chunked"}
    drive.answers[LABELS_ID] = [Raw(200, headers, chunks), Raw(200, headers, chunks + b"0\r\n\r\n")]
    assert call(all_but(contents, tmp_path, "hq_labels")) == 0
    assert (tmp_path / LABELS.path).read_bytes() == data
    assert not drive.answers[LABELS_ID]


@pytest.mark.parametrize("modified", ["never", "Mon, 01 Jan 0001 00:00:00 +1400", None])
def test_an_odd_date_or_none(tmp_path, call, drive, contents, capsys, modified):
    """gdown gives up on what it cannot read, which is said; nothing of it is in the way of the next call."""
    data = contents["hq_labels"]
    drive.answers[LABELS_ID] = [Raw(200, ATTACHMENT | ({"Last-Modified": modified} if modified else {}), data)]
    out = all_but(contents, tmp_path, "hq_labels")
    assert call(out) == (modified == "never")
    assert ("gdown cannot read" in capsys.readouterr().err) == (modified == "never")
    assert call(out) == 0
    assert (out / LABELS.path).read_bytes() == data


def endless(block=b"0.jpg\t0\t0\t0\t0\t0\n" * 4096):
    while True:
        yield block


# Of a size estimated, and of one published.
@pytest.mark.parametrize("role, length", [("hq_labels", None), ("hq_labels", 10**9), ("hq_attributes", None)])
def test_a_body_without_end(tmp_path, failing, drive, contents, role, length):
    headers = ATTACHMENT | ({"Content-Length": str(length)} if length else {})
    drive.answers[registry.REMOTES[role].id] = [Raw(200, headers, endless())]
    out = all_but(contents, tmp_path, role)
    assert f"{FILES[role].path}: this is not {FILES[role].what}: " in failing(out)
    nothing_left(out, FILES[role].name)
    assert drive.sent < 32 << 20  # what was sent lay in the buffers of two sockets, most of it


def test_pages_and_redirects_without_end(tmp_path, failing, drive, contents):
    page = Raw(200, HTML, endless(b"<p>Please wait.</p>" * 4096))
    drive.answers[LABELS_ID] = [page]
    drive.pages[registry.HQ_TEXT_FOLDER] = page
    captions_id = registry.REMOTES["hq_captions"].id
    drive.answers[captions_id] = [Raw(302, {"Location": f"{CONTENT_HOST}/download?id={captions_id}"}, endless())]
    out = all_but(contents, tmp_path, "hq_labels", "hq_requests", "hq_captions")
    assert failing(out).count("a page of more than") == 2
    assert (out / FILES["hq_captions"].path).exists()
    assert drive.sent < 96 << 20


def test_a_folder_that_contains_itself(tmp_path, failing, drive, contents):
    within = "2-folder_______________________"
    drive.folders[registry.HQ_TEXT_FOLDER].append(("folder", within))
    drive.folders[within] = [("again", registry.HQ_TEXT_FOLDER)]
    said = failing(all_but(contents, tmp_path, "hq_request_labels"))
    assert f"{FILES['hq_request_labels'].path}: its folder on Drive cannot be read. the folder " in said
    assert f"{registry.HQ_TEXT_FOLDER} lies in itself" in said
    assert f"put request_annotated_hq.json into {tmp_path}" in said
    assert len(drive.log) == 2


def test_a_folder_with_too_much_in_it(tmp_path, failing, drive, contents, monkeypatch):
    monkeypatch.setattr(drive_module, "MOST_REQUESTS", 20)
    for number in range(20):  # three requests for each
        drive.docs.add(f"4-{number:_<31}")
        drive.folders[registry.HQ_TEXT_FOLDER].append((f"Document {number}", f"4-{number:_<31}"))
    assert "takes more than 20 requests" in failing(all_but(contents, tmp_path, "hq_request_labels"))
    assert len(drive.log) < 40  # with the redirects
