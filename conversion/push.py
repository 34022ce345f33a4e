"""Upload the built folder to a private dataset repository on the Hub.

Every file of OUT is first compared with OUT/manifest.json. REPO_ID (OWNER/NAME) is created private where it does not
exist; a repository that is public, or does not say that it is private, is refused before anything is sent, because
the agreement forbids passing the images on. So is one that holds anything a push of this dataset did not put there:
nothing of others is replaced or deleted. What is missing or changed there goes up in one commit that also deletes old
shards; then privacy, file list, sizes and checksums are read back. The same command again goes on where the last one
stopped. The token is the one of `hf auth login`, or HF_TOKEN.
"""

import argparse
import contextlib
import os
import re
import sys
import tempfile
from collections.abc import Iterator, Mapping
from functools import partial
from typing import NamedTuple

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, constants, get_token
from huggingface_hub.errors import RepositoryNotFoundError
from huggingface_hub.hf_api import DatasetInfo, RepoFile
from huggingface_hub.utils import HFValidationError, disable_progress_bars, validate_repo_id
from huggingface_hub.utils.sha import git_hash

from .parquet.contents import build_command, changed, misplaced
from .parquet.manifest import BESIDE_SHARDS, MANIFEST, all_shards, parse_manifest, read_manifest, written_paths
from .release.errors import CelebADialogError, DamagedFileError, EnvironmentFault, ReleaseError, UsageError
from .release.vocabulary import AGREEMENT_URL
from .runtime import files

HUB_FILE = ".gitattributes"  # the Hub puts one into every repository
MOST_MANIFEST = 8 << 20  # bytes: a hundred times the manifest of all configs
# The README of a new repository: at most the licence that was chosen when it was made, and no text.
STUB = re.compile(rb"\s*(---\s*?\n(license(_name|_link)?: *\S*\s*?\n)*---\s*)?")
MOST_STUB = 1000  # bytes
CHOOSE = "Nothing was sent. Choose another name, or delete there what is not needed any more."
AGAIN = "Run the same command again: what has arrived is not sent twice."

# Status of the Hub's answer -> what to do.
ADVICE = {
    401: "It does not accept the token. Log in again with `hf auth login`; where HF_TOKEN is set, it is HF_TOKEN that "
    "counts.",
    403: "The token may not do that. Use one with write permission, of an account that may write to {owner}.",
    404: "No {repo_id} for this token. Check the name, and the token's access to {owner}.",
    409: "{repo_id} exists, but not for this token. Choose another name, or ask its owner for access.",
    412: "{repo_id} was changed by someone else in the meantime. Run the same command again.",
    429: f"Too many requests: wait some minutes. {AGAIN}",
}


class LocalFile(NamedTuple):
    """A file of the built folder."""

    path: str  # where it lies on this machine
    size: int  # in bytes
    sha256: str  # as compared with the manifest: the client hashes anew what it sends


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("out", metavar="OUT", help="the folder that `build` wrote")
    parser.add_argument("repo_id", metavar="REPO_ID", help="OWNER/NAME of the private dataset repository")
    parser.add_argument(
        "--gated", action="store_true", help="readers inside the organisation ask for access, its owner approves each"
    )


def run(args: argparse.Namespace) -> None:
    push(args.out, args.repo_id, args.gated)


def push(folder: str | os.PathLike[str], repo_id: str, gated: bool = False) -> None:
    """Makes the private dataset repository `repo_id` hold what the built `folder` holds, in at most one commit.

    `gated=True` also asks for manual approval of access requests; False leaves that setting as it is.
    Raises UsageError for a folder or name that cannot be, ReleaseError for a folder that is not as it was built, and
    EnvironmentFault for a repository that is not private, or whatever keeps the Hub from taking or keeping the files.
    """
    _check_repo_id(repo_id)
    _check_network()
    local, configs = local_files(folder)
    files.say(f"{folder}: {len(local)} files, {_size(local)}, as manifest.json has them.")

    if not files.is_terminal(sys.stderr):
        disable_progress_bars()
    token = _token()
    with files.libraries_say(hidden=token):
        _push(repo_id, gated, token, local, configs)


