import numpy as np

from marketsim.engine.state import Cause
from marketsim.results.tables import build_tables
from marketsim.run.simulation import Simulation
from marketsim.tape.digest import digest_result
from marketsim.tape.result import RunResult
from tests.agents.small import POPULATIONS, scenario
from tests.run.test_simulation import eventful


def finished(**record: float) -> tuple[Simulation, RunResult]:
    simulation = Simulation(eventful(record=record), 1)
    simulation.run(simulation.num_steps)
    return simulation, simulation.result()


def test_the_population_series_runs_from_the_start_to_the_end() -> None:
    _, result = finished(population_minutes=100)
    assert result.wealth["step"][:, 0].tolist() == [0, 100, 200, 300, 360]
    group = np.where(result.population < 0, result.wealth.shape[1] - 1, result.population)
    for row, moment in ((0, result.start), (-1, result.end)):
        for g in range(result.wealth.shape[1]):
            members = group == g
            assert result.wealth[row, g].equity == moment.equity[members].sum()
            assert result.wealth[row, g].fees == -moment.flow[members, Cause.FEE].sum()
            assert result.wealth[row, g].num_holders == moment.size[members].any(axis=1).sum()
    assert (result.exposure["net"][-1].sum(axis=0) == 0).all()
    last = result.series[-1]
    held = last["open_interest"] * last["mark_ticks"] * result.tick_atoms
    assert (result.exposure["gross"][-1].sum(axis=0) == 2 * held).all()


def test_profit_adds_up_to_the_atom_over_causes_and_over_everybody() -> None:
    simulation, result = finished()
    table = build_tables(result)["populations"]
    causes = {cause: table[f"{cause.name.lower()}_atoms"] for cause in Cause}
    change = result.end.equity - result.start.equity
    assert (result.profit.sum(axis=1) == change).all()
    assert (sum(causes.values()) == table["profit_atoms"]).all()
    assert table["profit_atoms"].sum() == change.sum()
    totals = simulation.state.totals[0]
    assert causes[Cause.FEE].sum() == -totals.fees != 0
    among_traders = set(Cause) - {Cause.FEE, Cause.SPOT}
    assert sum(int(causes[cause].sum()) for cause in among_traders) == 0
    flow = (result.end.flow - result.start.flow).sum(axis=0)
    assert flow[Cause.SPOT] == -totals.outside_cash
    assert flow.sum() + totals.fees + totals.outside_cash == 0


def test_a_run_stopped_between_two_rows_has_them_complete() -> None:
    given = eventful(record={"series_minutes": 15, "population_minutes": 60})
    simulation = Simulation(given, 1)
    simulation.run(100)
    early = simulation.result()
    assert early.wealth["step"][:, 0].tolist() == [0, 60, 100]
    assert np.isfinite(early.series["leverage"][-1]).all()
    simulation.run(simulation.num_steps - 100)
    whole = Simulation(given, 1)
    whole.run(whole.num_steps)
    assert digest_result(simulation.result()) == digest_result(whole.result())


def test_the_heat_map_is_the_funding_table_as_a_grid() -> None:
    tables = build_tables(finished()[1])
    funding, grid = tables["funding"], tables["funding_heatmap"]
    assert len(grid["step"]) > 1
    for name in ("ONE", "TWO"):
        here = funding["market"] == name
        assert (grid["step"] == funding["step"][here]).all()
        assert (grid[f"rate_{name}"] == funding["funding_rate"][here]).all()
        assert (grid[f"premium_{name}"] == funding["average_premium"][here]).all()


def test_every_venue_s_deviation_is_recorded_within_the_spread() -> None:
    spot = {
        "kind": "factor",
        "sources": {"near": {"weight": 9.0, "deviation": 0.0001}, "far": {"deviation": 0.002}},
    }
    simulation = Simulation(eventful(spot=spot), 1)
    simulation.run(simulation.num_steps)
    table = build_tables(simulation.result())["markets"]
    near, far = table["deviation_near"], table["deviation_far"]
    assert np.allclose(np.abs(near - far), table["spot_spread"])
    assert np.std(far) > np.std(near) > 0


def test_the_herd_index_lies_between_minus_one_and_one_and_follows_opinions() -> None:
    simulation = Simulation(scenario(populations={**POPULATIONS}), 1)
    simulation.run(60)
    opinions = simulation.traders.memory[:, :, 0]
    first, stop = (
        int(simulation.traders.population[simulation.roster.names.index("herd")][name])
        for name in ("start", "stop")
    )
    assert np.allclose(
        simulation.result().series["herd_index"][-1], opinions[first:stop].mean(axis=0)
    )
