"""Every case of the conformance vectors, through the engine's own code.

The folders are ``../shared/vectors`` and ``../shared/cases/vectors`` beside the repository unless
``MARKETSIM_VECTORS`` names others of the same format. Adapters go by kind; no case is known by
name. What no rule of a run can answer is asked of `tests.conformance.formulas`, and counted.
"""

import re
from pathlib import Path
from typing import Any

import pytest

from tests.conformance import closing_cases, funding_cases, margin_cases, waterfall_cases
from tests.conformance.cases import MISSING, NAMED, Case, differences, load_cases
from tests.conformance.formulas import closing, funding, margin
from tests.conformance.formulas.beside import asked

LIMITS = Path(__file__).parents[2] / "docs" / "limits.md"

ADAPTERS = {
    "margin": margin_cases.ADAPTERS,
    "funding": funding_cases.ADAPTERS,
    "liquidation_price": closing_cases.PRICE_ADAPTERS,
    "bankruptcy_price": closing_cases.BANKRUPTCY_ADAPTERS,
    "liquidation_sizing": closing_cases.SIZING_ADAPTERS,
    "insurance_fund": closing_cases.INSURANCE_ADAPTERS,
    "adl": waterfall_cases.ADL_ADAPTERS,
    "waterfall": waterfall_cases.WATERFALL_ADAPTERS,
}

#: Kinds the engine has no concept of, and why.
UNSUPPORTED = {
    "isolated_admission": "isolation is a pool's property here, not a market's: an account may "
    "hold any markets, each in a pool of its own",
}

CASES = load_cases()
with_cases = pytest.mark.skipif(not CASES, reason=MISSING)


def answer(case: Case) -> tuple[dict[str, Any], bool]:
    """Answer a case; tell whether rules that a run can have were enough."""
    asked.clear()
    got = ADAPTERS[case["category"]][case["kind"]](case["inputs"])
    return got, not asked


@with_cases
def test_vectors_are_found_and_few_are_unsupported():
    skipped = [case for case in CASES if case["kind"] in UNSUPPORTED]
    assert len(skipped) <= 0.08 * len(CASES)
    assert len({case["id"] for case in CASES}) == len(CASES)


@with_cases
@pytest.mark.slow
def test_the_limits_say_how_many_cases_are_answered_by_rules_a_run_can_have():
    supported = [case for case in CASES if case["kind"] not in UNSUPPORTED]
    by_rules = sum(answer(case)[1] for case in supported)
    counted = (
        f"Of {len(CASES)} cases from exchanges' own tests and documents {by_rules} are answered by "
        f"rules that a run can have, {len(supported) - by_rules} by formulas beside the tests and "
        f"{len(CASES) - len(supported)} by neither"
    )
    limits = " ".join(LIMITS.read_text(encoding="utf-8").split())
    (stated,) = re.findall(r"Of (\d+) cases from exchanges'", limits)
    if NAMED and int(stated) != len(CASES):
        pytest.skip(f"not the vectors of the page. {counted}")
    assert counted in limits


def test_formulas_beside_the_tests_are_counted_when_asked():
    for module in (closing, funding, margin):
        own = [item for item in vars(module).values() if is_defined_in(module.__name__, item)]
        assert own
        assert all(hasattr(formula, "__wrapped__") for formula in own)
    asked.clear()
    assert closing.settles_at_mark(0)
    assert asked == ["settles_at_mark"]


def is_defined_in(module: str, item: Any) -> bool:
    return callable(item) and getattr(item, "__module__", None) == module


@pytest.mark.parametrize(
    ("expected", "got"),
    [
        ({"equity": "1"}, {"equity": 1.02}),
        ({"rate": "0.5"}, {"rate": 0.502}),
        ({"accepted": False}, {"accepted": True}),
        ({"stage": "market"}, {"stage": "none"}),
        ({"equity": "1"}, {}),
        ({"after": {"a": {"collateral": "1"}}}, {"after": {"a": {"collateral": 2}}}),
        ({"after": {"a": {"collateral": "1"}}}, {"after": {"a": {}}}),
        ({"positions": []}, {"positions": [{"market": "X", "size": 1}]}),
        ({"ranking": ["a", "b"]}, {"ranking": ["b", "a"]}),
        ({"equity": "1"}, {"equity": float("nan")}),
    ],
)
def test_an_answer_outside_the_tolerance_is_found(expected: Case, got: Case):
    tolerance = {"abs": "0.01", "rel": "0", "fields": {"rate": "0.001"}}
    assert differences({"expected": expected, "tolerance": tolerance}, got) != []
    assert differences({"expected": expected, "tolerance": tolerance}, expected) == []


