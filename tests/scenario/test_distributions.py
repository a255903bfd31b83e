"""Distributions: quantiles of the stated law, and what is refused."""

import math
from statistics import NormalDist
from typing import Any

import numpy as np
import pytest
from pydantic import TypeAdapter

from marketsim.scenario.distributions import Distribution, median
from marketsim.scenario.errors import ScenarioError
from marketsim.scenario.loader import parse_scenario


def quantile(form: Any, uniform: list[float]) -> list[float]:
    distribution = TypeAdapter(Distribution).validate_python(form)
    return [float(x) for x in distribution.quantile(np.array(uniform))]


def test_quantiles_are_those_of_the_law() -> None:
    third = 1 / 3
    assert quantile(5, [0.1, 0.9]) == [5.0, 5.0]
    assert quantile("never", [0.5]) == [math.inf]
    assert quantile({"kind": "uniform", "min": 2, "max": 4}, [0.25]) == [2.5]
    assert quantile({"kind": "choice", "values": [1, "never"]}, [0.4, 0.6]) == [1.0, math.inf]
    assert quantile({"kind": "choice", "values": [1, 2], "weights": [0, 3]}, [0.01]) == [2.0]
    pareto = {"kind": "pareto", "min": 10, "alpha": 2}
    assert quantile(pareto, [0.75, 0.99]) == pytest.approx([20.0, 100.0])
    lognormal = {"kind": "lognormal", "median": 8, "sigma": 0.8, "max": 50}
    above = 8 * math.exp(0.8)
    assert quantile(lognormal, [0.5, 0.8413447460685429, 0.9999]) == pytest.approx([8, above, 50])
    mixture = {"kind": "mixture", "parts": [1, {"kind": "uniform", "min": 0, "max": 3}]}
    mixture["weights"] = [1, 2]
    assert quantile(mixture, [0.3, third + 2 * third * 0.5]) == pytest.approx([1.0, 1.5])


def test_the_median_is_the_middle_draw() -> None:
    assert (
        median(TypeAdapter(Distribution).validate_python({"kind": "uniform", "min": 0, "max": 8}))
        == 4
    )


def test_the_logarithm_of_a_lognormal_value_is_normal() -> None:
    law = TypeAdapter(Distribution).validate_python(
        {"kind": "lognormal", "median": 3.0, "sigma": 2.0}
    )
    value = law.quantile(np.array([0.001, 0.3, 0.5, 0.975]))
    share = [0.5 * math.erfc(-math.log(x / 3.0) / 2.0 / math.sqrt(2)) for x in value]
    assert share == pytest.approx([0.001, 0.3, 0.5, 0.975], rel=1e-12)


def test_values_are_those_of_the_standard_library_to_the_last_bit() -> None:
    uniform = np.random.default_rng(1).uniform(size=10_000)
    forms = (
        {"kind": "lognormal", "median": 3.0, "sigma": 0.7},
        {"kind": "pareto", "min": 2.0, "alpha": 1.5},
    )
    lognormal, pareto = map(TypeAdapter(Distribution).validate_python, forms)
    normal = NormalDist().inv_cdf
    expected = [3.0 * math.exp(0.7 * normal(u)) for u in uniform.tolist()]
    assert lognormal.quantile(uniform).tolist() == expected
    expected = [2.0 * math.exp(math.log(1.0 - u) * (-1.0 / 1.5)) for u in uniform.tolist()]
    assert pareto.quantile(uniform).tolist() == expected


@pytest.mark.parametrize(
    ("form", "reason"),
    [
        ({"kind": "lognorm", "median": 1, "sigma": 1}, "did you mean 'lognormal'"),
        ({"median": 1, "sigma": 1}, 'a table with a "kind"'),
        ({"kind": "uniform", "min": 3, "max": 2}, "min must not exceed max"),
        ({"kind": "pareto", "min": 1, "alpha": 0.0}, "greater than or equal to 0.1"),
        ({"kind": "choice", "values": []}, "must have at least one entry"),
        ({"kind": "choice", "values": [1, 2], "weights": [1]}, "1 weights for 2 values"),
        ({"kind": "choice", "values": [1, 2], "weights": [-1, 2]}, "greater than or equal to 0"),
        ({"kind": "mixture", "parts": [1, 2], "weights": [0, 0]}, "weights are all zero"),
        ("high", "must be a number"),
    ],
)
def test_wrong_distributions_are_refused(form: Any, reason: str) -> None:
    data = {
        "markets": {"BTC": {"price": 100.0, "tick_size": 0.01, "lot_size": 0.01}},
        "populations": {"holders": {"strategy": "holder", "count": 1, "leverage": form}},
    }
    with pytest.raises(ScenarioError) as caught:
        parse_scenario(data)
    (line,) = caught.value.problems
    assert line.startswith("populations.holders.leverage")
    assert reason in line