def _push(repo_id: str, gated: bool, token: str, local: dict[str, LocalFile], configs: list[str]) -> None:
    api = HfApi(token=token)
    talking = partial(_plain_errors, repo_id=repo_id, token=token)

    with talking("looking up the token"):
        account = api.whoami()
        access = (account.get("auth") or {}).get("accessToken") or {}
        if access.get("role") == "read":
            raise EnvironmentFault(
                f"The token of {files.printable(account.get('name'))} can only read. "
                "Make one with write permission on the Hub and log in with `hf auth login`."
            )

    with talking(f"looking for {repo_id}"):
        parent = _private_repository(api, repo_id)
        remote = _remote_files(api, repo_id, parent)
        _refuse_what_is_not_ours(api, repo_id, parent, remote, local)
    if gated:
        with talking("asking for approval of access requests"):
            api.update_repo_settings(repo_id, repo_type="dataset", gated="manual")

    send = {path: file for path, file in local.items() if _difference(file, remote.get(path))}
    obsolete = sorted(remote.keys() - local.keys())
    revision = parent
    if send or obsolete:
        files.say(f"{repo_id}: sending {len(send)} files, {_size(send)}, deleting {len(obsolete)}.")
        additions = [CommitOperationAdd(path_in_repo=path, path_or_fileobj=file.path) for path, file in send.items()]
        deletions = [CommitOperationDelete(path_in_repo=path, is_folder=False) for path in obsolete]
        with talking("uploading"):
            api.preupload_lfs_files(repo_id, additions, repo_type="dataset")
            # The upload takes hours, and nobody sees the files before the commit: look again before that.
            _refuse_public(api.dataset_info(repo_id), repo_id)
            commit = api.create_commit(
                repo_id,
                additions + deletions,
                commit_message="CelebA-Dialog as built",
                repo_type="dataset",
                parent_commit=parent,
            )
            revision = commit.oid
    else:
        files.say(f"{repo_id}: holds these files already, nothing to send.")

    with talking(f"confirming that {repo_id} is private and complete"):
        _confirm(api, repo_id, revision, local, gated)
    config = "hq" if "hq" in configs else configs[0]
    files.say(
        f"{repo_id} is private and holds every file, checksums compared. Load it, logged in as someone with access:\n"
        f'    load_dataset("{repo_id}", "{config}")  # configurations: {", ".join(configs)}'
    )


# ------------------------------------------------------------------------------------------------------- this machine


def local_files(folder: str | os.PathLike[str]) -> tuple[dict[str, LocalFile], list[str]]:
    """What of the built `folder` is to be pushed, compared with its manifest.

    Returns ({path below the folder, with slashes: LocalFile}, [names of the configurations]). Raises UsageError where
    there is no such folder, ReleaseError with one line per file that is missing, changed or does not belong.
    """
    folder = files.local_path(folder)
    if not os.path.isdir(folder):
        raise UsageError(f"{folder}: no such folder. Give the folder that `celeba-dialog build` wrote.")
    manifest = read_manifest(folder)
    listed = manifest["files"] | {shard["path"]: shard for shard in all_shards(manifest)}
    paths = sorted({MANIFEST, "README.md", *listed})
    problems = misplaced(folder, manifest, paths)
    local = {}
    try:
        there = [path for path in paths if os.path.isfile(os.path.join(folder, path))]
        total = sum(os.path.getsize(os.path.join(folder, path)) for path in there)
        with files.progress(total=total, desc="checksums", unit="B", unit_scale=True) as bar:
            for path in there if not problems else ():
                place = os.path.join(folder, path)
                local[path] = LocalFile(place, os.path.getsize(place), files.checksum(place, progress=bar.update))
                if path in listed and (how := changed(place, local[path].sha256, listed[path])):
                    problems.append(f"{path}: {how}")
    except OSError as error:
        raise EnvironmentFault(f"{error.filename or folder}: cannot be read: {error.strerror}.") from error
    if problems:
        again = f"To build it again: {build_command('RELEASE', folder, manifest)}"
        raise ReleaseError("\n".join([*(f"{folder}: {line}." for line in problems), again]))
    return local, list(manifest["configs"])


def _check_network() -> None:
    """Raises EnvironmentFault where huggingface_hub is set to be offline, or to an address that is none."""
    if constants.HF_HUB_OFFLINE:
        raise EnvironmentFault(
            "Offline mode is on, so nothing can be pushed. Unset HF_HUB_OFFLINE (and TRANSFORMERS_OFFLINE) in the "
            "environment, where there is a network."
        )
    if not files.is_http_address(constants.ENDPOINT):
        raise EnvironmentFault(
            f"HF_ENDPOINT is {constants.ENDPOINT!r}. It is the address of a Hub, as https://host; unset it for the "
            "public one."
        )


