"""What the figures show is what the tables say."""

import math

import numpy as np
import pandas as pd
import pytest
from matplotlib.image import imread

from marketsim.report.charts import bar_figure, heat_map, line_figure, save_figure
from marketsim.study.statistics import Interval

ROWS = pd.DataFrame(
    {
        "x": [4.0, 1.0, 2.0],
        "value": [9.0, 3.0, 5.0],
        "low": [8.0, 2.5, 4.0],
        "high": [11.0, 3.5, 6.0],
    }
)


def test_a_line_runs_through_the_means_and_its_band_spans_the_intervals():
    (axes,) = line_figure(ROWS, "leverage", "liquidated (USD)").axes
    (line,) = axes.lines
    np.testing.assert_array_equal(line.get_xydata(), [[1.0, 3.0], [2.0, 5.0], [4.0, 9.0]])
    band = axes.collections[0].get_paths()[0].get_extents()
    assert (band.ymin, band.ymax) == (2.5, 11.0)
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("leverage", "liquidated (USD)")


def test_each_group_has_a_line_and_a_name():
    table = pd.concat([ROWS.assign(group="cross"), ROWS.assign(group="isolated")])
    (axes,) = line_figure(table, "x", "y").axes
    assert len(axes.lines) == 2
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["cross", "isolated"]


def test_a_heat_map_writes_every_cell_that_has_a_value():
    table = pd.DataFrame([[1.0, 2.0], [math.nan, 4.0]], index=[0.1, 0.2], columns=[5, 10])
    axes = heat_map(table, "leverage", "cross share", "liquidated (%)").axes[0]
    written = {text.get_position(): text.get_text() for text in axes.texts}
    assert written == {(0, 0): "1", (1, 0): "2", (1, 1): "4"}
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["0.1", "0.2"]


def test_bars_are_ordered_by_strength_and_leave_out_what_does_not_exist():
    nothing = Interval(math.nan, math.nan, math.nan)
    effects = {
        "weak": Interval(0.1, 0.0, 0.2),
        "gone": nothing,
        "strong": Interval(-0.8, -0.9, -0.5),
    }
    (axes,) = bar_figure(effects, "effect").axes
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["weak", "strong"]
    assert [bar.get_width() for bar in axes.patches] == [0.1, -0.8]


@pytest.mark.parametrize("scale", [1e-6, 1e9])
def test_a_figure_is_a_png_for_a_projector(tmp_path, scale):
    table = ROWS.assign(value=ROWS["value"] * scale, low=0.0, high=ROWS["high"] * scale)
    path = save_figure(line_figure(table, "x", "y"), tmp_path / "lines.png")
    assert imread(path).shape[:2] == (900, 1600)


def test_names_on_the_axis_keep_their_order_and_stay_names():
    table = ROWS.assign(x=["isolated", "cross", "partial"])
    figure = line_figure(table, "mode", "y")
    figure.canvas.draw()
    (axes,) = figure.axes
    assert [text.get_text() for text in axes.get_xticklabels()] == ["isolated", "cross", "partial"]
    np.testing.assert_array_equal(axes.lines[0].get_ydata(), [9.0, 3.0, 5.0])
