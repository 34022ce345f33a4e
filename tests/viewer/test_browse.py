"""`browse`: what the server answers, who may ask it, and the page itself, in headless Chromium where there is one."""

import base64
import concurrent.futures
import contextlib
import functools
import http.client
import http.cookies
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.parse
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import datasets
import numpy as np
import pytest
from commands import ROOT
from pictures import opened, pixels_of
from PIL import Image
from releases import at, change_json, members, pack

import celeba_dialog
from conversion import __main__ as command_line
from conversion.release.errors import EnvironmentFault
from conversion.release.vocabulary import ATTRIBUTES, DEGREES, MASK_CLASSES, MASK_COLORS, SPLITS
from conversion.viewer import browse
from conversion.viewer import server as web

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
# Nothing but the page: no sandbox for root, no look-ups of its own.
CHROMIUM_OPTIONS = """--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking
--disable-component-update --disable-sync""".split()


def has_ipv6():
    with contextlib.suppress(OSError), socket.create_server(("::1", 0), family=socket.AF_INET6):
        return True
    return False


@contextlib.contextmanager
def serving(out, **options):
    """A server that answers on a free port until the block ends."""
    with browse.serve(out, port=0, **options) as server:
        thread = threading.Thread(target=server.run)
        thread.start()
        try:
            yield server
        finally:
            server.should_exit = True
            thread.join()


@pytest.fixture(scope="module")
def server(built):
    with serving(built) as server:
        yield server


def front(server):
    """The address of the page, without the token."""
    return server.address.partition("?")[0]


def token(server):
    return server.address.partition("token=")[2]


def port_of(server):
    return urllib.parse.urlsplit(server.address).port


def let_in(server, port=None):
    """The header that lets in."""
    return {"Cookie": f"celeba-dialog-{port or port_of(server)}={token(server)}"}


def ask(server, path, headers=None, method="GET", **query):
    """(status, headers, body) of an answer; `headers` in place of the cookie."""
    place = urllib.parse.urlsplit(server.address)
    path = f"/{path}" + (f"?{urllib.parse.urlencode(query)}" if query else "")
    with contextlib.closing(http.client.HTTPConnection(place.hostname, place.port, timeout=60)) as connection:
        connection.request(method, path, headers=let_in(server) if headers is None else headers)
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()


def found(server, path, **query):
    status, _, body = ask(server, path, **query)
    assert status == 200, body
    return json.loads(body)


def test_facts(server, built, demo):
    facts = found(server, "facts")
    assert facts["path"] == str(built)
    assert facts["configs"] == {name: len(demo.rows(name)) for name in ("hq", "hq_parts", "standard")}
    assert facts["masks"] == ["hq", "hq_parts"]
    assert list(facts["colors"]) == list(MASK_CLASSES)


@pytest.mark.parametrize("config", ["hq", "standard"])
def test_search_finds_and_counts(config, server, demo):
    rows = [row | {"split": split} for split, found in demo.splits(config).items() for row in found]
    meet = [(position, row) for position, row in enumerate(rows) if row["smiling"] in (3, 4)]
    answer = found(server, "search", config=config, where="smiling_class = 'smile' OR smiling = 4")
    assert answer["rows"] == [{"position": position, "file_name": row["file_name"]} for position, row in meet]
    assert answer["count"] == len(meet)
    meet = [row for _, row in meet]
    assert answer["splits"] == [Counter(row["split"] for row in meet)[split] for split in SPLITS]
    for name in DEGREES:
        counts = Counter(row[name] for row in meet)
        assert answer["degrees"][name] == [counts[degree] for degree in range(-1, 6)]
    assert answer["attributes"] == [sum(row["attributes"][index] == 1 for row in meet) for index in range(40)]
    having = ("caption", "request", "mask") if config == "hq" else ("caption", "request")
    assert answer["have"] == {name: sum(bool(row[name]) for row in meet) for name in having}


def test_a_mistake_in_the_condition(server):
    status, _, body = ask(server, "search", config="hq", where="smilng > 3")
    assert (status, json.loads(body)) == (400, {"error": "where: no column smilng; did you mean smiling?"})


