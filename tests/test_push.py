"""`push` and the real clients against a Hub on loopback."""

import hashlib
import io
import json
import os
import signal
import stat
import subprocess
import sys
import threading
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hub import RESET, RESET_AFTER, Hub, environment
from PIL import Image

ROOT = Path(__file__).parent.parent
REPO = "org/celeba_dialog"
NOBODY = "hf_ofNobodyAtAll"
AGREEMENT = "https://mmlab.ie.cuhk.edu.hk/projects/CelebA/CelebA_Dialog.html"
WRITES = ("POST", "PUT")

# One process imports the client once and forks for every command, which saves a second each. The client waits seconds
# between its retries; here it does not wait.
SHELL = """
import json, os, sys, time, traceback
time.sleep = lambda seconds: None
import huggingface_hub.hf_api
import conversion.push
from conversion import __main__ as cli
cli.COMMANDS = {"push": ".push"}
for line in sys.stdin:
    job = json.loads(line)
    child = os.fork()
    if child == 0:
        os.dup2(os.open(job["output"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 1)
        os.dup2(1, 2)
        os.environ.update(job["env"])
        try:
            status = cli.main(job["argv"])
        except SystemExit as exit:
            status = exit.code
        except BaseException:
            traceback.print_exc()
            status = 70
        sys.stderr.flush()
        os._exit(status)
    print(child, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


class Result(NamedTuple):
    status: int
    output: str


class Shell:
    """Runs `celeba-dialog push …` against one Hub, one after the other."""

    def __init__(self, hub, folder):
        self._output = folder / "output"
        self._process = subprocess.Popen(  # noqa: S603
            [sys.executable, "-c", SHELL],
            env=environment(hub, folder),
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def start(self, *argv, token=None):
        """The process id of a push that has begun; `finish` has to follow."""
        env = {"HF_TOKEN": token} if token else {}
        job = {"argv": ["push", *map(str, argv)], "output": str(self._output), "env": env}
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def finish(self):
        status = int(self._process.stdout.readline())
        return Result(status, self._output.read_text())

    def close(self):
        self._process.stdin.close()
        self._process.wait(30)


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    with Hub() as hub:
        shell = Shell(hub, tmp_path_factory.mktemp("shell"))
        yield hub, shell
        shell.close()


@pytest.fixture
def hub(running):
    hub, _ = running
    hub.reset()
    yield hub
    assert not hub.errors, "\n".join(hub.errors)


@pytest.fixture
def push(running):
    """push(folder, repo_id, …, token=…) -> Result. Whatever happens there is no traceback and no token in sight."""
    _, shell = running

    def run(*argv, token):
        shell.start(*argv, token=token)
        result = shell.finish()
        check_output(result, token)
        return result

    return run


def check_output(result, token):
    assert "Traceback" not in result.output, result.output
    assert all(line.isprintable() for line in result.output.split("\n")), result.output  # nothing moves the cursor
    assert "%|" not in result.output  # a progress bar, where there is no terminal
    assert token is None or token not in result.output


def of_interest(hub, *methods):
    return [(request.method, request.path) for request in hub.requests if request.method in methods]


# --------------------------------------------------------------------------------------------------- a built folder

SIZES = {"hq": {"train": (3, 2), "validation": (2,), "test": (1,)}, "standard": {"train": (4,)}}  # rows per shard


def picture(number, mode):
    file = io.BytesIO()
    Image.new(mode, (8, 6), number % 19 if mode == "P" else (number * 7 % 256, 90, 200)).save(
        file, "PNG" if mode == "P" else "JPEG"
    )
    return file.getvalue()


def row(config, number):
    values = {
        "image": {"bytes": picture(number, "RGB"), "path": f"{number}.jpg"},
        "bangs": number % 7 - 1,
        "caption": "" if number % 3 == 0 else f"Face {number}.",
        "file_name": f"{number}.jpg",
    }
    if config == "hq":
        values["mask"] = None if number == 1 else {"bytes": picture(number, "P"), "path": f"{number}.png"}
    return values


def truth(config, split):
    """The rows of a split, numbered through over the splits."""
    first = 0
    for name, shards in SIZES[config].items():
        if name == split:
            return [row(config, number) for number in range(first, first + sum(shards))]
        first += sum(shards)
    raise KeyError(split)


def schema(config):
    degrees = ["none", "very_short", "middle_short", "middle_length", "middle_long", "long"]
    image = pa.struct({"bytes": pa.binary(), "path": pa.string()})
    fields = {"image": image, "bangs": pa.int64(), "caption": pa.string(), "file_name": pa.string()}
    features = {
        "image": {"_type": "Image"},
        "bangs": {"names": degrees, "_type": "ClassLabel"},
        "caption": {"dtype": "string", "_type": "Value"},
        "file_name": {"dtype": "string", "_type": "Value"},
    }
    if config == "hq":
        fields["mask"] = image
        features["mask"] = {"_type": "Image"}
    return pa.schema(fields, metadata={"huggingface": json.dumps({"info": {"features": features}})})


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def build(folder, sizes=SIZES):
    """A folder such as `build` writes, of a few rows."""
    configs, yaml = {}, []
    for config, splits in sizes.items():
        yaml += [f"- config_name: {config}", *(["  default: true"] if config == "hq" else []), "  data_files:"]
        states = {"release": "0" * 32, "digest": "0" * 32}
        configs[config] = {"subset": config, "image_size": None, "parts": False, "splits": {}} | states
        for split, shards in splits.items():
            yaml += [f"  - split: {split}", f"    path: {config}/{split}-*.parquet"]
            rows, listed = truth(config, split), []
            for index, count in enumerate(shards):
                path = f"{config}/{split}-{index:05d}-of-{len(shards):05d}.parquet"
                buffer = io.BytesIO()
                pq.write_table(pa.Table.from_pylist(rows[:count], schema=schema(config)), buffer)
                del rows[:count]
                write(folder / path, buffer.getvalue())
                sha256 = hashlib.sha256(buffer.getvalue()).hexdigest()
                told = {"path": path, "rows": count, "size": len(buffer.getvalue()), "sha256": sha256}
                listed.append(told | {"memory_bytes": told["size"]})
            sizes_of = {"bytes": sum(told["size"] for told in listed), "memory_bytes": 0, "labels": {}}
            configs[config]["splits"][split] = {"rows": sum(shards), "shards": listed} | sizes_of
    about = {"release": {"digest": "0" * 64, "incomplete": []}, "sources": [], "versions": {}}
    readme = "\n".join(["---", "configs:", *yaml, "---", "# Made up\n"]).encode()
    beside = {"statistics.png": picture(3, "P"), "README.md": readme}
    files = {name: {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()} for name, data in beside.items()}
    manifest = {"format": 1, "dataset": "celeba_dialog", "configs": configs, "files": files} | about
    beside["manifest.json"] = json.dumps(manifest, sort_keys=True, indent=1).encode() + b"\n"
    for name, data in beside.items():
        write(folder / name, data)
    return folder


def put_beside(folder, name, data):
    write(folder / name, data)
    told = {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    edit_manifest(folder, lambda manifest: manifest["files"].update({name: told}))


def contents(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def folder(tmp_path):
    return build(tmp_path / "celeba_dialog")


# ------------------------------------------------------------------------------------------------------ what it does


def test_creates_private_and_uploads_everything_in_one_commit(hub, push, folder):
    result = push(folder, REPO, token=hub.token())
    assert result.status == 0, result.output
    assert hub.repositories[REPO].private is True
    assert hub.repositories[REPO].gated is False
    assert len(hub.repositories[REPO].commits) == 2  # the Hub's own and ours
    assert hub.files(REPO) == contents(folder)
    assert len(hub.files(REPO)) == 5 + 3  # the shards; README.md, manifest.json and statistics.png
    assert 'load_dataset("org/celeba_dialog", "hq")' in result.output


def test_gated_asks_for_manual_approval_before_the_files_are_there(hub, push, folder):
    assert push(folder, REPO, "--gated", token=hub.token()).status == 0
    assert hub.repositories[REPO].gated == "manual"
    order = [path for _, path in of_interest(hub, "PUT", "POST")]
    assert order.index(f"/api/datasets/{REPO}/settings") < order.index(f"/api/datasets/{REPO}/preupload/main")


def test_gated_that_the_hub_does_not_keep_is_an_error(hub, push, folder):
    hub.on("POST", "/commit/", lambda: setattr(hub.repositories[REPO], "gated", False))
    result = push(folder, REPO, "--gated", token=hub.token())
    assert result.status == 1
    assert "approval" in result.output


def test_without_gated_the_setting_stays(hub, push, folder):
    hub.create(REPO).gated = "auto"
    assert push(folder, REPO, token=hub.token()).status == 0
    assert hub.repositories[REPO].gated == "auto"


def test_repeating_makes_no_commit_and_sends_nothing(hub, push, folder):
    token = hub.token()
    assert push(folder, REPO, token=token).status == 0
    commits = list(hub.repositories[REPO].commits)
    hub.requests.clear()
    result = push(folder, REPO, token=token)
    assert result.status == 0
    assert hub.repositories[REPO].commits == commits
    assert of_interest(hub, *WRITES) == []
    assert "load_dataset" in result.output


def test_repeating_sends_what_changed_and_deletes_old_shards_in_the_same_commit(hub, push, folder, tmp_path):
    token = hub.token()
    put_beside(folder, "preview.png", picture(5, "P"))
    assert push(folder, REPO, token=token).status == 0
    hub.requests.clear()
    sizes = {"hq": {**SIZES["hq"], "train": (2, 2, 1)}, "standard": SIZES["standard"]}
    changed = build(tmp_path / "changed", sizes)
    assert push(changed, REPO, token=token).status == 0
    assert hub.files(REPO) == contents(changed)
    assert len(hub.repositories[REPO].commits) == 3
    sent = {path.rsplit("/", 1)[-1] for _, path in of_interest(hub, "PUT")}
    new = {hashlib.sha256((changed / f"hq/train-0000{n}-of-00003.parquet").read_bytes()).hexdigest() for n in range(3)}
    assert sent == new


STUBS = {
    "none": None,
    "empty": b"",
    "blank": b"\n \n",
    "licence": b"---\nlicense: mit\n---\n",
    "licence of its own": b"---\r\nlicense: other\r\nlicense_name: ours\r\nlicense_link: LICENSE\r\n---\r\n",
    "nothing chosen": b"---\n---",
}


@pytest.mark.parametrize("case", STUBS)
def test_an_empty_private_repository_is_used(hub, push, folder, case):
    """As the Hub makes one: .gitattributes, and a README that says at most which licence was chosen."""
    hub.create(REPO, files={} if STUBS[case] is None else {"README.md": STUBS[case]})
    assert push(folder, REPO, token=hub.token()).status == 0
    assert hub.files(REPO) == contents(folder)
    assert ("POST", "/api/repos/create") not in of_interest(hub, "POST")


@pytest.mark.parametrize("beside", [[], ["README.md"], ["README.md", "manifest.json"]])
def test_a_repository_with_a_part_of_what_is_pushed_is_completed(hub, push, folder, beside):
    """Whatever put it there was at work on the same: nothing is lost where nothing changes."""
    there = [f"hq/train-0000{n}-of-00002.parquet" for n in range(2)] + beside
    hub.create(REPO, files={path: (folder / path).read_bytes() for path in there})
    assert push(folder, REPO, token=hub.token()).status == 0
    assert hub.files(REPO) == contents(folder)
    assert len(of_interest(hub, "PUT")) == 4  # three shards and the plot


def test_a_push_with_new_names_beside_the_shards(hub, push, folder):
    put_beside(folder, "id2label.json", b'{"0": "background"}')
    token = hub.token()
    for _ in range(2):
        assert push(folder, REPO, token=token).status == 0
    assert hub.files(REPO) == contents(folder)


# ------------------------------------------------------------------------------------------------- what it must not do


def refused(hub, result, *words, writes=()):
    """Exit status 1, the words in the message, and nothing sent."""
    assert result.status == 1, result.output
    for word in words:
        assert word in result.output
    assert of_interest(hub, *WRITES) == list(writes)


def test_refuses_a_public_repository(hub, push, folder):
    hub.create(REPO, private=False)
    refused(hub, push(folder, REPO, token=hub.token()), "is public", AGREEMENT)
    assert hub.files(REPO) == {}


def test_refuses_where_privacy_is_not_told(hub, push, folder):
    hub.create(REPO, private=None)
    refused(hub, push(folder, REPO, token=hub.token()), "does not say whether it is private", AGREEMENT)


def test_refuses_what_was_created_public_all_the_same(hub, push, folder):
    """A server that does not understand what it was asked for."""
    hub.on("GET", f"/api/datasets/{REPO}", lambda: None)
    hub.on("GET", f"/api/datasets/{REPO}", lambda: setattr(hub.repositories[REPO], "private", False))
    result = push(folder, REPO, token=hub.token())
    refused(hub, result, "is public", AGREEMENT, writes=[("POST", "/api/repos/create")])


def test_there_is_no_option_for_public(hub, push, folder):
    result = push(folder, REPO, "--public", token=hub.token())
    assert result.status == 2
    assert hub.requests == []


def test_refuses_a_repository_that_turns_public_during_the_upload(hub, push, folder):
    hub.on("PUT", "/objects/", lambda: setattr(hub.repositories[REPO], "private", False))
    result = push(folder, REPO, token=hub.token())
    assert result.status == 1
    assert "is public" in result.output
    assert hub.files(REPO) == {}


def test_says_it_loudly_where_a_repository_turns_public_at_the_last_moment(hub, push, folder):
    hub.on("POST", "/commit/", lambda: setattr(hub.repositories[REPO], "private", False))
    result = push(folder, REPO, token=hub.token())
    assert result.status == 1
    assert "IS PUBLIC NOW" in result.output
    assert AGREEMENT in result.output
    assert f"{hub.endpoint}/datasets/{REPO}/settings" in result.output
    assert "load_dataset" not in result.output


def test_refuses_a_repository_that_holds_something_else(hub, push, folder):
    """Such as another dataset, pushed by its own means."""
    theirs = {"README.md": b"# Birds\n", "data/train-00000-of-00001.parquet": b"birds"}
    hub.create(REPO, files=theirs)
    refused(hub, push(folder, REPO, token=hub.token()), "data/train-00000-of-00001.parquet")
    assert hub.files(REPO) == theirs


@pytest.mark.parametrize(
    "path", ["notes.txt", "hq/train-00002-of-00003.parquet", "data/train.parquet", ".gitignore", "hq/README.md"]
)
def test_refuses_files_among_ours_that_are_not(hub, push, folder, path):
    token = hub.token()
    assert push(folder, REPO, token=token).status == 0
    theirs = {**hub.files(REPO), path: b"mine"}
    hub.repositories[REPO].commit(theirs)
    hub.requests.clear()
    kept_as_it_was(hub, push(folder, REPO, token=token), theirs, path)


def kept_as_it_was(hub, result, theirs, *words):
    """Refused in one line that says what was found, and the repository still holds all of theirs."""
    refused(hub, result, *words)
    assert "no push put there" in result.output
    assert len([line for line in result.output.splitlines() if not line.endswith("as manifest.json has them.")]) == 1
    assert hub.files(REPO) == theirs
    assert len(result.output) < 1000


def shard(**values):
    """A change of a manifest of ours: of what it says of a shard."""
    return lambda manifest: manifest["configs"]["hq"]["splits"]["test"]["shards"][0].update(values)


# What a manifest.json of somebody else may be, and a word of what is said of it; test_manifest.py has all its forms.
OTHER_MANIFESTS = {
    "dataset": (b'{"dataset": "chest-xrays"}', "'chest-xrays'"),
    "list": (b'["data/train-00000-of-00001.parquet"]', "expected an object"),
    "cut off": (b'{"dataset": "celeba_dialog", "form', ""),
    "large": (b'{"dataset": "celeba_dialog"' + b" " * (9 << 20) + b"}", "9,437,212 bytes"),
    "name with an escape": (b'{"dataset": "\\u001b[2J\\u202e\\n"}', "\\x1b[2J\\u202e\\n"),
    "nothing built": (lambda manifest: manifest.update(configs={}), "no shards"),
    "path upwards": (shard(path="hq/../data/train-00000-of-00001.parquet"), "hq/../data"),
    "names beside them": (
        lambda manifest: manifest["files"].update({"data/x": {"size": 1, "sha256": "0" * 64}}),
        "data/x",
    ),
}


@pytest.mark.parametrize("case", OTHER_MANIFESTS)
def test_refuses_a_repository_whose_manifest_is_not_ours(hub, push, folder, case):
    change, word = OTHER_MANIFESTS[case]
    if not isinstance(change, bytes):
        manifest = json.loads((folder / "manifest.json").read_text())
        change(manifest)
        change = json.dumps(manifest).encode()
    theirs = {"manifest.json": change, "README.md": b"# Theirs\n", "data/train-00000-of-00001.parquet": b"theirs"}
    hub.create(REPO, files=theirs)
    kept_as_it_was(hub, push(folder, REPO, token=hub.token()), theirs, "manifest.json", word)


def test_refuses_what_a_manifest_of_ours_does_not_name(hub, push, folder):
    theirs = {"manifest.json": (folder / "manifest.json").read_bytes(), "data/train-00000-of-00001.parquet": b"theirs"}
    hub.create(REPO, files=theirs)
    kept_as_it_was(hub, push(folder, REPO, token=hub.token()), theirs, "data/train-00000-of-00001.parquet")


@pytest.mark.parametrize(
    "readme",
    [
        b"# Birds\n",
        b"---\nlicense: mit\n---\nOur birds.\n",
        b"---\nlicense: mit\npretty_name: Birds\n---\n",
        b"---\nlicense: mit of course\n---\n",
        b"license: mit\n",
        b"---\nlicense: mit\n---\n" + b"\n" * 2000,
        b"\x00\xff",
    ],
)
def test_refuses_a_repository_with_somebodys_readme(hub, push, folder, readme):
    hub.create(REPO, files={"README.md": readme})
    kept_as_it_was(hub, push(folder, REPO, token=hub.token()), {"README.md": readme}, "README.md")


def test_refuses_shards_of_ours_with_other_content_where_no_manifest_says_whose_they_are(hub, push, folder):
    theirs = {SHARD: b"PAR1 of somebody", "README.md": (folder / "README.md").read_bytes()}
    hub.create(REPO, files=theirs)
    kept_as_it_was(hub, push(folder, REPO, token=hub.token()), theirs, SHARD)


def test_gated_asks_nothing_of_a_repository_that_is_not_ours(hub, push, folder):
    theirs = {"README.md": b"# Birds\n"}
    hub.create(REPO, files=theirs)
    kept_as_it_was(hub, push(folder, REPO, "--gated", token=hub.token()), theirs, "README.md")
    assert hub.repositories[REPO].gated is False


def test_refuses_a_repository_that_has_moved(hub, push, folder):
    hub.repositories["org/former"] = hub.create(REPO)
    refused(hub, push(folder, "org/former", token=hub.token()), f"has moved to {REPO}")


@pytest.mark.parametrize("name", ["celeba_dialog", "org/celeba/dialog", "org/celeba--dialog", "org/"])
def test_a_name_that_cannot_be(hub, push, folder, name):
    assert push(folder, name, token=hub.token()).status == 2
    assert hub.requests == []


# ---------------------------------------------------------------------------------------------------------- the token


def test_no_token(hub, push, folder):
    refused(hub, push(folder, REPO, token=None), "hf auth login", "HF_TOKEN")
    assert hub.requests == []


def test_token_with_impossible_characters_is_not_quoted_in_the_error(hub, push, folder):
    """HTTP libraries quote a header that they refuse."""
    result = push(folder, REPO, token=f"{NOBODY}\x01part")
    refused(hub, result, "characters that no token has")
    assert NOBODY not in result.output


def test_token_that_the_server_repeats_is_not_printed(hub, push, folder):
    token = hub.token()
    hub.on("GET", "/whoami-v2", (400, f"bad {token}"))
    result = push(folder, REPO, token=token)
    refused(hub, result, "bad <token>")


def test_read_only_token(hub, push, folder):
    refused(hub, push(folder, REPO, token=hub.token("read")), "can only read", "write permission")


def test_token_that_may_write_elsewhere_only(hub, push, folder):
    result = push(folder, "other/celeba_dialog", token=hub.token())
    refused(hub, result, "403", "may write to other", writes=[("POST", "/api/repos/create")])
    assert hub.repositories == {}


def test_repository_that_exists_out_of_sight(hub, push, folder):
    hub.on("POST", "/api/repos/create", 409)
    result = push(folder, REPO, token=hub.token())
    refused(hub, result, "exists", writes=[("POST", "/api/repos/create")])


# ------------------------------------------------------------------------------------ what comes from outside is shown

ODD = "\x1b[31m\x1b]0;title\x07\u202e\u2066\x9b2J\r\nword"  # colours, a title, two changes of direction, a line end


def shown(result):
    """`check_output` has seen to what must not be there; this much has to be."""
    assert r"\x1b[31m\x1b]0;title\x07\u202e\u2066\x9b2J" in result.output
    assert "word" in result.output


def test_odd_message_of_the_hub(hub, push, folder):
    hub.on("POST", "/preupload/", (400, ODD))
    result = push(folder, REPO, token=hub.token())
    assert result.status == 1
    shown(result)
    assert result.output.splitlines()[-1].startswith("celeba-dialog: error: While uploading: the Hub answered 400 (")


def test_odd_name_of_the_account(hub, push, folder):
    hub.user = ODD
    result = push(folder, REPO, token=hub.token("read"))
    refused(hub, result, "can only read")
    shown(result)
    hub.user = token = hub.token("read")  # which `push` looks for in all that is printed
    refused(hub, push(folder, REPO, token=token), "The token of <token> can only read")


@pytest.mark.parametrize("answer", [b"[]", b"null", b'{"auth": "all"}', b'{"auth": {"accessToken": 7}}', b"<html>"])
def test_strange_account(hub, push, folder, answer):
    hub.on("GET", "/whoami-v2", (200, answer))
    refused(hub, push(folder, REPO, token=hub.token()), "While looking up the token")


def test_odd_names_in_the_repository(hub, push, folder):
    hub.create(REPO, files={f"{ODD}.txt": b"theirs"})
    result = push(folder, REPO, token=hub.token())
    refused(hub, result, "no push put there")
    shown(result)


def test_odd_warnings_of_the_hub(hub, push, folder):
    """The client logs one kind and warns of the other, each with the words of the server."""
    hub.warnings = [ODD]
    hub.headers = {"X-HF-Warning": f"topic-{folder.name}; header {ODD.splitlines()[0].encode().decode('latin-1')}"}
    result = push(folder, REPO, token=hub.token())
    assert result.status == 0
    shown(result)
    assert "Warnings while validating metadata" in result.output
    assert "header \\x1b[31m" in result.output


# -------------------------------------------------------------------------------------------------------- environment


def alone(hub, folder, *argv, env=(), **options):
    """A push in a process of its own, for what is read when the client is imported."""
    command = [sys.executable, "-c", COMMAND, *map(str, argv)]
    env = environment(hub, folder, token=hub.token()) | dict(env)
    done = subprocess.run(command, env=env, cwd=folder, capture_output=True, text=True, timeout=120, **options)  # noqa: S603
    check_output(Result(done.returncode, done.stderr + done.stdout), env["HF_TOKEN"] or None)
    return Result(done.returncode, done.stderr)


@pytest.mark.parametrize("name", ["HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"])
def test_offline_mode_is_what_push_says(hub, folder, tmp_path, name):
    result = alone(hub, tmp_path, folder, REPO, env={name: "1"})
    refused(hub, result, "Offline mode", name)
    assert "same command again" not in result.output
    assert len(result.output.splitlines()) == 1
    assert hub.requests == []


@pytest.mark.parametrize("content", [None, b"\xff\xfe", b""])
def test_a_token_path_that_holds_no_token(hub, folder, tmp_path, content):
    path = tmp_path / "token"
    path.mkdir() if content is None else path.write_bytes(content)
    result = alone(hub, tmp_path, folder, REPO, env={"HF_TOKEN": "", "HF_TOKEN_PATH": str(path)})
    refused(hub, result, "hf auth login")
    assert content == b"" or "HF_TOKEN_PATH" in result.output
    assert len(result.output.splitlines()) == 2  # the first says that the folder is as it was built
    assert hub.requests == []


@pytest.mark.parametrize("address", ["example.org", "http://127.0.0.1:99999", ""])
def test_an_endpoint_that_is_no_address(hub, folder, tmp_path, address):
    result = alone(hub, tmp_path, folder, REPO, env={"HF_ENDPOINT": address})
    refused(hub, result, "HF_ENDPOINT", address.rstrip("/"))
    assert len(result.output.splitlines()) == 1


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


@pytest.mark.parametrize(
    "step, fault",
    [
        pytest.param(step, fault, marks=[pytest.mark.trials] * ((step, fault) not in SOME_TROUBLE))
        for step in STEPS
        for fault in (500, 429, RESET)
    ],
)
def test_trouble_on_the_way_then_the_same_command_again(hub, push, folder, step, fault):
    """Each step meets trouble that outlasts the client's own retries; the second run finds none."""
    token = hub.token()
    hub.on(*STEPS[step], fault, times=30)
    result = push(folder, REPO, token=token)
    assert result.status == 1, result.output
    assert "Run the same command again" in result.output
    assert fault == RESET or str(fault) in result.output
    assert result.output.strip().splitlines()[-1].startswith("celeba-dialog: error: While ")
    assert REPO not in hub.repositories or hub.files(REPO) == {}

    uploaded = set(hub.objects)
    hub.clear_faults()
    hub.requests.clear()
    assert push(folder, REPO, token=token).status == 0
    assert hub.files(REPO) == contents(folder)
    assert uploaded.isdisjoint(path.rsplit("/", 1)[-1] for _, path in of_interest(hub, "PUT"))


