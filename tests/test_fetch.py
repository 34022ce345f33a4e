"""`fetch`, with the real gdown against a Drive on loopback."""

import argparse
import collections
import contextlib
import email.utils
import gzip
import hashlib
import io
import json
import os
import random
import re
import shutil
import socket
import subprocess
import sys
import time
import types
import zipfile
from pathlib import Path

import drive as drive_server
import pytest
import requests
from drive import holding
from filelock import FileLock
from making import write_release

from conversion import check
from conversion.fetch import command as fetch
from conversion.fetch import drive as drive_module
from conversion.fetch import registry
from conversion.release.errors import EnvironmentFault, ReleaseError, UsageError
from conversion.release.finding import Release
from conversion.release.official import CHECKSUMS, FILES
from conversion.runtime import files

LABELS = FILES["hq_labels"]  # small, known by its id
LABELS_ID = fetch.REMOTES["hq_labels"].id
IMAGES_ID = fetch.REMOTES["hq_images"].id
REAL = Path(__file__).parents[2] / "shared" / "real"
EXAMINE, AS_TEXT = check.examine, check.as_text
Space = collections.namedtuple("Space", "total used free")


@pytest.fixture(scope="session")
def release(tmp_path_factory):
    root = tmp_path_factory.mktemp("demo") / "release"
    write_release(str(root), hq=6, standard=8)
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
        alone = Release(os.path.dirname(source.path))
        assert fetch.count_in_source(alone, source, FILES[role], FILES[role].path) == FILES[role].count


# ------------------------------------------------------------------------------------------------------------ agreement