@pytest.mark.parametrize("config", ["hq", "hq_parts", "standard"])
def test_a_row_in_full(config, server, demo):
    truth = [(split, at, row) for split, rows in demo.splits(config).items() for at, row in enumerate(rows)]
    for position in (0, 2, len(truth) - 1):
        split, at, row = truth[position]
        answer = found(server, "row", config=config, position=position)
        other = "hq_file_name" if config == "standard" else "celeba_file_name"
        kinds = celeba_dialog.features_of("hq")["request_labels"]
        expected = {name: row[name] for name in ("file_name", "caption", "attribute_captions", "request", other)} | {
            "split": split,
            "row": at,
            "position": position,
            "identity": row["identity"],
            "degrees": {name: row[name] for name in DEGREES},
            "attributes": [name for name, yes in zip(ATTRIBUTES, row["attributes"]) if yes == 1],
            "parts": [part["part"] for part in row.get("parts", [])],
            "request_labels": {
                name: kinds[name].int2str(value) if hasattr(kinds[name], "names") else value
                for name, value in row["request_labels"].items()
                if value != -1
            },
        }
        assert answer | expected == answer
        status, headers, body = ask(server, "image", config=config, position=position)
        assert (status, headers["Content-Type"], body) == (200, "image/jpeg", row["image"]["bytes"])
        small = opened(ask(server, "thumbnail", config=config, position=position)[2])
        if config == "standard":
            assert answer["mask"] is None and small.size == (178, 218)
            continue
        expected = opened(row["image"]["bytes"]).resize((256, 256), Image.Resampling.BOX)
        assert np.abs(np.asarray(small, int) - np.asarray(expected, int)).mean() < 4
        mask = pixels_of(row["mask"]["bytes"])
        assert answer["mask"]["pixels"] == [int((mask == index).sum()) for index in range(19)]
        assert (answer["mask"]["height"], answer["mask"]["width"]) == mask.shape
        assert ask(server, "mask", config=config, position=position)[2] == mask.tobytes()
        for part in row.get("parts", [])[:2]:
            body = ask(server, "part", config=config, position=position, part=part["part"])[2]
            assert body == part["mask"]["bytes"]


def test_a_row_without_labels_or_mask(copy, demo):
    at(copy, "hq_masks").unlink()
    at(copy, "hq_attributes").unlink()
    position = [row["file_name"] for row in demo.rows("hq")].index("5380.jpg")
    with serving(copy) as server:
        row = found(server, "row", config="hq", position=position)
        assert (row["mask"], row["caption"], row["request_labels"]) == (None, "", {})
        assert row["attributes_missing"]
        assert set(row["degrees"].values()) == {-1}
        assert ask(server, "mask", config="hq", position=position)[0] == 404
        assert found(server, "search", config="hq")["have"]["mask"] == 0


@pytest.mark.parametrize("kind, config", [("built", "hq"), ("release", "standard")])
def test_the_code_selects_the_row(kind, config, server, demo, monkeypatch):
    for module in (datasets.load, datasets.inspect):  # so that register() is undone
        monkeypatch.setattr(module, "dataset_module_factory", module.dataset_module_factory)
    with serving(demo.root) if kind == "release" else contextlib.nullcontext(server) as server:
        for position in (0, len(demo.rows(config)) - 1, len(demo.rows(config)) - 4):
            row = found(server, "row", config=config, position=position)
            lines = row["code"].split("\n")
            names = {}
            exec("\n".join(lines[:-1]), names)  # noqa: S102
            assert lines[-1].startswith("load_dataset(")
            assert eval(lines[-1], names)["file_name"] == demo.rows(config)[position]["file_name"]  # noqa: S307


def test_options_that_connections_inherit(server):
    """Nagle's algorithm would hold back each answer for 40 ms, and a client that does not read is not waited for."""
    assert server.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        assert server.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 1000 * web.PATIENCE


# ---------------------------------------------------------------------------------------------------------- who may ask


def refused(server, path="facts", headers=None, **options):
    """Whether a request is answered with status 403 and nothing else; without `headers` it has the cookie."""
    status, headers, body = ask(server, path, headers, **options)
    if status == 403:
        assert body in (b"", b"Open the address that the command has printed.", b"This page has another address.")
        assert headers["Set-Cookie"] is headers["Location"] is None
    return status == 403


PATHS = ("", "facts", "search?config=hq", "row?config=hq", "image?config=hq", "thumbnail?config=hq", "mask?config=hq")


