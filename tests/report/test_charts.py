"""What the figures show is what the tables say."""

import math

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex
from matplotlib.image import imread

from marketsim.report.canvas import save_figure
from marketsim.report.charts import LOOK, bar_figure, difference_figure, heat_map, line_figure
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
    assert legend_of(axes) == ["cross", "isolated"]


def legend_of(axes):
    return [text.get_text() for text in axes.get_legend().get_texts()]


def test_a_legend_follows_the_numbers_in_its_names():
    names = ["aligned, 100k", "aligned, 25k", "mixed, 1M", "mixed, 50k", "aligned, 50k"]
    table = pd.concat([ROWS.assign(group=name) for name in names])
    figure = line_figure(table, "x", "y")
    figure.draw_without_rendering()
    ends = [text.get_window_extent() for text in figure.axes[0].get_legend().get_texts()]
    read = zip(ends, legend_of(figure.axes[0]), strict=True)
    by_row = [name for _, name in sorted(read, key=lambda each: (-each[0].y0 // 9, each[0].x0))]
    assert by_row == ["aligned, 25k", "aligned, 50k", "aligned, 100k", "mixed, 50k", "mixed, 1M"]


def test_a_closed_form_is_dashed_in_the_colour_of_what_it_explains():
    table = pd.concat([ROWS.assign(group=name) for name in ("one", "other", "one, theory")])
    (axes,) = line_figure(table, "x", "y", theory=["one, theory"]).axes
    lines = {line.get_label(): line for line in axes.lines}
    assert lines["one, theory"].get_color() == lines["one"].get_color()
    assert lines["other"].get_color() != lines["one"].get_color()
    assert (lines["one, theory"].get_linestyle(), lines["one"].get_linestyle()) == ("--", "-")


def test_groups_whose_names_begin_alike_have_colours_of_their_own():
    table = pd.concat([ROWS.assign(group=name) for name in ("pro_rata", "pro_rata_profit")])
    (axes,) = line_figure(table, "x", "y").axes
    one, other = axes.get_lines()[:2]
    assert one.get_color() != other.get_color()


def test_a_map_of_both_signs_is_neutral_at_zero_and_marks_it():
    table = pd.DataFrame([[-1.0, 0.0], [0.5, 4.0]])
    figure = heat_map(table, "x", "y", "change, USD")
    axes, bar = figure.axes
    image = axes.images[0]
    assert (image.norm.vcenter, image.norm.vmin, image.norm.vmax) == (0.0, -4.0, 4.0)
    assert [line.get_ydata()[0] for line in bar.lines if len(set(line.get_ydata())) == 1] == [0.0]
    neutral = LOOK.theme.funding[len(LOOK.theme.funding) // 2]
    assert to_hex(image.cmap(image.norm(0.0))) == neutral


def test_a_difference_that_may_be_zero_stands_in_brackets():
    table = pd.DataFrame([[-1.0, 2.0]])
    clear = pd.DataFrame([[True, False]])
    axes = heat_map(table, "x", "y", "change", is_clear=clear).axes[0]
    assert [text.get_text() for text in axes.texts] == ["-1", "(2)"]


def test_differences_keep_their_units_and_say_their_interval_and_base():
    found = {"volume_usd": Interval(6e6, 5e6, 7e6), "share": Interval(-0.02, -0.05, 0.01)}
    figure = difference_figure(found, {"volume_usd": 1e6, "share": 1e-9}, "twin - base")
    texts = [axes.texts[0].get_text() for axes in figure.axes]
    assert texts == ["6M [5M, 7M], base 1M", "-0.02 [-0.05, 0.01], base 1e-09"]
    for axes, interval in zip(figure.axes, found.values(), strict=True):
        low, high = axes.get_xlim()
        assert low == -high
        assert low < interval.low
        assert interval.high < high


@pytest.mark.parametrize("name", ["$x$", "<img src=x onerror=alert(1)>", "_hidden", "x" * 300])
def test_any_name_is_shown_as_it_is(tmp_path, name):
    table = pd.concat([ROWS.assign(group=name), ROWS.assign(group="other")])
    figure = line_figure(table, name, name)
    (axes,) = figure.axes
    save_figure(figure, tmp_path / "lines.svg")
    for text in [*axes.get_legend().get_texts(), axes.xaxis.label, axes.yaxis.label]:
        assert not text._preprocess_math(text.get_text())[1]
    assert len(legend_of(axes)[0].replace("\\", "")) <= 44


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