def test_without_agreement_it_shows_the_plan_and_stops(tmp_path, call, drive, capsys):
    out = tmp_path / "out"
    with pytest.raises(UsageError, match="--accept-agreement"):
        call(out, accept=False)
    said = capsys.readouterr().err
    assert (files.DATASET_CARD / "agreement.md").read_text() in said
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
    text = (files.DATASET_CARD / "agreement.md").read_text()
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
        ({"Retry-After": "9" * 4000}, "an hour"),
        ({"Retry-After": "-1"}, "an hour"),
        ({"Retry-After": "Fri, 31 Dec 9999 23:59:59 -2359"}, "minutes|an hour"),
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
    fetch.FILES["hq_images"] = FILES["hq_images"]._replace(count=5)
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

    looks = iter([Space(10, 9, 1 << 40)])  # the first look at the disk comes before everything, the next with the bytes

    def interrupted(path):
        for space in looks:
            return space
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(shutil, "disk_usage", interrupted)
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
        "this is a web page",
    ),
    ("hq_images", b"Rar!\x1a\x07\x00 and so on", "this is a RAR file"),
    ("hq_images", zipped("image/0.jpg")[:-30], "cut off"),
    ("hq_images", zipped("img_align_celeba/000001.jpg"), "it is the standard images"),
    ("hq_images", zipped("readme.md"), "holds none of the images"),
    ("hq_images", zipped(), "holds none of the images"),
    ("hq_masks", zipped("mask/0.jpg"), "it is the HQ images"),
    ("hq_captions", b'{"0.jpg": {"overall_caption": "A fa', "line 1: .* is not JSON|it is cut off"),
    ("hq_captions", b'["0.jpg"]', "expected a JSON object"),
    ("hq_captions", b'{"000001.jpg": {"overall_caption": "x"}}', "it is the standard captions"),
    ("hq_captions", b'{"names": []}', "holds no file name"),
    ("hq_captions", b"[" * 100000, "holds no file name"),
    ("hq_captions", b'{"0.jpg": ' + b"[" * 100000, "nested far too deeply"),
    ("hq_labels", b"", "empty"),
    ("hq_labels", b"\xef\xbb\xbf", "holds no file name"),
    ("hq_labels", b"this is\nnot a\nlabel file\n", "holds no file name"),
    ("hq_labels", b"000001.jpg 0 0 0 0 0\n", "it is the standard degrees"),
    ("mapping", b"<html>sign in</html>", "web page"),
    ("mapping", b"idx orig_idx orig_file\n0 119613\n", "holds no file name"),
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
    assert f"{FILES['hq_images'].path}: this is not the HQ images, or damaged: this is a web page" in said
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
    fetch.REMOTES["hq_images"] = fetch.REMOTES["hq_images"]._replace(about=len(data) // 3)
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


@pytest.mark.parametrize(
    "address",
    "drive.example.org ftp://127.0.0.1 http:// http://:80 http://[::1 http://127.0.0.1:port http://127.0.0.1:99999".split()
    + ["http://127.0.0.1 /x", "http://[x]"],
)
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


OUTS = {
    "device": ("/dev/null", "is a device"),
    "below a device": ("/dev/null/release", "/dev/null is a device"),
    "file": ("{}/file", "is a file"),
    "below a file": ("{}/file/release/deep", "/file is a file"),
    "pipe": ("{}/pipe", "is a pipe"),
    "link to a file": ("{}/link", "is a file"),
    "link to nowhere": ("{}/lost", "is a link that leads nowhere"),
    "link in a circle": ("{}/circle", "is a link that leads nowhere"),
    "empty": ("", "is empty"),
    "blank": (" ", "is empty"),
    "address": ("http://127.0.0.1/release", "is an address"),
    "store": ("s3://bucket/release", "is an address"),
    "address that is none": ("http://[::1/\x1b[2J", r"is an address"),
    "chain": ("zip://a::/tmp/x.zip", "is an address"),
}


@pytest.mark.parametrize("case", OUTS)
def test_out_that_can_be_no_folder(tmp_path, call, drive, capsys, monkeypatch, case):
    out, says = OUTS[case]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("as it was")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("file")
    (tmp_path / "lost").symlink_to("nowhere")
    (tmp_path / "circle").symlink_to("circle")
    before = sorted(os.listdir(tmp_path))
    with pytest.raises(EnvironmentFault if "below" in case else UsageError) as error:
        call(out.format(tmp_path))
    assert says in str(error.value) and str(error.value).isprintable()
    assert not drive.log and sorted(os.listdir(tmp_path)) == before
    assert (tmp_path / "file").read_text() == "as it was"
    assert "agreement" not in capsys.readouterr().err


def test_a_working_directory_that_is_gone(tmp_path, call, drive, monkeypatch):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with pytest.raises(EnvironmentFault, match="working directory"):
        call("release")
    assert not drive.log


# ------------------------------------------------------------------------------- what check calls damaged, fetch mends

TEXTS = [role for role, file in FILES.items() if file.name.endswith(".txt")]
DOCUMENTS = [role for role, file in FILES.items() if file.name.endswith(".json")]
ARCHIVES = [role for role, file in FILES.items() if file.name.endswith(".zip")]
ONE_ROW = ("labels_validation", "labels_test")  # of which there is no part


def middle(data):
    """Where a line in the middle starts."""
    return data.index(b"\n", len(data) // 2) + 1


DAMAGES = {
    "cut off at a line end": lambda data: data[: middle(data)],
    "cut off within a line": lambda data: data[: middle(data) + 4],
    "garbage from the middle on": lambda data: data[: middle(data)] + b"\x07garbage \xff" * 9,
    "garbage of the same size": lambda data: data[: middle(data)] + b"?" * (len(data) - middle(data)),
    "zeros from the middle on": lambda data: data[: middle(data)] + bytes(len(data) - middle(data)),
    "a row of another subset": lambda data: data + b"000001.jpg\t0\t0\t0\t0\t0\n",
    "a row twice": lambda data: data + re.sub(rb"\t[0-5]", b"\t1", data.splitlines()[-1]) + b"\n",
}


@pytest.mark.parametrize(
    ("role", "damage"),
    [(role, "cut off at a line end") for role in TEXTS if role not in ONE_ROW]
    + [("hq_labels", damage) for damage in DAMAGES],
)
def test_a_text_that_check_calls_damaged_or_partial_is_fetched_anew(tmp_path, call, contents, role, damage):
    """Damage behind the first lines, which are as they should be."""
    data = DAMAGES[damage](contents[role])
    assert data.splitlines()[:3] == contents[role].splitlines()[:3]
    mended(tmp_path, call, contents, role, data)


def without_last(data):
    return json.dumps(dict(list(json.loads(data).items())[:-1])).encode()


@pytest.mark.parametrize("role", DOCUMENTS)
def test_a_document_that_check_calls_partial_is_fetched_anew(tmp_path, call, contents, role):
    mended(tmp_path, call, contents, role, without_last(contents[role]))


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[:-20],
        lambda data: json.dumps({**json.loads(data), "1.jpg": 7}).encode(),
        lambda data: json.dumps({**json.loads(data), "somewhere.png": {}}).encode(),
        lambda data: data.replace(b"}", b"\xff}", 1),
    ],
)
def test_a_document_that_check_calls_damaged_is_fetched_anew(tmp_path, call, contents, damage):
    mended(tmp_path, call, contents, "hq_captions", damage(contents["hq_captions"]))


