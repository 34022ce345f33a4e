"""A Google Drive on 127.0.0.1, as far as gdown sees one.

A file is asked for at /uc and comes from /download on another of Google's hosts; a large one after a page that asks to
confirm. Redirects and links name Google's own hosts, as the real ones do: a client that follows one instead of coming
back here is a client that leaves the machine.
"""

import contextlib
import hashlib
import html
import io
import json
import random
import re
import threading
import zipfile
from collections.abc import Iterable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple
from urllib.parse import parse_qs, urlsplit

from conversion.fetch import registry
from conversion.release.official import CHECKSUMS, FILES, Sums

CONTENT_HOST = "https://drive.usercontent.google.com"

QUOTA = """<!DOCTYPE html><html><head><title>Google Drive - Quota exceeded</title></head><body>
<p class="uc-error-caption">No download now.</p>
<p class="uc-error-subcaption">Too many users have viewed or downloaded this file recently.</p></body></html>"""
LOGIN = "<!DOCTYPE html><html><head><title>Google Drive: Sign-in</title></head><body><form></form></body></html>"
STRANGE = "<!DOCTYPE html><html><head><title>Sorry &amp; goodbye</title></head><body></body></html>"
ERROR = "<!DOCTYPE html><html><head><title>Error {0}</title></head><body>{0}</body></html>"
# gdown reads pages line by line, so the form stands on one.
CONFIRM = (
    "<!DOCTYPE html><html><head><title>Google Drive - Virus scan warning</title></head><body>\n"
    '<form id="download-form" action="{host}/download" method="get"><input type="submit" value="Download anyway"/>'
    '<input type="hidden" name="id" value="{id}"><input type="hidden" name="export" value="download">'
    '<input type="hidden" name="confirm" value="t"><input type="hidden" name="uuid" value="0-0"></form>\n</body></html>'
)


class Raw(NamedTuple):
    """An answer of these headers and bytes and no others."""

    status: int
    headers: dict
    data: Iterable  # bytes, or an iterable of bytes that may have no end


class Drive(ThreadingHTTPServer):
    """The server.

    files: {id: bytes}; large: ids that are confirmed first; keys: {id: resource key that has to come with it}
    folders: {id: [(name, id), ...]}, where an id that is itself a folder is shown as one
    docs: ids of Google documents
    answers: {id: [what to answer instead, first to last]}: "quota", "confirm", "cut" (half of the bytes), a status,
        (status, headers), or a Raw for all that others would not say
    pages: {id of a folder: Raw}, instead of its listing
    ranges: whether the rest of a file can be asked for
    log: the (path, id, range) of each request
    sent: bytes of Raw answers that went out
    """

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.forget()

    def forget(self):
        """Makes it a Drive that holds nothing and was never asked."""
        self.files, self.folders, self.keys, self.answers, self.large, self.log = {}, {}, {}, {}, set(), []
        self.docs, self.pages = set(), {}
        self.ranges = True
        self.sent = 0

    @property
    def address(self):
        return f"http://127.0.0.1:{self.server_port}"

    def asked(self, path="/download"):
        """The ids that were asked for at a path, in order."""
        return [id for asked, id, _ in self.log if asked == path]


