"""The carry trader: shorts the perp against coins while funding pays for it."""

import pytest

from marketsim.agents.carry import wanted_share
from marketsim.engine.state import ONE, Flag, IntentKind
from marketsim.run.simulation import Simulation
from tests.agents.small import POPULATIONS, ask, coins, give, only, scenario

#: Coins of one leg that 1e5 USD carry at leverage 4 and 100 USD: coins take the rest.
MOST = 0.95 * 1e5 * 4.0 / (1.0 + 4.0) / 100.0


def carry(funding, **parameters):
    """Carry traders with 1e5 USD who expect a funding rate per 8 h."""
    own = {"cost": 0.0021, "full_rate": 1e-4, "rebalance": 0.0, **parameters}
    simulation = only("carry", count=2, parameters=own)
    simulation.traders.public[0].funding = funding
    return simulation


def legs(simulation, intents):
    """Coins asked for in spot and in the perp."""
    spot = intents[intents["kind"] == IntentKind.SPOT]
    perp = intents[intents["kind"] == IntentKind.ORDER]
    return coins(simulation, spot).sum(), coins(simulation, perp).sum()


def test_it_enters_only_when_funding_pays_for_getting_in_and_out():
    # 21 bp over 168 hours: 1 bp per 8 hours.
    assert len(ask(carry(0.99e-4), 0)) == 0
    assert len(ask(carry(1.1e-4), 0)) == 2
    # Fees of 5 bp a side make 31 bp.
    costly = carry(1.1e-4)
    costly.state.market[0].taker_fee = ONE // 2000
    assert len(ask(costly, 0)) == 0


@pytest.mark.parametrize("share", [0.25, 0.5, 1.0, 3.0])
def test_it_buys_as_many_coins_as_it_shorts_and_more_for_higher_funding(share):
    simulation = carry(1e-4 + share * 1e-4)
    spot, perp = legs(simulation, ask(simulation, 0))
    assert spot == pytest.approx(MOST * min(share, 1.0), rel=1e-3)
    assert perp == pytest.approx(-spot, abs=0.011)


def hedged(funding, size=200.0):
    """One that is short so many coins and holds them."""
    simulation = carry(funding)
    give(simulation, 0, -size)
    simulation.state.spot[0, 0] = round(size / 0.01)
    simulation.state.pool[0].cash -= round(size * 100.0 * 1e6)
    return simulation


def test_between_leaving_and_entering_it_stays_as_it_is():
    assert len(ask(hedged(0.5e-4), 0)) == 0


def test_when_funding_turns_it_leaves_with_both_legs():
    simulation = hedged(-1e-6)
    intents = ask(simulation, 0)
    assert legs(simulation, intents) == (-200.0, 200.0)
    assert intents[intents["kind"] == IntentKind.ORDER]["flags"] == (
        Flag.REDUCE_ONLY | Flag.IMMEDIATE
    )


def test_coins_are_sold_when_the_perp_was_reduced():
    simulation = hedged(0.5e-4)
    give(simulation, 0, 50.0)
    assert legs(simulation, ask(simulation, 0)) == (-50.0, 0.0)


def test_who_ran_thin_leaves_and_then_thinks_again():
    simulation = hedged(5e-4)
    simulation.traders.memory[0, 0, 3] = -1.0
    assert legs(simulation, ask(simulation, 0)) == (-200.0, 200.0)
    give(simulation, 0, 200.0)
    simulation.state.spot[0, 0] = 0
    assert len(ask(simulation, 0)) == 0
    spot, perp = legs(simulation, ask(simulation, 0, t=1))
    assert spot > 0.0 > perp


def test_share_of_capital_by_hand():
    assert wanted_share(-0.1e-4, 1e-4, 1e-4, 0.0) == 0.0
    assert wanted_share(0.5e-4, 1e-4, 1e-4, 0.0) == -1.0
    assert wanted_share(9e-4, 1e-4, 1e-4, 0.0) == 1.0


@pytest.mark.parametrize("haircut", [1.0, 0.1])
def test_a_rally_liquidates_a_hedged_short_unless_its_coins_are_collateral(haircut):
    populations = {name: POPULATIONS[name] for name in ("maker", "basis", "carry")}
    jump = {"kind": "jump", "at": 5, "size": 0.4}
    venue = {"funding": {"interval_hours": 1}, "margin": {"spot_haircut": haircut}}
    run = scenario(populations=populations, venue=venue, shocks=[jump])
    simulation = Simulation(run, 1)
    simulation.run(299)
    rows = simulation.roster.rows_of("carry")
    state = simulation.state
    size, spot = state.position["size"][rows, 0], state.spot[rows, 0]
    assert (size < 0).all()
    assert spot == pytest.approx(-size, rel=0.021)
    before = simulation.result().end.equity[rows]
    simulation.run(10)
    result = simulation.result()
    closed = set(result.liquidation["account"].tolist())
    own = set(range(rows.start, rows.stop))
    after = result.end.equity[rows]
    if haircut == 1.0:
        assert own <= closed
    else:
        assert not own & closed
        # Coins and short move together.
        assert after == pytest.approx(before, rel=0.02)
