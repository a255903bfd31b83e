"""Every case of the conformance vectors, through the engine's own code.

The folder is ``../shared/vectors`` beside the repository unless ``MARKETSIM_VECTORS`` names
another of the same format. Adapters go by kind; no case is known by name.
"""

import pytest

from tests.conformance import closing_cases, funding_cases, margin_cases, waterfall_cases
from tests.conformance.cases import FOLDER, Case, differences, load_cases

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


@pytest.mark.skipif(not CASES, reason=f"no conformance vectors in {FOLDER}")
def test_vectors_are_found_and_few_are_unsupported():
    skipped = [case for case in CASES if case["kind"] in UNSUPPORTED]
    assert len(skipped) <= 0.08 * len(CASES)
    assert len({case["id"] for case in CASES}) == len(CASES)


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


@pytest.mark.parametrize("case", CASES, ids=[case["id"] for case in CASES])
def test_vector(case: Case):
    if case["kind"] in UNSUPPORTED:
        pytest.skip(f"{case['kind']}: {UNSUPPORTED[case['kind']]}")
    adapters = ADAPTERS.get(case["category"], {})
    assert case["kind"] in adapters, f"unknown kind {case['category']}/{case['kind']}"
    assert differences(case, adapters[case["kind"]](case["inputs"])) == []
