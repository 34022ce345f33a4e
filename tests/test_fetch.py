"""`fetch`, with the real gdown against a Drive on loopback."""

import argparse
import collections
import email.utils
import hashlib
import io
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

import pytest
import requests
from drive import holding
from filelock import FileLock

from celeba_dialog import CHECKSUMS
from celeba_dialog import FILES
from celeba_dialog import EnvironmentFault
from celeba_dialog import Release
from celeba_dialog import ReleaseError
from celeba_dialog import UsageError
from conversion import check
from conversion.demo.command import write_release
from conversion.fetch import command as fetch
from conversion.fetch import drive as drive_module
from conversion.fetch import registry

LABELS = FILES["hq_labels"]  # small, known by its id
LABELS_ID = fetch.REMOTES["hq_labels"].id
IMAGES_ID = fetch.REMOTES["hq_images"].id
REAL = Path(__file__).parents[2] / "shared" / "real"
EXAMINE, AS_TEXT = check.examine, check.as_text
Space = collections.namedtuple("Space", "total used free")


@pytest.fixture(scope="session")
def release(tmp_path_factory):
    root = tmp_path_factory.mktemp("demo") / "release"
    write_release(str(root), hq=6, standard=8, side=64)
    return root


@pytest.fixture(scope="session")
def contents(release):
    """{role: bytes} of a whole release."""
    return {role: (release / file.path).read_bytes() for role, file in FILES.items()}


@pytest.fixture(autouse=True)
def stay_here(monkeypatch):
    """Fails a test that looks beyond 127.0.0.1."""

    def connect(self, address, connect=socket.socket.connect):
        assert address[0] == "127.0.0.1", f"left the machine for {address}"
        return connect(self, address)

    def resolve(host, *args, resolve=socket.getaddrinfo, **options):
        assert host == "127.0.0.1", f"looked up {host}"
        return resolve(host, *args, **options)

    monkeypatch.setattr(socket.socket, "connect", connect)
    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


@pytest.fixture
def drive(contents, monkeypatch):
    """A Drive that holds the release."""
    with holding(contents, monkeypatch) as server:
        yield server


@pytest.fixture
def checked(monkeypatch):
    """What `check` was asked and answers: the folders, and what each config lacks."""
    state = types.SimpleNamespace(roots=[], configs={"hq": [], "standard": [], "hq_parts": ["masks"]})

    def examine(release):
        state.roots.append(release.root)
        return {"configs": state.configs}

    monkeypatch.setattr(check, "examine", examine)
    monkeypatch.setattr(check, "as_text", lambda report: "the table of check")
    return state


@pytest.fixture
def call(drive, checked):
    def call(out, *options, accept=True):
        parser = argparse.ArgumentParser()
        fetch.add_arguments(parser)
        return fetch.run(parser.parse_args([str(out), *options, *(["--accept-agreement"] if accept else [])]))

    return call


def names(out):
    return sorted(str(path.relative_to(out)) for path in Path(out).rglob("*") if path.is_file())


def all_but(contents, out, *roles):
    """A release in OUT that lacks these roles."""
    for role, file in FILES.items():
        if role not in roles:
            path = out / file.path
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(contents[role])
    return out


# -------------------------------------------------------------------------------------------------------- the whole way


def test_from_nothing_to_a_complete_release(tmp_path, call, drive, contents, checked, capsys):
    out = tmp_path / "my release"
    assert call(out) == 0
    assert {role: (out / file.path).read_bytes() for role, file in FILES.items()} == contents
    assert set(names(out)) - {".fetch.lock"} == {file.path for file in FILES.values()}  # and nothing is left over
    assert checked.roots == [str(out)]
    assert requests.session is requests.sessions.session  # as it was
    said = capsys.readouterr()
    assert "the table of check" in said.out
    assert f"celeba-dialog build '{out}' celeba_dialog" in said.err
    mask = os.umask(0)
    os.umask(mask)
    assert (out / LABELS.path).stat().st_mode & 0o777 == 0o666 & ~mask

    asked = len(drive.log)
    assert call(out) == 0
    assert len(drive.log) == asked  # what is there and sound is not asked for again


def test_large_files_are_confirmed(tmp_path, call, drive, contents):
    assert drive.large and call(tmp_path) == 0
    for id in drive.large:
        assert drive.asked().count(id) == 2  # the page, then the file