@pytest.mark.parametrize("role", ARCHIVES)
def test_a_zip_that_check_calls_partial_is_fetched_anew(tmp_path, call, contents, role):
    part = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(contents[role])) as whole, zipfile.ZipFile(part, "w") as archive:
        for name in whole.namelist()[:-1]:
            archive.writestr(name, whole.read(name))
    mended(tmp_path, call, contents, role, part.getvalue())


@pytest.mark.parametrize(
    "damage", [lambda data: data[: len(data) // 2], lambda data: data.replace(b"PK\x01\x02", b"PK\x01\x03", 1)]
)
def test_a_zip_that_check_calls_damaged_is_fetched_anew(tmp_path, call, contents, damage):
    mended(tmp_path, call, contents, "hq_masks", damage(contents["hq_masks"]))


def mended(out, call, contents, role, data):
    """A release with `data` in the place of a file is whole after one call, and what was there is kept."""
    path = out / FILES[role].path
    all_but(contents, out, role)
    path.parent.mkdir(parents=True, exist_ok=True)
    assert data != contents[role]
    path.write_bytes(data)
    assert call(out, "--subset", FILES[role].subset) == 0
    assert path.read_bytes() == contents[role]
    assert Path(f"{path}.old").read_bytes() == data


def official_count(role, count):
    fetch.FILES[role] = fetch.FILES[role]._replace(count=count)


def test_a_part_that_drive_has_no_more_of_is_left(tmp_path, call, drive, contents, capsys):
    """Else each call would download it again."""
    official_count("hq_labels", 29999)
    out = all_but(contents, tmp_path)
    for _ in range(2):
        del drive.log[:]
        assert call(out) == 0
        said = capsys.readouterr().err
        assert f"{LABELS.path}: 5 of 29,999 rows, a part of the HQ degrees." in said
        assert f"{LABELS.path}: what Drive has is as large" in said
        assert drive.asked() == [LABELS_ID] and not list(out.rglob("*.old")) and not list(out.rglob(".fetch/*"))


def test_a_part_of_another_size_than_drives_is_replaced_once(tmp_path, call, drive, contents):
    official_count("hq_labels", 29999)
    out = all_but(contents, tmp_path)
    (out / LABELS.path).write_bytes(contents["hq_labels"][: middle(contents["hq_labels"])])
    assert call(out) == 0
    assert (out / LABELS.path).read_bytes() == contents["hq_labels"]
    os.unlink(f"{out / LABELS.path}.old")
    assert call(out) == 0
    assert not list(out.rglob("*.old"))


def test_a_folder_with_a_part_of_the_images_is_completed(tmp_path, call, drive, contents):
    """The folder stays: the images of both count."""
    out = all_but(contents, tmp_path, "hq_images")
    with zipfile.ZipFile(io.BytesIO(contents["hq_images"])) as images:
        images.extractall(out / "here", images.namelist()[:2])
    assert call(out) == 0
    assert (out / FILES["hq_images"].path).read_bytes() == contents["hq_images"]
    assert len(list((out / "here").rglob("*.jpg"))) == 2
    del drive.log[:]
    assert call(out) == 0
    assert not drive.log


def test_a_demo_is_whole_by_its_own_count(release, tmp_path, call, drive):
    """As for check; and real files would not fit beside made-up ones."""
    out = Path(shutil.copytree(release, tmp_path / "demo"))
    assert call(out) == 0
    assert not drive.log


def test_a_zip_with_a_part_of_a_text_stays(tmp_path, call, contents):
    """It may hold what else somebody put into it."""
    out = all_but(contents, tmp_path, "hq_labels")
    with zipfile.ZipFile(out / "texts.zip", "w") as archive:
        archive.writestr(LABELS.path, contents["hq_labels"][: middle(contents["hq_labels"])])
        archive.writestr("notes.txt", "theirs")
    before = (out / "texts.zip").read_bytes()
    assert call(out) == 0
    assert (out / LABELS.path).read_bytes() == contents["hq_labels"]
    assert (out / "texts.zip").read_bytes() == before


def test_images_in_two_folders_are_whole_together(tmp_path, call, drive, contents):
    out = all_but(contents, tmp_path, "hq_images")
    with zipfile.ZipFile(io.BytesIO(contents["hq_images"])) as images:
        for number, name in enumerate(images.namelist()):
            images.extract(name, out / f"part{number % 2}")
    assert call(out) == 0
    assert not drive.log


def test_a_part_beside_the_whole_is_told(tmp_path, call, drive, contents, capsys):
    out = all_but(contents, tmp_path)
    (out / LABELS.name).write_bytes(contents["hq_labels"][: middle(contents["hq_labels"])])
    assert call(out) == 0
    assert not drive.log
    assert f"{LABELS.name}: 2 of 5 rows, a part of the HQ degrees. Another copy is sound: delete this one." in (
        capsys.readouterr().err
    )


def test_zips_whose_images_differ_are_told(tmp_path, call, drive, contents, capsys):
    out = all_but(contents, tmp_path)
    with zipfile.ZipFile(io.BytesIO(contents["hq_images"])) as images:
        (out / "more.zip").write_bytes(zipped(images.namelist()[0]))
    assert call(out) == 0
    assert not drive.log and (out / "more.zip").exists()
    assert "should be the same image, and differ. Move the one you do not want" in capsys.readouterr().err


def test_two_whole_copies_that_differ_are_told(tmp_path, call, drive, contents, capsys):
    """Which of them is right nobody knows, so neither goes away."""
    out = all_but(contents, tmp_path)
    (out / LABELS.name).write_bytes(re.sub(rb"[0-5]\t", b"0\t", contents["hq_labels"]))
    assert call(out) == 0  # `check` has the last word, and does not speak here
    assert not drive.log and len(list(out.rglob(LABELS.name))) == 2
    assert "are both the HQ degrees, and differ. Move the one you do not want" in capsys.readouterr().err


# --------------------------------------------------------------------------------- servers that do not say what they do

ATTACHMENT = {"Content-Disposition": 'attachment; filename="x"', "Content-Type": "application/octet-stream"}


@pytest.mark.parametrize("role", ["hq_labels", "mapping", "hq_captions", "hq_masks"])
def test_a_server_without_lengths(tmp_path, call, drive, contents, capsys, role):
    """Whole, a file is taken; broken off it is not, wherever that was."""
    out = all_but(contents, tmp_path, role)
    data = contents[role]
    cuts = [len(data) // 2, len(data) - 1]
    if role in TEXTS:
        cuts += [middle(data), data.rindex(b"\n", 0, -1) + 1]
    id = fetch.REMOTES[role].id
    for cut in cuts:
        drive.answers[id] = [drive_server.Raw(200, ATTACHMENT, data[:cut])]
        assert call(out) == 1
        assert not (out / FILES[role].path).exists() and not list(out.rglob(f".fetch/*{FILES[role].name}*"))
        assert f"{FILES[role].path}: " in capsys.readouterr().err
    drive.answers[id] = [drive_server.Raw(200, ATTACHMENT, data)]
    assert call(out) == 0
    assert (out / FILES[role].path).read_bytes() == data


@pytest.mark.parametrize("length", ["-1", "about 100", "0x10", "9" * 30, ""])
def test_a_length_that_is_none(tmp_path, call, drive, contents, length):
    data = contents["hq_labels"]
    out = all_but(contents, tmp_path, "hq_labels")
    headers = ATTACHMENT | {"Content-Length": length}
    drive.answers[LABELS_ID] = [drive_server.Raw(200, headers, data[: middle(data)])]
    with contextlib.suppress(EnvironmentFault):  # where the number is one, the rest is missed
        assert call(out) == 1
    assert not (out / LABELS.path).exists()
    assert call(out) == 0


@pytest.mark.parametrize("role", ["hq_captions", "hq_masks"])
def test_a_part_with_an_end_of_its_own_needs_no_length(tmp_path, call, drive, contents, role):
    official_count(role, 30000)
    drive.answers[fetch.REMOTES[role].id] = [drive_server.Raw(200, ATTACHMENT, contents[role])]
    assert call(all_but(contents, tmp_path, role)) == 0
    assert (tmp_path / FILES[role].path).read_bytes() == contents[role]


def chunks(data):
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in (data[:7], data[7:]))


def test_a_server_that_sends_chunks(tmp_path, call, drive, contents):
    """They have an end of their own, so a part of the official file is as good as Drive's."""
    official_count("hq_labels", 29999)
    headers = ATTACHMENT | {"Transfer-Encoding": "chunked"}
    data = chunks(contents["hq_labels"])
    drive.answers[LABELS_ID] = [
        drive_server.Raw(200, headers, data),
        drive_server.Raw(200, headers, data + b"0\r\n\r\n"),
    ]
    out = all_but(contents, tmp_path, "hq_labels")
    assert call(out) == 0
    assert (out / LABELS.path).read_bytes() == contents["hq_labels"]
    assert len(drive.asked()) > 1 and not drive.answers[LABELS_ID]


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "x-gzip, identity"])
def test_a_body_that_unpacks_to_something_huge(tmp_path, call, drive, contents, capsys, encoding):
    """93 kB became 48 MB on the disk."""
    bomb = gzip.compress(bytes(48_000_000))
    headers = ATTACHMENT | {"Content-Encoding": encoding, "Content-Length": str(len(bomb))}
    drive.answers[LABELS_ID] = [drive_server.Raw(200, headers, bomb)]
    out = all_but(contents, tmp_path, "hq_labels", "hq_captions")
    assert call(out) == 1
    assert "packs what it sends" in capsys.readouterr().err
    assert not list(out.rglob(f".fetch/*{LABELS.name}*")) and (out / FILES["hq_captions"].path).exists()


