"""Who may see the page of `browse`: whoever has its token, from the page itself, under a name of this machine."""

import ipaddress
import re
import secrets
import socket

from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response

# The page may load from its own server and nowhere else, and no other page may load from here.
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; connect-src 'self'; img-src 'self' data:; "
    "script-src 'unsafe-inline'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}


class Access:
    """Lets requests in or refuses them, for a server that listens on an address of this machine.

    Args:
        host: the name or address that was asked for.
        ip, port: where the server listens.

    `address` is what to open: its token lets the browser in, exchanged for a cookie, which every request has to bring.
    """

    def __init__(self, host: str, ip: str, port: int) -> None:
        self._everywhere = ipaddress.ip_address(ip).is_unspecified
        name = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(ip, ip)  # noqa: S104
        name = f"[{name}]" if ":" in name else name
        # What a browser may call this machine. Other names that lead here may be a page's trick: DNS rebinding.
        self._names = {"localhost", "127.0.0.1", "[::1]", name, host.lower()}
        if self._everywhere:
            self._names.add(socket.gethostname().lower())
        self._token = secrets.token_urlsafe(32)
        self.address = f"http://{name}:{port}/?token={self._token}"

    def refuse(self, request: Request) -> Response | None:
        """The answer to a request that is not let in, without any data; None for one that is."""
        host = request.headers.get("host", "")
        name, _, port = host.rpartition(":") if re.search(":[0-9]+$", host) else (host, "", "80")
        if not self._is_here(name.lower()):
            return _closed("This page has another address.")
        cookie = f"celeba-dialog-{port}"  # a browser sends the cookies of all ports of a machine
        front = request.scope["path"] == "/"
        token = request.query_params.get("token")
        if front and token is not None and self._is_token(token):
            answer = RedirectResponse("/", 303)
            answer.set_cookie(cookie, self._token, httponly=True, samesite="strict")
            return answer
        origin = f"http://{host}"
        from_here = request.headers.get("sec-fetch-site", "none") in ("none", "same-origin")
        from_here = from_here and request.headers.get("origin", origin) == origin
        if from_here and self._is_token(request.cookies.get(cookie, "")):
            return None
        # A browser that follows a link from another page sends no strict cookie; when this page reloads, it does.
        again = front and not from_here and request.headers.get("sec-fetch-dest") == "document"
        return _closed("Open the address that the command has printed.", {"Refresh": "0"} if again else {})

    def _is_here(self, name: str) -> bool:
        """Whether a name in the header Host is one of this machine."""
        if name in self._names:
            return True
        try:
            ipaddress.ip_address(name.removeprefix("[").removesuffix("]"))
        except ValueError:
            return False
        return self._everywhere  # an address, unlike a name, cannot be made to lead elsewhere

    def _is_token(self, value: str) -> bool:
        return secrets.compare_digest(value.encode(errors="replace"), self._token.encode())


def _closed(message: str, headers: dict[str, str] | None = None) -> Response:
    return PlainTextResponse(message, 403, {"Connection": "close", **(headers or {})})
