"""The benchmark runs and says what it promises; how fast it is, no test asserts."""

import functools
import importlib.util
import json
import subprocess
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import marketsim.bench
from marketsim.bench import book, branch, compiling, hints, market, own, soak, sweep
from marketsim.bench.measure import Timing, summary
from marketsim.engine import near
from marketsim.engine._sources import cache_root
from tests.sweep.conftest import Inline

KEYS = {
    "workload",
    "system",
    "num_accounts",
    "steps",
    "orders_per_cpu_s",
    "wall_s",
    "peak_rss_mb",
}


def lines(captured):
    """Parse standard output: nothing but JSON objects."""
    found = [json.loads(line) for line in captured.out.splitlines()]
    for line in found:
        assert line.keys() >= KEYS
        assert line["orders_per_cpu_s"] > 0
        assert line["wall_s"] >= 0
        assert line["repetitions"] >= 5
    return found


@pytest.mark.slow
def test_book_lines_compare_with_bourse(capsys):
    pytest.importorskip("bourse")
    marketsim.bench.main("book", 20, 4)
    found = lines(capsys.readouterr())
    assert [line["system"] for line in found] == [
        "marketsim",
        "ladder",
        "bourse",
        "marketsim / ladder",
        "marketsim / bourse",
    ]
    assert {line["num_accounts"] for line in found} == {20}
    assert {line["steps"] for line in found} == {4}
    assert found[3]["ratio"] > 0


