"""The insurance fund of every scenario of the library, struck: it is used up, and never owes."""

import warnings

import pytest

from marketsim import run_scenario
from marketsim.scenario.loader import list_scenarios

#: A fall that bankrupts many, one that uses up a fund that took their positions over, a rise.
STRUCK = (
    (
        "shocks",
        '[{kind = "jump", at = 1, size = -0.12}, {kind = "jump", at = 1.1, size = -0.1}, '
        '{kind = "jump", at = 1.2, size = 0.2}]',
    ),
    ("record.warm_up", "0"),
)


def struck_run(name, fund):
    changes = (*STRUCK, ("insurance_fund", str(fund)))
    with warnings.catch_warnings(action="ignore"):  # of shocks the scenario has beyond the end
        return run_scenario(name, seed=1, days=0.0625, overrides=changes)


def test_a_fund_that_takes_over_in_a_fall_is_used_up_by_the_next():
    summary = struck_run("october-10", 200_000).summary
    assert summary["fund_deleveraged_usd"] > 1_000_000.0
    assert 0.0 <= summary["insurance_fund_min_usd"] < 1.0


@pytest.mark.parametrize("name", [name for name, _ in list_scenarios()])
@pytest.mark.parametrize("fund", [0, 20_000, 300_000])
def test_no_step_leaves_the_fund_with_less_than_nothing(name, fund):
    run = struck_run(name, fund)
    assert run.steps["insurance_fund_usd"].min() >= 0.0
    assert run.summary["conservation_error_atoms"] == 0
    own = run.liquidations["population"] == "insurance_fund"
    told = run.liquidations["notional_usd"][own].sum()
    assert run.summary["fund_deleveraged_usd"] == pytest.approx(told, abs=1e-3)
    assert (run.liquidations["size_after"][own] == 0.0).all()
