"""What is blamed on a market's liquidations against runs in which there are none.

Three markets fall by 3 % at once, margined at the last price; one keeps its depth, one keeps 40 %,
one 2 %, each in turn. For every market k: *blamed* is what the causes say was liquidated elsewhere
because liquidations in k moved k's price; *spared* is how much less is liquidated elsewhere, with
the same luck, if positions in k are never liquidated. Means of 20 seeds, million USD, of BTC, ETH
and SOL:

================  ======================  ======================
40 % / 2 % depth  blamed                  spared
================  ======================  ======================
SOL / ETH         0.163   0.759   0.570   0.238   1.601   1.332
ETH / BTC         0.681   0.607   0.157   2.104   1.247   0.281
BTC / SOL         0.595   0.158   0.704   1.136   0.368   1.610
================  ======================  ======================

Standard errors are about a fifth of blamed and a quarter of spared. What is spared is about twice
what is blamed: those who would have followed are spared, too.
"""

import numpy as np
import pytest

from marketsim.contagion.attribution import tabulate_causes
from marketsim.run.simulation import Simulation
from marketsim.scenario.loader import load_scenario

SEEDS = range(20)
MARKETS = ("BTC", "ETH", "SOL")

SCENARIO = """\
base = "mark-spiral"
name = "uneven-spiral"
description = "Three markets of uneven depth fall alike"
days = {days}
shocks = [
  {{ kind = "jump", at = 12, size = -0.03 }},
  {{ kind = "depth", at = 11.9, markets = ["{thin}"], factor = 0.4, minutes = 120 }},
  {{ kind = "depth", at = 11.9, markets = ["{thinnest}"], factor = 0.02, minutes = 120 }},
]
"""
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


@pytest.mark.slow
@pytest.mark.parametrize(("thin", "thinnest"), [("SOL", "ETH"), ("ETH", "BTC"), ("BTC", "SOL")])
def test_blame_agrees_with_runs_without_the_liquidations(tmp_path, thin, thinnest):
    file = tmp_path / "uneven.toml"
    file.write_text(SCENARIO.format(days=DAYS, thin=thin, thinnest=thinnest))
    blamed, spared = np.mean([blamed_and_spared(file, seed) for seed in SEEDS], axis=0)
    assert (blamed > 0).all()
    assert (spared > 0).all()
    assert (np.argsort(blamed) == np.argsort(spared)).all()
    assert (spared > blamed).all()
    assert (spared < 4 * blamed).all()