@pytest.mark.slow
def test_book_without_bourse_says_so_and_times_ours_alone(capsys, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    marketsim.bench.main("book", 20, 4)
    captured = capsys.readouterr()
    systems = ["marketsim", "ladder", "marketsim / ladder"]
    assert [line["system"] for line in lines(captured)] == systems
    assert "bourse is not installed" in captured.err


@pytest.mark.slow
def test_book_sizes_are_compared_with_the_smallest(capsys, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(book, "NUM_ACCOUNTS", (10, 30))
    monkeypatch.setattr(book, "ORDERS", 300)
    book.bench(None, None)
    found = lines(capsys.readouterr())
    assert [(line["num_accounts"], line["steps"]) for line in found] == [
        *[(10, 30)] * 3,
        *[(30, 10)] * 4,
    ]
    assert found[-1]["system"] == "marketsim / marketsim at 10 accounts"
    assert found[-1]["ratio"] > 0


@pytest.mark.slow
def test_market_lines_are_printed_by_a_process_of_their_own(capfd):
    marketsim.bench.main("market", 40, 3)
    line, mixed = lines(capfd.readouterr())
    assert (line["workload"], line["system"]) == ("market", "marketsim")
    assert mixed["system"] == "marketsim with 1 own traders"
    assert mixed["ratio"] > 0
    assert mixed["num_accounts"] == 40
    assert (line["num_accounts"], line["num_markets"], line["steps"]) == (40, 3, 3)


@pytest.mark.slow
def test_causes_lines_compare_runs_with_and_without_them(capsys):
    marketsim.bench.main("causes", 40, 3)
    found = lines(capsys.readouterr())
    assert [(line["scenario"], line["system"]) for line in found] == [
        ("ordinary", "without causes"),
        ("ordinary", "with causes"),
        ("contagion", "without causes"),
        ("contagion", "with causes"),
    ]
    assert ["ratio" in line for line in found] == [False, True, False, True]
    assert found[1]["ratio"] > 0


@pytest.mark.slow
def test_own_lines_say_what_a_call_costs(capsys):
    marketsim.bench.main("own", 40, 20)
    alone, *found = lines(capsys.readouterr())
    assert alone["system"] == "without own traders"
    assert [line["system"] for line in found] == ["vectorised", "plain", "100 plain"]
    assert [line["num_accounts"] for line in found] == [41, 41, 140]
    assert all({"call_us", "work_us"} <= line.keys() for line in found)


def test_own_traders_of_the_benchmark_wake_in_every_step_and_trade():
    for kind, count in ((own.Vectorised, 1), (own.Single, 3)):
        scenario = own._with_own(market.sized_scenario(40, 30), count)
        model = own._new(scenario, kind)
        model.run(30)
        rows = model.simulation.roster.rows_of("own")
        traders = model.simulation.traders.trader[rows]
        assert (traders["last_wake"] == 29).all()
        assert (np.abs(model.simulation.state.position["size"][rows]).sum(axis=1) > 0).all()


def test_book_workload_is_the_stated_one():
    orders = book.draw_orders(500, 40, seed=3)
    distance = np.where(orders.is_buy, 1, -1) * (book.BASE_PRICE - orders.price.astype(np.int64))
    assert set(distance.ravel()) == set(range(-10, 41))
    assert set(orders.size.ravel()) == {1, 2, 3, 4, 5}
    assert orders.is_buy.mean() == pytest.approx(0.5, abs=0.02)


def test_everyone_has_at_most_one_order_and_acts_once_a_step():
    ours = book.Ours(200)
    ours.run(book.draw_orders(200, 5, seed=3))
    ours.check()
    resting = ours.state.order[ours.state.order["size"] > 0]
    assert len(set(resting["account"])) == len(resting) > 100
    assert sorted(ours.sequence) == list(range(200))
    assert ours.state.market[0].volume > 0


def test_order_of_action_changes_from_step_to_step():
    ours = book.Ours(200)
    orders = book.draw_orders(200, 2, seed=3)
    ours.run(book.Orders(*(column[:1] for column in orders)))
    first = ours.sequence.copy()
    ours.run(book.Orders(*(column[1:] for column in orders)))
    assert (first != ours.sequence).mean() > 0.9
    assert (first != np.arange(200)).mean() > 0.9


def test_refused_orders_stop_the_benchmark():
    ours = book.Ours(10)
    ours.state.pool["cash"] = 0
    ours.run(book.draw_orders(10, 1, seed=3))
    with pytest.raises(RuntimeError, match="0 of 10 orders accepted"):
        ours.check()


@pytest.mark.parametrize("total", [3, 10, 632, 1000, 1_000_000])
def test_scaled_populations_add_up(total):
    counts = {"makers": 12, "basis": 20, "holders": 300}
    scaled = market.scaled_counts(counts, total)
    assert sum(scaled.values()) == total
    assert min(scaled.values()) >= 1


def test_figures_are_medians():
    timings = [Timing(cpu, 10 * cpu) for cpu in (1.0, 9.0, 2.0, 4.0, 3.0)]
    line = summary("book", "marketsim", 10, 6, 60, timings)
    assert (line["orders_per_cpu_s"], line["wall_s"]) == (20, 30.0)


@pytest.mark.slow
def test_hints_lines_say_what_each_gains(capfd, monkeypatch):
    played = functools.cache(hints._ratios)  # one round of either order, twice
    monkeypatch.setattr(hints, "_ratios", lambda *given: played(*given[:3], given[3] % 2))
    monkeypatch.setattr(hints, "_VARIANTS", {"all": "", "alignment": ""})
    monkeypatch.setattr(hints, "STRETCHES", 2)
    hints.bench(40, 2, rounds=4)
    found = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert [line["system"] for line in found] == [
        "market without alignment",
        "book without alignment",
    ]
    for line in found:
        assert -100 < line["from_percent"] <= line["gain_percent"] <= line["to_percent"]
        assert (line["num_accounts"], line["steps"], line["rounds"]) == (40, 4, 4)


@pytest.mark.slow
def test_rl_lines_tell_what_learners_cost_beside_their_markets(capsys, monkeypatch):
    pytest.importorskip("gymnasium", reason="gymnasium is not installed (the extra rl)")
    pytest.importorskip("pettingzoo", reason="pettingzoo is not installed (the extra rl)")
    from marketsim.bench import rl

    monkeypatch.setattr(rl, "STACKED", 3)
    monkeypatch.setattr(rl, "RESETS", 3)
    marketsim.bench.main("rl", None, 20)
    found = lines(capsys.readouterr())
    assert [line["system"] for line in found] == ["one learner", "3 learners"] * 2
    assert [line["num_accounts"] for line in found] == [100, 100, 633, 633]
    assert all(line["ratio"] > 0 and line["env_steps_per_cpu_s"] > 0 for line in found)
    assert all(line["reset_ms"] > 0 for line in found[::2])


@pytest.mark.slow
def test_a_player_that_ends_early_stops_the_benchmark(monkeypatch):
    monkeypatch.setattr(hints, "_VARIANTS", {"all": ""})
    with pytest.raises(RuntimeError, match="ended before"):
        hints._ratios("no such workload", 40, 2, 0)


def test_the_hints_to_be_measured_are_those_of_the_engine():
    assert set(hints._VARIANTS) == {"all", *near.HINTS, "any hint", "alignment"}
    assert hints._VARIANTS["any hint"].split() == list(near.HINTS)


@pytest.mark.slow
def test_sweep_lines_say_what_a_sweep_costs_beside_its_runs(capfd, monkeypatch):
    """What is resumed has workers; the rest is made here, its times are not those of workers."""
    monkeypatch.setattr("marketsim.sweep.runner.WorkerPool", lambda *_: Inline())
    in_a_process = sweep._measure
    ways = {"long": sweep.measure, "short": sweep.measure, "resume": in_a_process}
    monkeypatch.setattr(sweep, "_measure", lambda what, *given: ways[what](what, *given))
    monkeypatch.setattr(sweep, "SHORT_RUNS", (10, 20))
    monkeypatch.setattr(sweep, "LONG_RUNS", 2)
    marketsim.bench.main("sweep", None, None, 20)
    found = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert [line["system"] for line in found] == ["2 workers", "10 runs", "20 runs", "resume"]
    assert [line["made"] for line in found] == [sweep.LONG_RUNS, 10, 20, 1]
    assert found[3]["result"] == found[2]["result"] != found[1]["result"]
    assert all(line["driver_cpu_ms"] > 0 for line in found[:3])
    assert 0 < found[0]["efficiency"] < 1


@pytest.mark.slow
def test_branch_lines_say_what_copies_and_files_cost(capfd, monkeypatch):
    monkeypatch.setattr(branch, "FEW_REPETITIONS", 1)
    monkeypatch.setattr(branch, "REPETITIONS", 2)
    marketsim.bench.main("branch", 40, 3)
    copies, file = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert (copies["system"], file["system"]) == ("branches", "save and load")
    assert (copies["branches"], copies["num_accounts"], copies["steps"]) == (100, 40, 3)
    assert copies["cpu_s"] > 0
    assert min(file[name] for name in ("file_mb", "save_s", "load_s")) > 0


@pytest.mark.slow
@pytest.mark.parametrize("runs", [1, 5])
def test_soak_lines_tell_of_memory_and_books(capfd, runs):
    marketsim.bench.main("soak", 40, 3, runs)
    many, long = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert (many["system"], many["runs"], many["steps"]) == ("runs", runs, soak.SHORT_STEPS)
    first, later = many["rss_mb"]
    assert first > 0
    assert many["growth_percent"] == pytest.approx(100 * (later / first - 1), abs=0.01)
    assert (long["system"], long["num_accounts"], long["steps"]) == ("long run", 40, 3)
    assert long["conservation_error"] == 0


def test_books_that_are_not_exact_stop_the_soak():
    with pytest.raises(RuntimeError, match="the books are 3 atoms out"):
        soak.check_books(3)


def test_compile_lines_compare_one_process_and_two(capfd, monkeypatch):
    alone = compiling.FirstRun(30.0, 25.0, 25.0)
    beside = compiling.FirstRun(20.0, 27.5, 15.0)
    monkeypatch.setattr(compiling, "_first_run", lambda is_alone: alone if is_alone else beside)
    marketsim.bench.main("compile", None, None, 2)
    one, two, ratios = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert (one["system"], one["runs"], one["wall_s"]) == ("one process", 2, 30.0)
    assert (two["system"], two["cpu_s"], two["own_cpu_s"]) == ("two processes", 27.5, 15.0)
    assert ratios["ratio"] == {"wall_s": 0.667, "cpu_s": 1.1, "own_cpu_s": 0.6}


@pytest.mark.slow
def test_a_first_run_is_timed_in_a_python_of_its_own_with_an_empty_cache(monkeypatch):
    """It gets the cache of these tests all the same: what is compiled beside it, others test."""
    asked = []

    def run(command, *, env, check, stdout):
        cache = Path(env["MARKETSIM_CACHE_DIR"])
        asked.append((list(cache.iterdir()), env.get("SLURM_CPUS_PER_TASK")))
        env |= {"MARKETSIM_CACHE_DIR": str(cache_root())}
        return subprocess.run(command, env=env, check=check, stdout=stdout)

    monkeypatch.delenv("SLURM_CPUS_PER_TASK", raising=False)
    monkeypatch.setattr(compiling, "subprocess", SimpleNamespace(run=run, PIPE=subprocess.PIPE))
    alone, beside = (compiling._first_run(is_alone=is_alone) for is_alone in (True, False))
    assert asked == [([], "1"), ([], None)]
    assert alone.cpu_s == alone.own_cpu_s > 0
    assert beside.cpu_s >= beside.own_cpu_s > 0