def _token() -> str:
    """The token of this person. Raises EnvironmentFault where there is none that can be used."""
    try:
        token = get_token()
    except Exception as error:  # it may read a file, refresh a login or ask a server
        raise EnvironmentFault(
            f"The Hugging Face token cannot be had: {files.one_line(error)}. Look at HF_TOKEN_PATH (it is "
            f"{constants.HF_TOKEN_PATH}), log in with `hf auth login`, or set HF_TOKEN."
        ) from None
    if not token:
        raise EnvironmentFault(
            "No Hugging Face token. Log in with `hf auth login`, or set HF_TOKEN; the token needs write permission."
        )
    if not re.fullmatch(r"[A-Za-z0-9._~+/=-]+", token):  # else the HTTP library quotes it in an error
        raise EnvironmentFault("The Hugging Face token has characters that no token has. Log in with `hf auth login`.")
    return token


def _check_repo_id(repo_id: str) -> None:
    """Raises UsageError for what is no OWNER/NAME."""
    try:
        validate_repo_id(repo_id)
    except HFValidationError as error:
        raise UsageError(f"{files.one_line(repo_id)}: no name for a repository: {files.one_line(error)}") from error
    if "/" not in repo_id:
        raise UsageError(f"{repo_id}: give the owner as well, as in my-organisation/{repo_id}.")


def _size(local: Mapping[str, LocalFile]) -> str:
    return f"{sum(file.size for file in local.values()) / 1e6:,.1f} MB"


# ------------------------------------------------------------------------------------------------------------ the Hub


def _private_repository(api: HfApi, repo_id: str) -> str | None:
    """The newest commit of a repository, None for an empty one; makes the repository where there is none.

    Raises EnvironmentFault unless the Hub says that it is private.
    """
    try:
        info = api.dataset_info(repo_id)
    except RepositoryNotFoundError:
        api.create_repo(repo_id, repo_type="dataset", private=True)
        info = api.dataset_info(repo_id)
        files.say(f"{repo_id}: created.")
    if info.id.lower() != repo_id.lower():
        raise EnvironmentFault(f"{repo_id} has moved to {files.printable(info.id)}. Run the command with that name.")
    _refuse_public(info, repo_id)
    return info.sha


def _refuse_public(info: DatasetInfo, repo_id: str) -> None:
    if info.private is not True:
        state = "is public" if info.private is False else "does not say whether it is private"
        raise EnvironmentFault(
            f"{repo_id} {state}: nothing was published there. The agreement ({AGREEMENT_URL}) forbids passing on any "
            "portion of the dataset outside your organisation, so it goes to private repositories alone. Make it "
            "private in its settings, or choose another name."
        )


def _remote_files(api: HfApi, repo_id: str, revision: str | None) -> dict[str, RepoFile]:
    """{path: RepoFile} of all files in a commit, without the Hub's own."""
    if revision is None:  # a repository without any commit
        return {}
    tree = api.list_repo_tree(repo_id, recursive=True, revision=revision, repo_type="dataset")
    return {entry.path: entry for entry in tree if isinstance(entry, RepoFile) and entry.path != HUB_FILE}


def _refuse_what_is_not_ours(
    api: HfApi, repo_id: str, revision: str | None, remote: Mapping[str, RepoFile], local: Mapping[str, LocalFile]
) -> None:
    """Raises EnvironmentFault for a file that a push would replace or delete, and that no push put there.

    Ours are the shards that a manifest of ours names and the files beside them; without a manifest, only the README of
    a new repository. A file that is the same here is not lost, so a push that was cut off can be completed.
    """
    ours: set[str] = set()
    shown = f"{repo_id} holds what no push put there"
    if MANIFEST in remote:
        if remote[MANIFEST].size > MOST_MANIFEST:
            raise EnvironmentFault(f"{shown}: {MANIFEST} has {remote[MANIFEST].size:,} bytes. {CHOOSE}")
        content = _remote_content(api, repo_id, revision, MANIFEST)
        try:
            ours = written_paths(parse_manifest(content, f"{shown}: {MANIFEST}", CHOOSE))
        except DamagedFileError as error:
            raise EnvironmentFault(str(error)) from error
    elif "README.md" in remote and remote["README.md"].size <= MOST_STUB:
        ours = {"README.md"} if STUB.fullmatch(_remote_content(api, repo_id, revision, "README.md")) else set()
    lost = {path for path, there in remote.items() if path not in local or _difference(local[path], there)}
    others = sorted(lost - ours, key=lambda path: (path in BESIDE_SHARDS, path))  # the least expected names first
    if others:
        named = ", ".join(files.one_line(path, 100) for path in others[:3])
        also = f" and {len(others) - 3:,} more" if len(others) > 3 else ""
        raise EnvironmentFault(f"{shown}: {named}{also}. {CHOOSE}")


