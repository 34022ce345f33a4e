"""`browse`: what the server answers, who may ask it, and the page itself, in headless Chromium where there is one."""

import base64
import contextlib
import io
import json
import shutil
import socket
import threading
import urllib.error
import urllib.parse
import urllib.request
import zipfile
from collections import Counter

import datasets
import numpy as np
import pytest
from PIL import Image

import celeba_dialog
from celeba_dialog import ATTRIBUTES
from celeba_dialog import DEGREES
from celeba_dialog import MASK_CLASSES
from celeba_dialog import MASK_COLORS
from celeba_dialog import EnvironmentFault
from conversion import __main__ as command_line
from conversion.demo.command import write_release
from conversion.look import browse

pytest_plugins = ["building"]

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
# Nothing but the page: no sandbox for root, no look-ups of its own.
CHROMIUM_OPTIONS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
).split()


@contextlib.contextmanager
def serving(out, **options):
    """A server that answers on a free port until the block ends."""
    with browse.serve(out, port=0, **options) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(scope="module")
def server(built):
    with serving(built) as server:
        yield server


def ask(server, path, headers=(), **query):
    """(status, headers, body) of an answer."""
    address = f"{server.url}{path}?{urllib.parse.urlencode(query)}"
    request = urllib.request.Request(address, headers=dict(headers))  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
            return answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers, error.read()


def found(server, path, **query):
    status, _, body = ask(server, path, **query)
    assert status == 200, body
    return json.loads(body)


# -------------------------------------------------------------------------------------------------------------- answers


def test_facts(server, built, demo):
    facts = found(server, "facts")
    assert facts["path"] == str(built)
    assert facts["configs"] == {
        name: len(demo.rows("standard" if name == "standard" else "hq")) for name in celeba_dialog.CONFIGS
    }
    assert facts["masks"] == ["hq", "hq_512", "hq_256", "hq_parts"]
    assert list(facts["colors"]) == list(MASK_CLASSES)


@pytest.mark.parametrize("config", ["hq", "standard"])
def test_search_finds_and_counts(config, server, demo):
    rows = [row | {"split": split} for split, found in demo.splits(config).items() for row in found]
    meet = [(position, row) for position, row in enumerate(rows) if row["smiling"] in (3, 4)]
    answer = found(server, "search", config=config, where="smiling = 'smile' OR smiling = 4")
    assert answer["rows"] == [{"position": position, "file_name": row["file_name"]} for position, row in meet]
    assert answer["count"] == len(meet)
    meet = [row for _, row in meet]
    assert answer["splits"] == [Counter(row["split"] for row in meet)[split] for split in celeba_dialog.SPLITS]
    for name in DEGREES:
        counts = Counter(row[name] for row in meet)
        assert answer["degrees"][name] == [counts[degree] for degree in range(-1, 6)]
    assert answer["attributes"] == [sum(row["attributes"][index] == 1 for row in meet) for index in range(40)]
    having = ("caption", "request", "mask") if config == "hq" else ("caption", "request")
    assert answer["have"] == {name: sum(row[name] is not None for row in meet) for name in having}


def test_search_gives_pages(server, demo, monkeypatch):
    monkeypatch.setattr(browse, "AT_ONCE", 7)
    pages = [found(server, "search", config="standard", start=start)["rows"] for start in range(0, 98, 7)]
    assert [row["position"] for page in pages for row in page] == list(range(90))
    assert [len(page) for page in pages] == [7] * 12 + [6, 0]


def test_a_mistake_in_the_conditions(server):
    status, _, body = ask(server, "search", config="hq", where="smilng > 3")
    assert status == 400
    assert 'Candidate bindings: "smiling"' in json.loads(body)["error"]


@pytest.mark.parametrize("config", ["hq", "hq_parts", "standard"])
def test_a_row_in_full(config, server, demo):
    truth = [(split, at, row) for split, rows in demo.splits(config).items() for at, row in enumerate(rows)]
    for position, (split, at, row) in enumerate(truth[:3] + truth[-1:]):
        position = position if position < 3 else len(truth) - 1
        answer = found(server, "row", config=config, position=position)
        assert (answer["split"], answer["row"], answer["position"]) == (split, at, position)
        for name in ("file_name", "caption", "attribute_captions", "request", "identity"):
            assert answer[name] == (None if row[name] == -1 else row[name])
        other = "hq_file_name" if config == "standard" else "celeba_file_name"
        assert answer[other] == row[other]
        assert answer["degrees"] == {name: row[name] for name in DEGREES}
        assert answer["attributes"] == [name for name, yes in zip(ATTRIBUTES, row["attributes"]) if yes == 1]
        labels = {name: value for name, value in row["request_labels"].items() if value != -1}
        words = datasets.Features(celeba_dialog.features_of("hq")["request_labels"])
        for name in ("attribute", "mode", "direction"):
            if name in labels:
                labels[name] = words[name].int2str(labels[name])
        assert answer["request_labels"] == labels
        assert answer["parts"] == [part["part"] for part in row.get("parts", [])]
        status, headers, body = ask(server, "image", config=config, position=position)
        assert (status, headers["Content-Type"], body) == (200, "image/jpeg", row["image"]["bytes"])
        if config == "standard":
            assert answer["mask"] is None
            continue
        mask = np.asarray(Image.open(io.BytesIO(row["mask"]["bytes"])))
        assert answer["mask"]["pixels"] == [int((mask == index).sum()) for index in range(19)]
        assert (answer["mask"]["height"], answer["mask"]["width"]) == mask.shape
        assert ask(server, "mask", config=config, position=position)[2] == mask.tobytes()
        for part in row.get("parts", [])[:2]:
            body = ask(server, "part", config=config, position=position, part=part["part"])[2]
            assert body == part["mask"]["bytes"]


