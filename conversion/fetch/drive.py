"""Google Drive as `fetch` needs it: gdown moves the bytes, this module says what Drive answers in place of a file.

It imports gdown, which is optional, so `fetch` imports it only when there is something to download.
"""

import contextlib
import email.utils
import glob
import html
import io
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
import urllib3

from celeba_dialog import EnvironmentFault
from celeba_dialog import MissingFileError
from celeba_dialog import ReleaseError

from ..machine.files import one_line

RETRIES = 5  # times that gdown resumes a file after a lost connection
TIMEOUT = 60  # seconds without a byte
CONFIRMATIONS = 5  # pages before a file; gdown would follow them for ever
MOST_PAGE = 4 << 20  # bytes of a page; that of a folder has some kB
MOST_REQUESTS = 500  # to list a folder and those in it

# What gdown and its libraries raise for an answer that they did not expect.
_UNREADABLE = (ArithmeticError, AssertionError, AttributeError, LookupError, RecursionError, TypeError, ValueError)


class _RangeRefused(Exception):
    """The server does not send the rest of a file: it knows no ranges, or has nothing behind the part that is here."""


class Drive:
    """Google Drive, or the server at `base` (`http://host:port`) that answers as Drive does.

    `keys` maps an id to its resource key, without which files shared long ago are not found. gdown leaves it out.
    """

    def __init__(self, base=None, keys=()):
        self.base = base
        self.keys = dict(keys)

    def download(self, id, path, starts, progress):
        """Downloads a file to `path`, going on from the partial file of an earlier call beside it.

        `starts(total)` is called before the first byte, `progress(done, total)` after every block; `total` may be None.
        What they raise ends the transfer. Returns whether the server told where the file ends: else a connection that
        broke off looks like the end. Raises MissingFileError where Drive has no such file, ReleaseError where it does
        not give it (quota, sign-in, permission), EnvironmentFault where it would not give others either (too many
        requests, no network).
        """
        options = {"resume": True, "retries": RETRIES, "timeout": TIMEOUT, "progress": progress}
        for _ in range(2):
            transfer = _Transfer(path, starts)
            try:
                with self._gdown(transfer):
                    gdown.download(id=id, output=path, quiet=True, use_cookies=False, **options)
                os.unlink(_identity_path(path))
                return transfer.has_end
            except _RangeRefused:  # start anew
                self.drop(path)
        raise EnvironmentFault(
            "the connection was lost, and the server does not continue downloads. Repeat this command."
        )

    def drop(self, path):
        """Removes what has come of a download to `path`, so that no later call goes on with it."""
        for file in [path, *_partial_files(path), _identity_path(path)]:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(file)

    def listing(self, folder):
        """The files below a folder: {path within the folder: id}. Raises as `download` does."""
        with self._gdown(_Listing()):
            entries = gdown.download_folder(
                id=folder, skip_download=True, quiet=True, use_cookies=False, timeout=TIMEOUT
            )
        return {entry.path: entry.id for entry in entries}

    @contextlib.contextmanager
    def _gdown(self, task):
        """Lets gdown use our sessions, and makes errors of ours of what it raises; `task` is what `_Session` takes."""
        # gdown names Google's hosts itself, leaves out resource keys and hides status codes. It takes no session from
        # outside either, so requests.session, by which it makes its own, is replaced.
        session, requests.session = requests.session, lambda: _Session(self, task)
        try:
            yield
        except requests.RequestException as error:
            raise EnvironmentFault(_unreachable(error)) from error
        except gdown.DownloadError as error:
            if isinstance(error.__cause__, requests.RequestException):
                raise EnvironmentFault(_unreachable(error.__cause__)) from error
            raise ReleaseError(f"gdown gave up: {one_line(error)}") from error
        except _UNREADABLE as error:
            raise ReleaseError(f"gdown cannot read what Drive answers ({one_line(repr(error))}).") from error
        finally:
            requests.session = session

    def address(self, url):
        """`url` with the resource key that Drive wants, and at `base` if there is one."""
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


def _partial_files(path):
    return glob.glob(glob.escape(path) + "?" * 8 + ".part")  # gdown's name for it


