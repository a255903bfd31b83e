"""What is blamed on a market's liquidations against runs in which there are none.

Three markets fall by 3 % at once, margined at the last price; one keeps its depth, one keeps 40 %,
one 2 %, each in turn. For every market k: *blamed* is what the causes say was liquidated elsewhere
because liquidations in k moved k's price; *spared* is how much less is liquidated elsewhere, with
the same luck, if positions in k are never liquidated. Means of 40 seeds, million USD, of BTC, ETH
and SOL:

================  ======================  ======================
40 % / 2 % depth  blamed                  spared
================  ======================  ======================
SOL / ETH         0.134   0.558   0.473   0.221   1.198   0.845
ETH / BTC         0.440   0.344   0.132   0.735   0.494   0.204
BTC / SOL         0.417   0.118   0.630   0.780   0.384   1.191
================  ======================  ======================

Standard errors are about a fifth of blamed and a quarter of spared, more where little is. What is
spared is about twice what is blamed: those who would have followed are spared, too.
"""

from pathlib import Path

import numpy as np
import pytest
from scipy.stats import spearmanr

from marketsim.contagion.attribution import tabulate_causes
from marketsim.run.simulation import Simulation
from marketsim.scenario.loader import load_scenario

SEEDS = range(40)
MARKETS = ("BTC", "ETH", "SOL")

SCENARIO = """\
base = "{base}"
name = "uneven-spiral"
description = "Three markets of uneven depth fall alike"
days = {days}
shocks = [
  {{ kind = "jump", at = 12, size = -0.03 }},
  {{ kind = "depth", at = 11.9, markets = ["{thin}"], factor = 0.4, minutes = 120 }},
  {{ kind = "depth", at = 11.9, markets = ["{thinnest}"], factor = 0.02, minutes = 120 }},
]
"""
#: What they have in common.
BASE = Path(__file__).with_name("deep_books.toml")
DAYS = 730 / 1440  # ten minutes after the fall


def run(file, seed, *changes):
    simulation = Simulation(load_scenario(file, changes), seed)
    simulation.run(simulation.num_steps)
    return simulation.result()


def liquidated(result, but):
    """USD of every liquidation, 0 for those in one market."""
    row = result.liquidation
    lots = np.abs(row["size_before"] - row["size_after"])
    usd = lots * row["mark_ticks"] * result.tick_atoms[row["market"]] / 1e6
    return np.where(row["market"] == but, 0.0, usd)


def blamed_and_spared(file, seed):
    """USD of one seed, (2, markets)."""
    result = run(file, seed)
    causes = tabulate_causes(result)
    found = np.zeros((2, len(MARKETS)))
    for k, name in enumerate(MARKETS):
        elsewhere = liquidated(result, k)
        is_blamed = (causes["kind"] == "forced") & (causes["market"] == name)
        found[0, k] = (causes["weight"] * elsewhere[causes["liquidation"]])[is_blamed].sum()
        twin = run(file, seed, (f"markets.{name}.liquidations", "false"))
        assert not (twin.liquidation["market"] == k).any()
        found[1, k] = elsewhere.sum() - liquidated(twin, k).sum()
    return found


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """Mean USD blamed and spared, (cases, 2, markets)."""
    means = []
    for thin, thinnest in (("SOL", "ETH"), ("ETH", "BTC"), ("BTC", "SOL")):
        file = tmp_path_factory.mktemp("uneven") / f"{thin}-{thinnest}.toml"
        file.write_text(SCENARIO.format(base=BASE, days=DAYS, thin=thin, thinnest=thinnest))
        means.append(np.mean([blamed_and_spared(file, seed) for seed in SEEDS], axis=0))
        print(f"{thin} / {thinnest}: blamed and spared, million USD:", means[-1] / 1e6)
    return np.array(means)


@pytest.mark.slow
def test_what_is_blamed_on_a_market_is_spared_without_its_liquidations(found):
    blamed, spared = found[:, 0], found[:, 1]
    assert (blamed > 0).all()
    assert (spared > blamed).all()
    assert (spared < 4 * blamed).all()


@pytest.mark.slow
def test_who_is_blamed_more_spares_more(found):
    blamed, spared = found[:, 0].ravel(), found[:, 1].ravel()
    assert spearmanr(blamed, spared).statistic > 0.85
    # The market that keeps its depth is to blame for least.
    assert (found.argmin(axis=2) == np.array([[0, 0], [2, 2], [1, 1]])).all()