ONE_LONG = {"market": "X", "size": "1", "mark_price": "100"}
ONE_SHORT = {**ONE_LONG, "size": "-1"}


@pytest.mark.parametrize(
    ("category", "kind", "inputs", "expected"),
    [
        # -50 + p = .5 p
        (
            "liquidation_price",
            "isolated",
            {"cash_balance": "-50", "position": {"size": "1"}, "mmr": "0.5"},
            {"liquidation_price": "100"},
        ),
        # 350 - 2 p = .1 x 2 p - 35
        (
            "liquidation_price",
            "isolated",
            {
                "cash_balance": "350",
                "position": {"size": "-2"},
                "mmr": "0.1",
                "maintenance_amount": "35",
            },
            {"liquidation_price": "175"},
        ),
        (
            "margin",
            "account",
            {"collateral": "-90", "positions": [{**ONE_LONG, "imf": "0.2", "mmf": "0.1"}]},
            {"equity": "10", "meets_initial": False, "meets_maintenance": True},
        ),
        (
            "margin",
            "account",
            {"collateral": "-80", "positions": [{**ONE_LONG, "imf": "0.2"}]},
            {"initial_margin": "20", "meets_initial": True, "maintenance_margin": "0"},
        ),
        (
            "funding",
            "payment",
            {"size": "-2", "price": "100", "rate_per_period": "0.01"},
            {"cash_flow": "2"},
        ),
        (
            "adl",
            "trigger",
            {"account": {"collateral": "-101", "positions": [{**ONE_LONG, "mmf": "0.1"}]}},
            {"at_bankruptcy_price": True, "at_mark_price": False},
        ),
        (
            "adl",
            "queue",
            {
                "counterparties": [
                    {"id": "a", "size": "-3", "score": "0.5"},
                    {"id": "b", "size": "-2", "score": "-1"},
                    {"id": "c", "size": "-4", "score": "7"},
                ],
                "size": "-8",
                "bankruptcy_price": "30",
            },
            {
                "order": ["c", "a", "b"],
                "fills": [
                    {"id": "c", "size": "4", "price": "30"},
                    {"id": "a", "size": "3", "price": "30"},
                    {"id": "b", "size": "1", "price": "30"},
                ],
                "left": {"a": "0", "b": "1", "c": "0"},
                "remaining": "0",
            },
        ),
        (
            "insurance_fund",
            "socialised_loss",
            {"loss": "-100", "long_size": "6", "short_size": "-4"},
            {"loss_per_unit": "10"},
        ),
        (
            "insurance_fund",
            "repay",
            {"fund_balance": "50", "account_value": "10"},
            {"repaid": "0", "fund_balance_after": "50"},
        ),
    ],
)
def test_what_a_case_leaves_out_has_a_meaning(
    category: str, kind: str, inputs: Case, expected: Case
):
    got, _ = answer({"category": category, "kind": kind, "inputs": inputs})
    tolerance = {"abs": "0.000001", "rel": "0"}
    assert differences({"expected": expected, "tolerance": tolerance}, got) == []


@pytest.mark.parametrize(
    ("long_cash", "short_cash", "accepted"),
    [("0", "200", True), ("-100", "100", True), ("-101", "200", False), ("0", "99", False)],
)
def test_a_delisted_pair_is_settled_at_the_mark_only_if_neither_is_under_water(
    long_cash: str, short_cash: str, accepted: bool
):
    pair = {
        "bankrupt": {"collateral": long_cash, "positions": [{**ONE_LONG, "mmf": "0.1"}]},
        "counterparty": {"collateral": short_cash, "positions": [{**ONE_SHORT, "mmf": "0.1"}]},
    }
    inputs = {"price_mode": "oracle", "market": "X", "close_size": "-1", **pair}
    got, _ = answer({"category": "adl", "kind": "close_pair", "inputs": inputs})
    assert got["accepted"] == accepted
    if accepted:
        assert got["bankrupt_after"] == {"collateral": int(long_cash) + 100, "positions": []}


@pytest.mark.parametrize("case", CASES, ids=[case["id"] for case in CASES])
def test_vector(case: Case):
    if case["kind"] in UNSUPPORTED:
        pytest.skip(f"{case['kind']}: {UNSUPPORTED[case['kind']]}")
    adapters = ADAPTERS.get(case["category"], {})
    assert case["kind"] in adapters, f"unknown kind {case['category']}/{case['kind']}"
    got, _ = answer(case)
    assert differences(case, got) == []
