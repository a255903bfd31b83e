"""``marketsim contagion`` on a small run, and on folders it must refuse."""

import json

import networkx
import pandas as pd
import pytest
from typer.testing import CliRunner

from marketsim.cli import app
from marketsim.results.folder import write_run
from marketsim.results.run import load_run
from marketsim.run.simulation import Simulation
from marketsim.scenario.loader import load_scenario


def invoke(*arguments):
    return CliRunner().invoke(app, ["contagion", *map(str, arguments)])


def run_folder(path, *changes):
    simulation = Simulation(load_scenario("mark-spiral", [("days", "0.3"), *changes]), 1)
    simulation.run(simulation.num_steps)
    return write_run(simulation.result(), path)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    changes = ("record.contagion_delta", "0.1")
    return run_folder(tmp_path_factory.mktemp("runs") / "spiral", changes)


def test_it_draws_and_fits_a_terminal(folder, tmp_path):
    outcome = invoke(folder, "--out", tmp_path / "figures")
    assert outcome.exit_code == 0
    lines = [line for line in outcome.output.splitlines() if not line.startswith("drawn ")]
    assert max(map(len, lines)) <= 80
    drawn = {path.name for path in (tmp_path / "figures").glob("*.png")}
    assert "contagion.png" in drawn
    assert any(name.startswith("liquidation-heatmap-") for name in drawn)


def test_json_agrees_with_the_run(folder):
    content = json.loads(invoke(folder, "--json").output)
    numbers = load_run(folder).contagion().reproduction_number
    assert content["reproduction_number"]["falls"] == pytest.approx(numbers["falls"].tolist())
    peak = content["peak"]["falls"]
    assert peak["reproduction_number"] == pytest.approx(numbers["falls"].max())
    assert {*peak["matrix"]} == {*content["markets"]}


def test_quiet_says_nothing(folder):
    assert invoke(folder, "--quiet").output == ""


def test_a_run_without_matrices_is_told_the_field(tmp_path):
    bare = run_folder(tmp_path / "bare", ("record.contagion_minutes", "never"))
    outcome = invoke(bare)
    assert outcome.exit_code == 2
    assert "record.contagion_minutes" in outcome.stderr
    assert invoke(tmp_path / "nowhere").exit_code == 2


def test_exposure_is_written_as_a_matrix_and_as_a_graph(folder, tmp_path):
    table, graph = tmp_path / "held.csv", tmp_path / "held.gexf"
    outcome = invoke(folder, "--exposure", table)
    assert f"written to {table}" in outcome.output.replace("\n", "")
    assert invoke(folder, "--exposure", graph, "--quiet").exit_code == 0
    held = pd.read_csv(table, index_col="account")
    accounts = load_run(folder).accounts
    assert len(held) == len(accounts) - 1  # the fund left out
    holders = {f"account {i}" for i in held.index[held.any(axis=1)]}
    nodes = {*networkx.read_gexf(graph)}
    assert nodes == holders | {f"market {name}" for name in held}


def test_exposure_to_another_kind_of_file_is_refused(folder, tmp_path):
    outcome = invoke(folder, "--exposure", "held.xlsx")
    assert (outcome.exit_code, "must end in .csv or .gexf" in outcome.stderr) == (2, True)
    outcome = invoke(folder, "--exposure", tmp_path / "nowhere" / "held.csv")
    assert (outcome.exit_code, "cannot be written" in outcome.stderr) == (2, True)
