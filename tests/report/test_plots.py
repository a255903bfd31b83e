"""The figures of runs: every kind, and that what is drawn is what the tables say."""

import itertools

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.image import imread

from marketsim.report.canvas import FigureError, find_look, plain, save_figure
from marketsim.report.picture import complete, draw_picture, lacking
from marketsim.report.plots import event_study, payers, profit
from marketsim.report.plots.dollar_network import passed_on
from marketsim.report.plots.kinds import KINDS, Kind, find_kind
from marketsim.report.plots.prices import liquidated
from marketsim.report.run_report import has_something, report_kinds
from marketsim.report.style import LIGHT

LOOK = find_look()
NAMES = [kind.name for kind in KINDS]


def picture(name, *runs, look=LOOK, **options) -> Figure:
    kind = find_kind(name)
    ready = [complete(run, kind, options) for run in runs]
    return draw_picture(kind, ready, look, options)


def texts(figure) -> list[str]:
    return [text.get_text() for text in figure.findobj(lambda each: hasattr(each, "get_text"))]


def legend_of(axes) -> list[str]:
    return [text.get_text() for text in axes.get_legend().get_texts()]


@pytest.mark.parametrize("kind", KINDS, ids=NAMES)
def test_every_kind_of_two_markets_and_of_one(two, one, twin, path, kind):
    for run, other in ((two, twin), (one, one)):
        runs = {0: [run, other], 1: [run], 2: [run, other]}[kind.num_runs]
        figure = picture(kind.name, *runs)
        save_figure(figure, path)
        assert imread(path).shape[:2] == (900, 1600)
        assert kind.title in texts(figure)
        assert any(run.digest[:10] in text and "seed 7" in text for text in texts(figure))


@pytest.mark.parametrize("kind", KINDS, ids=NAMES)
def test_every_kind_of_a_run_in_which_nothing_happens(quiet, path, kind):
    runs = [quiet] * (kind.num_runs or 1)
    assert save_figure(picture(kind.name, *runs), path).stat().st_size > 1000


@pytest.mark.parametrize("suffix", [".svg", ".pdf", ".PNG"])
def test_a_figure_is_written_the_same_each_time(two, tmp_path, suffix):
    one, other = (
        save_figure(picture("prices", two), tmp_path / f"{n}{suffix}").read_bytes() for n in "ab"
    )
    assert one == other


def test_a_column_is_a_column_and_dark_is_dark(two, path):
    figure = picture("prices", two, look=find_look("column", dark=True))
    assert tuple(figure.get_size_inches()) == (3.5, 2.9)
    assert to_hex(figure.axes[0].get_facecolor()) == "#12161c"


def test_prices_are_those_of_the_table_and_dots_those_liquidated(two):
    (axes,) = picture("prices", two, market="BTC").axes
    rows = two.markets[two.markets["market"].astype(str) == "BTC"]
    mark, index = axes.lines[:2]
    np.testing.assert_array_equal(mark.get_ydata(), rows["mark_price"])
    np.testing.assert_array_equal(index.get_ydata(), rows["index_price"])
    found = liquidated(two, "BTC")
    own = two.liquidations[two.liquidations["market"].astype(str) == "BTC"]
    assert found["usd"].sum() == pytest.approx(own["notional_usd"].sum())
    drawn = sum(len(dots.get_offsets()) for dots in axes.collections)
    assert drawn == len(found)


def test_several_markets_are_drawn_from_where_they_began(two):
    (axes,) = picture("prices", two).axes
    mark = {line.get_color(): line for line in axes.lines[::2]}
    assert set(mark) >= {LIGHT.market(0), LIGHT.market(1)}
    rows = two.markets[two.markets["market"].astype(str) == "ETH"]
    change = 100.0 * (rows["mark_price"] / rows["index_price"].iloc[0] - 1.0)
    np.testing.assert_allclose(mark[LIGHT.market(1)].get_ydata(), change)


