"""`push` and the real client against a Hub on loopback. What is pushed loads: tests/matrix opens that door."""

import hashlib
import json
import os
import shutil
import signal
import threading
import time
from unittest import mock

import pytest
from commands import Commands, contents
from hub import RESET, RESET_AFTER, Hub
from huggingface_hub import constants

from conversion.push import local_files, push
from conversion.release.errors import CelebADialogError, EnvironmentFault
from conversion.runtime import files

pytest_plugins = ["building"]

REPO = "org/celeba_dialog"
NOBODY = "hf_ofNobodyAtAll"
AGREEMENT = "https://mmlab.ie.cuhk.edu.hk/projects/CelebA/CelebA_Dialog.html"
SHARD = "hq/test-00000-of-00001.parquet"
CREATED = [("POST", "/api/repos/create")]


@pytest.fixture(scope="module")
def online(tmp_path_factory):
    with Hub() as hub:
        environment = {"HF_ENDPOINT": hub.endpoint, "HF_HUB_DISABLE_XET": "1", "NO_PROXY": "127.0.0.1"}
        with Commands(tmp_path_factory.mktemp("online"), environment) as commands:
            yield hub, commands


@pytest.fixture
def hub(online):
    hub, _ = online
    hub.reset()
    yield hub
    assert not hub.errors, "\n".join(hub.errors)


@pytest.fixture
def start(online, folder):
    """start(*options, token=…) begins to push the folder: Process."""
    _, commands = online

    def start(*options, token, repo_id=REPO):
        own = {"HF_TOKEN": token} if token else {}
        return commands.start("push", folder, repo_id, *options, faults=[("without_pauses",)], environment=own)

    return start


@pytest.fixture
def run(start):
    """run(*options, token=…): Done. Whatever happens there is no traceback and no token in sight."""

    def run(*options, token, status=0, **more):
        done = start(*options, token=token, **more).wait()
        assert done.status == status, done.text
        assert "Traceback" not in done.text
        assert all(line.isprintable() for line in done.text.split("\n")), done.text  # nothing moves the cursor
        assert "%|" not in done.text  # a progress bar, where there is no terminal
        assert token is None or token not in done.text
        return done

    return run


@pytest.fixture
def folder(fine, tmp_path):
    return shutil.copytree(fine, tmp_path / "celeba_dialog")


def digests(folder, *suffixes):
    """The SHA-256 of the files with a suffix."""
    found = contents(folder)
    return {hashlib.sha256(data).hexdigest() for path, data in found.items() if path.endswith(suffixes)}


def writes(hub):
    return [(method, path) for method, path in hub.requests if method in ("POST", "PUT")]


def sent(hub):
    """The SHA-256 of all that was uploaded, in order."""
    return [path.removeprefix("/objects/") for method, path in writes(hub) if path.startswith("/objects/")]


# ------------------------------------------------------------------------------------------------------ what it does


def test_creates_private_and_uploads_everything_in_one_commit(hub, run, folder):
    done = run(token=hub.token())
    repository = hub.repositories[REPO]
    assert repository.private is True and repository.gated is False
    assert len(repository.commits) == 2  # the Hub's own and ours
    assert hub.files(REPO) == contents(folder)
    assert {SHARD, "README.md", "manifest.json", "id2label.json"} < set(hub.files(REPO))
    assert 'load_dataset("org/celeba_dialog", "hq")' in done.text


def test_gated_asks_for_manual_approval_before_the_files_are_there(hub, run):
    run("--gated", token=hub.token())
    assert hub.repositories[REPO].gated == "manual"
    order = [path for _, path in writes(hub)]
    assert order.index(f"/api/datasets/{REPO}/settings") < order.index(f"/api/datasets/{REPO}/preupload/main")


def test_gated_that_the_hub_does_not_keep_is_an_error(hub, run):
    hub.on("POST", "/commit/", lambda: setattr(hub.repositories[REPO], "gated", False))
    assert "does not ask for approval" in run("--gated", token=hub.token(), status=1).text