def test_trouble_that_the_client_survives(hub, push, folder):
    hub.on("PUT", "/objects/", 500)
    assert push(folder, REPO, token=hub.token()).status == 0
    assert hub.files(REPO) == contents(folder)


def test_no_server_at_all(tmp_path, folder):
    with Hub() as gone:
        pass
    command = [sys.executable, "-c", "import time; time.sleep = lambda s: None\n" + COMMAND, str(folder), REPO]
    env = environment(gone, tmp_path, token=NOBODY)
    done = subprocess.run(command, env=env, cwd=tmp_path, capture_output=True, text=True, timeout=60)  # noqa: S603
    check_output(Result(done.returncode, done.stderr + done.stdout), NOBODY)
    assert done.returncode == 1
    assert "Run the same command again" in done.stderr


def test_killed_half_way_and_repeated(running, hub, push, folder):
    """Killed when one object is stored and the others are under way: only the others are sent again."""
    _, shell = running
    token = hub.token()
    held, killed = threading.Event(), threading.Event()

    def hold():
        held.set()
        killed.wait(60)
        return RESET

    hub.on("PUT", "/objects/", lambda: None)
    hub.on("PUT", "/objects/", hold, times=30)
    child = shell.start(folder, REPO, token=token)
    while (request := hub.answered.get(timeout=60)).method != "PUT":
        pass
    assert request.status == 200
    assert held.wait(60)
    os.kill(child, signal.SIGKILL)
    assert shell.finish().status == -signal.SIGKILL
    killed.set()
    assert hub.files(REPO) == {}
    assert len(stored := set(hub.objects)) == 1

    hub.clear_faults()
    hub.requests.clear()
    assert push(folder, REPO, token=token).status == 0
    assert hub.files(REPO) == contents(folder)
    sent = [path.rsplit("/", 1)[-1] for _, path in of_interest(hub, "PUT")]
    assert len(sent) == 5  # five shards and a plot, but for the one that is there
    assert stored.isdisjoint(sent)


