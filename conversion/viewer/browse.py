"""Show the rows on a local page: filters, a gallery, and a row in full with its mask.

The page is served on 127.0.0.1 until Ctrl+C, to whoever opens the address that is printed, for it holds a token. It
loads nothing from the internet and sends nothing there. Its conditions are those of preview --where. OUT may also be a
release. On a machine far away, forward the port: ssh -L 7860:127.0.0.1:7860 MACHINE
"""

import argparse
import contextlib
import errno
import io
import json
import os
import socket
import tempfile
import threading
import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..release.errors import EnvironmentFault, UsageError
from ..release.images import opened_image
from ..release.masks import mask_indices
from ..release.vocabulary import ATTRIBUTES, DEGREES, LICENSE_NAME, MASK_COLORS, PARTS, SPLITS
from ..runtime import extras, files
from . import rows
from .conditions import RENAMED, Conditions

if TYPE_CHECKING:
    from .server import Server

HOST, PORT = "127.0.0.1", 7860
AT_ONCE = 60  # rows that the gallery asks for at a time
THUMBNAIL = 256  # side in pixels, of an HQ image in the gallery


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("out", metavar="OUT", help="a built folder, or a release")
    parser.add_argument(
        "--host", default=HOST, metavar="ADDRESS", help="listen there instead of %(default)s: others may then look too"
    )
    parser.add_argument(
        "--port", type=int, metavar="N", help=f"default: {PORT}, or any free one where that is taken; 0: any free one"
    )
    parser.add_argument("--open", action="store_true", help="open the page in the browser")


def run(args: argparse.Namespace) -> None:
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(serve(args.out, args.host, args.port))
        files.say(f"{args.out}: look at it at {server.address} (Ctrl+C stops)")
        if not server.local:
            files.say(
                f"Whoever has this address sees the images, and nothing is encrypted on its way. Their terms: "
                f"{LICENSE_NAME}."
            )
        if server.everywhere:
            files.say(f"From another machine, this one is {socket.gethostname()}, or one of its addresses.")
        if args.open:
            # By way of a file: all users of a machine can see the arguments of its programs, and the token is secret.
            page = Path(stack.enter_context(tempfile.TemporaryDirectory()), "browse.html")
            page.write_text(f'<meta http-equiv="refresh" content="0; url={server.address}">')
            threading.Thread(target=_open_browser, args=[page.as_uri()], daemon=True).start()
        with contextlib.suppress(KeyboardInterrupt):
            server.run()
    files.say("Stopped.")


def _open_browser(address: str) -> None:
    if not webbrowser.open(address):
        files.say("There is no browser to open: give it the address yourself.")


def serve(out: str | os.PathLike[str], host: str = HOST, port: int | None = None) -> "Server":
    """A server of the page for the folder `out`, which listens but does not answer until `run` is called.

    `server.address` is what to open. `port` 0 is any free one, None is PORT or where that is taken any free one. Raises
    ReleaseError where the data is at fault, EnvironmentFault where the address cannot be had or a package is missing,
    UsageError for a port that does not exist.
    """
    if port is not None and not 0 <= port <= 65535:
        raise UsageError(f"--port {port}: a port is a number from 0 to 65535.")
    try:
        from .server import Server
    except ImportError as error:
        raise extras.missing("browse", "browse", error, "starlette>=0.40", "uvicorn>=0.30") from error
    data = PageData(out)
    try:
        return Server(host, PORT if port is None else port, data)
    except (OSError, UnicodeError) as error:
        if port is None and getattr(error, "errno", None) == errno.EADDRINUSE:
            return Server(host, 0, data)
        raise EnvironmentFault(
            f"cannot listen on {host}, port {PORT if port is None else port}: "
            f"{getattr(error, 'strerror', None) or error}. Choose others with --host and --port, or leave them out."
        ) from error


