"""The insurance fund of every scenario of the library, struck: it is used up, and never owes."""

import warnings

import pytest

from marketsim import run_scenario
from marketsim.scenario.loader import list_scenarios

#: Two falls, and a way back on which what the fund has taken from shorts may lose.
STRUCK = (
    ("shocks", '[{kind = "jump", at = 1, size = -0.2}, {kind = "jump", at = 1.2, size = 0.2}]'),
    ("record.warm_up", "0"),
)


@pytest.mark.parametrize("name", [name for name, _ in list_scenarios()])
@pytest.mark.parametrize("fund", [0, 20_000, 300_000])
def test_no_step_leaves_the_fund_with_less_than_nothing(name, fund):
    changes = (*STRUCK, ("insurance_fund", str(fund)))
    with warnings.catch_warnings(action="ignore"):  # of shocks the scenario has beyond the end
        run = run_scenario(name, seed=1, days=0.0625, overrides=changes)
    assert run.steps["insurance_fund_usd"].min() >= 0.0
    assert run.summary["conservation_error_atoms"] == 0
    own = run.liquidations["population"] == "insurance_fund"
    told = run.liquidations["notional_usd"][own].sum()
    assert run.summary["fund_deleveraged_usd"] == pytest.approx(told, abs=1e-3)
    assert (run.liquidations["size_after"][own] == 0.0).all()