def test_thumbnails_are_small_and_show_the_image(tmp_path):
    rows = write_release(str(tmp_path / "release"), hq=2, standard=4).rows["hq"]  # 1024 pixels, as the official ones
    with serving(tmp_path / "release") as server:
        body = ask(server, "thumbnail", config="hq", position=1)[2]
    picture = Image.open(io.BytesIO(body))
    assert picture.size == (256, 256)
    expected = Image.open(io.BytesIO(rows[1]["image"]["bytes"])).resize((256, 256), Image.Resampling.BOX)
    assert np.abs(np.asarray(picture, int) - np.asarray(expected, int)).mean() < 4


def test_a_row_without_labels_or_mask(copy, demo):
    (copy / "CelebA-Dialog (HQ)" / "mask" / "CelebAMask-HQ-mask-color-palette.zip").unlink()
    (copy / "CelebA-Dialog (HQ)" / "classification_label" / "CelebAMask-HQ-attribute-anno.txt").unlink()
    position = [row["file_name"] for row in demo.rows("hq")].index("5380.jpg")
    with serving(copy) as server:
        row = found(server, "row", config="hq", position=position)
        assert (row["mask"], row["caption"], row["request_labels"]) == (None, "", {})
        assert row["attributes_missing"]
        assert set(row["degrees"].values()) == {-1}
        assert ask(server, "mask", config="hq", position=position)[0] == 404
        assert found(server, "search", config="hq")["have"]["mask"] == 0


@pytest.fixture
def unregistered(monkeypatch):
    """Undoes what celeba_dialog.register() does."""
    monkeypatch.setattr(datasets.load, "dataset_module_factory", datasets.load.dataset_module_factory)
    monkeypatch.setattr(datasets.inspect, "dataset_module_factory", datasets.inspect.dataset_module_factory)


@pytest.mark.parametrize("kind", ["built", "release"])
@pytest.mark.parametrize("config", ["hq", "standard"])
def test_the_code_selects_the_row(kind, config, server, demo, unregistered):
    with serving(demo.root) if kind == "release" else contextlib.nullcontext(server) as server:
        for position in (0, len(demo.rows(config)) - 1, len(demo.rows(config)) - 4):
            row = found(server, "row", config=config, position=position)
            lines = row["code"].split("\n")
            names = {}
            exec("\n".join(lines[:-1]), names)  # noqa: S102
            assert lines[-1].startswith("load_dataset(")
            assert eval(lines[-1], names)["file_name"] == demo.rows(config)[position]["file_name"]  # noqa: S307


# ---------------------------------------------------------------------------------------------------------- who may ask


def test_listens_on_this_machine_only_unless_told(server, demo):
    assert server.server_address[0] == "127.0.0.1"
    assert server.local
    with browse.serve(demo.root, host="0.0.0.0", port=0) as other:  # noqa: S104
        assert not other.local
        assert other.server_address[0] == "0.0.0.0"  # noqa: S104


def test_says_so_where_others_may_look(demo, capsys, monkeypatch):
    def stop(self):
        raise KeyboardInterrupt

    monkeypatch.setattr(browse.Server, "serve_forever", stop)
    for host, warned in (("127.0.0.1", False), ("0.0.0.0", True)):  # noqa: S104
        assert command_line.main(["browse", str(demo.root), "--host", host, "--port", "0"]) == 0
        message = capsys.readouterr().err
        assert f"look at it at http://{host}:" in message
        assert ("sees the images" in message) == warned


@pytest.mark.parametrize("name", ["localhost:99", "127.0.0.1", "[::1]:7860", "LOCALHOST"])
def test_a_forwarded_port_is_served(server, name):
    assert ask(server, "facts", {"Host": name})[0] == 200


