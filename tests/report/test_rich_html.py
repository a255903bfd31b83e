"""What a notebook shows: runs, accounts, live markets, and the replay of a market."""

import re
from html import unescape

import pytest

import marketsim
from marketsim.account.explain import explain
from marketsim.account.statement import Account, state_account
from marketsim.model.trader import Trader

SHORT = [("days", "0.05")]


class Buyer(Trader):
    """Buys a little whenever it wakes."""

    def step(self) -> None:
        self.buy("BTC", 0.01)


@pytest.fixture(scope="module")
def market():
    market = marketsim.PerpMarket("quickstart", rng=1, overrides=SHORT)
    market.run(40)
    return market


def test_a_run_shows_its_summary() -> None:
    run = marketsim.run_scenario("quickstart", seed=1, days=0.05)
    text = re.sub(r"<[^>]+>", "", run._repr_html_())
    assert run.digest in text
    for name in run.market_names:
        assert name in text


def test_a_live_market_shows_where_it_stands(market) -> None:
    shown = market._repr_html_()
    assert "step 40" in shown
    assert f"{market.index_price('BTC'):,.6g}" in shown
    assert f"{1e4 * market.premium('BTC'):.1f}" in shown


def test_an_account_shows_its_margin_sum(market) -> None:
    statement = state_account(Account(market.simulation.state, 20, market.markets))
    assert "equity" in statement._repr_html_()


def test_an_explanation_is_shown_as_the_command_shows_it(tmp_path) -> None:
    marketsim.run_scenario("quickstart", seed=1, days=0.05).save(tmp_path / "run")
    assert "account 20" in explain(tmp_path / "run", 20)._repr_html_()


def test_show_embeds_the_replay_of_what_was_done(market) -> None:
    branch = market.branch()
    branch.shock("jump", size=-0.05, markets=["BTC"])
    branch.run(20)
    shown = branch.show(height=500)
    html = shown._repr_html_()
    assert 'height="500"' in html
    assert 'sandbox="allow-scripts' in html
    page = unescape(re.search(r'srcdoc="([^"]*)"', html)[1])
    assert page == shown.page
    assert 'id="recording"' in page
    assert repr(shown).startswith("quickstart, seed 1: ")
    twins = market.show(market.branch(change={"venue.funding.interval_hours": 1.0}))
    assert len(twins.page) > len(market.show().page)


def test_what_cannot_be_shown_says_why() -> None:
    fresh = marketsim.PerpMarket("quickstart", rng=1, overrides=SHORT)
    with pytest.raises(ValueError, match="run the market first"):
        fresh.show()
    scenario = marketsim.load_scenario("quickstart", SHORT)
    data = scenario.model_dump(mode="python", exclude_none=True)
    data["populations"]["mine"] = {"strategy": "mine", "count": 1}
    own = marketsim.PerpMarket(
        type(scenario).model_validate(data), rng=1, strategies={"mine": Buyer}
    )
    own.run(5)
    with pytest.raises(ValueError, match="given from Python"):
        own.show()
