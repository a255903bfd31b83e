"""The live page with a market that runs behind it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from marketsim.cli import app
from marketsim.live.serving import make_server, open_port, page_address
from marketsim.live.setup import Catalogue
from tests.browser.conftest import Window, serving

#: Seconds; kernels may have to be compiled first, beside other work.
PATIENCE = 600.0


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    bound = open_port("127.0.0.1", 18_700, may_move=True)
    port = bound.getsockname()[1]
    bound.listen()
    with bound, serving(make_server(Catalogue("contagion"), 3, "127.0.0.1", port), bound):
        yield page_address("127.0.0.1", port)


@pytest.fixture
def running(window: Window, address: str) -> Any:
    """A page whose market has made no step yet."""
    page = window.page
    page.goto(address)
    window.until("window.page?.app?.lanes.length === 1", PATIENCE)
    page.evaluate("page.app.player.setPace('0')")
    return page


def go_to(window: Window, step: int) -> None:
    """Let the market run to a step."""
    window.page.evaluate(f"page.app.player.step({step} - page.app.player.edge)")
    window.until(f"page.app.lanes.every((lane) => lane.lastStep === {step})", PATIENCE)
    window.settle()


def strike(window: Window) -> None:
    """Press the shock button: BTC falls by a fifth."""
    page = window.page
    page.keyboard.press("c")
    for part, value in (("Size", "-20"), ("Within", "1")):
        page.get_by_label(f"Shock: {part}").fill(value)
    page.locator("#controls").get_by_role("button", name="Shock", exact=True).click()
    window.until("page.app.status.interventions?.length === 1", PATIENCE)
    page.keyboard.press("c")


def words(window: Window, view: str) -> str:
    """Return what a picture says of itself."""
    window.page.evaluate(f"page.app.stage.choose('{view}')")
    window.settle()
    picture = window.page.locator(f".column .panel[data-view={view}] [role=img]")
    return str(picture.get_attribute("aria-label"))


def test_pictures_say_that_nothing_has_begun(window: Window, running: Any) -> None:
    said = running.locator(".panel .before:not(:empty)")
    assert said.all_inner_texts() == ["Not begun: Space lets it run."] * 2
    go_to(window, 3)
    assert said.count() == 0


def test_a_shock_shows_everywhere_and_a_rewind_undoes_it(window: Window, running: Any) -> None:
    go_to(window, 330)
    before = running.evaluate("page.app.lanes[0].liqs.count")
    quiet = {view: words(window, view) for view in ("network", "tree")}
    strike(window)
    go_to(window, 345)
    count = running.evaluate("page.app.lanes[0].liqs.count")
    assert count > before + 50
    assert f"{count:,} liquidations" in window.text("[data-monitor=liquidated] .note")
    for view, said in quiet.items():
        assert words(window, view) != said
    assert window.text("#sentence") == "crash of BTC -20.0%"
    running.evaluate("page.app.player.seek(320)")
    running.keyboard.press("w")
    window.until("page.app.player.last === 320", PATIENCE)
    assert running.evaluate("page.app.lanes[0].liqs.count") <= before
    window.until("page.app.status.interventions.length === 0", PATIENCE)


def test_a_branch_differs_only_by_its_change(window: Window, running: Any) -> None:
    go_to(window, 20)
    running.evaluate("page.app.player.seek(10)")
    change = {"path": "populations.crowd.leverage", "value": 40}
    running.evaluate(f"page.app.player.branch({json.dumps(change)})")
    window.until("page.app.lanes.length === 2 && page.app.lanes[1].rows > 0", PATIENCE)
    go_to(window, 30)
    marks = "[...page.app.lanes[{}].frames.mark.slice(0, 30 * page.app.lanes[0].M)]"
    old, new = (running.evaluate(marks.format(lane)) for lane in (0, 1))
    assert old[: 10 * 3] == new[: 10 * 3]
    assert old[10 * 3 :] != new[10 * 3 :]
    assert "twin (" in window.text(".panel[data-view=prices] .legend")


def test_twins_are_two_markets_from_one_seed(window: Window, running: Any) -> None:
    running.keyboard.press("c")
    running.get_by_label("Margin mode of the twin").select_option("isolated")
    running.get_by_role("button", name="Twins").click()
    window.until("page.app.lanes.length === 2", PATIENCE)
    go_to(window, 20)
    seeds = running.evaluate("page.app.lanes.map((lane) => lane.header.seed)")
    assert seeds == [3, 3]
    titles = running.locator(".panel[data-view=network] h2").all_inner_texts()
    assert len(titles) == 2
    assert "isolated: Network" in titles
    index = "[...page.app.lanes[{}].frames.index.slice(0, 3)]"
    assert running.evaluate(index.format(0)) == running.evaluate(index.format(1))


def test_what_is_taken_away_repeats_what_was_seen(
    window: Window, running: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_to(window, 20)
    strike(window)
    go_to(window, 40)
    running.keyboard.press("e")
    window.until("page.app.digests[0].step === 40", PATIENCE)
    digest, command = running.evaluate("[page.app.digests[0].digest, page.app.digests[0].command]")
    assert digest in window.text("#exports")
    for name in ("Scenario (TOML)", "Series (CSV)", "Replay (HTML)"):
        with running.expect_download(timeout=PATIENCE * 1000) as saved:
            running.get_by_role("button", name=name).click()
        saved.value.save_as(tmp_path / saved.value.suggested_filename)
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, [*command.split()[1:], "--out", "again", "--quiet"])
    assert done.exit_code == 0, done.output
    assert json.loads((tmp_path / "again" / "run.json").read_text())["digest"] == digest
    (replay,) = tmp_path.glob("*.html")
    page = window.open(replay.as_uri())
    page.evaluate("page.app.player.seek(40)")
    window.settle()
    assert digest[:10] in window.text("#corner")