@pytest.mark.parametrize("path", [*PATHS, "part?config=hq_parts", "nothing", "?token=", "facts?token={token}"])
def test_nobody_gets_in_without_the_token(server, path):
    path = path.format(token=token(server))
    port = port_of(server)
    for cookie in ("={0}", "-{1}=", "-{1}=x", "-{1}={0}x", "-{1}=x{0}", "-{2}={0}", "é=\xff"):
        cookie = f"celeba-dialog{cookie.format(token(server), port, port + 1)}"
        assert refused(server, path, {"Cookie": cookie})
    for method in ("HEAD", "POST", "PUT", "DELETE", "OPTIONS"):
        assert refused(server, path, {}, method=method)
    assert refused(server, path, {"Authorization": f"Bearer {token(server)}", "X-Forwarded-For": "127.0.0.1"})
    for wrong in ("x", f"{token(server)}x", "é", "%FF", "\ud800"):
        assert refused(server, f"?token={urllib.parse.quote(wrong, errors='surrogatepass')}", {})


def test_the_token_becomes_a_cookie(server):
    status, headers, body = ask(server, f"?token={token(server)}", {})
    assert (status, headers["Location"], body) == (303, "/", b"")
    assert headers["Referrer-Policy"] == "no-referrer"
    (name, cookie), *others = http.cookies.SimpleCookie(headers["Set-Cookie"]).items()
    assert not others
    assert name == f"celeba-dialog-{port_of(server)}"
    assert cookie["httponly"] and cookie["samesite"].lower() == "strict" and cookie["path"] == "/"
    assert not cookie["domain"] and not cookie["expires"] and not cookie["max-age"]  # gone with the browser
    status, headers, body = ask(server, "", {"Cookie": f"other=1; {name}={cookie.value}"})
    assert status == 200
    assert token(server).encode() not in body
    assert headers["Set-Cookie"] is None


def test_every_server_has_its_own_token(server, demo):
    assert len(token(server)) >= 32
    with serving(demo.root) as other:
        assert token(other) != token(server)
        assert refused(other, headers={**let_in(server, port_of(other))})
        both = {"Cookie": "; ".join(let_in(each)["Cookie"] for each in (server, other))}  # as a browser sends them
        assert ask(server, "facts", both)[0] == ask(other, "facts", both)[0] == 200


def test_another_user_does_not_see_the_token(demo, tmp_path):
    """In what all users can see of processes, or in the page that --open shows to the one who started it."""
    browser, opened, done = tmp_path / "browser", tmp_path / "opened", tmp_path / "done"
    browser.write_text(f'#!/bin/sh\necho "$1" >{opened}\nwhile [ ! -e {done} ]; do sleep 0.1; done\n')
    browser.chmod(0o755)
    with running(demo.root, "--open", BROWSER=str(browser)) as (_, server):
        wait_for(lambda: opened.exists() and opened.read_text().endswith("\n"))
        page = Path(urllib.parse.urlsplit(opened.read_text().strip()).path)
        assert server.address in page.read_text()
        assert page.parent.stat().st_mode & 0o077 == 0
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):  # of a process that has ended
                assert token(server).encode() not in path.read_bytes(), path
        done.touch()
    assert not page.exists()


def test_listens_on_this_machine_only_or_says_who_may_look(demo, capsys, monkeypatch):
    listens = []

    def stop(self):
        listens.append(self.socket.getsockname()[0])
        raise KeyboardInterrupt

    monkeypatch.setattr(web.Server, "run", stop)
    for host, warned in (("127.0.0.1", False), ("0.0.0.0", True)):  # noqa: S104
        options = ["--host", host] if warned else []
        assert command_line.main(["browse", str(demo.root), *options, "--port", "0"]) == 0
        assert listens.pop() == host
        message = capsys.readouterr().err
        assert re.search("look at it at http://127.0.0.1:[0-9]+/[?]token=[^ ]{32}", message)
        assert ("sees the images" in message) == ("another machine" in message) == warned


@pytest.mark.parametrize("name", ["localhost:99", "[::1]:7860", "LOCALHOST"])
def test_a_forwarded_port_is_served(server, name):
    port = re.search("[0-9]+$|$", name)[0] or 80
    headers = {"Host": name}
    assert f"celeba-dialog-{port}=" in ask(server, f"?token={token(server)}", headers)[1]["Set-Cookie"]
    assert ask(server, "facts", headers | let_in(server, port))[0] == 200


