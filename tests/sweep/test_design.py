from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from marketsim.account.portfolio import load_portfolio
from marketsim.scenario.errors import ScenarioError
from marketsim.sweep.design import Design, DesignError, Parameter, load_design, parse_design
from marketsim.sweep.sampling import Cells, count_cells

Make = Callable[..., Design]
RANGES = {
    "populations.crowd.leverage": {"low": 1.0, "high": 16.0, "log": True},
    "populations.crowd.count": {"low": 2, "high": 5, "integer": True},
}


def values(design: Design) -> list[tuple[Any, ...]]:
    cells = Cells(design)
    return [cells.values(cell) for cell in range(len(cells))]


def test_a_grid_is_every_combination_of_the_levels(design: Make) -> None:
    assert values(design()) == [(3, 1), (3, 8), (5, 1), (5, 8)]


def test_a_design_without_parameters_has_one_cell(design: Make) -> None:
    assert values(design(parameters={})) == [()]


def test_a_latin_hypercube_has_one_point_in_every_slice(design: Make) -> None:
    drawn = values(design(kind="latin", size=8, parameters={"a": {"low": 0.0, "high": 8.0}}))
    assert sorted(int(value) for (value,) in drawn) == list(range(8))


def test_a_sobol_design_is_balanced(design: Make) -> None:
    ranges = {"a": {"low": 0.0, "high": 1.0}, "b": {"low": 0.0, "high": 1.0}}
    drawn = np.array(values(design(kind="sobol", size=16, parameters=ranges)))
    quarters = {(int(2 * a), int(2 * b)) for a, b in drawn[:4]}
    assert len(quarters) == 4


def test_a_morris_trajectory_moves_one_parameter_at_a_time(design: Make) -> None:
    ranges = {name: {"low": 0.0, "high": 3.0} for name in "abc"}
    drawn = np.array(values(design(kind="morris", size=5, parameters=ranges)))
    assert drawn.shape == (20, 3)
    assert set(np.round(drawn.ravel(), 9)) <= {0.0, 1.0, 2.0, 3.0}
    moves = np.diff(drawn.reshape(5, 4, 3), axis=1)
    assert (np.count_nonzero(moves, axis=2) == 1).all()


def test_a_saltelli_design_mixes_two_samples_column_by_column(design: Make) -> None:
    ranges = {name: {"low": 0.0, "high": 1.0} for name in "ab"}
    drawn = np.array(values(design(kind="saltelli", size=4, parameters=ranges)))
    first, mixed_a, mixed_b, second = drawn.reshape(4, 4, 2).swapaxes(0, 1)
    assert (mixed_a == np.column_stack([second[:, 0], first[:, 1]])).all()
    assert (mixed_b == np.column_stack([first[:, 0], second[:, 1]])).all()


@pytest.mark.parametrize("kind", ["latin", "sobol", "morris", "saltelli"])
def test_drawn_values_stay_in_their_range(design: Make, kind: str) -> None:
    made = design(kind=kind, size=16, parameters=RANGES)
    drawn = values(made)
    assert len(drawn) == count_cells(made)
    assert all(1.0 <= leverage <= 16.0 for leverage, _ in drawn)
    assert {type(count) for _, count in drawn} == {int}
    assert {count for _, count in drawn} <= {2, 3, 4, 5}


def test_the_same_seed_draws_the_same_cells(design: Make) -> None:
    one, same, other = (
        values(design(kind="latin", size=4, parameters=RANGES, seed=seed)) for seed in (1, 1, 2)
    )
    assert one == same != other


def test_whole_numbers_are_equally_likely() -> None:
    parameter = Parameter(low=2, high=5, integer=True)
    assert [parameter.value(share) for share in (0.0, 0.24, 0.26, 0.74, 0.76, 1.0)] == [
        2, 2, 3, 4, 5, 5,
    ]  # fmt: skip


def test_a_logarithmic_range_has_its_middle_at_the_geometric_mean() -> None:
    parameter = Parameter(low=1.0, high=16.0, log=True)
    assert parameter.value(0.5) == pytest.approx(4.0, rel=1e-12)
    assert parameter.ends() == (1.0, 16.0)


def test_a_drawn_design_can_choose_among_levels(design: Make) -> None:
    levels = {"populations.crowd.margin_mode": ["cross", "isolated"]}
    drawn = values(design(kind="latin", size=4, parameters=levels))
    assert sorted(mode for (mode,) in drawn) == ["cross", "cross", "isolated", "isolated"]


