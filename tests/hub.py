"""A Hub on loopback: enough of the protocol for the real clients to create, push, list, stream and load with a token.

    with Hub() as hub:
        token = hub.token("write", owner="org")        # what HF_TOKEN is to be, with HF_ENDPOINT = hub.endpoint
        hub.create("org/name", private=False)          # a repository that exists before the client comes
        hub.on("POST", "/commit/", 500)                # faults, see Hub.on
        ...
        hub.files("org/name")["README.md"]             # bytes, as of the newest commit

HF_ENDPOINT is read when the client is imported, so it needs a process of its own, with HF_HUB_DISABLE_XET=1 (Xet is
not spoken here) and an HF_HOME of its own (what lies in the cache loads without a token). All content stays in memory.
"""

import base64
import hashlib
import json
import os
import re
import socket
import struct
import threading
import traceback
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit

# Answers to a request that are none: the connection breaks, before or after the request did what it asks for.
RESET, RESET_AFTER = "reset", "reset after"
LFS = (".parquet", ".png")  # what a new repository's .gitattributes keeps outside of git


class Account(NamedTuple):
    """Whom a token stands for."""

    role: str  # "write" or "read"
    owner: str  # the one namespace the token reads or writes


class Repository:
    def __init__(self, repo_id, private, files):
        self.id = repo_id
        self.private = private
        self.gated = False
        self.commits = []  # [(oid, {path: bytes})], the newest last
        self.commit({".gitattributes": b"*.parquet filter=lfs\n*.png filter=lfs\n", **files})

    def commit(self, files):
        oid = hashlib.sha1(f"{self.id} {len(self.commits)}".encode(), usedforsecurity=False).hexdigest()
        self.commits.append((oid, files))
        return oid


class Answer(Exception):
    """Ends the handling of a request."""

    def __init__(self, status, body=b"", **headers):
        super().__init__(status)
        self.status = status
        self.body = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