def endless(block=b"0.jpg\t0\t0\t0\t0\t0\n" * 4096):
    while True:
        yield block


@pytest.mark.parametrize("role", ["hq_labels", "standard_identity"])  # of a size estimated, and of one published
@pytest.mark.parametrize("length", [None, str(10**9)])
def test_a_body_without_end(tmp_path, call, drive, contents, capsys, role, length):
    headers = ATTACHMENT | ({"Content-Length": length} if length else {})
    drive.answers[fetch.REMOTES[role].id] = [drive_server.Raw(200, headers, endless())]
    out = all_but(contents, tmp_path, role)
    assert call(out) == 1
    assert f"{FILES[role].path}: this is not {FILES[role].what}: " in capsys.readouterr().err
    assert not list(out.rglob(f".fetch/*{FILES[role].name}*"))
    assert drive.sent < 32 << 20  # what was sent lay in the buffers of two sockets, most of it


@pytest.mark.parametrize(
    "headers", [{"Content-Type": "text/html"}, {"Content-Type": "text/html", "Content-Length": str(10**9)}]
)
def test_a_page_without_end(tmp_path, call, drive, contents, capsys, headers):
    drive.answers[LABELS_ID] = [drive_server.Raw(200, headers, endless(b"<p>Please wait.</p>" * 4096))]
    drive.pages[registry.HQ_TEXT_FOLDER] = drive_server.Raw(200, headers, endless(b"<p>Please wait.</p>" * 4096))
    out = all_but(contents, tmp_path, "hq_labels", "hq_requests")
    assert call(out) == 1
    assert capsys.readouterr().err.count("a page of more than") == 2
    assert drive.sent < 64 << 20