FOREIGN = (
    "evil.example:{port}|localhost.evil.example|[::1|| |:{port}|localhost:x|localhost:1:2|a@127.0.0.1|"
    "127.0.0.1, evil.example|2130706433|\xe9"
).split("|")


@pytest.mark.parametrize("name", FOREIGN + ["10.0.0.1", "[::2]"])
def test_another_name_is_not_served(server, name):
    """A name that an attacker makes point here, with all that a browser might send along."""
    port = port_of(server)
    headers = {"Host": name.format(port=port)}
    for cookie in (let_in(server), let_in(server, 80)):
        assert refused(server, headers=headers | cookie)
        assert refused(server, f"?token={token(server)}", headers | cookie)


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])  # noqa: S104
def test_names_of_a_server_for_all(demo, host):
    if host == "::" and not has_ipv6():
        pytest.skip("this machine has no IPv6")
    with serving(demo.root, host=host) as server:
        port = port_of(server)
        for name in ("localhost", "127.0.0.1", "10.0.0.1", "[2001:db8::1]", socket.gethostname(), "0.0.0.0"):  # noqa: S104
            headers = {"Host": f"{name}:{port}"}
            assert refused(server, headers=headers)
            assert ask(server, "facts", headers | let_in(server))[0] == 200
        for name in FOREIGN:
            assert refused(server, headers={"Host": name.format(port=port)} | let_in(server))


ELSEWHERE = [{"Sec-Fetch-Site": site} for site in ("cross-site", "same-site", "nonsense")]  # same: of another port
ELSEWHERE += [{"Origin": origin} for origin in ("null", "http://evil.example", "http://127.0.0.1:1")]
ELSEWHERE += [{"Origin": "http://127.0.0.1:{port}", "Sec-Fetch-Site": "same-site"}]


@pytest.mark.parametrize("headers", ELSEWHERE)
def test_another_page_gets_nothing_though_it_sends_the_cookie(server, headers):
    port = port_of(server)
    headers = {name: value.format(port=port) for name, value in headers.items()}
    for path in PATHS:
        assert refused(server, path, headers | let_in(server))
    own = {"Sec-Fetch-Site": "same-origin", "Origin": f"http://127.0.0.1:{port}"}
    for headers in (own, {"Sec-Fetch-Site": "none"}):
        assert ask(server, "facts", headers | let_in(server))[0] == 200


def test_a_link_from_elsewhere_is_asked_for_once_more(server):
    """Its first request comes without the cookie; that of the answer's Refresh comes with it."""
    link = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    assert refused(server, "", link)
    assert ask(server, "", link)[1]["Refresh"] == "0"
    assert ask(server, "facts", link)[1]["Refresh"] is None
    for other in ({"Sec-Fetch-Site": "same-origin"}, {"Sec-Fetch-Dest": "iframe"}):
        assert ask(server, "", link | other)[1]["Refresh"] is None


def test_an_unexpected_fault_is_one_line(server, monkeypatch, capsys):
    said = []
    monkeypatch.setattr(web.files, "say", said.append)
    monkeypatch.setattr(server.data, "facts", lambda: 1 / 0)
    assert ask(server, "facts")[::2] == (500, b"Internal Server Error")
    wait_for(lambda: said)
    assert said == ["browse: '/facts': unexpected ZeroDivisionError('division by zero')"]
    assert capsys.readouterr().err == ""


# ------------------------------------------------------------------------------------------------- a process of its own


@contextlib.contextmanager
def running(out, *options, **environment):
    """The command as a user starts it: (process, what has its address). Then Ctrl-C ends it, and well."""
    command = [sys.executable, "-m", "conversion", "browse", str(out), "--port", "0", *options]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=ROOT, env=os.environ | environment)  # noqa: S603
    try:
        line = process.stderr.readline()
        yield process, SimpleNamespace(address=re.search("http://[^ ]*", line)[0])
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
        assert process.stderr.read() == "Stopped.\n"  # and nothing of what was asked for
    finally:
        process.kill()
        process.wait()
        process.stderr.close()


def wait_for(what):
    """Waits until something is so; fails after a minute."""
    for _ in range(600):
        if what():
            return
        time.sleep(0.1)
    pytest.fail("waited in vain")


HALF = b"GET /facts HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: "


