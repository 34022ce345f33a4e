"""Google Drive as `fetch` needs it: gdown moves the bytes, this module says what Drive answers in place of a file.

It imports gdown, which is optional, so `fetch` imports it only when there is something to download.
"""

import contextlib
import email.utils
import html
import http.client
import io
import re
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit, urlunsplit

import gdown
import requests
import urllib3

from ..release.errors import EnvironmentFault, MissingFileError, ReleaseError
from ..runtime.files import one_line

RETRIES = 5  # times that gdown resumes a file after a lost connection
TIMEOUT = 60  # seconds without a byte
CONFIRMATIONS = 5  # pages before a file; gdown would follow them for ever
MOST_PAGE = 4 << 20  # bytes of a page; that of a folder has some kB
MOST_REQUESTS = 500  # to list a folder and those in it

# What gdown and its libraries raise for an answer that they did not expect.
_UNREADABLE = (ArithmeticError, AssertionError, AttributeError, LookupError, RecursionError, TypeError, ValueError)


class Drive:
    """Google Drive, or the server at `base` (`http://host:port`) that answers as Drive does.

    `keys` maps an id to its resource key, without which files shared long ago are not found. gdown leaves it out.
    """

    def __init__(self, base: str | None = None, keys: Mapping[str, str] | None = None) -> None:
        self.base = base
        self.keys = dict(keys or {})
        self.answered = False  # whether there was an answer to any request
        self._listings: dict[str, dict[str, str]] = {}

    def download(self, id: str, path: str, progress: Callable[[int, int | None], None]) -> bool:
        """Downloads a file to `path`, going on from the partial file of an earlier call beside it.

        `progress(done, total)` is called with bytes after every block, `total` may be None; what it raises ends the
        transfer. Returns whether the server told where the file ends: else a lost connection looks like the end.
        Raises MissingFileError where Drive has no such file, ReleaseError where it does not give it (quota, sign-in),
        EnvironmentFault where it would not give others either (too many requests, no network).
        """
        options: dict[str, Any] = {"resume": True, "retries": RETRIES, "timeout": TIMEOUT, "progress": progress}
        for _ in range(2):
            session = _FileSession(self, path)
            try:
                with _gdown_with(session):
                    gdown.download(id=id, output=path, quiet=True, use_cookies=False, **options)
                _identity_path(path).unlink()
                return session.has_end
            except gdown.DownloadError:  # the server does not send the rest: start anew
                self.drop(path)
        raise EnvironmentFault(
            "the connection was lost, and the server does not continue downloads. Repeat this command."
        )

    def drop(self, path: str) -> None:
        """Removes what has come of a download to `path`, so that no later call goes on with it."""
        for file in [Path(path), *_partial_files(path), _identity_path(path)]:
            file.unlink(missing_ok=True)

    def listing(self, folder: str) -> dict[str, str]:
        """The files below a folder, asked for once: {path within the folder: id}. Raises as `download` does."""
        if folder not in self._listings:
            with _gdown_with(_FolderSession(self)):
                entries = gdown.download_folder(
                    id=folder, skip_download=True, quiet=True, use_cookies=False, timeout=TIMEOUT
                )
            self._listings[folder] = {entry.path: entry.id for entry in entries if not isinstance(entry, str)}
        return self._listings[folder]

    def address(self, url: str) -> str:
        """`url` with the resource key that Drive wants, and at `base` if there is one."""
        parts = urlsplit(url)
        if not _is_googles(parts.hostname):
            return url
        query = parse_qs(parts.query)
        key = self.keys.get(query.get("id", [""])[0])
        if key and "resourcekey" not in query:
            parts = parts._replace(query=urlencode({**query, "resourcekey": key}, doseq=True))
        if self.base:
            base = urlsplit(self.base)
            parts = parts._replace(scheme=base.scheme, netloc=base.netloc, path=base.path.rstrip("/") + parts.path)
        return urlunsplit(parts)


@contextlib.contextmanager
def _gdown_with(session: "_Session") -> Iterator[None]:
    """Lets gdown use a session of ours, and makes errors of ours of what it raises.

    Its DownloadError is left for one case: the server does not send the rest of a file, or sends another.
    """
    # gdown names Google's hosts itself, leaves out resource keys and hides status codes. It takes no session from
    # outside either, so requests.session, by which it makes its own, is replaced.
    original, requests.session = requests.session, lambda: session
    try:
        yield
    except (requests.RequestException, gdown.DownloadError) as error:
        cause = error.__cause__ if isinstance(error, gdown.DownloadError) else error
        if isinstance(cause, _ServerError):
            raise ReleaseError(f"{cause}, again and again. Wait, and repeat this command.") from error
        if isinstance(cause, requests.RequestException):
            raise session.no_connection(cause) from error
        if "did not honor the requested byte range" in str(error):  # this has no class of its own
            raise
        raise ReleaseError(f"gdown gave up: {one_line(error)}") from error
    except _UNREADABLE as error:
        raise ReleaseError("gdown cannot read what Drive answers; a newer one may (pip install -U gdown).") from error
    finally:
        requests.session = original