def test_a_redirect_with_a_body_without_end(tmp_path, call, drive, contents):
    target = {"Location": f"{drive_server.CONTENT_HOST}/download?id={LABELS_ID}"}
    drive.answers[LABELS_ID] = [drive_server.Raw(302, target, endless())]
    assert call(all_but(contents, tmp_path, "hq_labels")) == 0
    assert drive.sent < 32 << 20


@pytest.mark.parametrize("status", [201, 202, 203, 204, 205, 206, 226, 304, 404, 403, 429])
def test_another_status_with_an_attachment(tmp_path, call, drive, contents, capsys, status):
    """Only 200 is the whole file: 204 has none, and 206, which nobody asked for, some of it."""
    data = contents["hq_labels"][: middle(contents["hq_labels"])]
    headers = ATTACHMENT | {"Content-Length": str(len(data)), "Content-Range": f"bytes 0-{len(data) - 1}/{len(data)}"}
    drive.answers[LABELS_ID] = [drive_server.Raw(status, headers, b"" if status in (204, 304) else data)]
    out = all_but(contents, tmp_path, "hq_labels")
    try:
        assert call(out) == 1
        said = capsys.readouterr().err
    except EnvironmentFault as error:  # 429: the others would not come either
        said = str(error)
    assert f"status {status}" in said
    assert not (out / LABELS.path).exists() and not list(out.rglob(f".fetch/*{LABELS.name}*"))