def test_one_subset(tmp_path, call, contents):
    assert call(tmp_path, "--subset", "hq") == 0
    assert set(names(tmp_path)) - {".fetch.lock"} == {file.path for file in FILES.values() if file.subset == "hq"}


def test_a_mirror_that_names_no_type(tmp_path, call, drive, contents):
    drive.answers[LABELS_ID] = ["untyped"]
    assert call(all_but(contents, tmp_path, "hq_labels")) == 0


def test_a_subset_comes_with_what_it_needs_of_the_other(tmp_path, call):
    assert call(tmp_path, "--subset", "standard") == 0
    assert (tmp_path / FILES["mapping"].path).exists()  # for the column hq_file_name
    assert not (tmp_path / FILES["hq_images"].path).exists()


def test_resource_keys_are_sent(tmp_path, call, drive, contents):
    assert set(drive.keys) & set(drive.files)
    out = all_but(contents, tmp_path, "standard_attributes", "labels_test")
    assert call(out) == 0  # the file with a key, and a folder that holds a folder with a key
    assert registry.STANDARD_IMAGE_FOLDER in drive.asked("/embeddedfolderview")


def test_keys_of_a_folders_links_are_sent(tmp_path, call, drive, contents):
    id = next(id for name, id in drive.folders[registry.HQ_TEXT_FOLDER] if name == "request_hq.json")
    drive.keys[id] = "0-known_only_to_the_folder"
    assert call(all_but(contents, tmp_path, "hq_requests")) == 0


def test_a_folder_is_listed_once(tmp_path, call, drive, contents):
    assert call(all_but(contents, tmp_path, "hq_requests", "hq_requests_txt", "hq_request_labels")) == 0
    assert drive.asked("/embeddedfolderview") == [registry.HQ_TEXT_FOLDER]


def test_a_google_document_in_a_folder_is_no_obstacle(tmp_path, call, drive, contents):
    id = "1-read-me___________________"
    drive.docs.add(id)
    drive.folders[registry.HQ_TEXT_FOLDER].insert(0, ("Read me", id))
    assert call(all_but(contents, tmp_path, "hq_requests")) == 0
    assert id in drive.asked("/open")


def test_check_has_the_last_word(tmp_path, call, contents, checked, capsys):
    out = all_but(contents, tmp_path)
    checked.configs["standard"] = ["request.json"]
    assert call(out) == 1
    assert "Next" not in capsys.readouterr().err
    assert call(out, "--subset", "hq") == 0  # the rest was not asked for


def test_the_real_check_follows(tmp_path, call, contents, monkeypatch, capsys):
    monkeypatch.setattr(check, "examine", EXAMINE)
    monkeypatch.setattr(check, "as_text", AS_TEXT)
    assert call(tmp_path, "--subset", "hq") == 1  # a demo is all there, and a part of the official release
    assert "6 of 30,000 images" in capsys.readouterr().out


def test_every_file_of_the_release_has_a_source():
    remotes = registry.REMOTES
    assert set(remotes) == set(FILES)
    assert all(remote.about > 0 and len(remote.folder) >= 25 for remote in remotes.values())  # gdown's least length
    ids = [remote.id for remote in remotes.values() if remote.id]
    assert len(ids) == len(set(ids))
    assert set(registry.RESOURCE_KEYS) <= {*ids, *(remote.folder for remote in remotes.values())}


def test_links_for_a_browser():
    drive = "https://drive.google.com"
    assert registry.link("hq_labels") == f"{drive}/file/d/{LABELS_ID}/view"
    assert registry.link("hq_requests") == f"{drive}/drive/folders/{registry.HQ_TEXT_FOLDER}"
    key = registry.RESOURCE_KEYS[registry.REMOTES["standard_attributes"].id]
    assert registry.link("standard_attributes").endswith(f"/view?resourcekey={key}")


@pytest.mark.skipif(not REAL.is_dir(), reason="needs the excerpts of the real data")
def test_the_real_files_pass():
    found = Release(str(REAL)).sources
    for role in ("hq_attributes", "standard_attributes", "standard_identity"):
        size, _ = CHECKSUMS[role]
        (source,) = [source for source in found[role] if source.size == size and "releases" not in source.path]
        fetch._check_content(source.path, source, FILES[role], FILES[role].path)


# ------------------------------------------------------------------------------------------------------------ agreement