class Hub:
    """The server, in threads of this process. `repositories`, `objects` (SHA-256 -> bytes that were uploaded) and
    `requests` [(method, path)] may be read and changed at any time."""

    def __init__(self):
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.hub = self
        self._lock = threading.Lock()
        self.endpoint = f"http://127.0.0.1:{self._server.server_port}"
        self.reset()

    def reset(self):
        """Forgets everything but the address."""
        self.repositories = {}
        self.accounts = {}
        self.objects = {}
        self.requests = []
        self.errors = []  # tracebacks: mistakes of this file, or requests it does not know
        self.user = "someone"  # who the tokens belong to
        self.warnings = []  # what the server says of every README
        self.headers = {}  # of every answer, besides its own
        self.hooks = []  # of `on`: clear it, and no action is met any more

    def __enter__(self):
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, *error):
        self._server.shutdown()
        self._server.server_close()

    def token(self, role="write", owner="org"):
        """A token that reads, or reads and writes, all that belongs to one owner."""
        token = f"hf_{role}Token{len(self.accounts)}Of{owner}"
        self.accounts[token] = Account(role, owner)
        return token

    def create(self, repo_id, private=True, files=None):
        """A dataset repository that holds `files`, {path: bytes}."""
        self.repositories[repo_id] = Repository(repo_id, private, files or {})
        return self.repositories[repo_id]

    def files(self, repo_id):
        """{path: bytes} of the newest commit, but for .gitattributes."""
        files = self.repositories[repo_id].commits[-1][1]
        return {path: content for path, content in files.items() if path != ".gitattributes"}

    def on(self, method, pattern, action, times=1):
        """The next `times` requests of the method whose path matches the pattern meet `action` first.

        An action is a status to answer, (status, message), (status, body as bytes), RESET, RESET_AFTER, or a function
        without arguments that does something (in the server's thread, so it may wait) and returns one of these, or
        None to let the request go on.
        """
        self.hooks.append([method, pattern, action, times])

    def _meet(self, method, path):
        with self._lock:
            hooks = [hook for hook in self.hooks if hook[0] == method and re.search(hook[1], path) and hook[3] > 0]
            for hook in hooks[:1]:
                hook[3] -= 1
        action = hooks[0][2] if hooks else None
        return action() if callable(action) else action


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request, client_address):
        pass  # a client that went away; what this file does wrong is in hub.errors


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *args):
        pass

    def _handle(self):
        hub = self.server.hub
        self.url = urlsplit(self.path)
        fault = hub._meet(self.command, self.url.path)
        if fault == RESET:
            self._break()
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        try:
            if fault == RESET_AFTER:
                self._answer(hub, body)
                self._break()
            if fault:
                status, message = fault if isinstance(fault, tuple) else (fault, "as the test wants it")
                raise Answer(status, message if isinstance(message, bytes) else {"error": message})
            raise self._answer(hub, body)
        except Answer as answer:
            self.send_response(answer.status)
            for name, value in {**hub.headers, **answer.headers}.items():
                self.send_header(name, value)
            if "Content-Length" not in answer.headers:
                self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            hub.requests.append((self.command, self.url.path))
            if self.command != "HEAD":
                self.wfile.write(answer.body)

    do_GET = do_HEAD = do_POST = do_PUT = _handle

    def _break(self):
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        os.close(self.connection.detach())
        raise ConnectionResetError

    def _answer(self, hub, body):
        try:
            path = self.url.path
            for pattern, handler in ROUTES.items():
                method, pattern = pattern.split(" ")
                if self.command in method.split("|") and (match := re.fullmatch(pattern, path)):
                    handler(self, hub, body, *(unquote(group) for group in match.groups(default="")))
            raise Answer(404, {"error": "no such address"})
        except Answer as answer:
            return answer
        except Exception:
            hub.errors.append(f"{self.command} {self.path}\n{traceback.format_exc()}")
            return Answer(500, {"error": "see hub.errors"})

    # --------------------------------------------------------------------------------------------- who may do what

    def account(self):
        """The account of the request's token, or None where there is none."""
        return self.server.hub.accounts.get(self.headers.get("Authorization", "").removeprefix("Bearer "))

    def repository(self, repo_id, write=False):
        """The repository, if the token may read it, or write to it."""
        account = self.account()
        repository = self.server.hub.repositories.get(repo_id)
        mine = account is not None and account.owner == repo_id.split("/")[0]
        if repository is None or (repository.private and not mine):
            raise Answer(404 if account else 401, {"error": "Repository not found"}, X_Error_Code="RepoNotFound")
        if write and not (mine and account.role == "write"):
            raise Answer(403, {"error": "no write permission"}, X_Error_Message="no write permission")
        return repository

    def commit_files(self, repository, revision):
        """(oid, {path: bytes}) of a revision."""
        for oid, files in reversed(repository.commits):
            if revision in ("main", oid):
                return oid, files
        raise Answer(404, {"error": "Revision not found"}, X_Error_Code="RevisionNotFound")

    # --------------------------------------------------------------------------------------------------- addresses

    def whoami(self, hub, body):
        account = self.account()
        access = {"displayName": "test", "role": account.role}
        orgs = [{"type": "org", "name": account.owner}]
        raise Answer(200, {"type": "user", "name": hub.user, "orgs": orgs, "auth": {"accessToken": access}})

    def create(self, hub, body):
        wanted = json.loads(body)
        account = self.account()
        repo_id = f"{wanted['organization'] or 'someone'}/{wanted['name']}"
        if account.role != "write" or account.owner != wanted["organization"]:
            raise Answer(403, {"error": "no right to create a dataset under this namespace"})
        url = f"{hub.endpoint}/datasets/{repo_id}"
        if repo_id in hub.repositories:
            raise Answer(409, {"error": "You already created this dataset repo", "url": url})
        hub.create(repo_id, private=wanted.get("private", False) or wanted.get("visibility") == "private")
        raise Answer(200, {"url": url})

    def validate_yaml(self, hub, body):
        raise Answer(200, {"errors": [], "warnings": [{"message": text} for text in hub.warnings]})

    def info(self, hub, body, repo_id, revision):
        repository = self.repository(repo_id)
        oid, files = self.commit_files(repository, revision or "main")
        siblings = [{"rfilename": path} for path in sorted(files)]
        answer = {"id": repository.id, "sha": oid, "private": repository.private, "gated": repository.gated}
        raise Answer(200, {**answer, "disabled": False, "downloads": 0, "likes": 0, "tags": [], "siblings": siblings})

    def settings(self, hub, body, repo_id):
        repository = self.repository(repo_id, write=True)
        repository.gated = json.loads(body)["gated"]
        raise Answer(200, {})

    def tree(self, hub, body, repo_id, revision, folder):
        _, files = self.commit_files(self.repository(repo_id), revision)
        below = f"{folder}/" if folder else ""
        entries = {}
        for path in sorted(path for path in files if path.startswith(below)):
            parts = path[len(below) :].split("/")
            for depth in range(1, len(parts)):
                name = below + "/".join(parts[:depth])
                entries[name] = {"type": "directory", "path": name, "oid": "0" * 40, "size": 0}
            entries[path] = _entry(path, files[path])
        if folder and not entries:
            raise Answer(404, {"error": "Entry not found"}, X_Error_Code="EntryNotFound")
        if parse_qs(self.url.query).get("recursive", ["false"])[0].lower() not in ("true", "1"):
            entries = {name: entry for name, entry in entries.items() if "/" not in name[len(below) :]}
        raise Answer(200, list(entries.values()))

    def paths_info(self, hub, body, repo_id, revision):
        _, files = self.commit_files(self.repository(repo_id), revision)
        asked = json.loads(body)["paths"] if body[:1] == b"{" else parse_qs(body.decode())["paths"]
        entries = []
        for path in asked:
            if path in files:
                entries.append(_entry(path, files[path]))
            elif any(name.startswith(f"{path}/") for name in files):
                entries.append({"type": "directory", "path": path, "oid": "0" * 40, "size": 0})
        raise Answer(200, entries)

    def preupload(self, hub, body, repo_id, revision):
        _, files = self.commit_files(self.repository(repo_id, write=True), revision)
        answer = []
        for path in (file["path"] for file in json.loads(body)["files"]):
            mode = "lfs" if path.endswith(LFS) else "regular"
            entry = _entry(path, files[path]) if path in files else {}
            oid = (entry.get("lfs") or entry).get("oid")
            answer.append({"path": path, "uploadMode": mode, "shouldIgnore": False, "oid": oid})
        raise Answer(200, {"files": answer})

    def lfs_batch(self, hub, body, repo_id):
        self.repository(repo_id, write=True)
        objects = [{"oid": file["oid"], "size": file["size"]} for file in json.loads(body)["objects"]]
        for file in objects:
            if file["oid"] not in hub.objects:
                file["actions"] = {"upload": {"href": f"{hub.endpoint}/objects/{file['oid']}"}}
        raise Answer(200, {"transfer": "basic", "objects": objects})

    def upload(self, hub, body, oid):
        if hashlib.sha256(body).hexdigest() != oid:
            raise Answer(400, {"error": "not what was announced"})
        hub.objects[oid] = body
        raise Answer(200)

    def commit(self, hub, body, repo_id, revision):
        repository = self.repository(repo_id, write=True)
        oid, files = self.commit_files(repository, revision)
        files = dict(files)
        for line in body.splitlines():
            key, value = (item := json.loads(line))["key"], item["value"]
            if key == "header":
                if value.get("parentCommit", oid) != oid:
                    raise Answer(412, {"error": "A commit has happened since"})
            elif key == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif key == "lfsFile":
                files[value["path"]] = hub.objects[value["oid"]]
            elif key == "deletedFile":
                del files[value["path"]]
            else:
                raise ValueError(key)
        oid = repository.commit(files)
        raise Answer(200, {"commitOid": oid, "commitUrl": f"{hub.endpoint}/datasets/{repo_id}/commit/{oid}"})

    def resolve(self, hub, body, repo_id, revision, path):
        oid, files = self.commit_files(self.repository(repo_id), revision)
        if path not in files:
            raise Answer(404, {"error": "Entry not found"}, X_Error_Code="EntryNotFound", X_Repo_Commit=oid)
        content = files[path]
        entry = _entry(path, content)
        etag = (entry.get("lfs") or entry)["oid"]
        headers = {"X_Repo_Commit": oid, "ETag": f'"{etag}"', "Accept_Ranges": "bytes"}
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if not asked:
            raise Answer(200, content, Content_Length=str(len(content)), **headers)
        first, last = int(asked[1]), min(int(asked[2] or len(content)), len(content) - 1)
        if first > last:
            raise Answer(416, Content_Range=f"bytes */{len(content)}")
        part = content[first : last + 1]
        raise Answer(206, part, Content_Range=f"bytes {first}-{last}/{len(content)}", **headers)