def many_masks(server):
    """Requests for 60 masks of 262,144 bytes, of which no connection holds so many unread."""
    head = f"Host: 127.0.0.1\r\nCookie: {let_in(server, 80)['Cookie']}\r\n\r\n"
    return f"GET /mask?config=hq&position=0 HTTP/1.1\r\n{head}".encode() * 60


def test_clients_that_do_not_read_keep_nobody_out(demo):
    """Nor do those that send nothing, half a request or nonsense; and Ctrl+C ends all at once, and nothing is printed
    of what was asked for."""
    with contextlib.ExitStack() as stack, running(demo.root) as (_, server):  # which ends before they are closed
        for sent in (b"nonsense\r\n\r\n", b"GET /?token=x HTTP/1.1\r\nHost: localhost\r\n\r\n", b"\x16\x03\x01"):
            with socket.create_connection(("127.0.0.1", port_of(server))) as connection:
                connection.sendall(sent)
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(65536):
                    pass
        for sent in (b"", HALF, *[many_masks(server)] * 30):
            stack.enter_context(socket.create_connection(("127.0.0.1", port_of(server)))).sendall(sent)
        with concurrent.futures.ThreadPoolExecutor(6) as threads:  # as a browser
            image = functools.partial(ask, server, "image", config="hq")
            assert {status for status, _, _ in threads.map(lambda at: image(position=at), [*range(6)] * 4)} == {200}


def test_ends_although_a_condition_is_being_answered(demo, monkeypatch):
    asked, interrupted = threading.Event(), threading.Event()
    monkeypatch.setattr(browse.Conditions, "select", lambda *_: asked.set() or interrupted.wait(60))
    with serving(demo.root) as server, contextlib.suppress(OSError):
        for conditions in server.data.conditions.values():
            monkeypatch.setattr(conditions, "interrupt", interrupted.set)
        thread = threading.Thread(target=ask, args=[server, "search"], kwargs={"config": "hq", "where": "true"})
        thread.start()
        assert asked.wait(60)
        server.should_exit = True
        thread.join(50)
        assert interrupted.is_set()


def test_no_other_page_may_load_from_here(server):
    for path in ("", "facts", "nothing", f"?token={token(server)}", "?token=x"):
        _, headers, _ = ask(server, path)
        assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert headers["Content-Security-Policy"].startswith("default-src 'none'")
        assert "http" not in headers["Content-Security-Policy"]
        assert headers["Access-Control-Allow-Origin"] is None


NOT_THERE = """row row?config=nothing row?config=hq&position=x row?config=hq&position=24 row?config=hq&position=-1
search?config=hq&start=-1 mask?config=standard&position=0 part?config=hq&position=0&part=0
part?config=hq_parts&position=0&part=18 nothing?config=hq labels?config=hq ../conversion/viewer/browse.py
manifest.json?config=hq""".split()


def test_there_is_nothing_else_and_nothing_to_change(server):
    assert {path: ask(server, path)[0] for path in NOT_THERE} == dict.fromkeys(NOT_THERE, 404)
    for method in ("POST", "PUT", "DELETE", "OPTIONS", "PATCH", "nonsense"):
        assert ask(server, "facts", method=method)[0] == 405


def test_a_damaged_image_says_which(copy):
    path = at(copy, "standard_images")
    pack(path, members(path))  # not compressed
    name, data = members(path)[0]
    path.write_bytes(path.read_bytes().replace(data, data[:-1] + b"!"))
    with serving(copy) as server:
        status, _, body = ask(server, "thumbnail", config="standard", position=0)
    assert status == 400
    assert os.path.basename(name) in json.loads(body)["error"]


def test_a_damaged_image_of_a_built_folder(built, tmp_path):
    out = shutil.copytree(built, tmp_path / "out")
    path = min((out / "standard").glob("train-*"))
    path.write_bytes(path.read_bytes().replace(b"\xff\xd8\xff", b"xxx"))
    with serving(out) as server:
        status, _, body = ask(server, "thumbnail", config="standard", position=0)
    assert status == 400
    assert ".jpg: the JPEG cannot be decoded: Pillow finds no JPEG in it. " in json.loads(body)["error"]


def test_without_starlette(demo, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, web.__name__, None)
    assert command_line.main(["browse", str(demo.root)]) == 1
    assert 'pip install "celeba-dialog[browse]"' in capsys.readouterr().err