RESTS = {
    "nothing": (204, {}),
    "another start": (206, {"Content-Range": "bytes 1-{last}/{size}"}),
    "not to the end": (206, {"Content-Range": "bytes {came}-{came}/{size}"}),
    "of another file": (206, {"Content-Range": "bytes {came}-{size}/{more}"}),
    "no range": (206, {}),
    "no such range": (206, {"Content-Range": "everything"}),
    "another length": (206, {"Content-Range": "bytes {came}-{last}/{size}", "Content-Length": "3"}),
}


@pytest.mark.parametrize("case", RESTS)
def test_a_rest_that_is_none_starts_over(half, call, drive, case):
    out, data, came = half
    status, headers = RESTS[case]
    numbers = {"came": came, "last": len(data) - 1, "size": len(data), "more": len(data) + 1}
    headers = {name: value.format(**numbers) for name, value in headers.items()}
    drive.answers[IMAGES_ID] = [
        None,
        drive_server.Raw(status, ATTACHMENT | headers, data[came:] if status == 206 else b""),
    ]
    assert call(out) == 0
    assert (out / FILES["hq_images"].path).read_bytes() == data


def test_two_partial_files_are_no_dead_end(half, call):
    out, data, _ = half
    (part,) = (out / FILES["hq_images"].path).parent.glob(".fetch/*.part")
    part.with_name(part.name[:-13] + "abcdefgh.part").write_bytes(b"another")
    assert call(out) == 0
    assert (out / FILES["hq_images"].path).read_bytes() == data


