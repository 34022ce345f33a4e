"""Google Drive as `fetch` needs it: gdown moves the bytes, this module tells what Drive answers instead of a file.

Needs gdown; `fetch` imports this module only when there is something to download.
"""

import contextlib
import email.utils
import glob
import html
import os
import re
import time
from pathlib import Path
from urllib.parse import parse_qs
from urllib.parse import urlencode
from urllib.parse import urlsplit
from urllib.parse import urlunsplit

import gdown
import requests

from celeba_dialog import EnvironmentFault
from celeba_dialog import MissingFileError
from celeba_dialog import ReleaseError

RETRIES = 5  # lost connections per file that gdown mends by itself
TIMEOUT = 60  # seconds without a byte
CONFIRMATIONS = 5  # pages on the way to a file; gdown would follow them for ever


class _RangeRefused(Exception):
    """The server does not send the rest of a file: it knows no ranges, or has no more than what came."""


class Drive:
    """Google Drive, or the server at `base` (`http://host:port`) that answers as Drive does.

    `keys` maps an id to its resource key: old shared files are not found without it, and gdown drops it.
    """

    def __init__(self, base=None, keys=()):
        self.base = base
        self.keys = dict(keys)

    def download(self, id, path, progress):
        """Downloads a file to `path`, going on from the partial file of an earlier call beside it.

        `progress(done, total)` is called with bytes; `total` may be None. Raises MissingFileError if Drive has no such
        file, ReleaseError if it does not give it (quota, sign-in, permission), EnvironmentFault if it would not give
        any other either (too many requests, no network).
        """
        options = {"resume": True, "retries": RETRIES, "timeout": TIMEOUT, "progress": progress}
        for _ in range(2):
            try:
                with self._gdown(path):
                    gdown.download(id=id, output=path, quiet=True, use_cookies=False, **options)
                os.unlink(_identity_path(path))
                return
            except _RangeRefused:  # from the start, then
                _drop_partial(path)
        raise EnvironmentFault(
            "the connection was lost, and the server does not continue downloads. Repeat this command."
        )

    def listing(self, folder):
        """The files below a folder: {path within the folder: id}. Raises as `download` does."""
        with self._gdown():
            entries = gdown.download_folder(
                id=folder, skip_download=True, quiet=True, use_cookies=False, timeout=TIMEOUT
            )
        return {entry.path: entry.id for entry in entries}

    @contextlib.contextmanager
    def _gdown(self, path=None):
        # gdown names Google's hosts itself, drops resource keys, hides status codes and takes no session from outside:
        # all of it is mended in the one place where it makes its session.
        session, requests.session = requests.session, lambda: _Session(self, path)
        try:
            yield
        except requests.RequestException as error:
            raise EnvironmentFault(_unreachable(error)) from error
        except gdown.DownloadError as error:
            if isinstance(error.__cause__, requests.RequestException):
                raise EnvironmentFault(_unreachable(error.__cause__)) from error
            raise ReleaseError(f"gdown gave up: {error}") from error
        except (LookupError, ValueError, AssertionError) as error:
            raise ReleaseError(f"gdown cannot read what Drive answers ({error!r}).") from error
        finally:
            requests.session = session

    def address(self, url):
        """`url` with the resource key Drive wants, at `base` if there is one."""
        parts = urlsplit(url)
        if not (parts.hostname or "").endswith((".google.com", ".googleusercontent.com")):
            return url
        query = parse_qs(parts.query)
        key = self.keys.get(query.get("id", [""])[0])
        if key and "resourcekey" not in query:
            parts = parts._replace(query=urlencode({**query, "resourcekey": key}, doseq=True))
        if self.base:
            base = urlsplit(self.base)
            parts = parts._replace(scheme=base.scheme, netloc=base.netloc, path=base.path.rstrip("/") + parts.path)
        return urlunsplit(parts)


def _identity_path(path):
    folder, name = os.path.split(path)
    return os.path.join(folder, f".{name}.server")


def _drop_partial(path):
    for part in glob.glob(glob.escape(path) + "?" * 8 + ".part"):  # gdown's name for it
        os.unlink(part)


def _starts(response, path):
    """Drops what an earlier call left if the server has another file now: gdown would mix the two."""
    names = ("Content-Length", "ETag", "Last-Modified", "Content-Disposition")
    identity = "\n".join(str(response.headers.get(name)) for name in names).encode()
    known = Path(_identity_path(path))
    if not known.exists() or known.read_bytes() != identity:
        _drop_partial(path)
        known.write_bytes(identity)


