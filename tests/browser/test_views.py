"""The canvas views: they draw, say what is true, and know what lies under the pointer."""

import base64
from typing import Any

import numpy as np
import pytest

from marketsim.report.drawn import choose_drawn
from marketsim.report.page_text import whole_page
from marketsim.report.replay import Recorded, Source, replay_page, watch
from marketsim.report.wire import Message, pack, unpack
from marketsim.run.simulation import Simulation
from marketsim.scenario.loader import load_scenario
from tests.browser import invented
from tests.browser.conftest import Window

VIEWS = {"funding", "fire", "network", "tree", "dial", "vessels", "inspector"}
#: Before, in and after the invented cascade.
MOMENTS = (1, 605.5, 1200)
SHOCK, END = 600, 640

#: A canvas of its own for each size, and a view on it as the page would ask for it.
HELPERS = """
window.stage = {
  canvases: {},
  area(size, time, more) {
    const [width, height] = size;
    const canvas = this.canvases[size] || (this.canvases[size] = document.createElement("canvas"));
    if (canvas.width !== width) [canvas.width, canvas.height] = [width, height];
    const context = canvas.getContext("2d", { willReadFrequently: true });
    return { context, width, height, theme: page.theme, lane: page.app.lanes[0], other: null, time,
      live: false, reduced: false, select() {}, selected: null, ...more };
  },
  view: (id) => page.views.find((view) => view.id === id),
  draw(id, size, time, more) {
    const area = this.area(size, time, more);
    this.view(id).draw(area);
    return area;
  },
  text(id, time, more) {
    return this.view(id).text(this.area([620, 400], time, more));
  },
  pixels(area) {
    return new Uint32Array(area.context.getImageData(0, 0, area.width, area.height).data.buffer);
  },
  colours(area) {
    const pixels = stage.pixels(area);
    const found = new Set();
    for (let i = 0; i < pixels.length; i += 31) found.add(pixels[i]);
    return found.size;
  },
  picks(id, size, time, more) {
    const area = this.draw(id, size, time, more);
    const found = [];
    for (let y = 1; y < area.height; y += 6) {
      for (let x = 1; x < area.width; x += 6) {
        const what = this.view(id).pick && this.view(id).pick(area, x, y);
        if (what) found.push({ x, y, ...what });
      }
    }
    return found;
  },
}
"""


@pytest.fixture
def stage(window: Window, replay: str) -> Any:
    """Open the replay of the invented market, with the helpers."""
    page = window.open(replay)
    page.evaluate(HELPERS)
    return page


def said(stage: Any, view: str, time: float, **more: Any) -> str:
    return str(
        stage.evaluate("([id, time, more]) => stage.text(id, time, more)", [view, time, more])
    )


def picks(stage: Any, view: str, time: float, size: tuple[int, int] = (620, 400)) -> Any:
    return stage.evaluate("([id, size, time]) => stage.picks(id, size, time)", [view, size, time])


def draw_all(page: Any, moments: tuple[float, ...]) -> list[str]:
    """Draw every view at all sizes, schemes and moments; return what is wrong."""
    return list(
        page.evaluate(
            """(moments) => {
              const wrong = [];
              for (const scheme of ["light", "dark"]) {
                page.theme.setScheme(scheme);
                for (const view of page.views) {
                  for (const size of [[620, 400], [390, 330], [1600, 900], [580, 100]]) {
                    for (const time of moments) {
                      const area = stage.draw(view.id, size, time, { reduced: scheme === "dark" });
                      const where = [view.id, size, time, scheme].join(" ") + ": ";
                      if (stage.colours(area) < 3) wrong.push(where + "blank");
                      const text = view.text(area);
                      if (!text || /NaN|undefined|Infinity/.test(text)) wrong.push(where + text);
                      if (area.context.globalAlpha !== 1) wrong.push(where + "left transparent");
                    }
                  }
                }
              }
              return wrong;
            }""",
            list(moments),
        )
    )


def test_every_view_draws_in_all_sizes_and_at_all_moments(stage: Any) -> None:
    assert set(stage.evaluate("page.views.map((view) => view.id)")) == VIEWS
    assert draw_all(stage, MOMENTS) == []


def test_every_view_has_a_question_and_says_what_is_measured(stage: Any) -> None:
    for view in stage.evaluate(
        "page.views.map(({ title, question, help }) => [title, question, help])"
    ):
        title, question, explained = view
        assert title
        assert question.endswith("?")
        assert any(word in explained.lower() for word in ("measured", "calculat", "states")), title