def test_repeating_makes_no_commit_and_sends_nothing(hub, run):
    token = hub.token()
    hub.create(REPO).gated = "auto"
    run(token=token)
    commits = list(hub.repositories[REPO].commits)
    hub.requests.clear()
    assert "load_dataset" in run(token=token).text
    assert hub.repositories[REPO].commits == commits
    assert writes(hub) == []
    assert hub.repositories[REPO].gated == "auto"  # which stays, without --gated


def test_repeating_sends_what_changed_and_deletes_old_shards_in_the_same_commit(hub, run, folder):
    token = hub.token()
    run(token=token)
    hub.requests.clear()
    shutil.rmtree(folder / "standard")
    flip(folder / SHARD)
    change_manifest(folder, lambda manifest: manifest["configs"].pop("standard"))
    (digest,) = digests(folder, SHARD)
    change_manifest(folder, shard(sha256=digest))
    run(token=token)
    assert hub.files(REPO) == contents(folder)
    assert len(hub.repositories[REPO].commits) == 3
    assert sent(hub) == [digest]


@pytest.mark.parametrize(
    "readme", [b"", b"---\r\nlicense: other\r\nlicense_name: ours\r\nlicense_link: LICENSE\r\n---\r\n", b"---\n---"]
)
def test_an_empty_private_repository_is_used(hub, run, folder, readme):
    """As the Hub makes one: .gitattributes, and a README that says at most which licence was chosen."""
    hub.create(REPO, files={"README.md": readme})
    run(token=hub.token())
    assert hub.files(REPO) == contents(folder)
    assert CREATED[0] not in writes(hub)


@pytest.mark.parametrize("beside", [[], ["README.md", "manifest.json"]])
def test_a_repository_with_a_part_of_what_is_pushed_is_completed(hub, run, folder, beside):
    """Whatever put it there was at work on the same: nothing is lost where nothing changes."""
    there = {path: (folder / path).read_bytes() for path in [SHARD, *beside]}
    hub.create(REPO, files=there)
    run(token=hub.token())
    assert hub.files(REPO) == contents(folder)
    assert set(sent(hub)) == digests(folder, ".parquet", ".png") - digests(folder, SHARD)


# ------------------------------------------------------------------------------------------------- what it must not do


@pytest.mark.parametrize("private, says", [(False, "is public"), (None, "does not say whether it is private")])
def test_refuses_a_repository_that_is_not_private(hub, run, private, says):
    hub.create(REPO, private=private)
    done = run(token=hub.token(), status=1)
    assert says in done.text and AGREEMENT in done.text
    assert writes(hub) == [] and hub.files(REPO) == {}


def test_refuses_what_was_created_public_all_the_same(hub, run):
    """A server that does not understand what it was asked for."""
    hub.on("GET", f"/api/datasets/{REPO}", lambda: None)
    hub.on("GET", f"/api/datasets/{REPO}", lambda: setattr(hub.repositories[REPO], "private", False))
    assert "is public" in run(token=hub.token(), status=1).text
    assert writes(hub) == CREATED


def test_refuses_a_repository_that_turns_public_during_the_upload(hub, run):
    hub.on("PUT", "/objects/", lambda: setattr(hub.repositories[REPO], "private", False))
    assert "is public" in run(token=hub.token(), status=1).text
    assert hub.files(REPO) == {}


def test_says_it_loudly_where_a_repository_turns_public_at_the_last_moment(hub, run):
    hub.on("POST", "/commit/", lambda: setattr(hub.repositories[REPO], "private", False))
    done = run(token=hub.token(), status=1)
    for words in ("IS PUBLIC NOW", AGREEMENT, f"{hub.endpoint}/datasets/{REPO}/settings"):
        assert words in done.text
    assert "load_dataset" not in done.text


@pytest.mark.parametrize(
    "repo_id, options",
    [(REPO, ["--public"]), ("celeba_dialog", []), ("org/celeba/dialog", []), ("org/celeba--dialog", []), ("org/", [])],
)
def test_neither_an_option_for_public_nor_a_name_that_cannot_be(hub, run, repo_id, options):
    run(*options, token=hub.token(), repo_id=repo_id, status=2)
    assert hub.requests == []


