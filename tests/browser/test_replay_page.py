"""A replay as one opens it: by double click, without a network."""

from typing import Any

import pytest

from marketsim.report.page_text import whole_page
from tests.browser import invented
from tests.browser.conftest import PHONE, Window

LAST = 1200


def test_it_opens_scrubs_and_ends_on_the_numbers(window: Window, replay: str) -> None:
    page = window.open(replay)
    assert "step 1" in window.text("#clock")
    page.evaluate(f"page.app.player.seek({LAST})")
    window.settle()
    assert f"step {LAST:,}" in window.text("#clock")
    usd = sum(1e5 * (1 + n % 5) for n in range(40))
    assert window.text("[data-monitor=liquidated] .value") == f"${usd / 1e6:.1f}M"
    assert "40 liquidations" in window.text("[data-monitor=liquidated] .note")
    bar = page.locator("#scrub").bounding_box()
    page.mouse.click(bar["x"] + bar["width"] * 0.25, bar["y"] + 10)
    window.settle()
    assert page.evaluate("page.app.time") == pytest.approx(LAST / 4, abs=5)
    assert "0 liquidations" in window.text("[data-monitor=liquidated] .note")


def test_corner_names_seed_digest_and_sample(window: Window, replay: str) -> None:
    window.open(replay)
    corner = window.text("#corner")
    assert "seed 7" in corner
    assert "digest ab12cd34ab" in corner
    assert "sample of 60 of 100,000 accounts" in corner


def test_skip_runs_to_the_first_liquidation_and_slows_there(window: Window, replay: str) -> None:
    page = window.open(replay)
    page.evaluate("page.app.player.seek(481)")
    page.keyboard.press("f")
    window.until("page.app.time >= 601")
    assert page.evaluate("page.app.player.speed()") < 10
    assert window.text("#state") == "playing"
    assert window.text("#sentence") == "The first pool is sold."


def test_everything_by_keyboard(window: Window, replay: str) -> None:
    page = window.open(replay)
    for keys, said in (
        ("ArrowRight", "page.app.time === 2"),
        ("Shift+ArrowRight", "page.app.time === 32"),
        ("ArrowLeft", "page.app.time === 31"),
        ("PageDown", "page.app.time === 600"),
        ("End", f"page.app.time === {LAST}"),
        ("Home", "page.app.time === 1"),
        ("m", "page.app.market === 1"),
        ("2", "page.app.view === page.app.stage.tabs[1].dataset.view"),
        ("]", "page.app.span === 12"),
        ("n", "!document.getElementById('notes').hidden"),
        ("c", "!document.getElementById('controls').hidden"),
        ("t", "document.documentElement.dataset.scheme === 'dark'"),
        ("k", "page.app.sound.on"),
        ("?", "document.getElementById('help').open"),
        ("Escape", "!document.getElementById('help').open"),
        ("e", "document.getElementById('exports').open"),
    ):
        page.keyboard.press(keys)
        assert page.evaluate(said), keys


def test_choices_of_the_player_change_what_is_shown(window: Window, replay: str) -> None:
    page = window.open(replay)
    page.get_by_label("Pace", exact=True).select_option("30")
    assert page.evaluate("page.app.player.speed()") == 30
    page.get_by_label("Time shown", exact=True).select_option("1")
    assert page.evaluate("page.app.window()[1] - page.app.window()[0]") == 60
    page.get_by_role("button", name="ETH", exact=True).click()
    window.settle()
    assert window.text(".panel[data-view=prices] h2") == "ETH price, USD"
    page.get_by_role("button", name="All", exact=True).click()
    window.settle()
    assert window.text(".panel[data-view=prices] h2") == "Change since the left edge"
    page.get_by_role("button", name="Insurance fund").click()
    window.settle()
    assert window.text(".column .panel:last-child h2") == "Insurance fund"
    page.get_by_role("button", name="Play (space)").click()
    window.until("page.app.time > 1")
    assert window.text("#state") == "playing"