def test_funding_says_the_rate_due_and_the_time_left(stage: Any) -> None:
    rate = stage.evaluate("page.app.lanes[0].value('next', page.app.lanes[0].row(500), 1)")
    text = said(stage, "funding", 500)
    assert f"ETH {'+' if rate >= 0 else '−'}{abs(rate) * 1e4:.1f} bp per 8 h" in text
    # The settlement after step 480 is at step 960.
    assert text.count("due in 7:40") == 3


def test_funding_picks_the_market_and_the_moment_under_the_pointer(stage: Any) -> None:
    found = picks(stage, "funding", 900)
    rows = {each["market"]: each["y"] for each in found}
    assert sorted(rows, key=lambda m: rows[m]) == [0, 1, 2]
    line = [each for each in found if each["y"] == found[0]["y"] and "step" in each]
    steps = [each["step"] for each in line]
    assert steps == sorted(steps)
    assert max(steps) <= 900


def test_fire_counts_what_burnt_and_picks_what_burns(stage: Any) -> None:
    text = said(stage, "fire", END)
    ids = np.arange(40)
    for m, name in enumerate(invented.MARKETS):
        mine = ids[ids // 3 % 3 == m]
        usd = sum(1e5 * (1 + n % 5) for n in mine)
        assert f"{len(mine)} liquidations of ${usd / 1e6:.2f}M" in text
        assert f"{name} marks at $" in text
    found = [each for each in picks(stage, "fire", 610) if each["kind"] == "liquidation"]
    assert found
    assert all(each["step"] <= 610 for each in found)
    middle = {m: np.mean([e["y"] for e in found if e["market"] == m]) for m in range(3)}
    assert middle[0] < middle[1] < middle[2]
    assert not [e for e in picks(stage, "fire", 600) if e["kind"] == "liquidation"]


def test_network_picks_every_account_and_market(stage: Any) -> None:
    found = picks(stage, "network", 700)
    assert {e["account"] for e in found if e["kind"] == "account"} == set(range(invented.ACCOUNTS))
    assert {e["market"] for e in found if e["kind"] == "market"} == {0, 1, 2}
    assert "60 of 100,000 accounts drawn" in said(stage, "network", 700)
    assert "nothing has been liquidated yet" in said(stage, "network", 599)
    assert "$12.0M because of losses in its own" in said(stage, "network", END)


def test_accounts_keep_their_places_when_the_window_changes(stage: Any) -> None:
    def places(size: tuple[int, int]) -> dict[int, Any]:
        found: dict[int, list[Any]] = {}
        for each in picks(stage, "network", 700, size):
            if each["kind"] == "account":
                found.setdefault(each["account"], []).append(
                    (each["x"] / size[0], each["y"] / size[1])
                )
        return {account: np.mean(at, axis=0) for account, at in found.items()}

    small, large = places((620, 400)), places((930, 600))
    assert max(np.abs(small[a] - large[a]).max() for a in small) < 0.02


def test_tree_tells_the_largest_cascade_and_who_pushed_whom(stage: Any) -> None:
    assert "no cascade yet" in said(stage, "tree", 599)
    whole = said(stage, "tree", END)
    assert "$12.0M in 40 liquidations of 40 accounts, 3 markets, 5 generations, 20 min" in whole
    chosen = {"kind": "liquidation", "id": 20, "account": 20}
    told = said(stage, "tree", END, selected=chosen)
    assert "long BTC $100k of holder 20" in told
    assert "pushed 100 % ($100k) by long ETH $300k of herd 12" in told
    assert "It pushed 1 more, $400k" in told
    found = picks(stage, "tree", END)
    assert {e["id"] for e in found if e["kind"] == "liquidation"} == set(range(40))
    early = picks(stage, "tree", 606)
    assert max(e["id"] for e in early if e["kind"] == "liquidation") == 11


def test_tree_walks_to_the_one_that_pushed(stage: Any) -> None:
    to = stage.evaluate(
        """() => {
          const view = stage.view("tree");
          const at = (id) => ({ kind: "liquidation", id });
          const area = (id) => stage.area([620, 400], 640, { selected: at(id) });
          const go = (id, way) => view.move(area(id), way).id;
          return [go(20, "up"), go(20, "down"), go(20, "left"), go(20, "right")];
        }"""
    )
    assert to == [12, 28, 19, 21]


def test_tree_says_where_nobody_was_pushed(stage: Any) -> None:
    said = stage.evaluate(
        """() => {
          const area = { lane: page.app.lanes[0], theme: page.theme };
          return page.readings.describeCascade(area, { rows: [0, 1], usd: 5e5, depth: 1 });
        }"""
    )
    assert "none pushed by another" in said
    assert "The first was" in said


def test_dial_says_r_and_on_which_side_of_one(stage: Any) -> None:
    assert "leads to 1.50 more if prices fall (it runs away)" in said(stage, "dial", SHOCK)
    assert "leads to 0.40 more if prices fall (it dies out)" in said(stage, "dial", 1)


def test_dial_says_when_r_is_not_measured(stage: Any) -> None:
    blank = "page.app.lanes[0].frames.reproduction.fill(NaN)"
    stage.evaluate(blank)
    assert "R is not measured yet" in said(stage, "dial", 700)
    assert draw_all(stage, (700,)) == []


def test_vessels_say_who_is_short_and_pick_accounts(stage: Any) -> None:
    health = stage.evaluate(
        "(() => { const lane = page.app.lanes[0]; const row = lane.accountRow(700);"
        " return [...lane.accounts.health.slice(row * 240, row * 240 + 240)]; })()"
    )
    short = sum(value == 0 for value in health[::4])
    assert f"{short} at or under their line" in said(stage, "vessels", 700)
    found = picks(stage, "vessels", 700)
    assert {e["kind"] for e in found} == {"account"}
    shown = {e["account"] for e in found}
    # Those of whom most is liquidated, of each population.
    assert {4, 9, 14} <= shown


def test_inspector_says_the_chosen_account_and_its_sum(stage: Any) -> None:
    chosen = {"kind": "account", "account": 7}
    worth = 1.005 ** (2_000 + 70 - 1)
    text = said(stage, "inspector", 500, selected=chosen)
    assert text.startswith("carry 7, day 1, 08:20")
    assert f"equity ${worth / 1e3:.1f}k" in text
    assert "BTC to liquidation" in text
    stated = {
        "account": 7, "step": 500, "distance": {"BTC": -0.123, "ETH": None, "SOL": None},
        "pools": [{"name": "main", "equity": 30.0, "maintenance": 10.0, "buffer": 20.0, "lines": [
            {"label": "cash", "usd": 30.0, "sign": "+"},
            {"label": "maintenance of BTC", "usd": 10.0, "sign": "-"},
            {"label": "left above maintenance", "usd": 20.0, "sign": "="},
        ]}],
    }  # fmt: skip
    stage.evaluate("(stated) => { page.app.lanes[0].statement = stated; }", stated)
    text = said(stage, "inspector", 500, selected=chosen)
    assert "cash $30; maintenance of BTC −$10; left above maintenance $20" in text
    assert "BTC to liquidation −12.3 %" in text


def test_inspector_says_why_it_shows_whom_nobody_chose(stage: Any) -> None:
    assert "(the most liquidated)" in said(stage, "inspector", 500)


def test_what_moves_asks_for_more_drawings_unless_motion_is_reduced(stage: Any) -> None:
    stage.evaluate(
        "page.app.lanes[0].tieRows.via.forEach((_, i, via) => { via[i] = (via[i] + 1) % 3; })"
    )
    asked = stage.evaluate(
        """() => ["fire", "network"].map((id) => [false, true].map((reduced) => {
          let asked = false;
          const more = { reduced, animate: () => { asked = true; } };
          stage.draw(id, [620, 400], 608, more);
          asked = false;
          stage.draw(id, [620, 400], 610, more);
          return asked;
        }))"""
    )
    assert asked == [[True, False], [True, False]]


def test_reduced_motion_draws_the_same_whenever_it_is_asked(stage: Any) -> None:
    differ = stage.evaluate(
        """async () => {
          const differ = [];
          const look = (id) => {
            stage.draw(id, [620, 400], 612, { reduced: true });
            return stage.pixels(stage.draw(id, [620, 400], 612, { reduced: true }));
          };
          for (const view of page.views) {
            const first = look(view.id).slice();
            await new Promise((resolve) => setTimeout(resolve, 60));
            const next = look(view.id);
            if (first.some((pixel, i) => pixel !== next[i])) differ.push(view.id);
          }
          return differ;
        }"""
    )
    assert differ == []


def test_keyboard_reaches_something_in_every_view_that_has_things(stage: Any) -> None:
    for view in VIEWS - {"dial"}:
        found = stage.evaluate(
            """(id) => ["home", "end", "left", "right", "up", "down"]
              .map((way) => stage.view(id).move(stage.area([620, 400], 640), way))
              .filter((what) => what)""",
            view,
        )
        assert found, view
        assert all(each["kind"] and each["text"] for each in found), view


def test_after_a_rewind_the_views_show_the_other_future(stage: Any) -> None:
    assert "40 liquidations" in said(stage, "tree", END)
    other = base64.b64encode(invented.frames(500, 1200, shock=700)).decode()
    stage.evaluate(
        "(text) => page.app.lanes[0].append(page.wire.decode(page.wire.fromBase64(text).buffer))",
        other,
    )
    assert "no cascade yet" in said(stage, "tree", END)
    assert "nothing has been liquidated yet" in said(stage, "network", END)
    assert "$12.0M because of losses in its own" in said(stage, "network", 740)
    assert "day 1, 11:41" in said(stage, "tree", 740, selected={"kind": "liquidation", "id": 0})


@pytest.mark.parametrize("count", [1, 8])
def test_hostile_names_are_text_and_any_number_of_markets_fits(
    window: Window, tmp_path: Any, count: int
) -> None:
    name = "<img src=x onerror=alert(1)>"
    names = [name, "</script><script>alert(1)</script>", "\u202eevil", "", "a" * 300, *"BCD"][
        :count
    ]
    path = tmp_path / "hostile.html"
    messages = [
        invented.start(markets=names, tick_size=[1.0] * count, lot_size=[1.0] * count,
                       maintenance=[0.01] * count, populations=[name, "b" * 300, ""]),
        _widened(invented.frames(1, 1200), count),
    ]  # fmt: skip
    path.write_text(whole_page(invented.packed(messages), name), encoding="utf-8")
    page = window.open(path.as_uri())
    page.evaluate(HELPERS)
    assert draw_all(page, (1, 610, 700)) == []
    assert name in said(page, "fire", 610)
    assert "\u202e" not in said(page, "fire", 610)


def _widened(frames: bytes, count: int) -> bytes:
    """Give invented frames of three markets another number of them."""
    message = unpack(frames)
    market = np.arange(count) % 3
    arrays = dict(message.arrays)
    for name, values in arrays.items():
        if name == "health":
            arrays[name] = values[:, :, [0, *(1 + market)]]
        elif name == "lean":
            arrays[name] = values[:, :, market]
        elif name.endswith("_market") or name == "tie_via":
            arrays[name] = (values % count).astype(np.uint8)
        elif values.ndim > 1 and values.shape[1] == 3:
            arrays[name] = values[:, market]
    return pack(Message(message.header, arrays, message.delta))


@pytest.fixture(scope="session")
def recorded() -> Recorded:
    """Record a run in which liquidations follow from liquidations."""
    scenario = load_scenario("contagion", [("days", "0.55"), ("record.causes", "true")])
    simulation = Simulation(scenario, 1)
    source = Source("contagion", "", "marketsim run contagion", "")
    return watch(simulation, simulation.num_steps, choose_drawn(simulation.roster), source)


@pytest.mark.slow
def test_every_view_draws_a_real_recording(
    window: Window, recorded: Recorded, tmp_path: Any
) -> None:
    arrays = recorded.frames.arrays
    path = tmp_path / "real.html"
    path.write_text(replay_page([recorded]), encoding="utf-8")
    page = window.open(path.as_uri())
    page.evaluate(HELPERS)
    steps = arrays["liq_step"]
    first, last = int(steps.min()), int(steps.max())
    assert draw_all(page, (first - 1, first + 0.5, last, int(arrays["step"][-1]))) == []
    cascade, usd = arrays["liq_cascade"], arrays["liq_usd"]
    sums = {c: usd[cascade == c].sum() for c in np.unique(cascade) if (cascade == c).sum() > 1}
    most = max(sums, key=lambda c: sums[c])
    count = int((cascade == most).sum())
    depth = int(arrays["liq_generation"][cascade == most].max()) + 1
    text = said(page, "tree", int(arrays["step"][-1]))
    assert f"in {count} liquidations of " in text
    assert f"{depth} generations" in text
    mark = arrays["mark"][-1][0] * recorded.start.header["tick_size"][0]
    assert f"BTC marks at ${mark:,.0f}" in said(page, "fire", int(arrays["step"][-1]))