class Handler(BaseHTTPRequestHandler):
    timeout = 20  # of the socket, so that no thread outlives a test for long

    def do_GET(self):
        parts = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        id = query.get("id", "")
        drive = self.server
        drive.log.append((parts.path, id, self.headers.get("Range")))
        if parts.path == "/v3/signin":
            return self.page(LOGIN)
        if id in drive.docs or parts.path.startswith("/document/"):
            return self.document(parts.path, id)
        if parts.path not in ("/uc", "/download", "/embeddedfolderview"):
            return self.page(ERROR.format(404), 404)
        if drive.keys.get(id) not in (None, query.get("resourcekey")):
            return self.page(ERROR.format(404), 404)
        if parts.path == "/embeddedfolderview":
            return self.folder(id)
        if parts.path == "/uc":
            return self.page("", 303, {"Location": f"{CONTENT_HOST}/download?{parts.query}&export=download"})
        return self.content(id, query)

    def document(self, path, id):
        """What leads gdown from a document's id to its export."""
        if path == "/uc":
            return self.page(ERROR.format(500), 500)
        if path == "/open":
            return self.page("", 302, {"Location": f"https://docs.google.com/document/d/{id}/edit"})
        if path.endswith("/export"):
            return self.bytes(b"a document")
        return self.page(STRANGE)

    def content(self, id, query):
        drive = self.server
        confirmed = id not in drive.large or query.get("confirm") == "t"
        answer = drive.answers[id].pop(0) if confirmed and drive.answers.get(id) else None
        if answer == "quota":
            return self.page(QUOTA)
        if isinstance(answer, Raw):
            return self.raw(answer)
        if isinstance(answer, int | tuple):
            status, headers = answer if isinstance(answer, tuple) else (answer, {})
            return self.page(ERROR.format(status), status, headers)
        if id not in drive.files:
            return self.page(ERROR.format(404), 404)
        if not confirmed or answer == "confirm":
            return self.page(CONFIRM.format(host=CONTENT_HOST, id=html.escape(id)))
        return self.bytes(drive.files[id], cut=answer == "cut")

    def bytes(self, data, cut=False):
        tag = f'"{hashlib.sha256(data).hexdigest()[:16]}"'
        start, status = 0, 200
        wanted = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if self.server.ranges and wanted and self.headers.get("If-Range") in (None, tag):
            start, status = int(wanted[1]), 206
            if start >= len(data):
                self.page("", 416, {"Content-Range": f"bytes */{len(data)}"})
                return
        self.send_response(status)
        self.send_header("Content-Type", "application/octet-stream")
        self.send_header("Content-Disposition", 'attachment; filename="as-uploaded.bin"')
        self.send_header("Content-Length", str(len(data) - start))
        self.send_header("ETag", tag)
        if status == 206:
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        self.end_headers()
        data = data[start:]
        with contextlib.suppress(OSError):  # gdown hangs up on answers it does not need
            self.wfile.write(data[: len(data) // 2] if cut else data)
        self.close_connection = True

    def raw(self, answer):
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.close_connection = True
        with contextlib.suppress(OSError):  # the client has had enough
            for block in [answer.data] if isinstance(answer.data, bytes) else answer.data:
                self.wfile.write(block)
                self.server.sent += len(block)

    def folder(self, id):
        if id in self.server.pages:
            return self.raw(self.server.pages[id])
        if id not in self.server.folders:
            return self.page(ERROR.format(404), 404)
        entries = []
        for name, child in self.server.folders[id]:
            kind = "drive/folders/{}" if child in self.server.folders else "file/d/{}/view"
            query = f"?usp=drive_web&amp;resourcekey={self.server.keys[child]}" if child in self.server.keys else ""
            link = f"https://drive.google.com/{kind.format(child)}{query}"
            if child in self.server.docs:
                link = f"https://docs.google.com/document/d/{child}/edit"
            entries.append(f'<a href="{link}"><div class="flip-entry-title">{html.escape(name)}</div></a>')
        return self.page(f"<!DOCTYPE html><title>A folder</title>{''.join(entries)}")

    def page(self, text, status=200, headers=()):
        body = text.encode()
        self.send_response(status)
        for name, value in {"Content-Type": "text/html; charset=utf-8", **dict(headers)}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


@contextlib.contextmanager
def serving(server):
    """A server, a Drive or another, that answers until the block ends."""
    with server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        try:
            yield server
        finally:
            server.shutdown()


def held(data, name):
    """How much a file of the release holds, counted by other means than the readers."""
    if name.endswith(".zip"):
        return len([name for name in zipfile.ZipFile(io.BytesIO(data)).namelist() if name.endswith((".jpg", ".png"))])
    return len(json.loads(data)) if name.endswith(".json") else data.count(b".jpg")


def hold(drive, contents, monkeypatch):
    """Lets a Drive hold a release, {role: bytes}, and `fetch` and `check` take it for Google's and the release for the
    official one until the test ends: files with a known id lie under it, the others in their folders only."""
    drive.forget()
    drive.keys.update(registry.RESOURCE_KEYS)
    for role, file in FILES.items():
        data = contents[role]
        remote = registry.REMOTES[role]
        monkeypatch.setitem(registry.REMOTES, role, remote._replace(about=len(data)))
        monkeypatch.setitem(FILES, role, file._replace(total=held(data, file.name)))
        if role in CHECKSUMS:
            monkeypatch.setitem(CHECKSUMS, role, Sums(len(data), hashlib.md5(data).hexdigest()))  # noqa: S324
        id = remote.id or f"1-{role:_<31}"
        drive.files[id] = data
        drive.folders.setdefault(remote.folder, []).append((file.name, id))
        if len(data) > 2000:
            drive.large.add(id)
    drive.folders[registry.STANDARD_FOLDER].append(("Img", registry.STANDARD_IMAGE_FOLDER))
    monkeypatch.setenv("CELEBA_DIALOG_DRIVE", drive.address)
    monkeypatch.setattr(random, "uniform", lambda low, high: 0)  # gdown's pause before it tries again


@contextlib.contextmanager
def holding(contents, monkeypatch):
    """A Drive of its own that holds a release, see `hold`."""
    with serving(Drive()) as drive:
        hold(drive, contents, monkeypatch)
        yield drive