class _ServerError(requests.exceptions.ConnectionError):
    """A status from 500 on, after which gdown tries again."""


def _in_words(error: BaseException) -> str:
    """What the libraries' errors around it say of a connection that failed, without their own names."""
    inner = _innermost(error)
    if isinstance(inner, TimeoutError | requests.Timeout | urllib3.exceptions.TimeoutError):
        return f"no answer within {TIMEOUT} seconds"
    if isinstance(inner, http.client.IncompleteRead):  # urllib3's too
        return "the connection broke off"
    return one_line((isinstance(inner, OSError) and inner.strerror) or inner, 200)


def _innermost(error: BaseException) -> BaseException:
    """The error from which those around it were made: requests, urllib3 and gdown keep it in one of three places."""
    for within in (error.__cause__, getattr(error, "reason", None), *error.args):
        if isinstance(within, BaseException):
            return _innermost(within)
    return error


def _host(url: str) -> str:
    """The host of an address, with the port where it names one."""
    return one_line(urlsplit(url).netloc, 200)


def _is_googles(host: str | None) -> bool:
    return (host or "").endswith((".google.com", ".googleusercontent.com"))


def _identity_path(path: str | Path) -> Path:
    return Path(path).with_name(f".{Path(path).name}.server")


def _partial_files(path: str | Path) -> list[Path]:
    return list(Path(path).parent.glob(Path(path).name + "?" * 8 + ".part"))  # gdown's name for it


class _Session(requests.Session):
    """What sessions for gdown have in common. Of an answer nothing is read yet."""

    def __init__(self, drive: Drive) -> None:
        super().__init__()
        self.drive = drive
        self.target = ""  # the last address that was asked for, or that a redirect leads to
        self.headers["Accept-Language"] = "en"  # which `_read_page` expects
        self.headers["Accept-Encoding"] = "identity"  # packed content may unpack to any size

    def request(self, method: str, url: Any, *args: Any, **options: Any) -> requests.Response:
        """The answer to a request. Raises ReleaseError where it leads to what cannot be asked for, EnvironmentFault
        where there was never an answer from Drive; other errors of `requests` are left to gdown, which tries again."""
        try:
            self.target = self.drive.address(url)
            response = super().request(method, self.target, *args, **{**options, "stream": True})
        except requests.TooManyRedirects as error:
            raise ReleaseError(f"Drive leads on and on, at last to {one_line(self.target, 200)}.") from error
        except requests.exceptions.InvalidProxyURL as error:
            raise EnvironmentFault(f"the proxy of this machine has no usable address: {one_line(error)}.") from error
        except ValueError as error:  # no address, or none of the web
            raise ReleaseError(f"Drive leads on to {one_line(self.target, 200)}, from where nothing comes.") from error
        except requests.ConnectionError as error:
            inner = _innermost(error)
            if isinstance(inner, http.client.HTTPException) and not isinstance(inner, ConnectionError):
                raise ReleaseError(
                    f"{_host(self.target)} does not answer as a web server: {one_line(inner)}."
                ) from error
            if not _is_googles(urlsplit(self.target).hostname) and _host(self.target) != _host(self.drive.base or ""):
                why = f"{_host(self.target)}, which cannot be reached: {_in_words(error)}"
                raise ReleaseError(f"Drive leads on to {why}.") from error
            if not self.drive.answered:
                raise self.no_connection(error) from error
            raise
        self.drive.answered = True
        response.headers.setdefault("Content-Type", "application/octet-stream")  # gdown fails without
        packed = response.headers.get("Content-Encoding", "identity").strip().lower()
        if packed not in ("", "identity"):
            raise ReleaseError(f"the server packs what it sends ({one_line(packed, 60)}), though asked not to.")
        return response

    def no_connection(self, error: BaseException) -> EnvironmentFault:
        """What to say where nothing comes any more, or ever came."""
        host, why = _host(self.target), _in_words(error)
        what = f"the connection to {host} fails" if self.drive.answered else f"{host} cannot be reached"
        return EnvironmentFault(
            f"{what}: {why}. Look at the network and repeat this command: what has arrived is kept."
        )

    def get_redirect_target(self, response: requests.Response) -> str | None:
        target = super().get_redirect_target(response)
        if not target:
            return None
        response.close()  # else requests reads the body of the redirection, of whatever size
        response.raw = io.BytesIO()
        self.target = target
        self.target = self.drive.address(target)
        return self.target


