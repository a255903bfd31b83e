"""The live page against a market of messages: what each control asks for, and how answers show."""

from typing import Any

from tests.browser import invented
from tests.browser.conftest import Market, Window


def open_market(window: Window, market: Market) -> Any:
    page = window.open(market.url)
    page.keyboard.press("c")
    return page


def status(**fields: Any) -> bytes:
    return invented.message({"kind": "status", **fields})


def test_buttons_ask_for_what_they_say(window: Window, market: Market) -> None:
    page = open_market(window, market)
    for name, asked in (
        ("New seed", {"do": "new_seed"}),
        ("Reset", {"do": "reset"}),
        ("isolated", {"do": "mode", "mode": "isolated"}),
        ("Shock", {"do": "shock", "kind": "crash", "market": "BTC", "size": -0.1, "minutes": 10}),
        ("Depeg", {"do": "shock", "kind": "depeg", "size": -0.03}),
        ("Withdraw depth", {"do": "shock", "kind": "depth", "share": 0.6, "minutes": 60}),
        ("Outage", {"do": "shock", "kind": "outage", "minutes": 15}),
        ("Twins", {"do": "twins", "mode": "isolated"}),
        ("Four venues", {"do": "venues"}),
        ("One market", {"do": "single"}),
        ("What if from here", {"do": "branch", "step": 700}),
    ):
        page.locator("#controls").get_by_role("button", name=name, exact=True).click()
        market.wait_for(**asked)


def test_fields_and_sliders_ask_and_say_their_value(window: Window, market: Market) -> None:
    page = open_market(window, market)
    page.get_by_label("Seed", exact=True).fill("11")
    page.get_by_label("Seed", exact=True).press("Enter")
    market.wait_for(do="seed", seed=11)
    page.get_by_label("Scenario").select_option("october-10")
    market.wait_for(do="scenario", scenario="october-10")
    slider = page.get_by_label("Leverage of the herd", exact=True)
    slider.focus()
    slider.press("ArrowRight")
    assert market.wait_for(do="set", path="herd.leverage")["value"] == 8.5
    words = page.locator(".slider", has_text="Leverage of the herd").inner_text()
    assert "8.5 x" in words
    assert "waits for reset" in words
    assert "acts at once" in page.locator(".slider", has_text="Funding sensitivity").inner_text()


def test_keys_steer_the_market(window: Window, market: Market) -> None:
    page = window.open(market.url)
    for key, asked in (
        ("Space", {"do": "play"}),
        ("ArrowRight", {"do": "step", "n": 1}),
        ("f", {"do": "skip"}),
        ("s", {"do": "shock", "kind": "crash"}),
        ("d", {"do": "new_seed"}),
        ("r", {"do": "reset"}),
        ("b", {"do": "branch", "step": 700}),
    ):
        page.keyboard.press(key)
        market.wait_for(**asked)


def test_looking_back_then_rewinding_shows_the_earlier_state(
    window: Window, market: Market
) -> None:
    page = window.open(market.url)
    page.keyboard.press("Home")
    window.settle()
    assert "looking back; the market is at step 700" in window.text("#state")
    page.evaluate("page.app.player.seek(300)")
    page.keyboard.press("w")
    market.wait_for(do="rewind", step=300)
    market.tell(invented.frames(301, 320))
    window.until("page.app.player.last === 320")
    window.settle()
    assert "step 320" in window.text("#clock")
    assert page.evaluate("page.app.lanes[0].liqs.count") == 0


def test_a_branch_shares_the_past_and_shows_as_a_ghost(window: Window, market: Market) -> None:
    page = window.open(market.url)
    branch = {"lane": 0, "step": 500}
    market.tell(
        invented.start(1, 2, mode="isolated", source="live", **{"from": branch}),
        invented.frames(501, 700, lane=1, depth=0.03),
    )
    window.until("page.app.lanes.length === 2 && page.app.lanes[1].rows === 700")
    same = page.evaluate(
        "page.app.lanes[0].price('mark', 499, 0) === page.app.lanes[1].price('mark', 499, 0)"
    )
    assert same
    window.settle()
    assert "twin (isolated)" in window.text(".panel[data-view=prices] .legend")


def test_refusals_and_busy_are_shown_in_words(window: Window, market: Market) -> None:
    page = open_market(window, market)
    market.tell(
        status(running=False, busy="warming up kernels"),
        invented.message({"kind": "refused", "field": "shock.size", "message": "must be a number"}),
    )
    page.wait_for_selector(".refusal:not([hidden])")
    assert window.text(".refusal:not([hidden])") == "must be a number"
    window.settle()
    assert window.text("#state") == "warming up kernels"
    market.tell(
        invented.message({"kind": "refused", "field": "inspect", "message": "no such account"})
    )
    page.wait_for_selector("#alert:not([hidden])")
    assert "no such account" in window.text("#alert")


def test_a_lost_market_is_said_and_what_was_seen_stays(window: Window, market: Market) -> None:
    page = window.open(market.url)
    market.hang_up()
    page.wait_for_selector("#alert:not([hidden])")
    assert "connection to the market is lost" in window.text("#alert")
    page.keyboard.press("Home")
    window.settle()
    assert "step 1" in window.text("#clock")
    page.get_by_role("button", name="Reload").click()
    window.until("window.page?.app?.lanes[0]?.rows === 700")


def test_pointing_at_an_account_names_it(window: Window, market: Market) -> None:
    page = window.open(market.url)
    page.evaluate("page.app.stage.choose('network')")
    window.settle()
    canvas = page.locator(".column .panel[data-view=network] canvas").bounding_box()
    for x in range(0, int(canvas["width"]), 6):
        page.mouse.move(canvas["x"] + x, canvas["y"] + canvas["height"] / 2)
        if page.locator(".tip:not([hidden])").count():
            break
    assert window.text(".tip:not([hidden])")


def test_a_picked_account_is_spelled_out_by_the_market(window: Window, market: Market) -> None:
    page = window.open(market.url)
    page.evaluate("page.app.select({kind: 'account', account: 5})")
    market.wait_for(do="inspect", account=5)
    market.tell(invented.message({"kind": "account", "lane": 0, "account": 5, "lines": []}))
    window.until("page.app.lanes[0].statement && page.app.lanes[0].statement.account === 5")


def test_digest_and_command_are_shown(window: Window, market: Market) -> None:
    page = window.open(market.url)
    page.keyboard.press("e")
    market.wait_for(do="digest")
    command = "marketsim run session.toml --seed 7"
    market.tell(
        invented.message(
            {"kind": "digest", "lane": 0, "step": 700, "digest": "feed" * 16, "command": command,
             "scenario_toml": ""}
        )
    )  # fmt: skip
    window.until("document.getElementById('exports').textContent.includes('feedfeed')")
    assert command in window.text("#exports")
    page.keyboard.press("Escape")
    window.settle()
    assert "digest feedfeedfe" in window.text("#corner")