def test_tab_reaches_every_button_and_focus_is_seen(window: Window, replay: str) -> None:
    page = window.open(replay)
    reached = set()
    for _ in range(60):
        page.keyboard.press("Tab")
        found = page.evaluate(
            "(() => { const e = document.activeElement;"
            " return [e.id || e.getAttribute('aria-label') || e.textContent,"
            " getComputedStyle(e).outlineStyle] })()"
        )
        if found[0] in reached or page.evaluate("document.activeElement === document.body"):
            break
        reached.add(found[0])
        assert found[1] == "solid", found
    for wanted in ("tool-help", "tool-controls", "scrub", "Play (space)", "Pace", "BTC"):
        assert wanted in reached


def test_guess_stays_beside_the_outcome(window: Window, replay: str) -> None:
    page = window.open(replay)
    page.evaluate("page.app.player.seek(590)")
    page.keyboard.press("g")
    window.settle()
    for _ in range(10):
        page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    guess = page.evaluate("page.app.guess.price")
    page.evaluate(f"page.app.player.seek({LAST})")
    window.settle()
    sentence = window.text("#guess")
    assert f"The guess was ${guess:,.0f}." in sentence
    assert "below the guess" in sentence


def test_dragging_sets_the_guess(window: Window, replay: str) -> None:
    page = window.open(replay)
    page.evaluate("page.app.player.seek(590)")
    page.keyboard.press("g")
    window.settle()
    before = page.evaluate("page.app.guess.price")
    over = page.locator(".panel[data-view=prices] .u-over").bounding_box()
    page.mouse.move(over["x"] + 50, over["y"] + 50)
    page.mouse.down()
    page.mouse.move(over["x"] + 50, over["y"] + over["height"] - 4)
    page.mouse.up()
    assert page.evaluate("page.app.guess.price") < before
    assert not page.evaluate("page.app.guessing.asking")


def test_pictures_and_series_are_saved(window: Window, replay: str) -> None:
    page = window.open(replay)
    page.evaluate(f"page.app.player.seek({LAST})")
    window.settle()
    page.keyboard.press("e")
    with page.expect_download() as saved:
        page.get_by_role("button", name="BTC price, USD").click()
    assert saved.value.suggested_filename == "invented-seed7-prices.png"
    assert saved.value.path().read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    with page.expect_download() as saved:
        page.get_by_role("button", name="Series (CSV)").click()
    lines = saved.value.path().read_text().splitlines()
    assert len(lines) == 1 + 3 * LAST
    with page.expect_download() as saved:
        page.get_by_role("button", name="Scenario (TOML)").click()
    assert saved.value.path().read_text() == 'name = "invented"\n'


def test_every_picture_draws_and_says_what_it_shows(window: Window, replay: str) -> None:
    page = window.open(replay)
    page.evaluate("page.app.player.seek(625)")
    ids = page.evaluate("[...page.views, ...page.charts.kinds].map((each) => each.id)")
    for name in ids:
        page.evaluate(f"page.app.stage.choose('{name}')")
        window.until(
            f"document.querySelector('.column .panel[data-view=\"{name}\"] canvas')?.width > 100"
        )
        window.settle()
        said = page.evaluate(
            f"document.querySelector('.column .panel[data-view=\"{name}\"] [role=img]')"
            ".getAttribute('aria-label')"
        )
        assert len(said.split()) > 3, name


@pytest.mark.parametrize(
    "size", [{"width": 1280, "height": 720}, {"width": 1920, "height": 1080}, PHONE]
)
def test_nothing_scrolls(window: Window, replay: str, size: dict[str, int]) -> None:
    window.page.set_viewport_size(size)
    page = window.open(replay)
    page.evaluate("page.app.player.seek(625)")
    window.settle()
    found = page.evaluate(
        "[document.documentElement.scrollWidth, document.documentElement.scrollHeight]"
    )
    assert found == [size["width"], size["height"]]
    cut = page.evaluate(
        "[...document.querySelectorAll('.value, .words h2')].filter("
        "(each) => each.scrollWidth > each.clientWidth + 1 && each.clientWidth).map("
        "(each) => each.textContent)"
    )
    assert cut == []


