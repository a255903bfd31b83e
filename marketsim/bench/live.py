"""The live workload: steps a second that a viewer sees, frames a browser draws, a replay's size.

Lines of three kinds. *live*: a market of 1,000 traders, shown as fast as it is drawn, on one core
together with the browser; `steps_per_s` and `frames_per_s` by the wall. *drawn*: frames a second of
a replay with 300 accounts drawn, in the midst of a cascade with `burning` cells in sight. *replay*:
bytes of the file of 5,000 steps, three markets and 300 drawn accounts, and of one with a ghost.

The browser is a headless `chromium` without a graphics card, driven by `playwright`. Without them
the first line is of a reader that draws nothing, its `system` says so, and the second is left out.
"""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from marketsim.bench.market import SEED, sized_scenario
from marketsim.bench.measure import peak_rss_mb, show
from marketsim.live.serving import make_server, open_port, page_address
from marketsim.live.setup import Catalogue
from marketsim.report.drawn import choose_drawn
from marketsim.report.replay import Recorded, Source, replay_page, watch
from marketsim.report.wire import unpack
from marketsim.run.simulation import Simulation
from marketsim.scenario.loader import load_scenario
from marketsim.scenario.writer import resolved_toml

NUM_ACCOUNTS = 1_000
STEPS = 5_000
#: Seconds that are counted, after as many that are not.
SECONDS = 10.0
#: The cascade that is drawn: a shock of `contagion` with a larger crowd, and where it burns.
CROWD, BURNING_FROM, BURNING_TO = 6_000, 715, 760
_PORT = 18_700
_COUNT = """() => {
  const { stage } = page.app, draw = stage.update.bind(stage);
  window.drawn = 0;
  stage.update = (now) => { draw(now); window.drawn += 1; };
}"""


def bench(accounts: int | None, steps: int | None) -> None:
    """Make the measurements, each in a process of its own, and print their lines.

    Parameters
    ----------
    accounts, steps : int, optional
        Traders of the live market, and steps of the replay; their own sizes by default.
    """
    for what, size in (
        ("live", accounts or NUM_ACCOUNTS),
        ("drawn", CROWD),
        ("replay", steps or STEPS),
    ):
        code = f"from marketsim.bench.live import measure; measure(*{json.dumps([what, size])})"
        subprocess.run([sys.executable, "-c", code], check=True)


def measure(what: str, size: int) -> None:
    """Make one measurement in this process and print its lines."""
    {"live": _live, "drawn": _drawn, "replay": _replay}[what](size)


def _live(num_accounts: int) -> None:
    if hasattr(os, "sched_setaffinity"):  # one core for all, the browser's processes too
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    scenario = sized_scenario(num_accounts, STEPS)
    with tempfile.TemporaryDirectory(prefix="marketsim-bench-") as folder:
        file = Path(folder) / "bench.toml"
        file.write_text(resolved_toml(scenario), encoding="utf-8")
        with _server(str(file)) as address, _window() as window:
            figures = _watch_drawn(window, address) if window else _watch_alone(address)
    line = {"workload": "live", "num_accounts": num_accounts, "num_markets": len(scenario.markets)}
    show(line | figures | {"peak_rss_mb": peak_rss_mb()})


@contextlib.contextmanager
def _server(scenario: str) -> Iterator[str]:
    """Serve a scenario from a thread; yield the page's address."""
    bound = open_port("127.0.0.1", _PORT, may_move=True)
    port = bound.getsockname()[1]
    server = make_server(Catalogue(scenario), SEED, "127.0.0.1", port)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]})
    thread.start()
    try:
        yield page_address("127.0.0.1", port)
    finally:
        server.should_exit = True
        thread.join()


@contextlib.contextmanager
def _window() -> Iterator[Any]:
    """Open a browser's window; None where there is no browser, or nothing to drive it."""
    path = shutil.which("chromium")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        path = None
    if path is None:
        yield None
        return
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser.new_page(viewport={"width": 1280, "height": 720})
        browser.close()