class _FolderSession(_Session):
    """The requests for the files below a folder: counted, so that they have an end."""

    def __init__(self, drive: Drive) -> None:
        super().__init__(drive)
        self.folders: set[str] = set()  # ids of those asked for
        self.requests = 0

    def request(self, method: str, url: Any, *args: Any, **options: Any) -> requests.Response:
        parts = urlsplit(url)
        folder = parse_qs(parts.query).get("id", [""])[0] if "/embeddedfolderview" in parts.path else None
        self.requests += 1
        if folder in self.folders:
            raise ReleaseError(f"the folder {one_line(folder, 60)} lies in itself, or twice among the folders in it.")
        if self.requests > MOST_REQUESTS:
            raise ReleaseError(f"listing it takes more than {MOST_REQUESTS} requests.")
        response = super().request(method, url, *args, **options)
        if folder:
            self.folders.add(folder)
            _read_page(response)
            links = r"/(?:file/d|folders)/([-\w]+)[^\"'<>]*?resourcekey=([-\w]+)"
            self.drive.keys.update(re.findall(links, response.text))
        elif "Content-Disposition" not in response.headers:  # a Google document, which gdown asks for its name
            _bound(response)
        return response


class _FileSession(_Session):
    """The requests for a file that goes to `path`."""

    def __init__(self, drive: Drive, path: str) -> None:
        super().__init__(drive)
        self.path = path
        self.has_end = False  # whether the last answer told where the file ends
        self.confirmations = 0  # pages so far

    def request(self, method: str, url: Any, *args: Any, **options: Any) -> requests.Response:
        """The answer to a request on the way to a file: the file, its rest, or a page that leads on to it."""
        response = super().request(method, url, *args, **options)
        status = response.status_code
        is_file = status < 400 and "Content-Disposition" in response.headers
        if "Range" in (options.get("headers") or {}) and (is_file or status in (206, 416)):
            self.has_end = True  # gdown takes no other rest
        elif not is_file:
            _read_page(response)
            self.confirmations += 1
            if self.confirmations > CONFIRMATIONS:
                raise ReleaseError("Drive asks again and again to confirm the download.")
        elif status == 200:
            self._begin(response.headers)
        else:
            raise ReleaseError(f"the server answers with status {status}, and 200 is the one for a whole file.")
        return response

    def _begin(self, headers: Mapping[str, str]) -> None:
        """Takes note of the headers of the whole file.

        Drops what an earlier call left where the server has another file now, since gdown would mix the two.
        """
        chunked = "chunked" in headers.get("Transfer-Encoding", "").lower()
        self.has_end = chunked or headers.get("Content-Length", "").isdecimal()
        names = ("Content-Length", "ETag", "Last-Modified", "Content-Disposition")
        identity = "\n".join(str(headers.get(name)) for name in names).encode()
        known = _identity_path(self.path)
        if not known.exists() or known.read_bytes() != identity or len(_partial_files(self.path)) > 1:
            self.drive.drop(self.path)
            known.write_bytes(identity)


def _bound(response: requests.Response) -> None:
    """Reads a page. Raises ReleaseError for one above MOST_PAGE; requests would read on."""
    try:
        body = response.raw.read(MOST_PAGE + 1, decode_content=False)
    except urllib3.exceptions.HTTPError as error:
        raise requests.exceptions.ConnectionError(error) from error
    response.close()
    if len(body) > MOST_PAGE:
        raise ReleaseError(f"the server answers with a page of more than {MOST_PAGE:,} bytes.")
    response.raw = io.BytesIO(body)


def _read_page(response: requests.Response) -> None:
    """Raises what a page in place of a file means; returns where it leads on to the file, or lists a folder."""
    status = response.status_code
    if status >= 500:  # gdown tries again after a ConnectionError
        raise _ServerError(f"the server answers with status {status}")
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
    found = re.search(r"<title[^>]*>(.*?)</title>", response.text, re.I | re.S)
    title = " ".join(html.unescape(found[1]).split())[:80] if found else ""
    _refuse_quota_and_login(response, title)
    titled = f" titled {title!r}" if title else ""
    if status != 200:
        raise ReleaseError(f"Drive answers with status {status}{titled and f' and a page{titled}'}.")
    leads_on = re.search('id="download-form"|/uc[?]export=download|"downloadUrl"', response.text)
    if not leads_on and "/embeddedfolderview" not in response.url:
        raise ReleaseError(f"Drive answers with a page{titled} in place of the file.")


def _refuse_quota_and_login(response: requests.Response, title: str) -> None:
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


def _pause(retry_after: str | None) -> str:
    """The header Retry-After, seconds or a date, in words."""
    try:
        if str(retry_after).isdigit():
            seconds = float(str(retry_after))
        else:
            seconds = email.utils.parsedate_to_datetime(retry_after or "").timestamp() - time.time()
        return f"for {max(1, round(seconds))} seconds" if seconds < 120 else f"for {round(seconds / 60)} minutes"
    except (TypeError, ValueError, OverflowError):
        return "for an hour"