def change_manifest(folder, change):
    manifest = json.loads((folder / "manifest.json").read_text())
    change(manifest)
    (folder / "manifest.json").write_text(json.dumps(manifest))


def shard(**values):
    """A change of a manifest of ours: of what it says of a shard."""
    return lambda manifest: manifest["configs"]["hq"]["splits"]["test"]["shards"][0].update(values)


THEIRS = "data/train-00000-of-00001.parquet"
# What a repository may hold that no push put there, and a word of what is said of it. A name alone is a file that is
# the same here; a change is one of our manifest, whose forms test_manifest.py has.
NOT_OURS = {
    "another dataset": ({"README.md": b"# Birds\n", THEIRS: b"birds"}, THEIRS),
    "another setting": ({"README.md": b"---\nlicense: mit\npretty_name: Birds\n---\n"}, "README.md"),
    "much": ({"README.md": b"---\nlicense: mit\n---\n" + b"\n" * 2000}, "README.md"),
    "no README": ({"README.md": b"\x00\xff"}, "README.md"),
    "a shard of ours, with other content": ({SHARD: b"PAR1 of somebody", "README.md": None}, SHARD),
    "what our manifest does not name": ({"manifest.json": None, THEIRS: b"theirs"}, THEIRS),
    "another dataset's manifest": ({"manifest.json": b'{"dataset": "chest-xrays"}'}, "'chest-xrays'"),
    "cut off": ({"manifest.json": b'{"dataset": "celeba_dialog", "form'}, "manifest.json"),
    "large": ({"manifest.json": b'{"dataset": "celeba_dialog"' + b" " * (9 << 20) + b"}"}, "9,437,212 bytes"),
    "an escape": ({"manifest.json": b'{"dataset": "\\u001b[2J\\u202e\\n"}'}, "\\x1b[2J\\u202e\\n"),
    "path upwards": ({"manifest.json": shard(path="hq/../data/train-00000-of-00001.parquet")}, "hq/../data"),
    "names beside the shards": (
        {"manifest.json": lambda manifest: manifest["files"].update({"x/y": {"size": 1, "sha256": "0" * 64}})},
        "x/y",
    ),
}


@pytest.mark.parametrize("case", NOT_OURS)
def test_refuses_a_repository_that_holds_something_else(hub, run, folder, tmp_path, case):
    """It is not even asked to be gated."""
    files, word = NOT_OURS[case]
    theirs = {path: (folder / path).read_bytes() if data is None else data for path, data in files.items()}
    if callable(files.get("manifest.json")):
        shutil.copy(folder / "manifest.json", tmp_path)
        change_manifest(tmp_path, files["manifest.json"])
        theirs |= {"manifest.json": (tmp_path / "manifest.json").read_bytes(), THEIRS: b"theirs"}
    hub.create(REPO, files=theirs)
    kept_as_it_was(hub, run("--gated", token=hub.token(), status=1), theirs, word)


def kept_as_it_was(hub, done, theirs, word):
    """Refused in one line that says what was found, and the repository still holds all of theirs."""
    first, line = done.text.splitlines()
    assert first.endswith("as manifest.json has them.")
    assert "no push put there" in line and word in line and len(line) < 1000
    assert writes(hub) == []
    assert hub.files(REPO) == theirs
    assert hub.repositories[REPO].gated is False


@pytest.mark.parametrize("path", ["hq/train-00002-of-00003.parquet", ".gitignore", "hq/README.md"])
def test_refuses_files_among_ours_that_are_not(hub, run, folder, path):
    theirs = {**contents(folder), path: b"mine"}
    hub.create(REPO, files=theirs)
    kept_as_it_was(hub, run(token=hub.token(), status=1), theirs, path)


def test_refuses_a_repository_that_has_moved(hub, run):
    hub.repositories["org/former"] = hub.create(REPO)
    assert f"has moved to {REPO}" in run(token=hub.token(), repo_id="org/former", status=1).text
    assert writes(hub) == []


# ---------------------------------------------------------------------------------------------------------- the token