def _entry(path, content):
    """How a file stands in a listing."""
    entry = {"type": "file", "path": path, "size": len(content)}
    if path.endswith(LFS):
        sha256 = hashlib.sha256(content).hexdigest()
        pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {len(content)}\n"
        entry["lfs"] = {"oid": sha256, "size": len(content), "pointerSize": len(pointer)}
        content = pointer.encode()
    entry["oid"] = hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
    return entry


NAME = r"([^/]+/[^/]+)"
ROUTES = {
    "GET /api/whoami-v2": _Handler.whoami,
    "POST /api/repos/create": _Handler.create,
    "POST /api/validate-yaml": _Handler.validate_yaml,
    f"GET /api/datasets/{NAME}(?:/revision/([^/]+))?": _Handler.info,
    f"PUT /api/datasets/{NAME}/settings": _Handler.settings,
    f"GET /api/datasets/{NAME}/tree/([^/]+)(?:/(.+))?": _Handler.tree,
    f"POST /api/datasets/{NAME}/paths-info/([^/]+)": _Handler.paths_info,
    f"POST /api/datasets/{NAME}/preupload/([^/]+)": _Handler.preupload,
    rf"POST /datasets/{NAME}\.git/info/lfs/objects/batch": _Handler.lfs_batch,
    "PUT /objects/(.+)": _Handler.upload,
    f"POST /api/datasets/{NAME}/commit/([^/]+)": _Handler.commit,
    f"GET|HEAD /datasets/{NAME}/resolve/([^/]+)/(.+)": _Handler.resolve,
}