@pytest.mark.parametrize("name", ["evil.example", "evil.example:7860", "127.0.0.1.evil.example", "[::1", ""])
def test_another_name_is_not(server, name):
    status, _, body = ask(server, "facts", {"Host": name})
    assert status == 403
    assert b"attributes" not in body


def test_no_other_page_may_load_from_here(server):
    for path in ("", "facts", "nothing"):
        _, headers, _ = ask(server, path)
        assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert headers["Content-Security-Policy"].startswith("default-src 'none'")
        assert "http" not in headers["Content-Security-Policy"]
        assert headers["Access-Control-Allow-Origin"] is None


@pytest.mark.parametrize(
    "path, query",
    [
        ("row", {}),
        ("row", {"config": "nothing"}),
        ("row", {"config": "hq", "position": "x"}),
        ("row", {"config": "hq", "position": 24}),
        ("row", {"config": "hq", "position": -1}),
        ("search", {"config": "hq", "start": -1}),
        ("mask", {"config": "standard", "position": 0}),
        ("part", {"config": "hq", "position": 0, "part": 0}),
        ("part", {"config": "hq_parts", "position": 0, "part": 18}),
        ("nothing", {"config": "hq"}),
        ("labels", {"config": "hq"}),
        ("../conversion/look/browse.py", {}),
        ("manifest.json", {"config": "hq"}),
    ],
)
def test_addresses_that_are_none(server, path, query):
    assert ask(server, path, **query)[0] == 404


def test_a_damaged_image_says_which(copy):
    path = copy / "CelebA-Dialog (standard)" / "img_align_celeba.zip"
    with zipfile.ZipFile(path) as members:
        first = members.infolist()[0]
    with open(path, "r+b") as file:
        file.seek(first.header_offset + 30 + len(first.filename) + 200)
        file.write(bytes(100))
    with serving(copy) as server:
        status, _, body = ask(server, "thumbnail", config="standard", position=0)
    assert status == 400
    assert first.filename in json.loads(body)["error"]


def test_ports(demo, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(EnvironmentFault, match=f"port {port}.*already in use"):
            browse.serve(demo.root, port=port)
        monkeypatch.setattr(browse, "PORT", port)
        with browse.serve(demo.root) as server:  # the default may be another
            assert server.server_address[1] != port
    with browse.serve(demo.root) as server:
        assert server.server_address[1] == port


@pytest.mark.parametrize(
    "options, status, says",
    [
        (["--port", "65536"], 2, "0 to 65535"),
        (["--port", "-1"], 2, "0 to 65535"),
        (["--host", "203.0.113.1"], 1, "cannot listen on 203.0.113.1"),
        (["--host", "no..name"], 1, "cannot listen on no..name"),
    ],
)
def test_an_address_that_cannot_be(demo, capsys, options, status, says):
    assert command_line.main(["browse", str(demo.root), *options]) == status
    assert says in capsys.readouterr().err


def test_nothing_to_show(tmp_path, capsys):
    assert command_line.main(["browse", str(tmp_path)]) == 1
    assert "neither a built folder" in capsys.readouterr().err


# ------------------------------------------------------------------------------------------------------------- the page


@pytest.fixture(scope="module")
def chromium():
    if not CHROMIUM:
        pytest.skip("Chromium is not installed: the page itself is not tested")
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="playwright is not installed: the page is not tested"
    )
    with playwright.sync_playwright() as found:
        browser = found.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_OPTIONS)
        yield browser
        browser.close()


@pytest.fixture
def page(chromium, server):
    """The page, loaded; fails the test where it reports an error or asks another server for something."""
    page = chromium.new_page(viewport={"width": 1300, "height": 900})
    wrong = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on(
        "console",
        lambda said: wrong.append(said.text) if said.type == "error" and "status of 400" not in said.text else None,
    )
    page.on("request", lambda request: request.url.startswith(server.url) or wrong.append(request.url))
    page.goto(server.url)
    page.wait_for_selector("body[data-search]")
    yield page
    page.close()
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


def test_page_shows_the_gallery(page, demo):
    assert names(page) == [row["file_name"] for row in demo.rows("hq")]
    assert page.text_content("#count") == "24 of 24 rows"
    page.wait_for_function(
        "() => [...document.querySelectorAll('#gallery img')].slice(0, 6).every(i => i.naturalWidth > 0)"
    )


