"""``marketsim cascade`` on a small spiral, and on folders it must refuse."""

import json
import re
import shutil
from dataclasses import replace
from io import StringIO

import networkx
import pytest
from rich.console import Console
from typer.testing import CliRunner

from marketsim.cli import app
from marketsim.report.cascade_tree import render_cascades
from marketsim.results.cascades import summarise_cascades
from marketsim.results.folder import write_run
from marketsim.results.run import load_run
from marketsim.run.simulation import Simulation
from marketsim.scenario.loader import load_scenario


def invoke(*arguments):
    return CliRunner().invoke(app, ["cascade", *map(str, arguments)])


def run_folder(path, *changes):
    simulation = Simulation(load_scenario("mark-spiral", [("days", "1.6"), *changes]), 1)
    simulation.run(simulation.num_steps)
    return write_run(simulation.result(), path)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return run_folder(tmp_path_factory.mktemp("runs") / "spiral")


def test_it_shows_a_tree(folder):
    outcome = invoke(folder, "--largest", 1)
    assert outcome.exit_code == 0
    assert "cascade 1" in outcome.output
    assert "cascade 2" not in outcome.output
    assert re.search(r"[├└]── \d+ ", outcome.output)
    assert "% forced " in outcome.output
    assert max(map(len, outcome.output.splitlines())) <= 80


def test_what_a_single_account_lost_is_not_called_a_cascade(folder):
    run = load_run(folder)
    alone = [replace(run.cascades()[0], num_accounts=1)]
    summary = {"scenario": run.scenario, "seed": run.seed, **summarise_cascades(alone)}
    console = Console(width=80, file=StringIO())
    console.print(render_cascades(summary, alone, run.liquidations, run.causes))
    text = console.file.getvalue()
    assert "0 cascades of several accounts" in text
    assert "the largest of those alone" in text
    assert "cascade 1" not in text


def test_json_agrees_with_the_tables(folder):
    content = json.loads(invoke(folder, "--json", "--largest", 10_000).output)
    total = load_run(folder).liquidations["notional_usd"].sum()
    assert content["liquidated_usd"] == pytest.approx(total)
    assert (
        sum(each["num_liquidations"] for each in content["cascades"])
        == (content["num_liquidations"])
    )
    order = [(each["num_accounts"] == 1, -each["size_usd"]) for each in content["cascades"]]
    assert order == sorted(order)
    spread = [each["number"] for each in content["cascades"] if each["num_accounts"] > 1]
    assert spread == list(range(1, content["num_cascades"] + 1))


def test_large_cascades_are_listed_by_what_they_reach(folder):
    bounds = ("--share", 0.001, "--hours", 3, "--markets", 1, "--generations", 2)
    lines = invoke(folder, *bounds).output.splitlines()
    content = json.loads(invoke(folder, *bounds, "--json").output)["large_cascades"]
    assert content == [each.as_dict() for each in load_run(folder).large_cascades(0.001, 3, 1, 2)]
    assert len(content) >= 1
    assert lines[0].endswith("of 0.1% of open interest and more within 3 h")
    assert len(lines) == 1 + len(content)
    assert f"in cascade {content[0]['number']}" in lines[1]
    assert len(invoke(folder, "--share", 1e6).output.splitlines()) == 1


@pytest.mark.parametrize(
    ("option", "value"), [("--share", -1), ("--hours", 0), ("--hours", "nan"), ("--markets", 0)]
)
def test_a_bound_out_of_range_is_refused_in_a_sentence(folder, option, value):
    arguments = (option, value) if option == "--share" else ("--share", 0.05, option, value)
    outcome = invoke(folder, *arguments)
    assert outcome.exit_code == 2
    assert option in outcome.output
    assert "Traceback" not in outcome.output


@pytest.mark.parametrize("suffix", [".graphml", ".json"])
def test_a_file_holds_the_graph(folder, tmp_path, suffix):
    file = tmp_path / f"graph{suffix}"
    assert invoke(folder, "--graph", file, "--min-weight", 0).exit_code == 0
    if suffix == ".json":
        found = networkx.node_link_graph(json.loads(file.read_text()), edges="edges")
    else:
        found = networkx.read_graphml(file, node_type=int)
    graph = load_run(folder).graph()
    assert set(found.edges) == set(graph.edges)
    assert found.nodes[0]["market"] == graph.nodes[0]["market"]
    assert weights_of(found) == pytest.approx(weights_of(graph))


def weights_of(graph):
    return {(one, other): weight for one, other, weight in graph.edges(data="weight")}


@pytest.mark.parametrize("name", ["graph.png", "missing/graph.json"])
def test_a_graph_that_cannot_be_written_is_refused_in_a_sentence(folder, tmp_path, name):
    outcome = invoke(folder, "--graph", tmp_path / name)
    assert outcome.exit_code == 2
    assert len(outcome.output.strip().splitlines()) == 1
    assert "--graph" in outcome.output


def test_a_run_without_causes_says_how_to_get_them(tmp_path):
    outcome = invoke(run_folder(tmp_path / "bare", ("record.causes", "false")))
    assert outcome.exit_code == 2
    assert "record.causes = true" in outcome.output


@pytest.mark.parametrize("damage", ["version", "missing", "truncated", "garbage", "nothing"])
def test_damaged_folders_are_refused_in_a_sentence(folder, tmp_path, damage):
    copy = shutil.copytree(folder, tmp_path / "copy")
    file = copy / "causes.parquet"
    if damage == "version":
        record = json.loads((copy / "run.json").read_text()) | {"format_version": 1}
        (copy / "run.json").write_text(json.dumps(record))
    elif damage == "missing":
        file.unlink()
    elif damage == "truncated":
        file.write_bytes(file.read_bytes()[:-100])
    elif damage == "garbage":
        file.write_bytes(bytes(file.stat().st_size))
    else:
        copy = tmp_path / "nothing"
    outcome = invoke(copy)
    assert outcome.exit_code == 2
    assert len(outcome.output.strip().splitlines()) == 1
    assert str(copy) in outcome.output