def test_funding_is_what_was_settled_and_the_pin_what_the_rule_pays(two):
    premium, rate = picture("funding", two).axes
    settled = two.funding[two.funding["market"].astype(str) == "BTC"]
    np.testing.assert_allclose(rate.lines[0].get_ydata()[1:], 1e4 * settled["funding_rate"])
    assert list(rate.lines[0].get_xdata()) == [0.0, *settled["hours"]]
    assert "pays the pin, 1 bp" in legend_of(premium)


def test_the_funding_map_has_the_absolute_scale(two):
    axes, _ = picture("funding-heatmap", two).axes
    (mesh,) = axes.collections
    rates = 1e4 * two.funding_heatmap[["rate_BTC", "rate_ETH"]].to_numpy().T
    np.testing.assert_allclose(np.asarray(mesh.get_array()).reshape(rates.shape), rates)
    drawn = mesh.cmap(mesh.norm(mesh.get_array())).reshape(-1, 4)
    for color, rate in zip(drawn, rates.ravel(), strict=True):
        assert to_hex(color) == LIGHT.funding_color(rate / 1e4)


def test_the_liquidation_map_is_made_finer_if_the_record_is_coarse(two):
    kind = find_kind("liquidation-heatmap")
    assert lacking(two, kind) == {"heatmap_minutes": 1.0}
    run = complete(two, kind)
    grid = run.heatmap("BTC")
    axes = picture(kind.name, run, market="BTC").axes[0]
    mesh = axes.collections[0]
    values = np.ma.getdata(mesh.get_array()).reshape(grid.shape)
    np.testing.assert_array_equal(values, grid.to_numpy())


def test_interest_shows_three_series_over_one_time(two):
    held, share, herd = picture("interest", two).axes
    rows = two.markets[two.markets["market"].astype(str) == "ETH"]
    np.testing.assert_array_equal(held.lines[1].get_ydata(), rows["open_interest_usd"])
    np.testing.assert_allclose(share.lines[1].get_ydata(), 100.0 * rows["long_share"])
    assert herd.get_ylim() == (-1.05, 1.05)
    assert "no herd trades here" in texts(herd)


def test_the_bars_of_a_cascade_sum_to_its_size(two):
    largest = two.cascades()[0]
    assert largest.num_accounts == two.summary["largest_cascade_accounts"] > 1
    dollars, generations = picture("cascade", two).axes
    assert sum(bar.get_height() for bar in dollars.patches) == pytest.approx(largest.size_usd)
    assert len(generations.get_yticks()) == largest.depth
    by_size = [float(text.split()[-2].rstrip("kM")) for text in legend_of(dollars)]
    assert by_size == sorted(by_size, reverse=True)


def test_the_network_passes_on_the_dollars_of_the_matrix(two):
    sums = passed_on(two).groupby(["sold_in", "lost_in"])["usd"].sum()
    matrix = two.dollar_matrix()
    for sold, lost in itertools.product(matrix.index, matrix.columns):
        assert sums.get((sold, lost), 0.0) == pytest.approx(matrix.loc[sold, lost])


def test_the_matrix_is_that_of_the_largest_r(two):
    left, right = picture("contagion", two).axes
    numbers = two.contagion().reproduction_number
    side = numbers.max().idxmax()
    np.testing.assert_array_equal(
        right.images[0].get_array(), two.contagion().peak(side).matrix(side)
    )
    assert right.images[0].norm.vcenter == 0.0
    drawn = {tuple(line.get_ydata()) for line in left.lines}
    assert tuple(numbers["falls"]) in drawn
    assert left.get_ylim()[1] > 1.0


def test_who_paid_sums_to_the_atom_and_to_the_populations(two):
    table = payers.who_paid(two)
    assert (table.sum() == 0).all()
    by_population = profit.profit_by_cause(two)
    for name, row in by_population.iterrows():
        parts = [party for party in table.index if party.partition(",")[0] == name]
        assert (table.loc[parts].sum() == row).all()
    assert table.loc[payers.VENUE].sum() == round(1e6 * two.steps["fees_usd"].iloc[-1])


