"""A Chromium without a network, pages that it opens, and a market of messages to talk to."""

import asyncio
import contextlib
import json
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

import marketsim
from marketsim.report.page_text import whole_page
from tests.browser import invented

NO_BROWSER = "no Chromium, or no playwright to drive it"
FILES = Path(marketsim.__file__).parent / "report" / "page"
TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "connect-src 'self' ws://127.0.0.1:*"
)
SLIDE = {"width": 1280, "height": 720}
PHONE = {"width": 390, "height": 844}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker("browser")


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """Start the browser once."""
    driver = pytest.importorskip("playwright.sync_api", reason=NO_BROWSER)
    path = shutil.which("chromium")
    if path is None:
        pytest.skip(NO_BROWSER)
    with driver.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


class Window:
    """A page of the browser, what it complained of and what it asked the network for."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self.complaints: list[str] = []
        self.hosts: set[str] = set()
        page.on("console", self._hear)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", lambda request: self._ask(request.url))
        page.on("websocket", lambda line: self._ask(line.url))

    def _hear(self, said: Any) -> None:
        if said.type in ("error", "warning"):
            self.complaints.append(said.text)

    def _ask(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("file", "data", "blob"):
            self.hosts.add(parts.hostname or "")

    def open(self, url: str) -> Any:
        """Go to an address and wait until the page shows a moment."""
        self.page.goto(url)
        self.until("window.page?.app?.lanes[0]?.rows > 0")
        self.page.wait_for_selector("#corner:not(:empty)")
        return self.page

    def until(self, said: str, patience: float = 5.0) -> None:
        """Wait until an expression is true; the pages' policy forbids playwright's own way."""
        end = time.monotonic() + patience
        while not self.page.evaluate(said):
            assert time.monotonic() < end, said
            self.page.wait_for_timeout(20)

    def text(self, selector: str) -> str:
        return str(self.page.locator(selector).first.inner_text())

    def settle(self) -> None:
        """Let the page draw what was asked for: a few of its frames, however slow they are."""
        self.page.wait_for_timeout(120)
        for _ in range(3):
            self.page.evaluate("new Promise(requestAnimationFrame)")


@pytest.fixture
def window(chromium: Any) -> Iterator[Window]:
    """Open an empty window; at the end nothing was complained of, and no one was called."""
    context = chromium.new_context(viewport=SLIDE)
    made = Window(context.new_page())
    yield made
    context.close()
    assert made.complaints == []
    assert made.hosts <= {"127.0.0.1"}


@pytest.fixture(scope="session")
def replay(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Write a replay of the invented market; return its address."""
    path = tmp_path_factory.mktemp("replay") / "invented.html"
    path.write_text(whole_page(invented.packed(invented.recording()), "invented"), encoding="utf-8")
    return path.as_uri()


class Market:
    """A server that sends what a test says and keeps what the page asks for."""

    def __init__(self, greeting: list[bytes]) -> None:
        self.greeting = greeting
        self.asked: list[dict[str, Any]] = []
        self.url = ""
        self._lines: list[WebSocket] = []
        self._loop: asyncio.AbstractEventLoop | None = None

    async def socket(self, line: WebSocket) -> None:
        await line.accept()
        self._loop = asyncio.get_running_loop()
        self._lines.append(line)
        for message in self.greeting:
            await line.send_bytes(message)
        with contextlib.suppress(WebSocketDisconnect):
            while True:
                self.asked.append(json.loads(await line.receive_text()))

    def tell(self, *messages: bytes) -> None:
        """Send messages to the page."""
        assert self._loop is not None
        for message in messages:
            done = asyncio.run_coroutine_threadsafe(self._lines[-1].send_bytes(message), self._loop)
            done.result(5)

    def hang_up(self) -> None:
        assert self._loop is not None
        asyncio.run_coroutine_threadsafe(self._lines[-1].close(), self._loop).result(5)

    def wait_for(self, **wanted: Any) -> dict[str, Any]:
        """Return the next message that has these fields, and drop all up to it."""
        until = time.monotonic() + 5
        while time.monotonic() < until:
            for n, message in enumerate(self.asked):
                if message.items() >= wanted.items():
                    del self.asked[: n + 1]
                    return message
            time.sleep(0.01)
        pytest.fail(f"asked for {self.asked}, not for {wanted}")


def serve_file(request: Request) -> Response:
    """Send one of the page's files under the policy of the live page."""
    path = FILES / (request.path_params.get("name") or "page.html")
    return Response(
        path.read_bytes(),
        media_type=TYPES[path.suffix],
        headers={"Content-Security-Policy": POLICY},
    )


@contextlib.contextmanager
def serving(server: uvicorn.Server, bound: socket.socket) -> Iterator[None]:
    """Let a server run beside the test."""
    thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]}, daemon=True)
    thread.start()
    yield
    server.should_exit = True
    thread.join(5)


@pytest.fixture
def market() -> Iterator[Market]:
    """Start a market of messages on a free port."""
    made = Market([invented.start(source="live"), invented.frames(1, 700)])
    routes = [
        Route("/", serve_file),
        Route("/{name}", serve_file),
        WebSocketRoute("/socket", made.socket),
    ]
    config = uvicorn.Config(Starlette(routes=routes), log_level="error", ws="websockets-sansio")
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        bound.listen()
        made.url = f"http://127.0.0.1:{bound.getsockname()[1]}/"
        with serving(uvicorn.Server(config), bound):
            yield made