HEADERS = {
    "modified never": {"Last-Modified": "never"},
    "modified long ago": {"Last-Modified": "Mon, 01 Jan 0001 00:00:00 +1400"},
    "modified one day": {"Last-Modified": "Fri, 31 Dec 9999 23:59:59 -0000"},
    "no file name": {"Content-Disposition": "attachment"},
    "broken file name": {"Content-Disposition": "attachment; filename*=UTF-8''%ff%00/../../x"},
}


@pytest.mark.parametrize("case", HEADERS)
def test_odd_headers(tmp_path, call, drive, contents, capsys, case):
    data = contents["hq_labels"]
    headers = ATTACHMENT | {"Content-Length": str(len(data))} | HEADERS[case]
    drive.answers[LABELS_ID] = [drive_server.Raw(200, headers, data)]
    out = all_but(contents, tmp_path, "hq_labels")
    status = call(out)
    assert (out / LABELS.path).exists() == (status == 0)
    assert sorted(os.listdir(tmp_path)) == sorted(
        {*(file.path.split("/")[0] for file in FILES.values()), ".fetch.lock"}
    )
    assert call(out) == 0


# ------------------------------------------------------------------------------------------------- folders without end


def nested(drive, *names):
    """Folders that each hold the next, below the one with the HQ requests; returns the id of the last."""
    above = registry.HQ_TEXT_FOLDER
    for name in names:
        id = f"2-{name:_<31}"
        drive.folders.setdefault(id, [])
        drive.folders[above].append((name, id))
        above = id
    return above


@pytest.mark.parametrize("depth", [0, 1, 3])
def test_a_folder_that_contains_itself(tmp_path, call, drive, contents, capsys, depth):
    """967 requests, and then RecursionError."""
    last = nested(drive, *(f"folder{number}" for number in range(depth)))
    drive.folders[last].append(("again", registry.HQ_TEXT_FOLDER))
    assert call(all_but(contents, tmp_path, "hq_request_labels")) == 1
    said = capsys.readouterr().err
    assert f"{FILES['hq_request_labels'].path}: its folder on Drive cannot be read. the folder " in said
    assert f"{registry.HQ_TEXT_FOLDER} lies in itself" in said
    assert f"put request_annotated_hq.json into {tmp_path}" in said
    assert len(drive.log) == depth + 1


def test_folders_in_folders_without_end(tmp_path, call, drive, contents, capsys, monkeypatch):
    monkeypatch.setattr(drive_module, "MOST_REQUESTS", 60)

    class Folders(dict):  # each holds one that was never seen
        def __contains__(self, id):
            return True

        def __getitem__(self, id):
            return [("deeper", f"3-{len(drive.log):_<31}")]

    drive.folders = Folders()
    assert call(all_but(contents, tmp_path, "hq_request_labels")) == 1
    assert "its folder on Drive cannot be read. listing it takes more than 60 requests." in capsys.readouterr().err
    assert len(drive.log) <= 60


def test_many_documents_in_a_folder(tmp_path, call, drive, contents, capsys, monkeypatch):
    """Three requests for each."""
    monkeypatch.setattr(drive_module, "MOST_REQUESTS", 60)
    for number in range(50):
        id = f"4-{number:_<31}"
        drive.docs.add(id)
        drive.folders[registry.HQ_TEXT_FOLDER].append((f"Document {number}", id))
    assert call(all_but(contents, tmp_path, "hq_request_labels")) == 1
    assert "more than 60 requests" in capsys.readouterr().err
    assert len(drive.log) < 120  # with the redirects


# ------------------------------------------------------------------------------------- what comes from outside is shown

ODD = "\x1b[31m\x1b]0;title\x07\u202e\u2066\x9b2Jword"


def test_odd_names_in_a_folder(tmp_path, call, drive, contents, capsys):
    drive.folders[registry.HQ_TEXT_FOLDER] = [(ODD + "\nline", "1-notes______________________")]
    assert call(all_but(contents, tmp_path, "hq_request_labels")) == 1
    said = capsys.readouterr().err
    assert r"holds \x1b[31m\x1b]0;title\x07\u202e\u2066\x9b2Jword" in said
    assert all(line.isprintable() for line in said.split("\n"))


