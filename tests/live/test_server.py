"""The server as a browser, and as somebody who means harm, meets it: over a socket."""

import asyncio
import contextlib
import http.client
import json
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from marketsim.bench.market import sized_scenario
from marketsim.live import server as served
from marketsim.live.security import BURST, MAX_FRAME, MAX_MESSAGE
from marketsim.live.serving import AddressError, make_server, open_port, page_address
from marketsim.live.setup import Catalogue
from marketsim.report.page_text import page_files, read_page
from marketsim.report.wire import unpack
from marketsim.scenario.writer import resolved_toml

HOST = "127.0.0.1"


@pytest.fixture(scope="module")
def port():
    bound = open_port(HOST, 18_642, may_move=True)
    number = bound.getsockname()[1]
    server = make_server(Catalogue("quickstart"), 5, HOST, number)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]}, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield number
    server.should_exit = True
    thread.join(20)
    assert not thread.is_alive()


def get(port, path, host=None, method="GET"):
    connection = http.client.HTTPConnection(HOST, port, timeout=20)
    connection.putrequest(method, path, skip_host=True)
    connection.putheader("Host", host or f"{HOST}:{port}")
    connection.endheaders()
    answer = connection.getresponse()
    with contextlib.closing(connection):
        return answer, answer.read()


def talk(port, body, **options):
    """Run an async function of (socket) against the server."""

    async def main():
        given = {"origin": f"http://{HOST}:{port}", "max_size": None, **options}
        async with connect(f"ws://{HOST}:{port}/socket", **given) as line:
            return await body(line)

    # In a thread of its own: the tests in a browser leave an event loop running in this one.
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, main()).result()


async def until(line, kind, fits=lambda header: True):
    while True:
        message = unpack(await asyncio.wait_for(line.recv(), 120))
        if message.header["kind"] == kind and fits(message.header):
            return message


async def ready(line):
    return await until(line, "status", lambda header: header["busy"] is None)


async def say(line, do, **fields):
    await line.send(json.dumps({"do": do, **fields}))


def test_the_page_and_its_files_are_served(port):
    answer, body = get(port, "/")
    assert answer.status == 200
    assert answer.headers["content-type"].startswith("text/html")
    assert body == read_page("page.html").encode()
    for name in page_files():
        answer, body = get(port, f"/{name}")
        assert (answer.status, body.decode()) == (200, read_page(name))
        assert answer.headers["content-type"].split(";")[0] in ("text/css", "text/javascript")


def test_browsers_are_told_what_pages_may_do(port):
    headers = get(port, "/")[0].headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert f"ws://{HOST}:{port};" in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert "server" not in headers


@pytest.mark.parametrize(
    "path",
    [
        *("/__init__.py", "/../wire.py", "/%2e%2e/wire.py", "/..%2fwire.py", "//etc/passwd"),
        *("/etc/passwd", "/page/page.css", "/uplot.LICENSE.txt", "/socket", "/page.css/x", "/."),
    ],
)
def test_nothing_else_of_the_machine_is_served(port, path):
    answer, body = get(port, path)
    assert answer.status in (404, 307)
    assert b"import" not in body
    assert b"root:" not in body


def test_only_reading_is_allowed(port):
    assert get(port, "/", method="POST")[0].status == 405


@pytest.mark.parametrize("host", ["evil.example", "evil.example:{port}", "127.0.0.1:1"])
def test_who_calls_it_by_another_name_gets_nothing(port, host):
    answer, body = get(port, "/", host.format(port=port))
    assert answer.status == 400
    assert b"<script" not in body


@pytest.mark.parametrize("origin", [None, "http://evil.example", "null", "http://127.0.0.1:1"])
def test_pages_from_elsewhere_get_no_market(port, origin):
    with pytest.raises(InvalidStatus) as error:
        talk(port, ready, origin=origin)
    assert error.value.response.status_code == 403


def test_a_market_is_shown_and_obeys(port):
    async def body(line):
        start = await until(line, "start")
        await ready(line)
        await say(line, "step", n=5)
        steps = []
        while steps[-1:] != [5]:
            steps += (await until(line, "frames")).arrays["step"].tolist()
        return start.header, steps

    header, steps = talk(port, body)
    assert (header["scenario"], header["seed"]) == ("quickstart", 5)
    assert steps == [1, 2, 3, 4, 5]


def test_two_tabs_have_two_markets(port):
    async def body(line):
        async with connect(
            f"ws://{HOST}:{port}/socket", origin=f"http://{HOST}:{port}", max_size=None
        ) as other:
            await ready(line)
            await ready(other)
            await say(line, "step", n=3)
            await until(line, "digest")
            await say(other, "digest")
            return (await until(other, "digest")).header["step"]

    assert talk(port, body) == 0


def test_closing_the_tab_ends_its_market(port):
    def markets():
        return sum(thread.name == "market" for thread in threading.enumerate())

    async def body(line):
        await ready(line)
        await say(line, "speed", steps_per_second=0)
        await say(line, "play")
        await until(line, "frames")
        return markets()

    assert talk(port, body) == 1
    deadline = time.monotonic() + 20
    while markets() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert markets() == 0