class _Listing:
    """The requests for the files below a folder: counted, so that they have an end."""

    def __init__(self):
        self.folders = set()  # those asked for
        self.requests = 0

    def count(self, folder):
        """Counts a request, for `folder` or, None, something else. Raises ReleaseError for too many or a circle."""
        self.requests += 1
        if folder in self.folders:
            raise ReleaseError(f"the folder {one_line(folder, 60)} lies in itself, or twice among the folders in it.")
        if self.requests > MOST_REQUESTS:
            raise ReleaseError(f"listing it takes more than {MOST_REQUESTS} requests.")
        if folder:
            self.folders.add(folder)


class _Transfer:
    """The requests for a file that goes to `path`, and what their answers told; `starts`: see `Drive.download`."""

    def __init__(self, path, starts):
        self.path = path
        self.starts = starts
        self.has_end = False  # whether the last answer told where the file ends
        self.total = None  # bytes of the file, where they were announced
        self.confirmations = 0  # pages so far

    def is_answered(self, drive, headers):
        """Takes note of the headers of the whole file.

        Drops what an earlier call left where the server has another file now, since gdown would mix the two.
        """
        chunked = "chunked" in headers.get("Transfer-Encoding", "").lower()
        length = re.fullmatch("[0-9]{1,18}", headers.get("Content-Length", ""))
        self.total = int(length[0]) if length and not chunked else None
        self.has_end = bool(length) or chunked
        self.starts(self.total)
        names = ("Content-Length", "ETag", "Last-Modified", "Content-Disposition")
        identity = "\n".join(str(headers.get(name)) for name in names).encode()
        known = Path(_identity_path(self.path))
        if not known.exists() or known.read_bytes() != identity or len(_partial_files(self.path)) > 1:
            drive.drop(self.path)
            known.write_bytes(identity)

    def goes_on(self, response, offset):
        """Takes note of an answer that is the rest of the file from `offset` on. Raises _RangeRefused for others."""
        span = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+|\*)", response.headers.get("Content-Range", ""))
        sound = (
            response.status_code == 206
            and span
            and int(span[1]) == offset <= int(span[2])
            and span[3] in ("*", str(int(span[2]) + 1))
            and self.total in (None, int(span[2]) + 1)
            and response.headers.get("Content-Length") in (None, str(int(span[2]) + 1 - offset))
        )
        if not sound:
            raise _RangeRefused
        self.has_end = True


class _Session(requests.Session):
    """The session that gdown gets. `task` is a _Transfer or a _Listing."""

    def __init__(self, drive, task):
        super().__init__()
        self._drive, self._task = drive, task
        self.headers["Accept-Language"] = "en"  # which `_read_page` expects
        self.headers["Accept-Encoding"] = "identity"  # packed content may unpack to any size

    def request(self, method, url, **options):
        if isinstance(self._task, _Listing):
            return self._list(method, url, options)
        return self._transfer(method, url, options)

    def _ask(self, method, url, options):
        """The answer to a request, of which nothing is read yet. Raises ReleaseError for a packed one."""
        response = super().request(method, self._drive.address(url), **{**options, "stream": True})
        response.headers.setdefault("Content-Type", "application/octet-stream")  # gdown fails without
        packed = response.headers.get("Content-Encoding", "identity").strip().lower()
        if packed not in ("", "identity"):
            raise ReleaseError(f"the server packs what it sends ({one_line(packed, 60)}), though asked not to.")
        return response

    def _list(self, method, url, options):
        """The answer to a request on the way to the listing of a folder."""
        parts = urlsplit(url)
        is_folder = "/embeddedfolderview" in parts.path
        self._task.count(parse_qs(parts.query).get("id", [""])[0] if is_folder else None)
        response = self._ask(method, url, options)
        if is_folder:
            _refuse_server_error(response)
            _read_page(response)
            links = r"/(?:file/d|folders)/([-\w]+)[^\"'<>]*?resourcekey=([-\w]+)"
            self._drive.keys.update(re.findall(links, response.text))
        elif "Content-Disposition" not in response.headers:  # a Google document, which gdown asks for its name
            _bound(response)
        return response

    def _transfer(self, method, url, options):
        """The answer to a request on the way to a file: the file, its rest, or a page that leads on to it."""
        response = self._ask(method, url, options)
        _refuse_server_error(response)
        status = response.status_code
        wanted = re.fullmatch(r"bytes=(\d+)-", (options.get("headers") or {}).get("Range", ""))
        is_file = status < 400 and "Content-Disposition" in response.headers
        if wanted and (is_file or status in (206, 416)):
            self._task.goes_on(response, int(wanted[1]))
        elif not is_file:
            _read_page(response)
            self._task.confirmations += 1
            if self._task.confirmations > CONFIRMATIONS:
                raise ReleaseError("Drive asks again and again to confirm the download.")
        elif status == 200:
            self._task.is_answered(self._drive, response.headers)
        else:
            raise ReleaseError(f"the server answers with status {status}, and 200 is the one for a whole file.")
        return response

    def get_redirect_target(self, response):
        target = super().get_redirect_target(response)
        if target:  # else requests reads the body of the redirection, of whatever size
            response.close()
            response.raw = io.BytesIO()
        return target and self._drive.address(target)