def test_commit_whose_answer_is_lost(hub, push, folder):
    token = hub.token()
    hub.on("POST", "/commit/", RESET_AFTER)
    result = push(folder, REPO, token=token)
    assert result.status == 1
    assert "Run the same command again" in result.output
    assert hub.files(REPO) == contents(folder)
    assert push(folder, REPO, token=token).status == 0
    assert len(hub.repositories[REPO].commits) == 2


def test_commit_that_cannot_be_confirmed(hub, push, folder):
    token = hub.token()
    hub.on("GET", "/tree/", lambda: None)
    hub.on("GET", "/tree/", 500, times=30)
    result = push(folder, REPO, token=token)
    assert result.status == 1
    assert "confirming" in result.output
    hub.clear_faults()
    assert push(folder, REPO, token=token).status == 0
    assert len(hub.repositories[REPO].commits) == 2


def test_answer_that_repeating_does_not_change(hub, push, folder):
    hub.on("POST", "/commit/", (402, "no storage left"))
    result = push(folder, REPO, token=hub.token())
    assert result.status == 1
    assert "no storage left" in result.output
    assert "again" not in result.output


def test_commit_of_someone_else_in_the_meantime(hub, push, folder):
    token = hub.token()
    hub.on("POST", "/commit/", lambda: hub.repositories[REPO].commit({"README.md": b"theirs"}) and None)
    result = push(folder, REPO, token=token)
    assert result.status == 1
    assert "changed by someone else" in result.output
    assert hub.files(REPO) == {"README.md": b"theirs"}