@pytest.mark.parametrize(
    "text",
    [
        *("", "nonsense", '{"do": "eval", "code": "1"}', '{"do": "step", "n": "5"}', b"\x00\xff"),
        '{"do": "export", "what": "/etc/passwd"}',
        '{"do": "scenario", "scenario": "../../etc/passwd"}',
        '{"do": "set", "path": "populations.herd.strategy", "value": "os:system"}',
        "[" * MAX_MESSAGE,
        "x" * (MAX_MESSAGE + 1),
        "x" * (MAX_FRAME - 1),
    ],
)
def test_what_makes_no_sense_is_refused_and_the_market_goes_on(port, text):
    async def body(line):
        await ready(line)
        await line.send(text)
        refused = await until(line, "refused")
        await say(line, "step")
        frames = await until(line, "frames")
        return refused.header["message"], frames.arrays["step"].tolist()

    message, steps = talk(port, body)
    assert message
    assert steps == [1]


def test_what_is_beyond_all_measure_ends_the_connection(port):
    async def body(line):
        await ready(line)
        await line.send("x" * (MAX_FRAME + 1))
        await until(line, "refused")

    with pytest.raises(ConnectionClosed):
        talk(port, body)
    assert get(port, "/")[0].status == 200


def test_too_many_messages_are_refused_once_and_the_market_goes_on(port):
    async def body(line):
        await ready(line)
        for _ in range(3 * BURST):
            await line.send('{"do": "pause"}')
        refused = await until(line, "refused")
        await asyncio.sleep(1.5)
        await say(line, "step")
        frames = await until(line, "frames")
        return refused.header["message"], frames.arrays["step"].tolist()

    message, steps = talk(port, body)
    assert "too many messages" in message or "busy" in message
    assert steps == [1]


def test_a_market_whose_viewer_takes_nothing_waits_and_ends_with_it(port, monkeypatch):
    async def never(_):
        await asyncio.Event().wait()

    monkeypatch.setattr(served._Viewer, "_send", never)

    async def body(line):
        await say(line, "speed", steps_per_second=0)
        await say(line, "play")
        await asyncio.sleep(0.5)

    talk(port, body)
    deadline = time.monotonic() + 20
    while any(each.name == "market" for each in threading.enumerate()):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_no_more_markets_than_the_machine_holds(port, monkeypatch):
    monkeypatch.setattr(served, "MOST_SESSIONS", 0)

    async def body(line):
        await line.recv()

    with pytest.raises(ConnectionClosed) as error:
        talk(port, body)
    assert "markets are open already" in error.value.rcvd.reason


def test_a_port_in_use_is_named_and_the_next_is_taken():
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        taken.listen()
        number = taken.getsockname()[1]
        with pytest.raises(AddressError, match=f"port {number} is in use; --port "):
            open_port(HOST, number, may_move=False)
        with open_port(HOST, number, may_move=True) as bound:
            assert number < bound.getsockname()[1] < number + 20


def test_an_address_that_is_none_is_refused():
    with pytest.raises(AddressError, match=r"--host nowhere\.invalid: there is no such address"):
        open_port("nowhere.invalid", 8642, may_move=True)
    with pytest.raises(AddressError, match=r"--host 192\.0\.2\.1"):
        open_port("192.0.2.1", 8642, may_move=True)


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("127.0.0.1", "http://127.0.0.1:8642/"),
        ("::1", "http://[::1]:8642/"),
        ("0.0.0.0", "http://127.0.0.1:8642/"),
    ],
)
def test_the_address_of_the_page_can_be_opened(host, address):
    assert page_address(host, 8642) == address


@pytest.mark.slow
def test_a_hundred_thousand_accounts_leave_the_page_responsive(tmp_path):
    file = tmp_path / "large.toml"
    file.write_text(resolved_toml(sized_scenario(100_000, 1_000)))
    bound = open_port(HOST, 18_742, may_move=True)
    number = bound.getsockname()[1]
    server = make_server(Catalogue(str(file)), 1, HOST, number)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]}, daemon=True)
    thread.start()

    async def body(line):
        start = (await until(line, "start")).header
        await ready(line)
        await say(line, "speed", steps_per_second=0)
        await say(line, "play")
        frames = await until(line, "frames")
        waits = []
        for name in page_files()[:6]:
            began = time.perf_counter()
            await asyncio.to_thread(get, number, f"/{name}")
            waits.append(time.perf_counter() - began)
        began = time.perf_counter()
        await say(line, "pause")
        await until(line, "status", lambda header: not header["running"])
        return start, frames.arrays, waits, time.perf_counter() - began

    start, arrays, waits, pause = talk(number, body)
    server.should_exit = True
    thread.join(60)
    assert start["accounts"]["total"] == 100_000
    assert len(start["accounts"]["drawn"]) == 300
    assert start["sampled"] is True
    assert arrays["health"].shape[1] == 300
    assert sorted(waits)[len(waits) // 2] < 1.0
    assert pause < 5.0
