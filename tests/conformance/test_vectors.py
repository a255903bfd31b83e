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


@pytest.mark.parametrize("case", CASES, ids=[case["id"] for case in CASES])
def test_vector(case: Case):
    if case["kind"] in UNSUPPORTED:
        pytest.skip(f"{case['kind']}: {UNSUPPORTED[case['kind']]}")
    adapters = ADAPTERS.get(case["category"], {})
    assert case["kind"] in adapters, f"unknown kind {case['category']}/{case['kind']}"
    assert differences(case, adapters[case["kind"]](case["inputs"])) == []
