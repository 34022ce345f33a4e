"""The web server of `browse`, Starlette on uvicorn, and what it answers.

Connections are not counted: a limit would let the idle ones of one browser shut out all others. One that does not read
its answers holds one answer in memory and no thread, until the system ends it.
"""

import ipaddress
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from ..release.errors import CelebADialogError
from ..runtime import files
from .access import HEADERS, Access

if TYPE_CHECKING:
    from .browse import PageData

PAGE = Path(__file__).with_name("browse.html")
PATIENCE = 15  # seconds for which a connection may be idle, or its client not read
CONTENT_TYPES = {"image": "image/jpeg", "thumbnail": "image/jpeg", "mask": "application/octet-stream"}


class Server(uvicorn.Server):
    """Listens on a name or address of this machine, port 0 being any free one; answers while `run` runs.

    `address` is what to open: its token lets the browser in. `local` is whether only this machine can open it,
    `everywhere` whether it listens on all addresses. Raises OSError or UnicodeError where it cannot listen there.
    """

    def __init__(self, host: str, port: int, data: "PageData") -> None:
        family, _, _, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        both = family == socket.AF_INET6 and socket.has_dualstack_ipv6()
        self.socket = socket.create_server(place, family=family, dualstack_ipv6=both)
        # Connections inherit these options. Without the first, every answer takes 40 ms more.
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, PATIENCE * 1000)
        ip = ipaddress.ip_address(place[0])
        self.local, self.everywhere = ip.is_loopback, ip.is_unspecified
        self._access = Access(host, str(ip), self.socket.getsockname()[1])
        self.address = self._access.address
        self.data = data
        self._app = Starlette(
            routes=[Route("/", lambda _: HTMLResponse(PAGE.read_bytes())), Route("/{what}", self._answer)],
            exception_handlers={CelebADialogError: lambda _, error: JSONResponse({"error": str(error)}, 400)},
        )
        super().__init__(
            uvicorn.Config(
                self._let_in,
                interface="asgi3",
                http="h11",
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
                timeout_keep_alive=PATIENCE,
                timeout_graceful_shutdown=1,
            )
        )

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def run(self) -> None:  # type: ignore[override]
        """Answers until `should_exit` is set or the process is interrupted, which raises KeyboardInterrupt."""
        super().run([self.socket])

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for conditions in self.data.conditions.values():
            conditions.interrupt()
        await super().shutdown(sockets)

    async def _let_in(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI app."""
        try:
            await (self._access.refuse(Request(scope)) or self._app)(scope, receive, send)
        except Exception as error:  # Starlette has answered with status 500
            files.say(f"browse: {scope['path']!r}: unexpected {error!r}")

    def _answer(self, request: Request) -> Response:
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
        return Response(found, media_type=CONTENT_TYPES.get(what, "image/png")) if found else PlainTextResponse("", 404)