def test_profit_by_cause_sums_to_the_profit_to_the_atom(two):
    table = profit.profit_by_cause(two)
    assert table.sum(axis=1).to_list() == two.populations["profit_atoms"].to_list()
    (axes,) = picture("profit", two).axes
    widths = sum(bar.get_width() for bar in axes.patches)
    assert widths == pytest.approx(table.to_numpy().sum() / 1e6)


def test_an_account_s_margin_is_that_of_its_statement(two):
    kind = find_kind("account")
    who = int(two.liquidations["account"].iloc[0])
    run = complete(two, kind, {"account": who})
    pools = run.table(f"account_pools_{who}")
    snapshot = complete(two, Kind("x", "x", "x", (("snapshots", "snapshot_minutes"),))).snapshots
    mine = snapshot[snapshot["account"] == who].set_index("step")["equity_usd"]
    whole = pools.groupby("step").agg({"equity_usd": "sum", "pool": "count"})
    for step, row in whole[whole["pool"] == whole["pool"].max()].iterrows():
        assert row["equity_usd"] <= mine[step] + 1e-6
    equity, distance = picture("account", run, account=who).axes
    assert any(np.allclose(line.get_ydata(), pools["equity_usd"]) for line in equity.lines) or (
        pools["pool"].nunique() > 1
    )
    assert distance.get_ylabel().endswith("%")


def test_depth_is_that_of_the_table(two):
    run = complete(two, find_kind("depth"))
    (axes,) = picture("depth", run, market="ETH").axes
    rows = run.depth[run.depth["market"].astype(str) == "ETH"]
    lowest, highest = axes.get_ylim()
    assert highest >= rows["ask_usd_50bp"].max()
    assert -lowest >= rows["bid_usd_50bp"].max()


def test_an_event_study_is_the_mean_around_the_largest_cascades(two, twin):
    hours, courses = event_study.around([two, twin], "mark_price", "BTC", 0.5, 0.5)
    assert courses.shape == (2, len(hours))
    np.testing.assert_array_equal(courses[:, np.flatnonzero(hours == 0.0)[0]], 0.0)
    for run, course in zip((two, twin), courses, strict=True):
        cascade = next(each for each in run.cascades() if each.num_accounts > 1)
        rows = run.markets[run.markets["market"].astype(str) == "BTC"].set_index("hours")
        start, later = cascade.start_step / 60.0, cascade.start_step / 60.0 + 0.25
        change = 100.0 * (rows["mark_price"][later] / rows["mark_price"][start] - 1.0)
        assert course[np.argmin(abs(hours - 0.25))] == pytest.approx(change)
    (axes,) = picture("events", two, twin, market="BTC", before=0.5, after=0.5).axes
    np.testing.assert_allclose(axes.lines[0].get_ydata(), courses.mean(axis=0))
    assert axes.get_ylabel() == "change of mark price, %"


def test_a_ghost_says_how_much_more_was_liquidated(two, twin):
    (axes,) = picture("ghost", two, twin, market="ETH").axes
    usd = [
        run.liquidations.loc[run.liquidations["market"].astype(str) == "ETH", "notional_usd"].sum()
        for run in (two, twin)
    ]
    word = "more" if usd[0] >= usd[1] else "less"
    assert any(f"USD {word} liquidated in ETH" in text for text in texts(axes))
    for line, run in zip(axes.lines, (twin, two), strict=True):
        rows = run.markets[run.markets["market"].astype(str) == "ETH"]
        np.testing.assert_array_equal(line.get_ydata(), rows["mark_price"])


def test_runs_beside_each_other_have_the_same_ranges(two, twin):
    figure = picture("cascade", two, twin)
    first, second = figure.axes[0], figure.axes[2]
    assert first.get_ylim() == second.get_ylim()
    assert first.get_xlim() == second.get_xlim()


