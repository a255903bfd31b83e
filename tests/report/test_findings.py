"""Files of an analysis: what the tables hold, which figures there are."""

from io import StringIO

import pandas as pd
import pytest
from rich.console import Console

from marketsim.report.comparison_page import render_comparison
from marketsim.report.findings import drawings, title, write_analysis
from marketsim.report.layout import to_markdown, to_rich, with_intervals
from marketsim.report.numbers import in_words, interval, number, short_names
from marketsim.study.analysis import SweepAnalysis, cell_means, paired_differences, phases
from marketsim.sweep.design import parse_design

A, B = "populations.crowd.count", "venue.fee"


def analysis(levels: dict[str, list[float]]) -> SweepAnalysis:
    """An analysis of runs whose loss is 10 a + b + seed, and twice that in the twin."""
    design = parse_design(
        {
            "base": "calm",
            "parameters": levels,
            "replicates": 3,
            "variants": {"base": {}, "twin": {"days": 1}},
        }
    )
    cells = [(a, b) for a in levels.get(A, [1]) for b in levels.get(B, [1])]
    runs = pd.DataFrame(
        [
            {
                "cell": cell,
                "seed": seed,
                "variant": name,
                A: a,
                B: b,
                "loss": k * (10 * a + b + seed),
            }
            for cell, (a, b) in enumerate(cells)
            for seed in range(3)
            for name, k in (("base", 1.0), ("twin", 2.0))
        ]
    )
    means = cell_means(runs, list(levels), ["loss"])
    return SweepAnalysis(
        design=design,
        metrics=("loss",),
        base="base",
        num_runs=len(runs),
        num_ok=len(runs),
        num_failed=0,
        means=means,
        differences=paired_differences(runs, ["loss"], "base", "twin").assign(
            variant="twin", **{name: [cells[0][0]] * len(cells) for name in levels}
        ),
        sensitivities=pd.DataFrame(),
        phases=list(phases(means, design, ["loss"])),
        constant=(),
        wide=[],
    )


def test_one_parameter_makes_lines_and_two_make_maps(tmp_path):
    names = {path.name for path in write_analysis(analysis({A: [1, 2]}), tmp_path / "one")}
    assert names == {
        "means.csv",
        "differences.csv",
        "analysis.md",
        "loss.png",
        "difference-loss-twin.png",
    }
    names = {path.name for path in write_analysis(analysis({A: [1, 2], B: [3, 4]}), tmp_path)}
    for variant in ("base", "twin"):
        for ending in ("csv", "png"):
            assert f"phase-loss-{variant}-venue.fee-crowd.count.{ending}" in names


def test_figures_have_a_title_units_and_what_they_were_made_from():
    found = analysis({A: [1, 2]})
    figures = {name: draw() for name, draw in drawings(found)}
    for name, figure in figures.items():
        (source,) = [text for text in figure.texts if text.get_label() == "source"]
        assert found.design.name in source.get_text()
        assert "populations.crowd.count: Number of traders" in " ".join(source.get_text().split())
        assert figure.get_suptitle().startswith("loss")
        assert figure.axes[0].get_xlabel() == "crowd count", name
    assert in_words("GOLD.liquidated_usd") == "GOLD liquidated, USD"


def test_without_figures_only_tables_are_written(tmp_path):
    written = write_analysis(analysis({A: [1, 2]}), tmp_path, figures=False)
    assert {path.suffix for path in written} == {".csv", ".md"}


def test_a_csv_has_every_digit_and_markdown_the_interval(tmp_path):
    found = analysis({A: [1, 2]})
    write_analysis(found, tmp_path, figures=False)
    table = pd.read_csv(tmp_path / "means.csv")
    pd.testing.assert_frame_equal(table, found.means, check_dtype=False)
    assert "| 12 [11, " in (tmp_path / "analysis.md").read_text()  # 10 + 1 and the mean of 0, 1, 2
    assert title(found, "differences").startswith("Paired differences, twin - base")


def test_differences_of_one_cell_are_drawn_in_their_own_units(tmp_path):
    names = {path.name for path in write_analysis(analysis({}), tmp_path)}
    assert "difference-twin.png" in names


def test_a_place_in_a_list_keeps_the_list_s_name():
    names = ["shocks.0.size", "shocks.1.size", "venue.fee"]
    assert list(short_names(names).values()) == names


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.000123456, "0.0001235"), (-1234.5, "-1.234k"), (2.5e9, "2.5B"), (float("inf"), "inf")],
)
def test_numbers_have_four_digits(value, text):
    assert number(value) == text


def test_what_is_rounding_beside_what_was_compared_is_zero():
    table = pd.DataFrame(
        {
            "metric": ["sold", "kept"],
            "base": [265_200.0, 1.0],
            "twin": [265_200.0, 3.0],
            "difference": [-1.455e-11, 2.0],
            "low": [-3e-11, -1.11e-16],
            "high": [1.455e-11, 4.0],
        }
    )
    assert with_intervals(table)["difference"].tolist() == ["0 [0, 0]", "2 [0, 4]"]
    table.attrs["identical"] = 0
    shown = render_comparison(table.assign(pairs=2, variance_ratio=1.0), "title")
    assert [cell.name for cell in shown.columns[4].cells] == ["", ""]


def test_a_name_without_room_folds_at_its_dots():
    name = "populations.holders.leverage"
    table = pd.DataFrame({"metric": [name], "value": ["12345.678 [1, 2]"]})
    console = Console(width=32, file=StringIO())
    console.print(to_rich(table, "", names=("metric",)))
    lines = [line.split()[0] for line in console.file.getvalue().splitlines() if line.strip()]
    assert lines[1:] == ["populations.", "holders.", "leverage"]


def test_an_estimate_without_interval_stands_alone():
    assert interval(1.5, float("nan"), float("nan")) == "1.5"


def test_short_names_stay_apart():
    names = ["populations.a.parameters.x", "markets.a.x", "venue.fee"]
    assert list(short_names(names).values()) == [*names[:2], "venue.fee"]


def test_a_cell_of_markdown_may_hold_a_bar():
    table = pd.DataFrame({"name": ["a|b"], "value": [1.0], "low": [0.5], "high": [2.0]})
    assert to_markdown(with_intervals(table)).splitlines() == [
        "| name | value |",
        "|---|---|",
        "| a\\|b | 1 [0.5, 2] |",
    ]