def test_server_that_silently_drops_parquet_files(hub, push, folder):
    hub.ignored = ("*.parquet",)
    result = push(folder, REPO, token=hub.token())
    assert result.status == 1
    assert result.output.count(".parquet is not there") == 5
    assert "load_dataset" not in result.output


def test_server_that_holds_other_bytes_afterwards(hub, push, folder):
    def swap():
        files = hub.repositories[REPO].commits[-1][1]
        path = "standard/train-00000-of-00001.parquet"
        files[path] = bytes(len(files[path]))
        files["README.md"] = files["README.md"][:-1] + b" "
        files["manifest.json"] = b"{}"
        files["late.parquet"] = b""

    hub.on("GET", "/tree/", lambda: None)
    hub.on("GET", "/tree/", swap)
    result = push(folder, REPO, token=hub.token())
    assert result.status == 1
    assert "standard/train-00000-of-00001.parquet has the checksum" in result.output
    assert "README.md has the checksum" in result.output
    assert "manifest.json has 2 bytes" in result.output
    assert "late.parquet does not belong" in result.output


# --------------------------------------------------------------------------------------------------- the local folder


def edit_manifest(folder, change):
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    change(manifest)
    path.write_text(json.dumps(manifest))


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


SHARD = "hq/test-00000-of-00001.parquet"


