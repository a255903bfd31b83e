"""Whole runs: weights add up to one, losses to what pools lost; recording changes nothing."""

import numpy as np
import pandas as pd
import pytest

from marketsim.record.causes import seizure_causes, tabulate_causes
from marketsim.record.digest import digest_result
from marketsim.scenario.loader import load_scenario
from marketsim.simulation import Simulation

RUNS = {"contagion": 0.6, "mark-spiral": 1.7, "flash-crash": 1.6, "depeg": 1.0, "calm": 0.5}


def simulate(name, days, causes="true"):
    changes = [("days", str(days)), ("record.causes", causes)]
    simulation = Simulation(load_scenario(name, changes), 1)
    simulation.run(simulation.num_steps)
    return simulation.result()


@pytest.fixture(scope="module", params=RUNS)
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


def test_parents_are_earlier_liquidations_in_the_market_of_the_loss(result):
    cause = seizure_causes(result)
    named = cause[cause["parent"] >= 0]
    assert (named["parent"] < result.seizure["first_row"][named["seizure"]]).all()
    assert (result.liquidation["market"][named["parent"]] == named["market"]).all()


def test_recording_causes_changes_no_number():
    recorded = simulate("contagion", 0.55)
    assert len(recorded.seizure) > 100
    bare = simulate("contagion", 0.55, "false")
    assert len(bare.seizure) == len(bare.push) == len(bare.loss) == 0
    assert digest_result(recorded) == digest_result(bare)