def _opened(window: Any, address: str) -> None:
    window.goto(address)
    while not window.evaluate("Boolean(window.page?.app?.lanes[0])"):
        window.wait_for_timeout(50)
    window.evaluate(_COUNT)


def _counted(window: Any) -> dict[str, float]:
    """Count steps and frames of a page that plays."""
    window.wait_for_timeout(1e3 * SECONDS)
    counts = "[page.app.lanes[0].lastStep, window.drawn]"
    began, before = time.perf_counter(), window.evaluate(counts)
    window.wait_for_timeout(1e3 * SECONDS)
    after, spent = window.evaluate(counts), time.perf_counter() - began
    steps, frames = ((b - a) / spent for a, b in zip(before, after, strict=True))
    return {"steps_per_s": round(steps, 1), "frames_per_s": round(frames, 1)}


def _watch_drawn(window: Any, address: str) -> dict[str, Any]:
    _opened(window, address)
    window.evaluate("page.app.player.setPace('0')")
    window.evaluate("page.app.player.toggle()")
    return {"system": "one core with a browser", **_counted(window)}


def _watch_alone(address: str) -> dict[str, Any]:
    from websockets.sync.client import connect
    from websockets.typing import Origin

    socket = address.replace("http", "ws") + "socket"
    with connect(socket, origin=Origin(address.rstrip("/")), max_size=None) as line:
        for do in ('{"do": "speed", "steps_per_second": 0}', '{"do": "play"}'):
            line.send(do)
        steps, began = 0, 0.0
        while not began or time.perf_counter() < began + SECONDS:
            message = unpack(line.recv(decode=False))
            if message.header["kind"] == "frames":
                steps += len(message.arrays["step"]) if began else 0
                began = began or time.perf_counter()
    return {"system": "one core, nothing drawn", "steps_per_s": round(steps / SECONDS, 1)}


def _drawn(crowd: int) -> None:
    with _window() as window, tempfile.TemporaryDirectory(prefix="marketsim-bench-") as folder:
        if window is None:
            return
        changes = [("populations.crowd.count", str(crowd)), ("days", "open")]
        recorded = _recorded(Simulation(load_scenario("contagion", changes), SEED), BURNING_TO + 60)
        file = Path(folder) / "burning.html"
        file.write_text(replay_page([recorded], 2**30), encoding="utf-8")
        _opened(window, file.as_uri())
        window.evaluate(f"page.app.player.seek({BURNING_FROM})")
        window.evaluate("page.app.player.setPace('2')")
        window.evaluate("page.app.player.toggle()")
        figures = _counted(window)
    arrays = recorded.frames.arrays
    burnt = (arrays["liq_step"] >= BURNING_FROM) & (arrays["liq_step"] <= BURNING_TO)
    del figures["steps_per_s"]
    line = {"workload": "live", "system": "drawn", "num_accounts": crowd}
    line |= {"accounts_drawn": arrays["health"].shape[1], "burning": int(burnt.sum())}
    show(line | figures)


def _replay(steps: int) -> None:
    recorded = []
    for lane, mode in enumerate(("cross", "isolated")):
        changes = [("days", "open"), ("populations.herd.margin_mode", mode)]
        run = Simulation(load_scenario("october-10", changes), SEED)
        recorded.append(_recorded(run, steps, mode, lane))
    for system, shown in (("replay", recorded[:1]), ("replay with a ghost", recorded)):
        began = time.perf_counter()
        size = len(replay_page(shown).encode())
        drawn = shown[0].start.header["accounts"]["drawn"]
        line = {"workload": "live", "system": system, "steps": steps, "bytes": size}
        line |= {"accounts_drawn": len(drawn)}
        show(line | {"wall_s": round(time.perf_counter() - began, 2)})


def _recorded(run: Simulation, steps: int, label: str = "bench", lane: int = 0) -> Recorded:
    source = Source(label, "not added up", "marketsim bench live", "")
    return watch(run, steps, choose_drawn(run.roster), source, lane)
