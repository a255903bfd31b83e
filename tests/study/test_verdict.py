"""Shares of runs in the bands of real windows, and what is made of them."""

import json
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from marketsim.study.bands import BandError, load_bands, parse_bands, shipped_bands
from marketsim.study.statistics import Interval
from marketsim.study.verdict import RoleVerdict, judge, verdict_record

STRONG = {"n": 20, "periods": 10, "min": 0.0, "p10": 1.0, "median": 2.0, "p90": 3.0, "max": 4.0}


def bands(**roles: str) -> Any:
    return parse_bands({"bands": {n: {**STRONG, "role": r} for n, r in roles.items()}}, "here")


def test_each_seed_and_market_counts_once_within_its_statistic_and_each_statistic_once():
    runs = [{"a": [2.0, 3.5], "b": [2.0]}, {"a": [2.0, 9.0], "b": [0.5]}]
    verdict = judge(runs, bands(a="input", b="input"))
    a, b = verdict.scores
    assert (a.inside, a.within) == (0.5, 0.75)
    assert (b.inside, b.within) == (0.5, 1.0)
    (role,) = verdict.roles
    assert role.num_statistics == 2
    assert (role.inside.value, role.within.value) == (0.5, 0.875)


def test_the_two_roles_are_judged_apart():
    verdict = judge([{"a": [2.0], "b": [9.0]}] * 3, bands(a="input", b="emergent"))
    assert [(each.role, each.inside.value) for each in verdict.roles] == [
        ("input", 1.0),
        ("emergent", 0.0),
    ]
    assert [each.passed for each in verdict.roles] == [True, False]


def test_the_edges_of_a_band_belong_to_it_and_what_does_not_exist_lies_in_none():
    (score,) = judge([{"a": [1.0, 3.0, math.nan, 4.0]}] * 2, bands(a="input")).scores
    assert (score.inside, score.within) == (0.5, 0.75)
    assert score.ours[1] == 3.0


def test_a_miss_is_that_of_the_median_in_widths_of_the_band():
    verdict = judge(
        [{"a": [4.0, 5.0, 6.0], "b": [0.5], "c": [2.9]}] * 2, bands(**dict.fromkeys("abc", "input"))
    )
    assert [score.miss for score in verdict.scores] == [1.0, -0.25, 0.0]


def test_bands_of_few_windows_or_few_periods_are_shown_and_do_not_count():
    given = {
        "few": {**STRONG, "role": "input", "n": 7},
        "short": {**STRONG, "role": "input", "periods": 2},
        "good": {**STRONG, "role": "input"},
    }
    run = {"few": [9.0], "short": [9.0], "good": [2.0]}
    verdict = judge([run, run], parse_bands({"bands": given}, "here"))
    assert len(verdict.scores) == 3
    assert verdict.roles[0].num_statistics == 1
    assert verdict.roles[0].inside.value == 1.0


def test_statistics_that_a_run_does_not_have_are_left_out():
    verdict = judge([{"a": [2.0]}, {"a": [2.0]}], bands(a="input", b="emergent"))
    assert [score.band.name for score in verdict.scores] == ["a"]
    assert [each.role for each in verdict.roles] == ["input"]


@pytest.mark.parametrize(
    ("inside", "within", "passed"),
    [
        ((0.8, 0.75, 0.85), (0.95, 0.92, 0.97), True),
        ((0.8, 0.65, 0.85), (0.95, 0.92, 0.97), None),
        ((0.8, 0.75, 0.85), (0.8, 0.75, 0.85), False),
        ((0.8, math.nan, math.nan), (0.95, math.nan, math.nan), None),
    ],
)
def test_a_goal_is_reached_by_the_whole_interval(inside, within, passed):
    both = Interval(*inside), Interval(*within)
    spread = Interval(0.9, 0.85, 0.95)
    verdict = RoleVerdict("input", 9, *both, (0.7, 0.9), None, spread, None)
    assert verdict.passed is passed
    assert replace(verdict, spread_goal=0.8).passed is passed
    assert replace(verdict, spread_goal=1.0).passed is False


def test_the_spread_is_that_of_all_values_against_the_band_and_the_median_of_statistics():
    rng = np.random.default_rng(4)
    runs = [
        {"a": list(3.0 * rng.random(3)), "b": [math.nan, 5.0 * rng.random()], "c": [2.0] * 3}
        for _ in range(400)
    ]
    (role,) = judge(runs, bands(a="emergent", b="emergent", c="emergent")).roles
    assert role.spread.value == pytest.approx(0.8 * 3.0 / 2.0, abs=0.1)
    assert role.spread.low < 1.2 < role.spread.high
    assert role.spread_goal == 0.8
    few = judge(runs[:2], bands(a="emergent")).roles[0].spread
    assert math.isnan(few.low)
    assert not math.isnan(few.value)


def test_a_record_holds_what_json_can():
    verdict = judge([{"a": [math.nan]}] * 3, bands(a="input"))
    record = json.loads(json.dumps(verdict_record(verdict), allow_nan=False))
    (statistic,) = record["statistics"]
    assert statistic["ours"] == [None, None, None]
    assert statistic["real"] == [0.0, 1.0, 2.0, 3.0, 4.0]
    assert record["roles"]["input"]["inside"]["goal"] == 0.7
    assert record["roles"]["input"]["spread"] == dict.fromkeys(("value", "low", "high", "goal"))
    assert record["roles"]["input"]["passed"] is False


def test_a_window_is_held_against_the_others_for_the_ceilings():
    values = {f"M:{k}": float(k) for k in range(11)}
    given = parse_bands(
        {"bands": {"a": {**STRONG, "role": "input"}}, "windows": {"a": values}}, "here"
    )
    # without 1 the 10 % quantile of the others is 1.8, without 0 their least is 1
    assert given.ceilings["input"] == pytest.approx((7 / 11, 9 / 11))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("{", "cannot be read as JSON"),
        ("[]", "no table `bands`"),
        ('{"bands": {}}', "no table `bands`"),
        ('{"bands": {"a": 3}}', "bands.a.role"),
        (json.dumps({"bands": {"a": {**STRONG, "role": "inside"}}}), "a role is input or emergent"),
        (json.dumps({"bands": {"a": {"role": "input", "n": 9, "periods": 9}}}), "bands.a.min"),
        (json.dumps({"bands": {"a": {**STRONG, "role": "input", "p90": "x"}}}), "bands.a.p90"),
    ],
)
def test_a_file_without_bands_is_refused_by_field(tmp_path, content, says):
    file = tmp_path / "bands.json"
    file.write_text(content)
    with pytest.raises(BandError, match=r"bands\.json: ") as error:
        load_bands(file)
    assert says in str(error.value)


def test_the_shipped_bands_are_ninety_with_both_roles_and_ceilings():
    shipped = shipped_bands()
    assert len(shipped.of) == 90
    strong = [band for band in shipped.of.values() if band.is_strong]
    assert {band.role for band in strong} == set(shipped.ceilings) == {"input", "emergent"}
    assert not [band.name for band in strong if ".1m." in band.name]
    for band in shipped.of.values():
        assert band.min <= band.p10 <= band.median <= band.p90 <= band.max
        assert np.isfinite([band.min, band.max]).all()