def _remote_content(api: HfApi, repo_id: str, revision: str | None, path: str) -> bytes:
    """The bytes of a small file on the Hub."""
    with tempfile.TemporaryDirectory() as folder:
        copy = api.hf_hub_download(repo_id, path, repo_type="dataset", revision=revision, local_dir=folder)
        return files.read(copy)


def _difference(file: LocalFile, remote: RepoFile | None) -> str | None:
    """How the file on the Hub, a RepoFile or None, differs from a LocalFile, in words; None where it does not."""
    if remote is None:
        return "is not there"
    if remote.size != file.size:
        return f"has {remote.size} bytes, {file.size} here"
    if remote.lfs:
        there, here = remote.lfs.sha256, file.sha256
    else:  # a small file is kept by git, which has its own kind of checksum
        there, here = remote.blob_id, git_hash(files.read(file.path))
    return None if there == here else f"has the checksum {there}, {here} here"


def _confirm(api: HfApi, repo_id: str, revision: str | None, local: Mapping[str, LocalFile], gated: bool) -> None:
    """Raises EnvironmentFault unless the repository is private and `revision` holds the local files and no others."""
    info = api.dataset_info(repo_id)
    if info.private is not True:
        state = "IS PUBLIC NOW" if info.private is False else "DOES NOT SAY ANY MORE WHETHER IT IS PRIVATE"
        raise EnvironmentFault(
            f"{repo_id} {state}, AND THE FILES ARE IN IT. It changed during the upload. The agreement "
            f"({AGREEMENT_URL}) forbids that: make it private at once, at "
            f"{api.endpoint}/datasets/{repo_id}/settings, or delete it."
        )
    remote = _remote_files(api, repo_id, revision)
    problems = []
    for path, file in local.items():
        if difference := _difference(file, remote.get(path)):
            problems.append(f"{repo_id}: {path} {files.printable(difference)}.")
    problems += [f"{repo_id}: {files.printable(path)} does not belong there." for path in remote if path not in local]
    if problems:
        problems.append(
            "The Hub holds something else than it was sent. Run the same command again, or push to a new name."
        )
    if gated and info.gated != "manual":
        problems.append(f"{repo_id}: does not ask for approval of access requests. Turn it on in its settings.")
    if problems:
        raise EnvironmentFault("\n".join(problems))


@contextlib.contextmanager
def _plain_errors(doing: str, repo_id: str, token: str) -> Iterator[None]:
    """Makes an EnvironmentFault that says what to do, and does not quote the token, of whatever is raised in here.

    It catches every Exception because versions of huggingface_hub use different HTTP libraries.
    """
    try:
        yield
    except CelebADialogError as error:
        raise type(error)(str(error).replace(token, "<token>")) from error.__cause__
    except Exception as error:
        causes: list[BaseException] = [error]
        while (cause := causes[-1].__cause__) is not None:
            causes.append(cause)
        answer = next((cause for cause in causes if getattr(cause, "response", None) is not None), None)
        status = getattr(answer, "response").status_code if answer else None  # noqa: B009, each library has its class
        if answer:
            found = f"the Hub answered {status}"
            if message := getattr(answer, "server_message", None):
                found += f" ({message})"
        else:
            found = f"{type(causes[-1]).__name__}: {causes[-1]}".rstrip(".")
        otherwise = AGAIN if status is None or status >= 500 else "Repeating that would change nothing."
        advice = ADVICE.get(status or 0, otherwise).format(repo_id=repo_id, owner=repo_id.split("/")[0])
        found = files.one_line(found.replace(token, "<token>"))
        raise EnvironmentFault(f"While {doing}: {found}. {advice}") from error
