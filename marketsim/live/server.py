"""The page's server: a few files, and one websocket whose every connection has its own market."""

import asyncio
import contextlib
import threading

from starlette.applications import Starlette
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect

from marketsim.live.commands import RefusedError, read_command
from marketsim.live.security import HEADERS, Allowance, Doorkeeper
from marketsim.live.session import ClosedError, Session
from marketsim.live.setup import Catalogue, Setup
from marketsim.report.page_text import PAGE, page_files, read_page
from marketsim.report.wire import Message as Recording
from marketsim.report.wire import pack

#: Markets at once: each takes a thread and memory.
MOST_SESSIONS = 8
#: Messages that wait for a slow browser; then its market waits too.
MOST_UNSENT = 8
#: Seconds after which a waiting market looks whether its viewer has gone.
PATIENCE = 0.5
#: Why a websocket is closed: try again later.
TRY_LATER = 1013
_TYPES = {"html": "text/html", "css": "text/css", "js": "text/javascript"}


def make_app(catalogue: Catalogue, seed: int, door: Doorkeeper) -> Starlette:
    """Make the application.

    Parameters
    ----------
    catalogue : Catalogue
        The scenarios that may be shown.
    seed : int
        Of the market that is shown first.
    door : Doorkeeper
    """
    names = {PAGE, *page_files()}
    sessions: set[Session] = set()

    async def file(request: Request) -> Response:
        name = request.path_params.get("name", PAGE)
        if name not in names:
            return PlainTextResponse("not found", 404)
        return Response(read_page(name), media_type=_TYPES[name.rpartition(".")[2]])

    async def socket(websocket: WebSocket) -> None:
        await websocket.accept()
        if len(sessions) >= MOST_SESSIONS:
            text = f"{MOST_SESSIONS} markets are open already: close a tab"
            await websocket.close(TRY_LATER, text)
            return
        await _Viewer(websocket).serve(sessions, catalogue, Setup(catalogue.first, seed))

    routes = [Route("/", file), Route("/{name}", file), WebSocketRoute("/socket", socket)]
    app = Starlette(routes=routes)
    app.add_middleware(_Door, door=door)
    return app


class _Door:
    """Lets in who names this server, and tells browsers what its pages may do."""

    def __init__(self, app: ASGIApp, door: Doorkeeper) -> None:
        self._app, self._door = app, door

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        host = headers.get("host")
        if scope["type"] == "websocket":
            if self._door.admits_host(host) and self._door.admits_origin(headers.get("origin")):
                await self._app(scope, receive, send)
            else:
                await send({"type": "websocket.close", "code": 1008})  # before it is accepted: 403
            return

        async def dressed(message: Message) -> None:
            if message["type"] == "http.response.start":
                out = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    out[name] = value.replace("{host}", host or "")
            await send(message)

        if self._door.admits_host(host):
            await self._app(scope, receive, dressed)
        else:
            answer = PlainTextResponse("this server is not called by that name", 400)
            host = None
            await answer(scope, receive, dressed)


class _Viewer:
    """A connection: commands in, messages out, and no more of these than it takes."""

    def __init__(self, websocket: WebSocket) -> None:
        self._websocket = websocket
        self._loop = asyncio.get_running_loop()
        self._unsent: asyncio.Queue[bytes] = asyncio.Queue(MOST_UNSENT)
        self._is_gone = threading.Event()
        self._allowance = Allowance()
        self._is_told = False  # that it sends too much

    async def serve(self, sessions: set[Session], catalogue: Catalogue, setup: Setup) -> None:
        session = Session(catalogue, setup, self._put)
        sessions.add(session)
        thread = threading.Thread(target=session.run, name="market", daemon=True)
        thread.start()
        sender = asyncio.create_task(self._send())
        try:
            await self._receive(session)
        except WebSocketDisconnect:
            pass
        finally:
            self._is_gone.set()
            session.close()
            sender.cancel()
            with contextlib.suppress(asyncio.CancelledError, WebSocketDisconnect, RuntimeError):
                await sender
            await asyncio.to_thread(thread.join)
            sessions.discard(session)

    async def _receive(self, session: Session) -> None:
        while True:
            message = await self._websocket.receive()
            if message["type"] == "websocket.disconnect":
                return
            if not self._allowance.take():
                self._complain("too many messages: those of the last moment were not read")
                continue
            self._is_told = False
            try:
                command = read_command(message.get("text") or message.get("bytes") or "")
            except RefusedError as error:
                self._refuse(error.field, str(error))
                continue
            if not session.submit(command):
                self._complain("the market is busy: this was not done")

    def _complain(self, text: str) -> None:
        if not self._is_told:
            self._is_told = True
            self._refuse("", text)

    def _refuse(self, field: str, text: str) -> None:
        with contextlib.suppress(asyncio.QueueFull):  # it does not read what it is told
            header = {"kind": "refused", "field": field, "message": text}
            self._unsent.put_nowait(pack(Recording(header)))

    async def _send(self) -> None:
        while True:
            await self._websocket.send_bytes(await self._unsent.get())

    def _put(self, data: bytes) -> None:
        """Wait until there is room for a message; called by the market's thread."""
        coroutine = self._unsent.put(data)
        try:
            waiting = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        except RuntimeError:  # the server has ended
            coroutine.close()
            raise ClosedError from None
        while not self._is_gone.is_set():
            with contextlib.suppress(TimeoutError):
                waiting.result(PATIENCE)
                return
        waiting.cancel()
        raise ClosedError