def test_without_agreement_it_shows_the_plan_and_stops(tmp_path, call, drive, capsys):
    out = tmp_path / "out"
    with pytest.raises(UsageError, match="--accept-agreement"):
        call(out, accept=False)
    said = capsys.readouterr().err
    assert fetch.AGREEMENT.read_text() in said
    assert all(file.path in said for file in FILES.values())
    assert "23 files" in said
    assert not drive.log and not out.exists()


@pytest.mark.parametrize(("answer", "agreed"), [("yes\n", True), ("Y\n", True), ("no\n", False), ("", False)])
def test_on_a_terminal_it_asks(tmp_path, call, contents, monkeypatch, answer, agreed):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setattr(sys, "stdin", Terminal(answer))
    monkeypatch.setattr(sys, "stderr", Terminal())
    out = all_but(contents, tmp_path, "hq_labels")
    if agreed:
        assert call(out, accept=False) == 0
    else:
        with pytest.raises(UsageError, match="Nothing was downloaded"):
            call(out, accept=False)
    assert (out / LABELS.path).exists() == agreed


def test_the_agreement_says_what_matters():
    text = fetch.AGREEMENT.read_text()
    for phrase in ("non-commercial research", "single site within the same", fetch.AGREEMENT_URL):
        assert phrase in " ".join(text.split())


# --------------------------------------------------------------------------------------- what Drive says in place of it


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ("quota", ["quota", "up to a day"]),
        ("login", ["sign in"]),
        (403, ["denies access", "403", "an hour"]),
        ("strange", ["'Sorry & goodbye'"]),
        ("broken", ["gdown cannot read"]),
        (402, ["status 402", "'Error 402'"]),
        ((418, {"Content-Type": "text/plain"}), ["418", "text/plain"]),
    ],
)
def test_a_refused_file_is_told_and_the_others_come(tmp_path, call, drive, contents, capsys, answer, says):
    drive.answers[LABELS_ID] = [answer]
    out = all_but(contents, tmp_path, "hq_labels", "hq_captions")
    assert call(out) == 1
    said = capsys.readouterr().err
    for words in [LABELS.path, *says, f"https://drive.google.com/file/d/{LABELS_ID}/view", "1 of 23 files"]:
        assert words in said
    assert str((out / LABELS.path).parent) in said  # where to put it by hand
    assert not (out / LABELS.path).exists() and (out / FILES["hq_captions"].path).exists()

    del drive.log[:]
    assert call(out) == 0
    assert drive.asked() == [LABELS_ID]
    assert (out / LABELS.path).read_bytes() == contents["hq_labels"]


def test_a_page_that_leads_nowhere(tmp_path, call, drive, contents, capsys):
    drive.answers[LABELS_ID] = ["confirm"] * 100
    assert call(all_but(contents, tmp_path, "hq_labels")) == 1
    assert "again and again" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("gone", "status"),
    [
        (["hq_requests_txt", "labels_train", "labels_test", "partition"], 0),  # said elsewhere, or needed by no one
        (["hq_requests_txt", "hq_requests"], 1),
        (["hq_parts"], 1),
        (["hq_identity", "standard_identity"], 1),
    ],
)
def test_what_is_lacking_decides(tmp_path, call, drive, contents, checked, capsys, gone, status):
    for role in gone:
        drive.files.pop(fetch.REMOTES[role].id or f"1-{role:_<31}")
    assert call(all_but(contents, tmp_path, *gone)) == status
    assert f"{len(gone)} of 23 files are still missing" in capsys.readouterr().err
    assert len(checked.roots) == 1 - status


def test_a_removed_file(tmp_path, call, drive, contents, capsys):
    del drive.files[LABELS_ID]
    drive.folders[registry.HQ_LABEL_FOLDER].clear()
    assert call(all_but(contents, tmp_path, "hq_labels")) == 1
    assert f"{LABELS.path}: Drive no longer has it" in capsys.readouterr().err


@pytest.mark.parametrize("instead", [None, b"<html>moved</html>"])
def test_a_replaced_file_is_found_by_its_folder(tmp_path, call, drive, contents, instead):
    drive.files["2-new-id-of-the-labels_______"] = drive.files.pop(LABELS_ID)
    if instead:
        drive.files[LABELS_ID] = instead
    drive.folders[registry.HQ_LABEL_FOLDER] = [(LABELS.name, "2-new-id-of-the-labels_______")]
    assert call(all_but(contents, tmp_path, "hq_labels")) == 0
    assert (tmp_path / LABELS.path).read_bytes() == contents["hq_labels"]


