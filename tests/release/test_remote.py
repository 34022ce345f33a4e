"""Releases behind an address: the same rows, only the bytes that are needed, and changes are seen."""

import contextlib
import functools
import http.server
import os
import sys
import zipfile
from pathlib import Path

import fsspec
import pytest
from doors import streamed, undecoded
from drive import serving
from making import write_release
from releases import ZIPS, at, members, pack, unpack

from conversion.release.errors import CelebADialogError, EnvironmentFault, MissingFileError
from conversion.release.finding import Release
from conversion.release.index import index_key, open_index


class Handler(http.server.SimpleHTTPRequestHandler):
    """Files of a folder, whole or in ranges; notes the bytes of files that it sends."""

    ranges, times = True, True
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else every answer waits 40 ms for the acknowledgement of its head

    def send_header(self, name, value):
        if self.times or name not in ("Last-Modified", "ETag"):
            super().send_header(name, value)

    def do_GET(self):
        path = self.translate_path(self.path)
        if not os.path.isfile(path):
            super().do_GET()
            return
        data = Path(path).read_bytes()
        asked = self.headers.get("Range") if self.ranges else None
        start, end = 0, len(data)
        if asked:
            low, high = asked.removeprefix("bytes=").split("-")
            start, end = (int(low), min(int(high or end - 1) + 1, end)) if low else (end - int(high), end)
        self.send_response(206 if asked else 200)
        if asked:
            self.send_header("Content-Range", f"bytes {start}-{end - 1}/{len(data)}")
        if self.ranges:
            self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(end - start))
        self.end_headers()
        self.server.sent.append(end - start)  # before it is sent, so that whoever has it finds it counted
        with contextlib.suppress(ConnectionError):  # who does not want the whole of it hangs up
            self.wfile.write(data[start:end])

    def log_message(self, *arguments):
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256  # as many calls as come at once; who is not heard tries again only after a second


@contextlib.contextmanager
def served(folder, **options):
    handler = type("Handler", (Handler,), options)
    server = Server(("127.0.0.1", 0), functools.partial(handler, directory=str(folder)))
    server.sent = []
    with serving(server):
        yield server.sent, f"http://127.0.0.1:{server.server_port}"


def test_over_http_only_what_is_needed_is_sent(copy, demo, tmp_path, same_rows):
    """The zip has 40 MB; a few rows of it take far less."""
    path = at(copy, "standard_images")
    with zipfile.ZipFile(path, "a") as archive:
        for number in range(40):
            archive.writestr(f"raw/{number}.bin", bytes(1 << 20))
    assert path.stat().st_size > 40 << 20
    with served(copy) as (sent, url):
        found = undecoded(streamed(url, "standard", tmp_path)["test"])
        same_rows(list(found), demo.splits("standard")["test"])
        assert sum(sent) < 3 << 20
        sent.clear()
        list(found.take(2))
        assert 0 < sum(sent) < 100_000, "the annotations are not read again"


def test_folders_of_images_over_http(demo, copy, tmp_path, same_rows):
    for role in ("hq_masks", "standard_images"):
        unpack(copy, role, at(copy, role).parent)
    with served(copy) as (_, url):
        for config in ("hq_parts", "standard"):
            found = streamed(url, config, tmp_path)
            for split, expected in demo.splits(config).items():
                same_rows(list(undecoded(found[split])), expected, split)


def test_servers_that_do_not_serve(demo, tmp_path):
    with served(demo.root, ranges=False) as (_, url), pytest.raises(EnvironmentFault, match="does not send ranges"):
        list(streamed(url, "standard", tmp_path)["test"])
    with served(demo.root) as (_, url), pytest.raises(CelebADialogError, match="nowhere"):
        streamed(f"{url}/nowhere", "hq", tmp_path)
    with pytest.raises(EnvironmentFault, match="cannot be listed"):  # the server has gone
        streamed(url, "hq", tmp_path)
    fsspec.filesystem("memory").mkdir("/nothing")
    with pytest.raises(MissingFileError, match="memory://nothing: nothing is listed there"):
        Release("memory://nothing")


@pytest.mark.parametrize("url, says", [("http://127.0.0.1:0/faces", "port 0"), ("s3://faces", "needs another package")])
def test_addresses_that_nothing_can_open(url, says, monkeypatch):
    monkeypatch.setitem(sys.modules, "s3fs", None)
    with pytest.raises(CelebADialogError, match=f"^{url}: .*{says}"):
        Release(url)


@pytest.mark.parametrize("role", ["hq_captions", "hq_images"])
def test_a_server_that_tells_no_times(role, tmp_path):
    """A file that changed, of the same size, is told by its content."""
    root = tmp_path / "release"
    write_release(str(root), 3, 6)
    with served(root, times=False) as (_, url):
        before = open_index(index_key(Release(url), "hq", cache_dir=str(tmp_path / "cache")))
        path = at(root, role)
        data = path.read_bytes()
        if role in ZIPS:
            entries = members(path)
            entries[0] = (entries[0][0], entries[0][1][:-3] + b"\xff\xff\xd9")
            pack(path, entries)
        else:
            path.write_bytes(data.replace(b" and ", b" AND "))
        assert len(path.read_bytes()) == len(data) and path.read_bytes() != data
        after = open_index(index_key(Release(url), "hq", cache_dir=str(tmp_path / "cache")))
    assert after.digest != before.digest
    assert not after.table.equals(before.table)