def test_filters_change_the_gallery(page, demo):
    rows = demo.rows("hq")
    press(page, "smiling 4")
    press(page, "smiling 5")
    assert names(page) == [row["file_name"] for row in rows if row["smiling"] >= 4]
    press(page, "attribute Male")
    male = ATTRIBUTES.index("Male")
    men = [row["file_name"] for row in rows if row["smiling"] >= 4 and row["attributes"][male] == 1]
    assert 0 < len(men) == len(names(page))
    assert names(page) == men
    assert page.text_content("#conditions") == "(smiling = 4 OR smiling = 5) AND Male"
    press(page, "attribute Male")  # again: without
    assert names(page) == [r["file_name"] for r in rows if r["smiling"] >= 4 and r["attributes"][male] == 0]
    press(page, "attribute Male")  # and again: whatever
    change(page, lambda: page.fill("#caption", "BIG 'smile'"))
    assert names(page) == []
    change(page, lambda: page.fill("#caption", "big smile"))
    assert names(page) == [r["file_name"] for r in rows if r["smiling"] >= 4 and "big smile" in r["caption"].lower()]
    change(page, lambda: page.click("#reset"))
    assert len(names(page)) == 24
    press(page, "have caption")
    press(page, "have caption")
    assert names(page) == ["5380.jpg"]
    press(page, "have mask")
    press(page, "split test")
    assert names(page) == []


def test_config_and_own_conditions(page, demo):
    change(page, lambda: page.select_option("#config", "standard"))
    assert page.text_content("#count") == "90 of 90 rows"
    assert page.locator('[data-key="have mask"]').count() == 0
    change(page, lambda: page.fill("#more", "bangs > 2 OR NOT Young"))
    young = ATTRIBUTES.index("Young")
    rows = demo.rows("standard")
    expected = [row["file_name"] for row in rows if row["bangs"] > 2 or row["attributes"][young] == 0]
    assert names(page) == expected[: browse.AT_ONCE]
    with page.expect_response(lambda answer: "/search?" in answer.url) as answer:
        page.fill("#more", "bangs > 'nothing'")
    assert answer.value.status == 400
    page.wait_for_function("() => document.querySelector('#problem').textContent.includes('no value of bangs')")
    assert names(page) == expected[: browse.AT_ONCE]  # as before


def test_scrolling_brings_the_other_rows(page, demo):
    change(page, lambda: page.select_option("#config", "standard"))
    page.evaluate("() => { document.querySelector('main').scrollTop = 1e6; }")
    page.wait_for_function("() => document.querySelectorAll('#gallery button').length === 90")
    assert names(page) == [row["file_name"] for row in demo.rows("standard")]


def painted(page):
    """The mask as it is painted: RGBA."""
    data = page.evaluate("() => document.querySelector('#mask').toDataURL()")
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data.partition(",")[2]))))


def test_a_click_shows_the_row_with_its_mask(page, demo):
    row = demo.rows("hq")[4]
    page.click("#gallery button >> nth=4")
    page.wait_for_selector("dialog[open] #mask")
    shown = page.text_content("dialog")
    for text in (row["file_name"], row["caption"], row["request"], 'split="train")[4]'):
        assert text in shown
    mask = np.asarray(Image.open(io.BytesIO(row["mask"]["bytes"])))
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
    page.click("#all")
    page.uncheck('#classes input[name="skin"]')
    assert ((painted(page)[..., 3] > 0) == (mask > 1)).all()


def test_from_row_to_row(page, demo):
    page.click("#gallery button >> nth=22")
    rows = demo.rows("hq")
    keys = page.keyboard
    for step, index in (
        (lambda: page.click("#next"), 23),
        (lambda: keys.press("ArrowLeft"), 22),  # although the button that was pressed is disabled now
        (lambda: page.click("#previous"), 21),
        (lambda: keys.press("ArrowRight"), 22),
    ):
        step()
        page.wait_for_function(
            "name => document.querySelector('#bar h2').textContent === name", arg=rows[index]["file_name"]
        )
    keys.press("Escape")
    page.wait_for_selector("dialog", state="hidden")


def test_part_masks_and_rows_without_a_mask(page, demo):
    change(page, lambda: page.select_option("#config", "hq_parts"))
    page.click("#gallery button >> nth=0")
    page.wait_for_selector("#parts figure")
    shown = page.locator("#parts figure").all_text_contents()
    assert shown == [celeba_dialog.PARTS[part["part"]] for part in demo.rows("hq_parts")[0]["parts"]]
    page.press("dialog", "Escape")
    change(page, lambda: page.select_option("#config", "standard"))
    page.click("#gallery button >> nth=0")
    page.wait_for_selector("dialog[open] #code")
    assert page.locator("#mask").count() == 0


def test_texts_are_no_html(chromium, copy):
    path = copy / "CelebA-Dialog (HQ)" / "text" / "captions_hq.json"
    captions = json.loads(path.read_text())
    attack = "<img src=x onerror=\"document.title='attacked'\"><script>document.title='attacked'</script>"
    for value in captions.values():
        if value:
            value["overall_caption"] = attack
    path.write_text(json.dumps(captions))
    with serving(copy) as server:
        page = chromium.new_page()
        page.goto(server.url)
        page.click("#gallery button >> nth=0")
        page.wait_for_selector("dialog[open] #code")
        assert attack in page.text_content("#detail")
        assert page.title() == "CelebA-Dialog"
        page.close()