def test_a_folder_without_the_file(tmp_path, call, drive, contents, capsys):
    drive.folders[registry.HQ_TEXT_FOLDER] = [("notes.txt", "1-notes______________________")]
    assert call(all_but(contents, tmp_path, "hq_request_labels")) == 1
    said = capsys.readouterr().err
    assert FILES["hq_request_labels"].path in said and "holds notes.txt" in said
    assert f"https://drive.google.com/drive/folders/{registry.HQ_TEXT_FOLDER} " in said


def test_a_folder_that_is_gone(tmp_path, call, drive, contents, capsys):
    del drive.folders[registry.STANDARD_IMAGE_FOLDER]  # with its key in the link to open
    drive.files.clear()
    assert call(all_but(contents, tmp_path, "standard_images")) == 1
    assert "no longer has it" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("after", "says"),
    [
        ({"Retry-After": "90"}, "90 seconds"),
        ({"Retry-After": "7200"}, "120 minutes"),
        ({"Retry-After": email.utils.formatdate(time.time() + 360_000, usegmt=True)}, "(59|60)[0-9]{2} minutes"),
        ({"Retry-After": "soon"}, "an hour"),
        ({}, "an hour"),
    ],
)
def test_too_many_requests_stops_everything(tmp_path, call, drive, contents, after, says):
    drive.answers[LABELS_ID] = [(429, after)]
    with pytest.raises(EnvironmentFault, match=f"429.*{says}"):
        call(all_but(contents, tmp_path, "hq_labels", "hq_captions"))
    assert drive.asked() == [LABELS_ID]


def test_a_passing_fault_is_tried_again(tmp_path, call, drive, contents):
    drive.answers[LABELS_ID] = [503, 500]
    assert call(all_but(contents, tmp_path, "hq_labels")) == 0


def test_no_drive_at_all(tmp_path, call, drive, contents, monkeypatch):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        monkeypatch.setenv("CELEBA_DIALOG_DRIVE", f"http://127.0.0.1:{closed.getsockname()[1]}")
        for role in ("hq_labels", "hq_requests"):  # a file, a folder
            with pytest.raises(EnvironmentFault, match="connection fails.*repeat this command"):
                call(all_but(contents, tmp_path / role, role))


# ----------------------------------------------------------------------------------------------------- broken transfers