def test_one_dial_can_set_several_fields_and_their_complement(design: Make) -> None:
    dial = {"levels": [0.25], "paths": ["a.cross", "b.cross"], "complement": ["a.isolated"]}
    cells = Cells(design(parameters={"share": dial}))
    assert cells.changes((0.25,)) == [("a.cross", 0.25), ("b.cross", 0.25), ("a.isolated", 0.75)]


def test_a_table_states_its_cells(design: Make) -> None:
    made = design(kind="table", parameters={}, table=[{"a.x": 1}, {"a.x": 2, "b.y": "z"}])
    assert made.parameter_names == ("a.x", "b.y")
    assert values(made) == [(1, None), (2, "z")]
    assert Cells(made).changes((1, None)) == [("a.x", 1)]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"kind": "gird"}, "kind.*did you mean 'grid'"),
        ({"kind": "latin"}, "size: missing"),
        ({"kind": "sobol", "size": 6}, "size = 6: must be a power of two .* 4 or 8"),
        ({"size": 4}, "size = 4: belongs to kind latin"),
        ({"kind": "pairs"}, "variants: kind \"pairs\" compares at least two"),
        ({"kind": "table"}, "table: lists the cells"),
        ({"parameters": {"a": {"low": 1, "high": 2}}}, "parameters.a: kind \"grid\" needs levels"),
        ({"parameters": {"a": {"low": 2, "high": 1}}}, "a range needs low < high"),
        ({"parameters": {"a": {"low": 0, "high": 1, "log": True}}}, "low = 0: must be above 0"),
        ({"parameters": {"a": {"low": 1, "high": 1.5, "integer": True}}}, "must be whole"),
        ({"parameters": {"a": 3}}, "parameters.a"),
        ({"parameters": {"seed": [1, 2]}}, "parameters.seed: is a column of every sweep"),
        ({"set": {"venue": {"funding": {"interval_hours": 1}}}},
         'in quotes: "venue.funding.interval_hours"'),
        ({"replicates": 0}, "replicates = 0"),
        ({"keep": ["fills"]}, "keep.*series"),
        ({"colour": "red"}, "colour = \"red\": unknown field"),
    ],
)  # fmt: skip
def test_a_wrong_design_is_refused(design: Make, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(DesignError, match=said):
        design(**changes)


def test_the_forms_of_a_design_replace_fields_and_levels(tmp_path: Path) -> None:
    file = tmp_path / "design.toml"
    file.write_text(
        'base = "calm"\nreplicates = 30\n[parameters]\n"a.b" = [1, 2, 3]\n'
        'c = { levels = [1, 2], paths = ["c.d"] }\n'
        '[quick]\nreplicates = 2\n[quick.parameters]\n"a.b" = [1]\nc = [2, 3]\n'
        "[full]\ndays = 9\n"
    )
    plain, quick, full = (load_design(file, form) for form in (None, "quick", "full"))
    assert (plain.replicates, plain.days, count_cells(plain)) == (30, None, 6)
    assert (quick.replicates, quick.days, count_cells(quick)) == (2, None, 2)
    assert Cells(quick).changes((1, 3)) == [("a.b", 1), ("c.d", 3)]
    assert (full.replicates, full.days, count_cells(full)) == (30, 9.0, 6)


def test_a_base_beside_the_design_is_found_from_anywhere(tiny: Path, tmp_path: Path) -> None:
    (tmp_path / "designs").mkdir()
    file = tmp_path / "designs" / "design.toml"
    levels = '["../tiny.toml", "calm"]'
    file.write_text(
        f'base = "../tiny.toml"\nvariants.a.base = "../tiny.toml"\nparameters.base = {levels}\n'
        f'parameters.one = {{ levels = {levels}, paths = ["base"] }}\n'
    )
    design = load_design(file)
    assert Path(design.base) == Path(design.variants["a"]["base"]) == tiny
    for parameter in design.parameters.values():
        assert parameter.levels == (str(tiny), "calm")


@pytest.mark.parametrize(
    ("text", "said"), [(None, "cannot be read"), ("= 1", "not a TOML"), ("base = 1", "base = 1")]
)
def test_an_unreadable_design_is_refused(tmp_path: Path, text: str | None, said: str) -> None:
    file = tmp_path / "design.toml"
    if text is not None:
        file.write_text(text)
    with pytest.raises(DesignError, match=said):
        load_design(file)


def test_a_path_that_is_empty_is_said_to_be() -> None:
    for load, what in ((load_design, "design"), (load_portfolio, "portfolio")):
        with pytest.raises(ScenarioError, match=f"^{what}: the path of its file is empty$"):
            load("")


def test_an_unknown_form_is_refused() -> None:
    with pytest.raises(DesignError, match="did you mean 'quick'"):
        parse_design({"base": "calm"}, form="quik")