class _Session(requests.Session):
    """What gdown takes for an ordinary session. `path` is where a download goes, None while a folder is listed."""

    def __init__(self, drive, path):
        super().__init__()
        self._drive, self._path = drive, path
        self._confirmations = 0
        self.headers["Accept-Language"] = "en"  # the language `_read_page` reads

    def request(self, method, url, **options):
        response = super().request(method, self._drive.address(url), **options)
        response.headers.setdefault("Content-Type", "application/octet-stream")  # gdown stumbles without
        is_folder = "/embeddedfolderview" in urlsplit(url).path
        if self._path is None and not is_folder:
            return response  # a Google document among the files; gdown asks for its name
        if response.status_code >= 500:  # gdown repeats a lost connection, and this is as passing
            raise requests.exceptions.ConnectionError(f"the server answers with status {response.status_code}")
        wants_rest = "Range" in (options.get("headers") or {})
        if "Content-Disposition" not in response.headers:
            if wants_rest and response.status_code == 416:
                raise _RangeRefused
            _read_page(response)
            self._confirmations += not is_folder
            if self._confirmations > CONFIRMATIONS:
                raise ReleaseError("Drive asks again and again to confirm the download.")
            pattern = r"/(?:file/d|folders)/([-\w]+)[^\"'<>]*?resourcekey=([-\w]+)"  # the links of a folder page
            self._drive.keys.update(re.findall(pattern, response.text))
        elif response.status_code == 200:
            if wants_rest:
                raise _RangeRefused
            _starts(response, self._path)
        return response

    def get_redirect_target(self, response):
        target = super().get_redirect_target(response)
        return target and self._drive.address(target)


def _read_page(response):
    """Raises what a page in place of a file means; returns if it is one that leads on to the file."""
    status = response.status_code
    if status == 429:
        raise EnvironmentFault(
            "Drive takes no more requests from this address for now (status 429). "
            f"Wait {_pause(response.headers.get('Retry-After'))} and repeat this command: what has arrived is kept."
        )
    if status in (404, 410):
        raise MissingFileError(f"Drive no longer has it at the address known here (status {status}).")
    kind = response.headers["Content-Type"]
    if not kind.startswith("text/html"):  # perhaps the file itself, and too large to look at as a page
        raise ReleaseError(
            f"the server answers with status {status}, {kind} and no Content-Disposition, as Drive never does."
        )
    page = response.text
    title = re.search(r"<title[^>]*>(.*?)</title>", page, re.I | re.S)
    title = " ".join(html.unescape(title[1]).split())[:80] if title else ""
    if "quota exceeded" in title.lower() or re.search(r"too many users have (viewed|downloaded)", page, re.I):
        raise ReleaseError(
            "Drive's quota for it is used up: too many people downloaded it lately. Wait, for up to a day, and repeat "
            "this command."
        )
    if "/ServiceLogin" in response.url or "/signin" in response.url or re.search(r"\bsign[ -]?in\b", title, re.I):
        raise ReleaseError("Drive asks to sign in before it gives it.")
    if status in (401, 403):
        raise ReleaseError(f"Drive denies access to it (status {status}). Wait for an hour and repeat this command.")
    if status != 200:
        raise ReleaseError(f"Drive answers with status {status}{f' and a page titled {title!r}' if title else ''}.")
    leads_on = 'id="download-form"' in page or "/uc?export=download" in page or '"downloadUrl"' in page
    if not leads_on and "/embeddedfolderview" not in response.url:
        raise ReleaseError(f"Drive answers with a page{f' titled {title!r}' if title else ''} in place of the file.")


def _pause(retry_after):
    """The header Retry-After (seconds or a date) for people."""
    try:
        seconds = int(retry_after)
    except (TypeError, ValueError):
        try:
            seconds = email.utils.parsedate_to_datetime(retry_after).timestamp() - time.time()
        except (TypeError, ValueError):
            return "for an hour"
    return f"for {max(1, round(seconds))} seconds" if seconds < 120 else f"for {round(seconds / 60)} minutes"


def _unreachable(error):
    return f"the connection fails: {error}. Look at the network and repeat this command: what has arrived is kept."
