"""The web server of `browse`, Starlette on uvicorn: whom it lets in, and what it answers."""

import ipaddress
import re
import secrets
import socket
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route
from uvicorn.protocols.http.h11_impl import H11Protocol

from ..release.errors import CelebADialogError
from ..runtime import files

try:
    import resource
except ImportError:  # on Windows
    resource = None

PAGE = Path(__file__).with_name("browse.html")

CONNECTIONS = 24  # a browser has six
if resource and (most := resource.getrlimit(resource.RLIMIT_NOFILE)[0]) > 0:  # else there is no limit
    CONNECTIONS = min(CONNECTIONS, most // 3)  # each may need a second open file
ACCEPTED = 4  # connections that are accepted at a time, before the oldest make room
PATIENCE = 15  # seconds for which a connection may be idle

CONTENT_TYPES = {
    "image": "image/jpeg",
    "thumbnail": "image/jpeg",
    "mask": "application/octet-stream",
    "part": "image/png",
}

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


class Server(uvicorn.Server):
    """Listens from the start and answers while `run` runs. A context manager, which closes its socket.

    Args:
        host: a name or an address of this machine.
        port: 0 for any free one.
        data: a `browse.PageData`.

    `address` is what to open: its token lets the browser in. `local` is whether only this machine can open it,
    `everywhere` whether it listens on all addresses. Raises OSError or UnicodeError where it cannot listen there.
    """

    def __init__(self, host, port, data):
        family, _, _, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        both = family == socket.AF_INET6 and socket.has_dualstack_ipv6()
        self.socket = socket.create_server(place, family=family, dualstack_ipv6=both)
        self.data = data
        ip = ipaddress.ip_address(place[0])
        self.local = ip.is_loopback
        self.everywhere = ip.is_unspecified
        name = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(place[0], place[0])  # noqa: S104
        name = f"[{name}]" if ip.version == 6 else name
        # What a browser may call this machine. Other names that lead here may be a page's trick: DNS rebinding.
        self._names = {"localhost", "127.0.0.1", "[::1]", name, host.lower()}
        if self.everywhere:
            self._names.add(socket.gethostname().lower())
        self._token = secrets.token_urlsafe(32)
        self.address = f"http://{name}:{self.socket.getsockname()[1]}/?token={self._token}"
        self._app = Starlette(
            routes=[Route("/", lambda _: FileResponse(PAGE)), Route("/{what}", self._answer)],
            exception_handlers={CelebADialogError: lambda _, error: JSONResponse({"error": str(error)}, 400)},
        )
        super().__init__(
            uvicorn.Config(
                self._gate,
                interface="asgi3",
                http=Connection,
                workers=1,  # whatever $WEB_CONCURRENCY says
                ws="none",
                loop="asyncio",
                lifespan="off",
                log_config=None,
                log_level="critical",  # nobody is told what was looked at
                access_log=False,
                proxy_headers=False,
                server_header=False,
                headers=list(HEADERS.items()),
                backlog=ACCEPTED,
                timeout_keep_alive=PATIENCE,
                timeout_graceful_shutdown=1,
            )
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def run(self):
        """Answers until `should_exit` is set or the process is interrupted, which raises KeyboardInterrupt."""
        super().run([self.socket])

    async def startup(self, sockets=None):
        await super().startup(sockets)
        self.socket.listen(128)  # asyncio has set it to ACCEPTED, and more may wait

    async def shutdown(self, sockets=None):
        for conditions in self.data.conditions.values():
            conditions.interrupt()
        await super().shutdown(sockets)
        for connection in list(self.server_state.connections):
            connection.transport.abort()  # else uvicorn waits for clients that do not read their answers

    # ---------------------------------------------------------------------------------------------------- who may ask

    async def _gate(self, scope, receive, send):
        """The ASGI app: lets a request in or refuses it."""
        try:
            await self._let_in(Request(scope))(scope, receive, send)
        except Exception as error:  # Starlette has answered with status 500
            files.say(f"browse: {scope['path']!r}: unexpected {error!r}")

    def _let_in(self, request):
        """What answers a request: the app, or else a response without data.

        The address that was printed has a token; it is exchanged for a cookie, which every request has to bring.
        """
        host = request.headers.get("host", "")
        name, port = re.fullmatch(r"(.*?)(?::([0-9]+))?", host, re.DOTALL).groups()
        if not self._is_here(name.lower()):
            return _closed("This page has another address.")
        cookie = f"celeba-dialog-{port or 80}"  # a browser sends the cookies of all ports of a machine
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
            return self._app
        # A browser that follows a link from another page sends no strict cookie; when this page reloads, it does.
        again = front and not from_here and request.headers.get("sec-fetch-dest") == "document"
        return _closed("Open the address that the command has printed.", {"Refresh": "0"} if again else {})

    def _is_here(self, name):
        """Whether a name in the header Host is one of this machine."""
        if name in self._names:
            return True
        try:
            ipaddress.ip_address(name.removeprefix("[").removesuffix("]"))
        except ValueError:
            return False
        return self.everywhere  # an address, unlike a name, cannot be made to lead elsewhere

    def _is_token(self, value):
        return secrets.compare_digest(value.encode(errors="replace"), self._token.encode())

    # -------------------------------------------------------------------------------------------------------- answers

    def _answer(self, request):
        """The answer to one question of the page."""
        what, query = request.path_params["what"], request.query_params
        if what == "facts":
            return JSONResponse(self.data.facts())
        try:
            config = query["config"]
            rows = len(self.data.labels[config])
            position, start, part = (int(query.get(name, 0)) for name in ("position", "start", "part"))
        except (KeyError, ValueError):
            return PlainTextResponse("No such address.", 404)
        if not 0 <= position < rows or start < 0:
            return PlainTextResponse("No such row.", 404)
        if what == "search":
            return JSONResponse(self.data.search(config, query.get("where", ""), start))
        if what == "row":
            return JSONResponse(self.data.row(config, position))
        if what == "part":
            found = self.data.part(config, position, part)
        else:
            found = getattr(self.data, what)(config, position) if what in CONTENT_TYPES else None
        if found is None:
            return PlainTextResponse("Not there.", 404)
        return Response(found, media_type=CONTENT_TYPES[what])


def _closed(message, headers=None):
    return PlainTextResponse(message, 403, {"Connection": "close", **(headers or {})})


class Connection(H11Protocol):
    """A connection that ends when it has asked for nothing for PATIENCE seconds, or as the oldest to make room."""

    def connection_made(self, transport):
        super().connection_made(transport)
        # Else every answer takes 40 ms more. asyncio sets it only for sockets that it made itself.
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._wait()
        if len(self.connections) > CONNECTIONS:
            oldest = min((each for each in self.connections if each.is_idle()), key=lambda each: each.since)
            self.connections.discard(oldest)
            oldest.transport.abort()

    def on_response_complete(self):
        super().on_response_complete()
        self._wait()

    def is_idle(self):
        return self.cycle is None or self.cycle.response_complete

    def _wait(self):
        self.since = self.loop.time()
        self.loop.call_later(PATIENCE, self._give_up, self.since)

    def _give_up(self, since):
        if since == self.since and self.is_idle():
            self.transport.abort()