def elsewhere(folder, name):
    """Moves something out of the folder and leaves a link to it."""
    target = folder.parent / "elsewhere"
    (folder / name).rename(target)
    (folder / name).symlink_to(target)


def instead(folder, name, make):
    """Puts something that is no file in the place of one."""
    (folder / name).unlink()
    make(folder / name)


def make_socket(path):
    os.mknod(path, stat.S_IFSOCK | 0o600)


BROKEN = {
    "shard missing": (lambda folder: (folder / SHARD).unlink(), SHARD),
    "shard changed": (lambda folder: flip(folder / SHARD), SHARD),
    "shard cut off": (lambda folder: (folder / SHARD).write_bytes(b"PAR1"), "4 bytes"),
    "no README": (lambda folder: (folder / "README.md").unlink(), "README.md: missing"),
    "no manifest": (lambda folder: (folder / "manifest.json").unlink(), "manifest.json"),
    "stray": (lambda folder: (folder / "hq/.train.tmp").write_bytes(b""), "hq/.train.tmp"),
    "card changed": (lambda folder: flip(folder / "README.md"), "README.md: its SHA-256 is "),
    "pointer of Git": (
        lambda folder: (folder / SHARD).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\n"),
        f"{SHARD}: is a pointer of Git LFS, not the file itself, which comes with: git lfs pull",
    ),
    "script": (lambda folder: (folder / "celeba_dialog.py").write_bytes(b""), "celeba_dialog.py"),
    "old shard": (lambda folder: (folder / "hq/test-00000-of-00002.parquet").write_bytes(b""), "test-00000-of-00002"),
    "hidden folder": (lambda folder: write(folder / ".cache/huggingface/x", b""), ".cache/huggingface/x"),
    "escapes": (lambda folder: (folder / "\x1b[2J\x07\u202eword\n").write_bytes(b""), r"\x1b[2J\x07\u202eword\n"),
    "no text": (lambda folder: Path(os.fsdecode(bytes(folder) + b"/\xff")).write_bytes(b""), r"\udcff"),
    "link beside": (lambda folder: (folder / "preview.png").symlink_to(ROOT / "LICENSE"), "preview.png: is a link"),
    "link to a shard": (lambda folder: elsewhere(folder, SHARD), f"{SHARD}: is a link"),
    "link to the manifest": (lambda folder: elsewhere(folder, "manifest.json"), "manifest.json: is a link"),
    "link to a folder": (lambda folder: elsewhere(folder, "hq"), "hq: is a link"),
    "link to nowhere": (lambda folder: (folder / "legend.png").symlink_to("nowhere"), "legend.png: is a link"),
    "pipe beside": (lambda folder: os.mkfifo(folder / "preview.png"), "preview.png: is a pipe"),
    "pipe for a shard": (lambda folder: instead(folder, SHARD, os.mkfifo), f"{SHARD}: is a pipe"),
    "pipe for the manifest": (lambda folder: instead(folder, "manifest.json", os.mkfifo), "manifest.json: is a pipe"),
    "pipe for the README": (lambda folder: instead(folder, "README.md", os.mkfifo), "README.md: is a pipe"),
    "socket": (lambda folder: instead(folder, "README.md", make_socket), "README.md: is a socket"),
    "folder for the README": (lambda folder: instead(folder, "README.md", os.mkdir), "README.md: is a folder"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_folder_that_is_not_as_it_was_built(hub, push, folder, case):
    change, word = BROKEN[case]
    change(folder)
    result = push(folder, REPO, token=hub.token())
    assert result.status == 1, result.output
    assert word in result.output
    assert hub.requests == []


def test_every_problem_of_the_folder_has_its_line(hub, push, folder):
    flip(folder / "hq/train-00000-of-00002.parquet")
    flip(folder / SHARD)
    result = push(folder, REPO, token=hub.token())
    *lines, advice = result.output.strip().splitlines()
    assert len(lines) == 2
    assert all("SHA-256" in line for line in lines)
    again = f"celeba-dialog build RELEASE {folder} --config hq --config standard --force"
    assert advice == f"To build it again: {again}"


def test_no_such_folder(hub, push, tmp_path):
    assert push(tmp_path / "nowhere", REPO, token=hub.token()).status == 2


# --------------------------------------------------------------------------------------------------------- loading it

LOAD = """
import json, sys
from datasets import Image, config as settings, load_dataset
settings.USE_PARQUET_EXPORT = False  # or it asks the dataset viewer, a server of its own, of which there is none here

def plain(rows):
    rows = rows.cast_column("image", Image(decode=False))
    if "mask" in rows.features:
        rows = rows.cast_column("mask", Image(decode=False))
    return [{**row, **{key: row[key] and {**row[key], "bytes": row[key]["bytes"].hex()}
             for key in ("image", "mask") if key in row}} for row in rows]

def take(config, streaming):
    loaded = load_dataset(sys.argv[1], config, streaming=streaming)
    first = next(iter(loaded["train"]))
    names = loaded["train"].features["bangs"].names
    return {"splits": {split: plain(rows) for split, rows in loaded.items()},
            "size": first["image"].size, "mode": first["image"].mode, "names": names}

print(json.dumps({f"{config} {streaming}": take(config, streaming)
                  for config in sys.argv[2:] for streaming in (False, True)}))
"""

COMMAND = """
import sys
from conversion import __main__ as cli
cli.COMMANDS = {"push": ".push"}
sys.exit(cli.main(["push", *sys.argv[1:]]))
"""

OLD_PYTHON = os.environ.get("CELEBA_DIALOG_OLD_PYTHON")  # an interpreter with an older pair of datasets and client
INTERPRETERS = {
    "newest": pytest.param(sys.executable, id="newest"),
    "old": pytest.param(
        OLD_PYTHON, id="old", marks=pytest.mark.skipif(not OLD_PYTHON, reason="CELEBA_DIALOG_OLD_PYTHON is not set")
    ),
}


def client(python, code, *argv, env):
    command = [python, "-c", code, *map(str, argv)]
    return subprocess.run(command, env=env, cwd=env["HOME"], capture_output=True, text=True, timeout=300)  # noqa: S603


@pytest.mark.parametrize("python", INTERPRETERS.values())
def test_what_was_pushed_loads(hub, push, folder, tmp_path, python):
    """By name, mapped and streamed, with all rows as they were written."""
    assert push(folder, REPO, token=hub.token()).status == 0
    reader = environment(hub, tmp_path, token=hub.token("read"))
    done = client(python, LOAD, REPO, "hq", "standard", env=reader)
    assert done.returncode == 0, done.stderr
    loaded = json.loads(done.stdout)
    assert sorted(loaded) == ["hq False", "hq True", "standard False", "standard True"]
    for key, result in loaded.items():
        config = key.split()[0]
        expected = {split: truth(config, split) for split in SIZES[config]}
        for row in (row for rows in expected.values() for row in rows):
            for column in {"image", "mask"} & row.keys():
                row[column] = row[column] and {**row[column], "bytes": row[column]["bytes"].hex()}
        assert result["splits"] == expected
        assert (result["size"], result["mode"]) == ([8, 6], "RGB")
        assert result["names"][5] == "long"
    assert any(request.status == 206 for request in hub.requests)  # streamed, not downloaded


@pytest.mark.parametrize("python", INTERPRETERS.values())
def test_push_from_a_process_of_its_own(hub, folder, tmp_path, python):
    """As a user would, without the shortcut of the other tests, in each interpreter."""
    env = environment(hub, tmp_path, token=hub.token())
    for _ in range(2):
        done = client(python, COMMAND, folder, REPO, "--gated", env=env)
        assert done.returncode == 0, done.stderr
    assert hub.files(REPO) == contents(folder)
    assert len(hub.repositories[REPO].commits) == 2