def test_ports(demo, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(EnvironmentFault, match=f"port {port}.*already in use"):
            browse.serve(demo.root, port=port)
        monkeypatch.setattr(browse, "PORT", port)
        with browse.serve(demo.root) as server:  # the default may be another
            assert port_of(server) != port
    with browse.serve(demo.root) as server:
        assert port_of(server) == port


NO_ADDRESS = [(["--port", "65536"], 2, "0 to 65535")]
NO_ADDRESS += [(["--host", host], 1, f"cannot listen on {host}") for host in ("203.0.113.1", "no..name")]


@pytest.mark.parametrize("options, status, says", NO_ADDRESS)
def test_an_address_that_cannot_be(demo, capsys, options, status, says):
    assert command_line.main(["browse", str(demo.root), *options]) == status
    assert says in capsys.readouterr().err


# ------------------------------------------------------------------------------------------------------------- the page


@pytest.fixture(scope="module")
def chromium():
    if not CHROMIUM:
        pytest.skip("Chromium is not installed: the page itself is not tested")
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: the page is untested")
    with playwright.sync_playwright() as found:
        browser = found.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_OPTIONS)
        yield browser
        browser.close()


@pytest.fixture
def page(chromium, server):
    """The page, loaded; fails the test where it reports an error or asks another server for something."""
    context = chromium.new_context(viewport={"width": 1300, "height": 900})
    page = context.new_page()
    wrong = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda said: said.type != "error" or "status of 400" in said.text or wrong.append(said.text))
    page.on("request", lambda request: request.url.startswith(front(server)) or wrong.append(request.url))
    page.goto(server.address)
    page.wait_for_selector("body[data-search]")
    assert page.url == front(server)  # the token is gone from it
    yield page
    context.close()
    assert not wrong


def change(page, act):
    """Does something that starts a search, and waits for what it finds."""
    before = page.evaluate("() => document.body.dataset.search")
    act()
    page.wait_for_function("before => document.body.dataset.search !== before", arg=before)


def press(page, key):
    change(page, lambda: page.click(f'[data-key="{key}"]'))


def names(page):
    return page.locator("#gallery button span").all_text_contents()


def test_filters_change_the_gallery(page, demo):
    rows = demo.rows("hq")
    assert names(page) == [row["file_name"] for row in rows]
    assert page.text_content("#count") == "24 of 24 rows"
    loaded = "() => [...document.querySelectorAll('#gallery img')].slice(0, 6).every(i => i.naturalWidth)"
    page.wait_for_function(loaded)
    press(page, "smiling 4")
    press(page, "smiling 5")
    assert names(page) == [row["file_name"] for row in rows if row["smiling"] >= 4]
    press(page, "attribute Male")
    male = ATTRIBUTES.index("Male")
    men = [row["file_name"] for row in rows if row["smiling"] >= 4 and row["attributes"][male] == 1]
    assert names(page) == men != []
    assert page.text_content("#conditions") == "(smiling = 4 OR smiling = 5) AND Male"
    press(page, "attribute Male")  # again: without
    assert names(page) == [r["file_name"] for r in rows if r["smiling"] >= 4 and r["attributes"][male] == 0]
    press(page, "attribute Male")  # and again: whatever
    change(page, lambda: page.fill("#caption", "BIG smile"))
    assert names(page) == [r["file_name"] for r in rows if r["smiling"] >= 4 and "big smile" in r["caption"].lower()]
    change(page, lambda: page.click("#reset"))
    assert len(names(page)) == 24
    press(page, "have caption")
    press(page, "have caption")
    assert names(page) == ["5380.jpg"]
    press(page, "smiling -1")
    press(page, "have mask")
    press(page, "attribute 5_o_Clock_Shadow")
    assert page.text_content("#conditions") == "smiling IS NULL AND Five_o_Clock_Shadow AND caption = '' AND mask"
    press(page, "split test")
    assert names(page) == []


