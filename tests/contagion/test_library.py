"""Whole runs: weights add up to one, losses to what pools lost; recording changes nothing."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from marketsim.contagion.attribution import LossKind, seizure_causes, tabulate_causes
from marketsim.contagion.ties import cascade_figures
from marketsim.results.folder import write_run
from marketsim.results.run import load_run
from marketsim.run.simulation import Simulation
from marketsim.scenario.loader import load_scenario
from marketsim.tape.digest import digest_result
from tests.slow import slow

RUNS = {
    "contagion": 0.6,
    "mark-spiral": 1.7,
    "flash-crash": 1.6,
    "depeg": 2.8,
    "correlated-downturn": 3.3,
}
#: Whose runs the quick tests look at, too.
QUICK = ("contagion", "mark-spiral")
NAMES = [*QUICK, *slow(name for name in RUNS if name not in QUICK)]


def simulate(name, days, causes="true", changes=()):
    changes = [("days", str(days)), ("record.causes", causes), *changes]
    simulation = Simulation(load_scenario(name, changes), 1)
    simulation.run(simulation.num_steps)
    return simulation.result()


@pytest.fixture(scope="module", params=NAMES)
def result(request):
    return simulate(request.param, RUNS[request.param])


def test_weights_add_up_to_one(result):
    table = pd.DataFrame(tabulate_causes(result))
    total = table.groupby("liquidation")["weight"].sum()
    assert total.index.tolist() == list(range(len(result.liquidation)))
    assert np.allclose(total, 1.0, rtol=0, atol=1e-12)
    assert (table["weight"] >= 0).all()


def test_losses_add_up_to_the_atom(result):
    cause = seizure_causes(result)
    lost = np.zeros(len(result.seizure), np.int64)
    np.add.at(lost, cause["seizure"], cause["loss"])
    assert (lost == result.seizure["loss"]).all()


@pytest.mark.parametrize("name", NAMES)
def test_price_funding_and_fees_explain_all_where_nothing_else_moves_money(name):
    """With one pool an account, no coins in it and a fund that pays, no loss is unexplained."""
    changes = [
        (f"populations.{population}.margin_mode", "cross")
        for population in load_scenario(name).populations
    ]
    changes.append(("insurance_fund", "1e8"))  # nothing is socialised
    kind = seizure_causes(simulate(name, RUNS[name], changes=changes))["kind"]
    assert len(kind)
    assert (kind == LossKind.COLLATERAL).any() == (name == "depeg")


def test_figures_of_the_summary_are_those_of_the_folder(result, tmp_path):
    figures = cascade_figures(result)
    run = load_run(write_run(result, tmp_path / "run"))
    found = [each for each in run.cascades() if each.num_accounts > 1]
    assert figures["cascades"] == len(found)
    assert figures["cascaded_usd"] == pytest.approx(sum(each.size_usd for each in found))
    if found:
        largest = found[0]
        assert figures["largest_cascade_usd"] == pytest.approx(largest.size_usd)
        assert figures["largest_cascade_accounts"] == largest.num_accounts
        assert figures["largest_cascade_depth"] == largest.depth
    matrix = run.dollar_matrix().to_numpy()
    assert figures["spilled_usd"] == pytest.approx(matrix.sum() - matrix.trace())
    causes = run.causes[run.causes["kind"] == "forced"]
    usd = run.liquidations["notional_usd"].to_numpy()[causes["liquidation"]]
    assert figures["forced_usd"] == pytest.approx((causes["weight"] * usd).sum())


def test_one_shock_ties_what_goes_back_to_it(tmp_path):
    run = load_run(write_run(simulate("contagion", 0.6), tmp_path / "run"))
    largest = run.cascades()[0]
    assert largest.root == "crash of BTC -25.0%"
    assert 720 < largest.start_step < 840  # the fall takes two hours
    assert largest.num_accounts > 100
    assert largest.depth >= 4
    # most of GOLD and OIL was sold for what BTC lost, the rest for what the sales took off them
    names = list(run.summary["markets"])
    gold, oil = largest.matrix[names.index("GOLD")], largest.matrix[names.index("OIL")]
    for market, sold in (("GOLD", gold), ("OIL", oil)):
        assert sold[names.index("BTC")] > 0.5 * sold.sum() > 0
        assert sold[names.index(market)] > 0.05 * sold.sum()


def test_parents_are_earlier_liquidations_in_the_market_of_the_loss(result):
    cause = seizure_causes(result)
    named = cause[cause["parent"] >= 0]
    assert (named["parent"] < result.seizure["first_row"][named["seizure"]]).all()
    assert (result.liquidation["market"][named["parent"]] == named["market"]).all()


def test_recording_causes_changes_no_other_number():
    recorded = simulate("contagion", 0.55)
    assert len(recorded.seizure) > 100
    bare = simulate("contagion", 0.55, "false")
    assert len(bare.seizure) == len(bare.impact) == len(bare.loss) == 0
    blank = {name: getattr(bare, name) for name in ("impact", "seizure", "loss")}
    assert digest_result(dataclasses.replace(recorded, **blank)) == digest_result(bare)
    assert set(cascade_figures(bare).values()) == {None}