def test_a_ghost_is_labelled_in_dollars_and_turns_into_two_columns(
    window: Window, tmp_path: Any
) -> None:
    path = tmp_path / "twins.html"
    recording = invented.recording(steps=800, lanes=2)
    path.write_text(whole_page(invented.packed(recording), "twins"), encoding="utf-8")
    page = window.open(path.as_uri())
    page.evaluate("page.app.player.seek(640)")
    window.settle()
    assert "below the twin" in window.text(".panel[data-view=prices] .gap")
    page.keyboard.press("l")
    window.settle()
    titles = page.locator(".panel[data-view=prices] h2").all_inner_texts()
    assert titles == ["cross: BTC, USD", "isolated: BTC, USD"]


def test_hostile_names_are_only_text(window: Window, tmp_path: Any) -> None:
    evil = "<img src=x onerror=window.hit=1></script><script>window.hit=1</script>"
    facts = {"scenario": evil, "label": evil, "mode": evil, "markets": [evil] * 3, "limits": [evil],
             "populations": [evil] * 3, "command": evil}  # fmt: skip
    path = tmp_path / "evil.html"
    recording = [invented.start(**facts), invented.frames(1, 650), invented.chapters()]
    path.write_text(whole_page(invented.packed(recording), evil), encoding="utf-8")
    page = window.open(path.as_uri())
    for key in ("c", "?"):
        page.keyboard.press(key)
        window.settle()
    assert page.evaluate("window.hit") is None
    assert evil in window.text("#scenario")


def test_a_recording_that_cannot_be_shown_says_why(window: Window, tmp_path: Any) -> None:
    path = tmp_path / "bad.html"
    for data, words in (
        (invented.packed([invented.start()]), "This recording is empty"),
        ("AAAA", "damaged"),
    ):
        path.write_text(whole_page(data, "bad"), encoding="utf-8")
        window.page.goto(path.as_uri())
        window.page.wait_for_selector("#alert:not([hidden])")
        assert words in window.text("#alert")
    window.page.add_init_script("delete window.DecompressionStream")
    window.page.goto(path.as_uri())
    assert "lacks DecompressionStream" in window.text("#alert")


def test_text_has_the_contrast_of_wcag_aa(window: Window, replay: str) -> None:
    page = window.open(replay)
    page.evaluate("page.app.player.seek(625)")
    page.keyboard.press("c")
    for _ in range(2):
        window.settle()
        assert page.evaluate(CONTRASTS) == []
        page.keyboard.press("t")


#: Texts whose contrast to what lies behind them is below 4.5.
CONTRASTS = """
(() => {
  const parts = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const linear = (c) => (c / 255 <= 0.03928 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4);
  const light = (c) => 0.2126 * linear(c[0]) + 0.7152 * linear(c[1]) + 0.0722 * linear(c[2]);
  const behind = (element) => {
    for (let each = element; each; each = each.parentElement) {
      const colour = parts(getComputedStyle(each).backgroundColor);
      if (colour.length < 4 || colour[3] > 0) return colour;
    }
    return [255, 255, 255];
  };
  const poor = [];
  for (const element of document.querySelectorAll("body *")) {
    const own = [...element.childNodes].some((each) => each.nodeType === 3 && each.data.trim());
    if (!own || !element.getClientRects().length) continue;
    if (element.matches(":disabled, script, noscript")) continue;
    const [one, other] = [light(parts(getComputedStyle(element).color)), light(behind(element))];
    const contrast = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
    if (contrast < 4.5) poor.push([element.className, element.textContent.slice(0, 30), contrast]);
  }
  return poor;
})()
"""