def test_config_and_own_conditions(page, demo):
    change(page, lambda: page.select_option("#config", "standard"))
    assert page.text_content("#count") == "90 of 90 rows"
    assert page.locator('[data-key="have mask"]').count() == 0
    change(page, lambda: page.fill("#more", "bangs > 2 OR NOT Young"))
    rows, young = demo.rows("standard"), ATTRIBUTES.index("Young")
    expected = [row["file_name"] for row in rows if row["bangs"] > 2 or row["attributes"][young] == 0]
    assert names(page) == expected[: browse.AT_ONCE]
    page.fill("#more", "bangs > 'nothing'")
    page.wait_for_function("() => document.querySelector('#problem').textContent.includes('Could not convert')")
    assert names(page) == expected[: browse.AT_ONCE]  # as before, and called what they are
    assert page.text_content("#note") == f"Still shown: {len(expected)} rows where bangs > 2 OR NOT Young."
    change(page, lambda: page.fill("#more", "bangs > 2 AND bangs < 2"))
    assert page.text_content("#note") == "No row meets these conditions."
    change(page, lambda: page.click("#reset"))
    page.evaluate("() => { document.querySelector('main').scrollTop = 1e6; }")  # which brings the other rows
    page.wait_for_function("() => document.querySelectorAll('#gallery button').length === 90")
    assert names(page) == [row["file_name"] for row in rows]


SHOWN = "name => document.querySelector('#bar h2').textContent === name"


def painted(page):
    """The mask as it is painted: RGBA."""
    data = page.evaluate("() => document.querySelector('#mask').toDataURL()")
    return pixels_of(base64.b64decode(data.partition(",")[2]))


def test_a_click_shows_the_row_with_its_mask(page, demo):
    row = demo.rows("hq")[4]
    page.click("#gallery button >> nth=4")
    page.wait_for_selector("dialog[open] #picture")
    assert not page.is_visible("#mask") and not page.is_visible("#classes")  # the bare face first
    page.click("#overlay")
    page.wait_for_selector("#mask", state="visible")
    shown = page.text_content("dialog")
    for text in (row["file_name"], row["caption"], row["request"], 'split="train")[4]'):
        assert text in shown
    mask = pixels_of(row["mask"]["bytes"])
    pixels = painted(page)
    assert ((pixels[..., 3] > 0) == (mask > 0)).all()
    colors = np.array(list(MASK_COLORS.values()))[mask]
    assert np.abs(pixels[..., :3].astype(int) - colors)[mask > 0].max() <= 2  # the canvas keeps colour times opacity

    page.click("#none")
    assert not painted(page)[..., 3].any()
    page.check('#classes input[name="hair"]')
    assert ((painted(page)[..., 3] > 0) == (mask == MASK_CLASSES.index("hair"))).all()
    page.fill("#opacity", "1")
    assert set(np.unique(painted(page)[..., 3])) == {0, 255}
    page.click("#next")
    page.wait_for_function(SHOWN, arg=demo.rows("hq")[5]["file_name"])
    page.wait_for_selector("#mask", state="visible")  # still
    page.click("#overlay")
    assert not page.is_visible("#mask")
    page.keyboard.press("ArrowLeft")
    page.wait_for_function(SHOWN, arg=row["file_name"])
    page.set_viewport_size({"width": 390, "height": 800})  # cuts nothing off
    wide = "() => [...document.querySelectorAll('body *')].filter(e => e.checkVisibility() && "
    wide += "e.getBoundingClientRect().right > innerWidth + 0.5).map(e => e.outerHTML.slice(0, 99))"
    assert page.evaluate(wide) == []
    page.keyboard.press("Escape")
    page.wait_for_selector("dialog", state="hidden")
    assert page.evaluate(wide) == [] and not page.is_visible("#filters")  # which are folded


def test_texts_are_no_html(chromium, copy):
    attack = "<img src=x onerror=\"document.title='attacked'\"><script>document.title='attacked'</script>"
    change_json(copy, "hq_captions", lambda told: {name: told[name] | {"overall_caption": attack} for name in told})
    with serving(copy) as server:
        page = chromium.new_page()
        page.goto(server.address)
        page.click("#gallery button >> nth=0")
        page.wait_for_selector("dialog[open] #code")
        assert attack in page.text_content("#detail")
        assert page.title() == "CelebA-Dialog"
        page.close()


def test_no_browser_to_open(demo, monkeypatch):
    said, pages = [], []
    monkeypatch.setattr(browse.files, "say", said.append)
    monkeypatch.setattr(browse.webbrowser, "open", pages.append)  # which tells that there was none
    monkeypatch.setattr(web.Server, "run", lambda _: wait_for(lambda: any("no browser" in line for line in said)))
    assert command_line.main(["browse", str(demo.root), "--port", "0", "--open"]) == 0
    assert not Path(urllib.parse.urlsplit(pages[0]).path).exists()