class PageData:
    """What the page asks for, without HTTP: the labels of all configs are in memory, images are read when asked for."""

    def __init__(self, out: str | os.PathLike[str]) -> None:
        self.source = rows.open_rows(out)
        self.labels = {
            config: self.source.labels(config) for config in files.progress(self.source.configs, unit="configs")
        }
        self.codes = {config: _codes(labels) for config, labels in self.labels.items()}
        self.conditions = {config: Conditions(labels) for config, labels in self.labels.items()}

    def facts(self) -> dict[str, Any]:
        """What the page needs once: the vocabulary, and which configs there are, with their rows."""
        return {
            "path": self.source.path,
            "configs": {config: len(self.labels[config]) for config in self.source.configs},
            "masks": [config for config in self.source.configs if "mask" in self.labels[config].column_names],
            "splits": SPLITS,
            "degrees": DEGREES,
            "attributes": ATTRIBUTES,
            "columns": [RENAMED.get(name, name) for name in ATTRIBUTES],  # what conditions call the attributes
            "colors": MASK_COLORS,
            "parts": PARTS,
            "license": LICENSE_NAME,
        }

    def search(self, config: str, condition: str = "", start: int = 0) -> dict[str, Any]:
        """The rows that meet the condition, all for an empty one: their counts, and AT_ONCE of them from `start` on.

        Returns {"count": n, "splits": [n of each], "degrees": {name: [missing, 0, …, 5]}, "attributes": [yes, of each],
        "have": {"caption": n, "request": n, "mask": n (hq)}, "rows": [{"position", "file_name"}]}. Raises UsageError
        for a condition that cannot be answered.
        """
        labels = self.labels[config]
        chosen = self.conditions[config].select(condition) if condition.strip() else np.full(len(labels), True)
        found = np.flatnonzero(chosen)
        page = found[start : start + AT_ONCE]
        names = labels["file_name"].take(page).to_pylist()
        codes = self.codes[config]
        return {
            "count": len(found),
            "splits": np.bincount(codes["split"][found], minlength=len(SPLITS)).tolist(),
            "degrees": {name: np.bincount(codes[name][found] + 1, minlength=7).tolist() for name in DEGREES},
            "attributes": codes["attributes"][found].sum(axis=0, dtype=np.int64).tolist(),
            "have": {name: int(values[found].sum()) for name, values in codes["have"].items()},
            "rows": [{"position": position, "file_name": name} for position, name in zip(page.tolist(), names)],
        }

    def row(self, config: str, position: int) -> dict[str, Any]:
        """One row in full, a dict, with its labels in words and the code that selects it.

        Its "mask" is {"width", "height", "pixels": [number of each class]} or None.
        """
        row = self.source.row(config, position)
        at = self.labels[config]["row"][position].as_py()
        code = self.source.code.format(path=json.dumps(self.source.path), config=config, split=row["split"])
        return {
            "position": position,
            "split": row["split"],
            "row": at,
            "file_name": row["file_name"],
            **{name: row[name] for name in rows.COUNTERPARTS if name in row},
            "identity": row["identity"] if row["identity"] >= 0 else None,
            "degrees": {name: row[name] for name in DEGREES},
            "attributes": [name for name, value in zip(ATTRIBUTES, row["attributes"]) if value == 1],
            "attributes_missing": row["attributes"][0] < 0,
            "caption": row["caption"],
            "attribute_captions": row["attribute_captions"],
            "request": row["request"],
            "request_labels": rows.request_in_words(row["request_labels"]),
            "mask": _mask_facts(row.get("mask")),
            "parts": [part["part"] for part in row.get("parts", [])],
            "code": f"{code}[{at}]",
        }

    def image(self, config: str, position: int) -> bytes:
        """The JPEG of a row, as it is stored."""
        return self.source.row(config, position, ["image"])["image"]["bytes"]

    def thumbnail(self, config: str, position: int) -> bytes:
        """The JPEG of a row, at most THUMBNAIL pixels wide and high."""
        image = self.image(config, position)
        with opened_image(image, "JPEG", self.labels[config]["file_name"][position].as_py()) as picture:
            if max(picture.size) <= THUMBNAIL:
                return image
            picture.draft("RGB", (THUMBNAIL, THUMBNAIL))  # decodes a quarter of the pixels, in a tenth of the time
            picture.thumbnail((THUMBNAIL, THUMBNAIL))
            file = io.BytesIO()
            picture.convert("RGB").save(file, "JPEG", quality=90)
        return file.getvalue()

    def mask(self, config: str, position: int) -> bytes | None:
        """The class of every pixel of a row's mask, a byte each, line by line; None where there is no mask."""
        mask = self.source.row(config, position, ["mask"]).get("mask")
        return mask and mask_indices(mask["bytes"], mask["path"]).tobytes()

    def part(self, config: str, position: int, part: int) -> bytes | None:
        """The PNG of one binary part mask; None where the row lacks it."""
        parts = self.source.row(config, position, ["parts"]).get("parts", [])
        return next((each["mask"]["bytes"] for each in parts if each["part"] == part), None)


def _codes(labels: pa.Table) -> dict[str, Any]:
    """What `search` counts, as NumPy arrays: -1 is a missing degree, and a missing attribute counts as no."""
    codes = {name: labels[name].fill_null(-1).to_numpy() for name in DEGREES}
    codes["split"] = labels["split"].combine_chunks().indices.to_numpy()
    codes["attributes"] = np.column_stack([labels[name].fill_null(False).to_numpy() for name in ATTRIBUTES])
    codes["have"] = {name: pc.not_equal(labels[name], "").to_numpy() for name in ("caption", "request")}
    if "mask" in labels.column_names:
        codes["have"]["mask"] = labels["mask"].to_numpy()
    return codes


def _mask_facts(mask: dict[str, Any] | None) -> dict[str, Any] | None:
    if mask is None:
        return None
    indices = mask_indices(mask["bytes"], mask["path"])
    pixels = np.bincount(indices.ravel(), minlength=len(MASK_COLORS)).tolist()
    return {"width": indices.shape[1], "height": indices.shape[0], "pixels": pixels}
