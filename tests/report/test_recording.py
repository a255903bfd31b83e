"""What is recorded of a run is what it did; to look at it changes nothing."""

import numpy as np
import pytest

from marketsim.contagion.recorder import SIDES
from marketsim.report.drawn import choose_drawn
from marketsim.report.recording import Cadence, Recorder, coarse
from marketsim.report.wire import pack, unpack
from marketsim.results.tables import build_tables
from marketsim.run.simulation import Simulation
from marketsim.scenario.loader import load_scenario

CADENCE = Cadence(accounts=10, heat=30, reproduction=20)


def new(*changes):
    return Simulation(load_scenario("contagion", [("days", "0.7"), *changes]), 3)


def recorder_of(simulation):
    return Recorder(simulation, choose_drawn(simulation.roster, most=40), CADENCE)


@pytest.fixture(scope="module")
def whole():
    recorder = recorder_of(new())
    recorder.run(800)
    return recorder, recorder.frames()


def test_to_look_changes_nothing(whole):
    alone = new()
    alone.run(800)
    assert whole[0].simulation.digest() == alone.digest()


def test_series_are_those_of_the_tables(whole):
    recorder, frames = whole
    result = recorder.simulation.result()
    tables = build_tables(result)
    shape = (800, 3)
    columns = {
        name: np.asarray(tables["markets"][name]).reshape(shape)
        for name in (
            "mark_price",
            "last_price",
            "best_bid",
            "premium",
            "funding_rate",
            "predicted_rate",
            "open_interest_usd",
            "long_share",
            "herd_index",
            "liquidated_usd",
        )
    }
    tick = result.tick_size
    arrays = frames.arrays
    assert arrays["step"].tolist() == list(range(1, 801))
    np.testing.assert_allclose(arrays["mark"] * tick, columns["mark_price"], rtol=1e-12)
    np.testing.assert_allclose(
        np.where(arrays["bid"] > 0, arrays["bid"] * tick, np.nan), columns["best_bid"], rtol=1e-12
    )
    for name, column in (
        ("premium", "premium"),
        ("rate", "funding_rate"),
        ("next", "predicted_rate"),
        ("interest", "open_interest_usd"),
        ("long_share", "long_share"),
        ("herd", "herd_index"),
    ):
        np.testing.assert_allclose(arrays[name], columns[column], rtol=2e-3, err_msg=name)
    np.testing.assert_allclose(arrays["liquidated"], columns["liquidated_usd"].cumsum(axis=0))
    np.testing.assert_allclose(arrays["fund"], tables["steps"]["insurance_fund_usd"])


def test_events_are_those_of_the_tables(whole):
    recorder, frames = whole
    tables = build_tables(recorder.simulation.result())
    arrays, table = frames.arrays, tables["liquidations"]
    assert len(arrays["liq_step"]) > 100
    assert arrays["liq_id"].tolist() == list(range(len(table["step"])))
    assert arrays["liq_step"].tolist() == (np.asarray(table["step"]) + 1).tolist()
    assert arrays["liq_account"].tolist() == table["account"].tolist()
    np.testing.assert_allclose(arrays["liq_usd"], table["notional_usd"], rtol=1e-6)
    tick = recorder.simulation.state.market["tick_size"][arrays["liq_market"]]
    sold = arrays["liq_price"] > 0
    np.testing.assert_allclose(
        (arrays["liq_price"] * tick)[sold],
        table["average_price"][sold],
        atol=float(tick.max()),
    )
    settled = tables["funding"]
    np.testing.assert_allclose(arrays["set_rate"], settled["funding_rate"], rtol=1e-6)
    np.testing.assert_allclose(np.abs(arrays["set_usd"]), settled["paid_usd"], rtol=1e-6)


def test_accounts_are_told_every_so_often_and_at_every_liquidation(whole):
    _, frames = whole
    step = frames.arrays["account_step"]
    assert (np.diff(step) > 0).all()
    assert set(range(0, 801, 10)) <= set(step.tolist())
    assert set(frames.arrays["liq_step"].tolist()) <= set(step.tolist())
    assert frames.arrays["health"].shape == (len(step), 40, 4)


def test_heat_is_told_in_rows(whole):
    _, frames = whole
    rows = frames.arrays["heat_row"]
    assert frames.arrays["heat_step"].tolist() == list(range(30, 801, 30))
    assert rows[0] == 0
    assert rows[-1] == len(frames.arrays["heat_usd"])
    assert (frames.arrays["heat_low"] <= frames.arrays["heat_high"]).all()


def test_r_is_that_of_the_market_carried_forward(whole):
    _, frames = whole
    again = new()
    again.run(700)
    matrix = again.contagion()
    expected = [matrix.reproduction_number(side) for side in SIDES]
    number = frames.arrays["reproduction"]
    np.testing.assert_allclose(number[699], expected, rtol=2e-3)
    np.testing.assert_array_equal(number[699:719], number[[699]].repeat(20, axis=0))
    assert np.isnan(number[:19]).all()
    assert np.isfinite(number[19:]).all()


def test_piece_by_piece_is_the_same(whole):
    recorder = recorder_of(new())
    parts = []
    for count in (1, 9, 90, 600, 37, 63):
        recorder.run(count)
        parts.append(unpack(pack(recorder.frames())).arrays)
    whole_arrays = whole[1].arrays
    for name, array in whole_arrays.items():
        if name in ("heat_row", "liq_cascade", "depth"):
            continue  # offsets; labels may join later; depth is looked at where a piece ends
        np.testing.assert_array_equal(np.concatenate([p[name] for p in parts]), array, err_msg=name)


def test_a_branch_goes_on_as_its_original_does():
    recorder = recorder_of(new())
    recorder.run(722)
    recorder.frames()
    twin = recorder.branch()
    for each in (recorder, twin):
        each.run(60)
    one, other = recorder.frames(), twin.frames()
    for name, array in one.arrays.items():
        np.testing.assert_array_equal(other.arrays[name], array, err_msg=name)
    assert len(one.arrays["liq_step"])


def test_rows_of_several_steps_end_with_the_run():
    recorder = recorder_of(new(("record.series_minutes", "7")))
    recorder.run(1_000)
    step = recorder.frames(is_last=True).arrays["step"]
    assert step.tolist() == [*range(7, 1000, 7), 1000]


def test_the_header_tells_what_is_a_sample():
    simulation = new()
    header = unpack(pack(recorder_of(simulation).start(label="x"))).header
    assert header["sampled"] is True
    assert header["accounts"]["total"] == 866
    assert len(header["accounts"]["population"]) == len(header["accounts"]["drawn"]) == 40
    assert header["label"] == "x"
    assert header["markets"] == ["BTC", "GOLD", "OIL"]


def test_rounded_numbers_are_within_their_bits():
    values = np.array([1e-9, -3.14159, 12_345.678, np.nan, np.inf, 0.0], np.float32)
    rounded = coarse(values)
    known = np.isfinite(values)
    np.testing.assert_allclose(rounded[known], values[known], rtol=2**-9)
    assert np.isnan(rounded[3])
    assert rounded[4] == np.inf