@pytest.mark.parametrize(
    "token, says",
    [(None, "`hf auth login`, or set HF_TOKEN"), (f"{NOBODY}\x01part", "has characters that no token has")],
)
def test_a_token_that_cannot_be(hub, run, token, says):
    """HTTP libraries would quote a header that they refuse."""
    done = run(token=token, status=1)
    assert says in done.text and NOBODY not in done.text
    assert hub.requests == []


def test_token_that_the_server_repeats_is_not_printed(hub, run):
    token = hub.token()
    hub.on("GET", "/whoami-v2", (400, f"bad {token}"))
    assert "bad <token>" in run(token=token, status=1).text
    hub.user = token = hub.token("read")
    assert "The token of <token> can only read" in run(token=token, status=1).text
    assert writes(hub) == []


def test_token_that_may_write_elsewhere_only(hub, run):
    done = run(token=hub.token(), repo_id="other/celeba_dialog", status=1)
    assert "403" in done.text and "may write to other" in done.text
    assert hub.repositories == {}


def test_repository_that_exists_out_of_sight(hub, run):
    hub.on("POST", "/api/repos/create", 409)
    assert "exists" in run(token=hub.token(), status=1).text
    assert writes(hub) == CREATED


@pytest.mark.parametrize("answer", [b"[]", b'{"auth": "all"}', b"<html>"])
def test_strange_account(hub, run, answer):
    hub.on("GET", "/whoami-v2", (200, answer))
    assert "While looking up the token" in run(token=hub.token(), status=1).text
    assert writes(hub) == []


# ------------------------------------------------------------------------------------ what comes from outside is shown

LINE = "\x1b[31m\x1b]0;title\x07\u202e\u2066\x9b2J"  # colours, a title, two changes of direction
ODD = f"{LINE}\r\nword"
SPOKEN = {
    "a message": lambda hub: hub.on("POST", "/preupload/", (400, ODD)),
    "the account": lambda hub: setattr(hub, "user", ODD),
    "a file": lambda hub: hub.create(REPO, files={f"{ODD}.txt": b"theirs"}),
    # The client logs one kind and warns of the other, each with the words of the server.
    "a warning": lambda hub: hub.warnings.append(ODD),
    "a header": lambda hub: hub.headers.update({"X-HF-Warning": f"topic; {LINE.encode().decode('latin-1')}word"}),
}


@pytest.mark.parametrize("case", SPOKEN)
def test_odd_words_of_the_hub(hub, run, case):
    """`run` sees to what must not be there; this much has to be."""
    SPOKEN[case](hub)
    token = hub.token("read" if case == "the account" else "write")
    done = run(token=token, status=0 if case in ("a warning", "a header") else 1)
    assert r"\x1b[31m\x1b]0;title\x07\u202e\u2066\x9b2J" in done.text
    assert "word" in done.text


def test_a_folder_that_cannot_be_read(folder, monkeypatch):
    monkeypatch.setattr(files, "checksum", mock.Mock(side_effect=OSError(5, "Input/output error", "a.parquet")))
    with pytest.raises(EnvironmentFault, match="a.parquet: cannot be read: Input/output error"):
        local_files(str(folder))


# -------------------------------------------------------------------------------------------------------- environment


@pytest.mark.parametrize(
    "name, value, says",
    [
        ("HF_HUB_OFFLINE", True, "Offline mode is on.*HF_HUB_OFFLINE"),
        ("ENDPOINT", "example.org", "HF_ENDPOINT is 'example.org'"),
        ("ENDPOINT", "http://127.0.0.1:99999", "HF_ENDPOINT is "),
        ("ENDPOINT", "http://127.0.0.1:1", "Run the same command again"),  # where nobody listens
        ("HF_TOKEN_PATH", ".", "HF_TOKEN_PATH.*hf auth login"),
        ("HF_TOKEN_PATH", "bytes", "HF_TOKEN_PATH.*hf auth login"),
    ],
)
def test_an_environment_that_cannot_be(hub, folder, tmp_path, monkeypatch, name, value, says):
    for constant, usual in (("HF_HUB_OFFLINE", False), ("ENDPOINT", hub.endpoint)):
        monkeypatch.setattr(constants, constant, usual)
    if name == "HF_TOKEN_PATH":
        (tmp_path / "bytes").write_bytes(b"\xff\xfe")
        monkeypatch.delenv("HF_TOKEN", raising=False)
        value = str(tmp_path / value)
    else:
        monkeypatch.setenv("HF_TOKEN", NOBODY)
    monkeypatch.setattr(constants, name, value)
    with pytest.raises(CelebADialogError, match=says) as caught:
        push(folder, REPO)
    assert "\n" not in str(caught.value) and NOBODY not in str(caught.value)
    assert hub.requests == []