def _bound(response):
    """Reads a page. Raises ReleaseError for one above MOST_PAGE; requests would read on."""
    try:
        body = response.raw.read(MOST_PAGE + 1, decode_content=False)
    except urllib3.exceptions.HTTPError as error:
        raise requests.exceptions.ConnectionError(error) from error
    response.close()
    if len(body) > MOST_PAGE:
        raise ReleaseError(f"the server answers with a page of more than {MOST_PAGE:,} bytes.")
    response.raw = io.BytesIO(body)


def _refuse_server_error(response):
    """Raises requests' ConnectionError for a status of 500 or more: gdown tries again after that."""
    if response.status_code >= 500:
        raise requests.exceptions.ConnectionError(f"the server answers with status {response.status_code}")


def _read_page(response):
    """Raises what a page in place of a file means; returns where it leads on to the file, or lists a folder."""
    status = response.status_code
    if status == 429:
        raise EnvironmentFault(
            "Drive takes no more requests from this address for now (status 429). "
            f"Wait {_pause(response.headers.get('Retry-After'))} and repeat this command: what has arrived is kept."
        )
    if status in (404, 410):
        raise MissingFileError(f"Drive no longer has it at the address known here (status {status}).")
    kind = response.headers["Content-Type"]
    if not kind.startswith("text/html"):  # it may be the file itself, and too large to read as a page
        raise ReleaseError(
            f"the server answers with status {status} and {one_line(kind, 60)}, where Drive sends a file with "
            "Content-Disposition, or a page."
        )
    _bound(response)
    title = re.search(r"<title[^>]*>(.*?)</title>", response.text, re.I | re.S)
    title = " ".join(html.unescape(title[1]).split())[:80] if title else ""
    _refuse_quota_and_login(response, title)
    titled = f" titled {title!r}" if title else ""
    if status != 200:
        raise ReleaseError(f"Drive answers with status {status}{titled and f' and a page{titled}'}.")
    leads_on = re.search('id="download-form"|/uc[?]export=download|"downloadUrl"', response.text)
    if not leads_on and "/embeddedfolderview" not in response.url:
        raise ReleaseError(f"Drive answers with a page{titled} in place of the file.")


def _refuse_quota_and_login(response, title):
    """Raises ReleaseError for a page that says why Drive does not give the file: quota, sign-in or permission."""
    if "quota exceeded" in title.lower() or re.search(r"too many users have (viewed|downloaded)", response.text, re.I):
        raise ReleaseError(
            "Drive's quota for it is used up: too many people downloaded it lately. Wait, for up to a day, and repeat "
            "this command."
        )
    if "/ServiceLogin" in response.url or "/signin" in response.url or re.search(r"\bsign[ -]?in\b", title, re.I):
        raise ReleaseError("Drive asks to sign in before it gives it.")
    if response.status_code in (401, 403):
        raise ReleaseError(
            f"Drive denies access to it (status {response.status_code}). Wait for an hour and repeat this command."
        )


def _pause(retry_after):
    """The header Retry-After, seconds or a date, in words."""
    try:
        seconds = int(retry_after) if str(retry_after).isdigit() else _seconds_until(retry_after)
        return f"for {max(1, round(seconds))} seconds" if seconds < 120 else f"for {round(seconds / 60)} minutes"
    except (TypeError, ValueError, OverflowError):
        return "for an hour"


def _seconds_until(date):
    return email.utils.parsedate_to_datetime(date).timestamp() - time.time()


def _unreachable(error):
    found = one_line(error)
    return f"the connection fails: {found}. Look at the network and repeat this command: what has arrived is kept."