@pytest.fixture
def big(tmp_path, drive, contents):
    """A release without its HQ images, which Drive has in 2.5 MB: gdown keeps what it got in pieces of half a MB."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for number in range(5):
            archive.writestr(zipfile.ZipInfo(f"image/{number}.jpg"), random.Random(number).randbytes(500_000))  # noqa: S311
    drive.files[IMAGES_ID] = data.getvalue()
    fetch.REMOTES["hq_images"] = fetch.REMOTES["hq_images"]._replace(about=len(data.getvalue()))
    return all_but(contents, tmp_path, "hq_images"), data.getvalue()


def test_a_cut_connection_is_mended(big, call, drive):
    out, data = big
    drive.answers[IMAGES_ID] = ["cut", "cut"]
    assert call(out) == 0
    assert (out / FILES["hq_images"].path).read_bytes() == data
    starts = [int(wanted[6:-1]) for _, _, wanted in drive.log if wanted]
    assert len(starts) == 2 and 0 < starts[0] < starts[1]  # each time from where it was cut


@pytest.fixture
def half(big, call, drive, monkeypatch):
    """`big` after a call that was cut off, and how many bytes came."""
    out, data = big
    monkeypatch.setattr(drive_module, "RETRIES", 0)
    drive.answers[IMAGES_ID] = ["cut"]
    with pytest.raises(EnvironmentFault, match="what has arrived is kept"):
        call(out)
    assert not (out / FILES["hq_images"].path).exists()
    del drive.log[:]
    (part,) = (out / FILES["hq_images"].path).parent.glob(".fetch/*.part")
    came = part.stat().st_size
    assert part.read_bytes() == data[:came] and came > 0
    return out, data, came


def test_the_next_call_goes_on(half, call, drive):
    out, data, came = half
    assert call(out) == 0
    assert (out / FILES["hq_images"].path).read_bytes() == data
    assert drive.log[-1] == ("/download", IMAGES_ID, f"bytes={came}-")


@pytest.mark.parametrize("size", [30, 700_000])  # shorter than what had come, and longer
def test_a_file_changed_meanwhile_starts_over(half, call, drive, size):
    out, _, _ = half
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for number in range(5):
            archive.writestr(zipfile.ZipInfo(f"image/{number}.jpg"), bytes([number]) * size)
    drive.files[IMAGES_ID] = data.getvalue()
    assert call(out) == 0
    assert (out / FILES["hq_images"].path).read_bytes() == data.getvalue()


def test_more_than_the_whole_file_starts_over(half, call):
    out, data, _ = half
    (part,) = (out / FILES["hq_images"].path).parent.glob(".fetch/*.part")
    part.write_bytes(bytes(len(data) + 1))
    assert call(out) == 0
    assert (out / FILES["hq_images"].path).read_bytes() == data


def test_a_mirror_without_ranges_starts_over(half, call, drive):
    out, data, _ = half
    drive.ranges = False
    assert call(out) == 0
    assert (out / FILES["hq_images"].path).read_bytes() == data


def test_a_mirror_without_ranges_that_breaks_off_again_and_again(big, call, drive):
    out, _ = big
    drive.ranges = False
    drive.answers[IMAGES_ID] = ["cut"] * 20
    with pytest.raises(EnvironmentFault, match="does not continue downloads"):
        call(out)


def test_a_quota_page_in_place_of_the_rest(half, call, drive, capsys):
    out, data, came = half
    drive.answers[IMAGES_ID] = [None, "quota"]  # the file is there at first, and its rest is not
    assert call(out) == 1
    assert "quota" in capsys.readouterr().err
    assert drive.log[-1][2] == f"bytes={came}-"
    assert call(out) == 0
    assert drive.log[-1][2] == f"bytes={came}-"


def test_an_interruption_keeps_what_has_arrived(big, call, drive, monkeypatch):
    out, data = big

    def interrupted(folder, needed, calls=[]):  # noqa: B006
        calls.append(needed)
        if len(calls) == 2:  # the first look comes before everything, the second with the first bytes
            raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(fetch, "_need_space", interrupted)
        call(out)
    assert call(out) == 0
    assert drive.log[-1][2] is not None
    assert (out / FILES["hq_images"].path).read_bytes() == data


def test_a_call_stopped_before_the_check_is_finished(tmp_path, call, drive, contents):
    out = all_but(contents, tmp_path, "hq_labels")
    staged = (out / LABELS.path).parent / ".fetch" / LABELS.name
    staged.parent.mkdir()
    staged.write_bytes(contents["hq_labels"])
    assert call(out) == 0
    assert not drive.log and not staged.parent.exists()
    assert (out / LABELS.path).read_bytes() == contents["hq_labels"]


# -------------------------------------------------------------------------------------------------------- wrong content


def zipped(*members):
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for member in members:
            archive.writestr(zipfile.ZipInfo(member), b"x")  # no clock
    return data.getvalue()


WRONG = [
    (
        "hq_images",
        b"<!DOCTYPE html><title>Google Drive - Quota exceeded</title>",
        "titled 'Google Drive - Quota",
    ),
    ("hq_images", b"Rar!\x1a\x07\x00 and so on", "a zip starts with"),
    ("hq_images", zipped("image/0.jpg")[:-30], "cut off"),
    ("hq_images", zipped("img_align_celeba/000001.jpg"), "it is the standard images"),
    ("hq_images", zipped("readme.md"), "holds none of the images"),
    ("hq_images", zipped(), "a zip starts with"),
    ("hq_masks", zipped("mask/0.jpg"), "it is the HQ images"),
    ("hq_captions", b'{"0.jpg": {"overall_caption": "A fa', "no valid JSON.*line 1 column"),
    ("hq_captions", b'["0.jpg"]', "no object"),
    ("hq_captions", b'{"000001.jpg": {"overall_caption": "x"}}', "it is the standard captions"),
    ("hq_captions", b'{"names": []}', "holds no file name"),
    ("hq_captions", b"[" * 100000, "no valid JSON"),
    ("hq_labels", b"", "empty"),
    ("hq_labels", b"\xef\xbb\xbf", "names an image"),
    ("hq_labels", b"this is\nnot a\nlabel file\n", "first three lines"),
    ("hq_labels", b"000001.jpg 0 0 0 0 0\n", "it is the standard degrees"),
    ("mapping", b"<html>sign in</html>", "web page"),
    ("mapping", b"idx orig_idx orig_file\n0 119613\n", "names an image"),
    ("hq_attributes", b"30000\nx\n0.jpg 1\n", "has 16 bytes, and the official file"),
]


@pytest.mark.parametrize(("role", "data", "says"), WRONG)
def test_wrong_content_never_takes_the_name(tmp_path, call, drive, contents, capsys, role, data, says):
    drive.files[fetch.REMOTES[role].id] = data
    out = all_but(contents, tmp_path, role)
    assert call(out) == 1
    said = capsys.readouterr().err
    assert f"{FILES[role].path}: this is not {FILES[role].what}" in said
    assert re.search(says, said), said
    assert not (out / FILES[role].path).exists()
    assert not list(out.rglob(f".fetch/{FILES[role].name}*"))  # else the next call would go on with it


def test_other_bytes_fail_the_checksum(tmp_path, call, drive, contents, capsys):
    for role in CHECKSUMS:
        data = bytearray(contents[role])
        data[-30 if role == "standard_images" else -2] ^= 1
        drive.files[fetch.REMOTES[role].id] = bytes(data)
    assert call(all_but(contents, tmp_path, *CHECKSUMS)) == 1
    said = capsys.readouterr().err
    for role in CHECKSUMS:
        expected = hashlib.md5(contents[role]).hexdigest()  # noqa: S324
        assert f"{FILES[role].path}: this is not" in said and f"official file {expected}" in said


# ------------------------------------------------------------------------------------------------what is there already


def test_what_was_downloaded_by_hand_is_not_fetched(tmp_path, call, drive, contents, capsys):
    out = all_but(contents, tmp_path, "hq_labels", "hq_images", "standard_attributes", "standard_images")
    (out / LABELS.name).write_bytes(contents["hq_labels"])  # somewhere else
    (out / "image (1).zip").write_bytes(contents["hq_images"])  # a browser's name
    (out / "Anno").mkdir()
    (out / "Anno" / "list_attr_celeba.txt").write_bytes(contents["standard_attributes"])
    with zipfile.ZipFile(io.BytesIO(contents["standard_images"])) as images:  # unpacked
        images.extractall(out / "somewhere")
    before = names(out)
    assert call(out) == 0
    assert not drive.log and names(out) == before
    assert "image (1).zip: this has a browser's name" in capsys.readouterr().err


def test_damaged_files_are_replaced_and_kept_aside(tmp_path, call, drive, contents, capsys):
    out = all_but(contents, tmp_path, "hq_images", "hq_labels")
    page = b"<!DOCTYPE html><title>Quota</title> of Google"
    (out / FILES["hq_images"].path).write_bytes(page)
    (out / LABELS.name).write_bytes(page)  # in another place than the sound one will be
    masks = out / FILES["hq_masks"].path
    masks.write_bytes(zipped("readme.md"))  # sound, but of no use
    (out / "list_attr_celeba (1).txt").write_bytes(contents["standard_attributes"][:-9])  # beside a sound one
    assert call(out) == 0
    said = capsys.readouterr().err
    assert f"{FILES['hq_images'].path}: this is not the HQ images: it is a web page titled 'Quota'" in said
    assert "list_attr_celeba (1).txt: this is not" in said and "delete this one" in said
    assert (out / FILES["hq_images"].path).read_bytes() == contents["hq_images"]
    assert (out / (FILES["hq_images"].path + ".old")).read_bytes() == page
    assert (out / (LABELS.name + ".old")).read_bytes() == page and not (out / LABELS.name).exists()
    assert masks.read_bytes() == contents["hq_masks"]
    assert Path(f"{masks}.old").read_bytes() == zipped("readme.md")


def test_a_damaged_file_stays_while_drive_gives_nothing(tmp_path, call, drive, contents):
    drive.answers[LABELS_ID] = ["quota"]
    out = all_but(contents, tmp_path, "hq_labels")
    (out / LABELS.path).write_bytes(b"half of it")
    assert call(out) == 1
    assert (out / LABELS.path).read_bytes() == b"half of it"


@pytest.mark.parametrize(
    "name",
    [
        "CelebA-Dialog (HQ)-20240131T093000Z-001.zip",
        "CelebA-Dialog (HQ)-20240131T093000Z-3-001.zip",
        "text-20240131T093000Z-002 (1).zip",
        "drive-download-20240131T093000Z-001.zip",
    ],
)
def test_drives_own_zips_are_to_be_unpacked_first(tmp_path, call, drive, contents, name):
    out = all_but(contents, tmp_path, "hq_labels")
    (out / name).write_bytes(zipped("CelebA-Dialog (HQ)/image.zip"))
    with pytest.raises(ReleaseError, match="Unpack every part into") as error:
        call(out)
    assert name in str(error.value) and not drive.log
    (out / LABELS.path).write_bytes(contents["hq_labels"])
    assert call(out) == 0  # nothing is missing, so they are in no one's way


def test_unfinished_browser_downloads_are_mentioned(tmp_path, call, contents, capsys):
    out = all_but(contents, tmp_path, "hq_labels")
    (out / "image.zip.crdownload").write_bytes(b"PK")
    assert call(out) == 0
    assert "image.zip.crdownload: a browser's unfinished download" in capsys.readouterr().err


# ------------------------------------------------------------------------------------------------machine and arguments


def test_space_is_looked_at_first(tmp_path, call, drive, contents, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Space(10, 9, 100))
    with pytest.raises(EnvironmentFault, match="are needed, and 100 bytes are free"):
        call(all_but(contents, tmp_path, "hq_images"))
    assert not drive.log


def test_space_is_looked_at_again_when_the_size_is_known(big, call, drive, monkeypatch):
    out, data = big
    fetch.REMOTES["hq_images"] = fetch.REMOTES["hq_images"]._replace(about=1)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Space(10, 9, len(data) // 2))
    with pytest.raises(EnvironmentFault, match="are needed"):
        call(out)
    assert drive.log and not (out / FILES["hq_images"].path).exists()


def test_what_has_arrived_needs_no_more_space(half, call, monkeypatch):
    out, data, came = half
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Space(10, 9, len(data) - came))
    assert call(out) == 0


def test_only_one_at_a_time(tmp_path, call, drive, contents):
    out = all_but(contents, tmp_path, "hq_labels")
    with FileLock(out / ".fetch.lock"), pytest.raises(EnvironmentFault, match="another fetch"):
        call(out)
    assert not drive.log


def test_gdown_is_missing(tmp_path, call, contents, monkeypatch):
    monkeypatch.setitem(sys.modules, "gdown", None)
    monkeypatch.delitem(sys.modules, "conversion.fetch.drive")
    out = all_but(contents, tmp_path, "hq_labels")
    with pytest.raises(EnvironmentFault, match='pip install "celeba-dialog.fetch.".*pip install "gdown>='):
        call(out)
    (out / LABELS.path).write_bytes(contents["hq_labels"])
    assert call(out) == 0  # nothing to download: not needed


def test_gdown_is_too_old(tmp_path, call, contents, monkeypatch):
    old = types.SimpleNamespace(download=lambda url=None, output=None, quiet=False: None, __version__="5.2.0")
    monkeypatch.setitem(sys.modules, "gdown", old)
    with pytest.raises(EnvironmentFault, match='gdown 5.2.0 is too old.*pip install "gdown>='):
        call(all_but(contents, tmp_path, "hq_labels"))


@pytest.mark.parametrize("address", ["drive.example.org", "ftp://127.0.0.1", "http://"])
def test_an_address_that_is_none(tmp_path, call, monkeypatch, address):
    monkeypatch.setenv("CELEBA_DIALOG_DRIVE", address)
    with pytest.raises(UsageError, match="CELEBA_DIALOG_DRIVE"):
        call(tmp_path)


def test_a_mirror_below_a_path():
    drive = drive_module.Drive("https://mirror.example/celeba/", {"abc": "0-key"})
    assert (
        drive.address("https://drive.google.com/uc?id=abc")
        == "https://mirror.example/celeba/uc?id=abc&resourcekey=0-key"
    )
    assert drive.address("https://mirror.example/x?id=1") == "https://mirror.example/x?id=1"
    assert drive_module.Drive().address("https://drive.google.com/uc?id=x") == "https://drive.google.com/uc?id=x"


def test_out_is_no_folder(tmp_path, call):
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="is a file"):
        call(tmp_path / "file")
    with pytest.raises(EnvironmentFault, match="Not a directory"):
        call(tmp_path / "file" / "below")