def test_cascades_beside_each_other_have_bars_of_one_width_and_one_end(two, twin):
    alone = [picture("cascade", run).axes[0].patches[0].get_width() for run in (two, twin)]
    figure = picture("cascade", two, twin)
    widths = {round(bar.get_width(), 9) for axes in figure.axes for bar in axes.patches}
    assert widths == {max(alone)}
    assert figure.axes[0].get_ylabel() == figure.axes[2].get_ylabel()
    labels = [figure.axes[place].get_xlabel().split()[0] for place in (1, 3)]
    assert labels[0] == labels[1]
    dots = [
        sum(each.get_sizes().sum() for each in figure.axes[place].collections) for place in (1, 3)
    ]
    sizes = [run.cascades()[0].size_usd for run in (two, twin)]
    assert dots[0] / dots[1] == pytest.approx(sizes[0] / sizes[1])
    for panel, run in ((0, two), (2, twin)):
        _, end = figure.axes[panel].get_xlim()
        bars = figure.axes[panel].patches
        late = sum(bar.get_height() for bar in bars if bar.get_x() >= end)
        share = late / run.cascades()[0].size_usd
        told = "came later" in figure.axes[panel + 1].get_xlabel()
        assert told == (share > 0.0)


def test_without_a_cascade_of_several_accounts_the_figure_says_so(two, monkeypatch):
    alone = [each for each in two.cascades() if each.num_accounts == 1]
    monkeypatch.setattr(type(two), "cascades", lambda _: alone)
    for kind in ("cascade", "network"):
        options = {"cascade": 1}
        assert "No cascade of several accounts." in texts(picture(kind, two, **options))
    shown = [kind.name for kind in report_kinds(two) if has_something(two, kind)]
    assert {"cascade", "events"}.isdisjoint(shown)
    assert {"network", "account"} <= set(shown)
    with pytest.raises(FigureError, match="has none of several accounts"):
        picture("cascade", two, cascade=2)


@pytest.mark.parametrize(
    ("kind", "options", "words"),
    [
        ("prices", {"market": "BTK"}, r"market 'BTK': must be one of BTC, ETH .*'BTC'"),
        ("account", {"account": 10_000}, "account 10000: the run has accounts 0 to 105"),
        ("cascade", {"cascade": 10_000}, "cascade 10000: .* has cascades 1 to"),
        ("events", {"series": "mark_prise"}, "did you mean 'mark_price'"),
        ("events", {"after": 0.0}, "after above 0"),
    ],
)
def test_what_is_not_there_is_named(two, kind, options, words):
    with pytest.raises(FigureError, match=words):
        picture(kind, two, **options)


def test_a_wrong_number_of_runs_is_refused(two):
    with pytest.raises(FigureError, match="ghost takes two runs"):
        picture("ghost", two)
    with pytest.raises(FigureError, match="there is room for 4"):
        picture("prices", *[two] * 5)


def test_an_unknown_kind_names_the_nearest():
    with pytest.raises(KeyError, match="did you mean 'funding-heatmap'"):
        find_kind("funding_heatmaps")


def test_every_file_of_a_kind_is_listed_once():
    folder = event_study.__spec__.origin.rpartition("/")[0]
    assert len({kind.module for kind in KINDS}) == len(KINDS) == len(set(NAMES))
    from pathlib import Path

    files = {file.stem for file in Path(folder).glob("*.py")} - {"__init__", "kinds", "reading"}
    assert files == {kind.module for kind in KINDS}
    assert all(kind.says.endswith(".") for kind in KINDS)


@pytest.mark.parametrize("name", ["<img src=x onerror=alert(1)>", "$\\frac{1}{0}$", "n" * 200])
def test_any_scenario_name_is_shown_as_text(two, path, name):
    import dataclasses

    run = dataclasses.replace(two, scenario=name)
    figure = picture("prices", run)
    save_figure(figure, path.with_suffix(".svg"))
    source = next(text for text in texts(figure) if "seed 7" in text)
    assert plain(name[:10]) in source.replace("\n", " ")