# ------------------------------------------------------------------------------------------------------- on the way

STEPS = {
    "token": ("GET", "/whoami-v2"),
    "look": ("GET", f"/api/datasets/{REPO}$"),
    "create": ("POST", "/repos/create"),
    "list": ("GET", "/tree/"),
    "ask": ("POST", "/preupload/"),
    "batch": ("POST", "/objects/batch"),
    "object": ("PUT", "/objects/"),
    "commit": ("POST", "/commit/"),
}
SOME_TROUBLE = (("look", 500), ("create", 429), ("object", 500), ("commit", RESET))  # `make trials` has all of it

TROUBLE = [
    pytest.param(step, fault, marks=[pytest.mark.trials] * ((step, fault) not in SOME_TROUBLE))
    for step in STEPS
    for fault in (500, 429, RESET)
]


@pytest.mark.parametrize("step, fault", TROUBLE)
def test_trouble_on_the_way_then_the_same_command_again(hub, run, folder, step, fault):
    """Each step meets trouble that outlasts the client's own retries; the second run finds none."""
    token = hub.token()
    hub.on(*STEPS[step], fault, times=30)
    done = run(token=token, status=1)
    assert "Run the same command again" in done.text
    assert fault == RESET or str(fault) in done.text
    assert done.text.splitlines()[-1].startswith("celeba-dialog: error: While ")
    assert REPO not in hub.repositories or hub.files(REPO) == {}

    goes_on(hub, run, folder, token)


def goes_on(hub, run, folder, token):
    """The same command, without faults, sends the rest."""
    stored = set(hub.objects)
    hub.hooks.clear()
    hub.requests.clear()
    run(token=token)
    assert hub.files(REPO) == contents(folder)
    assert set(sent(hub)) == digests(folder, ".parquet", ".png") - stored


def test_killed_half_way_and_repeated(hub, start, run, folder):
    """Killed when one object is stored and the others are under way: only the others are sent again."""
    token = hub.token()
    held, killed = threading.Event(), threading.Event()

    def hold():
        while not hub.objects:
            time.sleep(0.01)
        held.set()
        killed.wait(60)
        return RESET

    hub.on("PUT", "/objects/", lambda: None)
    hub.on("PUT", "/objects/", hold, times=30)
    process = start(token=token)
    assert held.wait(60)
    os.killpg(process.pid, signal.SIGKILL)
    assert process.wait().status == -signal.SIGKILL
    killed.set()
    assert hub.files(REPO) == {} and len(hub.objects) == 1
    goes_on(hub, run, folder, token)


@pytest.mark.parametrize("step, before, fault", [("commit", 0, RESET_AFTER), ("list", 1, 500)])
def test_a_commit_that_cannot_be_confirmed(hub, run, folder, step, before, fault):
    """Its answer is lost, or that to the questions after it."""
    token = hub.token()
    hub.on(*STEPS[step], lambda: None, times=before)
    hub.on(*STEPS[step], fault, times=30)
    assert "Run the same command again" in run(token=token, status=1).text
    hub.hooks.clear()
    run(token=token)
    assert hub.files(REPO) == contents(folder)
    assert len(hub.repositories[REPO].commits) == 2


def test_answer_that_repeating_does_not_change(hub, run):
    hub.on("POST", "/commit/", (402, "no storage left"))
    done = run(token=hub.token(), status=1)
    assert "no storage left" in done.text and "again" not in done.text