@pytest.mark.parametrize(
    "answer",
    [
        (418, {"Content-Type": ODD.encode().decode("latin-1")}),
        (418, {"Content-Type": "text/plain\r\n \x1b[2J folded"}),
        drive_server.Raw(200, {"Content-Type": "text/html"}, f"<title>{ODD}\x85\u2028</title>".encode()),
        drive_server.Raw(302, {"Location": "http://127.0.0.1:1/\x1b[2J"}, b""),
        drive_server.Raw(302, {"Location": "http://[::1/\x1b[2J"}, b""),
        drive_server.Raw(200, ATTACHMENT | {"Content-Encoding": "\x1b[2J"}, b""),
        drive_server.Raw(
            200,
            {"Content-Type": "text/html"},
            f'<p class="uc-error-subcaption">{ODD}</p><a href="/uc?export=download">'.encode(),
        ),
    ],
)
def test_odd_answers(tmp_path, call, drive, contents, capsys, answer):
    drive.answers[LABELS_ID] = [answer] * 20
    try:
        assert call(all_but(contents, tmp_path, "hq_labels")) == 1
        said = capsys.readouterr().err
    except EnvironmentFault as error:
        said = str(error)
    assert all(line.isprintable() for line in said.split("\n")), said


def test_odd_names_in_out(tmp_path, call, contents, capsys):
    out = all_but(contents, tmp_path, "hq_labels")
    odd = out / "\x1b[2J\u202e\n"
    odd.mkdir()
    (odd / "combined_annotation_hq.txt").write_bytes(b"0.jpg \x1b[2J\n")
    (odd / "x\x1b[2J.part").write_bytes(b"")
    assert call(out) == 0
    said = capsys.readouterr()
    assert r"\x1b[2J\u202e\n/x\x1b[2J.part: a browser's unfinished download" in said.err
    assert all(line.isprintable() for line in (said.out + said.err).split("\n"))


def test_odd_zip_of_drive_in_out(tmp_path, call, contents):
    out = all_but(contents, tmp_path, "hq_labels")
    (out / "\x1b[2J-20240131T093000Z-001.zip").write_bytes(zipped("x"))
    with pytest.raises(ReleaseError) as error:
        call(out)
    assert r"\x1b[2J-20240131T093000Z-001.zip" in str(error.value)


# ---------------------------------------------------------------------------------------------------------- no terminal


@pytest.mark.parametrize(
    ("name", "state"),
    [("stdin", "None"), ("stdin", "closed"), ("stdin", "broken"), ("stderr", "None"), ("stderr", "closed")],
)
def test_without_a_terminal_nobody_is_asked(tmp_path, call, drive, monkeypatch, name, state):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    class Broken(Terminal):
        def readline(self):
            raise OSError(5, "Input/output error")

    monkeypatch.setattr(sys, "stdin", Terminal("yes\n"))
    monkeypatch.setattr(sys, "stderr", Terminal())
    stream = {"None": None, "closed": Terminal(), "broken": Broken()}[state]
    if state == "closed":
        stream.close()
    monkeypatch.setattr(sys, name, stream)
    with pytest.raises(UsageError, match="Nothing was downloaded"):
        call(tmp_path, accept=False)
    assert not drive.log


def test_closed_streams_of_a_process(tmp_path, drive):
    code = "import sys; from conversion import __main__ as cli; cli.COMMANDS = {'fetch': '.fetch.command'}; "
    command = [sys.executable, "-c", code + f"sys.exit(cli.main(['fetch', {str(tmp_path / 'out')!r}]))"]
    done = subprocess.run(  # noqa: S603
        command, cwd=Path(fetch.__file__).parents[2], capture_output=True, preexec_fn=lambda: os.close(0)
    )
    assert done.returncode == 2
    assert done.stderr.decode().splitlines()[-1].startswith("Nothing was downloaded. Read the agreement")
    assert not (tmp_path / "out").exists()
