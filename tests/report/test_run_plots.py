"""``run.plot``: a method per kind, on axes of one's own or new ones."""

import dataclasses

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure

from marketsim.report.canvas import FigureError
from marketsim.report.plots.kinds import KINDS
from marketsim.report.run_plots import RunPlots


@pytest.fixture(autouse=True)
def _without_a_screen():
    from matplotlib import pyplot as plt

    with mpl.rc_context({"backend": "agg"}):
        yield
        plt.close("all")


def test_there_is_a_method_for_every_kind(two):
    assert dir(two.plot) == sorted(kind.method for kind in KINDS)
    for kind in KINDS:
        assert getattr(RunPlots, kind.method).__doc__.startswith(kind.says)


def test_a_figure_of_several_panels_takes_the_place_of_an_axes(two):
    figure = Figure()
    left, right = figure.subplots(1, 2)
    drawn = two.plot.interest(ax=right)
    assert drawn.shape == (3,)
    assert left in figure.axes
    assert right not in figure.axes
    assert all(axes.figure is figure for axes in drawn)


def test_one_panel_is_drawn_on_the_axes_given(two):
    axes = Figure().subplots()
    assert two.plot.prices(ax=axes, market="BTC") is axes


def test_what_was_not_recorded_is_made_again_once(two):
    run = dataclasses.replace(two)
    first = run.plot.depth(market="BTC")
    assert isinstance(first, mpl.axes.Axes)
    assert "depth" in run.plot._run.tables
    assert run.plot.account().shape == (2,)
    assert "depth" in run.plot._run.tables


def test_code_of_somebody_s_own_is_not_run_by_a_figure(two, monkeypatch):
    run = dataclasses.replace(two)
    monkeypatch.setattr(
        "marketsim.report.run_plots.strategy_files", lambda scenario: {"own.py:Mine": None}
    )
    with pytest.raises(FigureError, match=r"depth needs \(depth_minutes\), and .* own.py:Mine"):
        run.plot.depth()


def test_a_twin_and_other_runs_are_taken_where_they_belong(two, twin):
    assert two.plot.ghost(twin, market="BTC").get_ylabel() == "mark of BTC, USD"
    assert two.plot.events(twin).get_ylabel().startswith("change of mark price")
    with pytest.raises(FigureError, match="takes no other run"):
        two.plot.prices(twin)
    with pytest.raises(FigureError, match="two runs"):
        two.plot.ghost()


def test_colours_follow_the_page(two):
    light, dark = (two.plot.prices(market="BTC", dark=each) for each in (False, True))
    assert light.lines[0].get_color() != dark.lines[0].get_color()
    np.testing.assert_array_equal(light.lines[0].get_ydata(), dark.lines[0].get_ydata())


def test_a_run_in_memory_is_drawn_like_one_from_a_folder():
    from marketsim import run_scenario

    run = run_scenario("quickstart", seed=1, days=0.05)
    assert run.plot.depth(market="SOL").get_ylabel() == "resting in SOL, USD"
    assert run.plot.interest().shape == (3,)