def test_commit_of_someone_else_in_the_meantime(hub, run):
    hub.on("POST", "/commit/", lambda: hub.repositories[REPO].commit({"README.md": b"theirs"}) and None)
    assert "changed by someone else" in run(token=hub.token(), status=1).text
    assert hub.files(REPO) == {"README.md": b"theirs"}


def test_server_that_holds_something_else_afterwards(hub, run):
    def swap():
        files = hub.repositories[REPO].commits[-1][1]
        files[SHARD] = bytes(len(files[SHARD]))
        files["README.md"] = files["README.md"][:-1] + b" "
        files["manifest.json"] = b"{}"
        files["late.parquet"] = b""
        del files["id2label.json"]

    hub.on("GET", "/tree/", lambda: None)
    hub.on("GET", "/tree/", swap)
    done = run(token=hub.token(), status=1)
    assert f"{SHARD} has the checksum" in done.text
    assert "README.md has the checksum" in done.text
    assert "manifest.json has 2 bytes" in done.text
    assert "id2label.json is not there" in done.text
    assert "late.parquet does not belong" in done.text
    assert "load_dataset" not in done.text


# --------------------------------------------------------------------------------------------------- the local folder


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def put_pipe(folder):
    (folder / "manifest.json").unlink()
    os.mkfifo(folder / "manifest.json")


def elsewhere(folder, name):
    """Moves something out of the folder and leaves a link to it."""
    (folder / name).rename(folder.parent / "elsewhere")
    (folder / name).symlink_to(folder.parent / "elsewhere")


# test_verify.py has what else may lie in a folder; the same code looks for it.
BROKEN = {
    "no folder": (shutil.rmtree, "no such folder"),
    "shard missing": (lambda folder: (folder / SHARD).unlink(), f"{SHARD}: missing"),
    "shard changed": (lambda folder: flip(folder / SHARD), f"{SHARD}: its SHA-256 is "),
    "card changed": (lambda folder: flip(folder / "README.md"), "README.md: its SHA-256 is "),
    "no README": (lambda folder: (folder / "README.md").unlink(), "README.md: missing"),
    "no manifest": (lambda folder: (folder / "manifest.json").unlink(), "manifest.json"),
    "old shard": (lambda folder: (folder / "hq/test-00000-of-00002.parquet").write_bytes(b""), "test-00000-of-00002"),
    "hidden": (lambda folder: (folder / "hq" / ".train.tmp").write_bytes(b""), "hq/.train.tmp"),
    "escapes": (lambda folder: (folder / "\x1b[2J\x07\u202eword\n").write_bytes(b""), r"\x1b[2J\x07\u202eword\n"),
    "no text": (lambda folder: (folder / os.fsdecode(b"\xff")).write_bytes(b""), r"\udcff"),
    "link beside": (lambda folder: (folder / "preview.png").symlink_to("README.md"), "preview.png: is a link"),
    "link to a shard": (lambda folder: elsewhere(folder, SHARD), f"{SHARD}: is a link"),
    "link to the manifest": (lambda folder: elsewhere(folder, "manifest.json"), "manifest.json: is a link"),
    "link to a folder": (lambda folder: elsewhere(folder, "hq"), "hq: is a link"),
    "pipe for the manifest": (put_pipe, "manifest.json: is a pipe"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_folder_that_is_not_as_it_was_built(folder, case):
    change, word = BROKEN[case]
    change(folder)
    with pytest.raises(CelebADialogError) as caught:
        local_files(folder)
    assert word in str(caught.value)


def test_every_problem_of_the_folder_has_its_line(hub, run, folder):
    """And nothing is asked of the Hub before."""
    for path in (folder / "hq").glob("*"):
        flip(path)
    *lines, advice = run(token=hub.token(), status=1).text.splitlines()
    assert len(lines) == len(list((folder / "hq").glob("*"))) > 1
    assert all("SHA-256" in line for line in lines)
    command = f"celeba-dialog build RELEASE {folder} --config hq --config standard --force"
    assert advice == f"To build it again: {command}"
    assert hub.requests == []
