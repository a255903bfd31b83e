"""Runs of a sweep that share a warm-up: the same rows as those of runs that warm up alone."""

import os
import signal
from collections.abc import Callable
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Any

import pytest

import marketsim.run.saved
from marketsim.model.opening import open_simulation
from marketsim.run.shared_warm_up import UNFELT, open_warmed
from marketsim.run.simulation import Simulation
from marketsim.sweep.design import Design, parse_design
from marketsim.sweep.lock import SHARED, Shard
from marketsim.sweep.plan import Plan
from marketsim.sweep.pool import WorkerPool
from marketsim.sweep.runner import TooManyFailuresError, run_sweep
from marketsim.sweep.table import load_sweep
from marketsim.sweep.turns import WARM_UPS
from marketsim.sweep.worker import Task, run_task
from tests.sweep.conftest import Inline

#: Where workers note each warm-up they make, and whom the first of them has killed.
NOTES = "MARKETSIM_TEST_NOTES"
VARIANTS: dict[str, Any] = {
    "calm": {},
    "shock": {"shocks": [{"kind": "crash", "at": 0.0, "size": -0.15}]},
    "paid": {"interventions": [{"kind": "deposit", "at_step": 0, "account": 7, "usd": 1e6}]},
}
#: In the order of a plan, the warm-ups of two seeds.
TWO_SEEDS = 2


def a_design(**changes: Any) -> Design:
    """Three variants of a quarter of an hour after an hour, with two seeds."""
    return parse_design(
        {
            "base": "quickstart",
            "days": 0.0104166666666666667,
            "replicates": TWO_SEEDS,
            "set": {"record.warm_up": 1.0},
            "variants": VARIANTS,
            **changes,
        }
    )


def note_warm_ups() -> None:
    """Let this process add a line for every warm-up that it makes."""
    original = Simulation.let_warm_up

    def let_warm_up(run: Simulation, *arguments: Any) -> None:
        if run.step_count < 0:
            with Path(os.environ[NOTES]).open("a") as notes:
                notes.write(f"{run.seed}\n")
        original(run, *arguments)

    Simulation.let_warm_up = let_warm_up  # type: ignore[method-assign]


def die_as_the_first_file_is_written() -> None:
    """Let this process be killed when it is about to write a warm-up, if it is the first."""
    note_warm_ups()

    def write_data(file: Path, header: Any, arrays: Any) -> None:
        try:
            Path(f"{os.environ[NOTES]}.killed").touch(exist_ok=False)
        except FileExistsError:
            original(file, header, arrays)
        else:
            (file.parent / f".{file.name}.half.tmp").write_bytes(b"marketsim saved 1")
            os.kill(os.getpid(), signal.SIGKILL)

    original = marketsim.run.saved.write_data
    marketsim.run.saved.write_data = write_data


@pytest.fixture
def notes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    file = tmp_path / "notes"
    monkeypatch.setenv(NOTES, str(file))
    return file


@pytest.fixture(scope="module")
def alone() -> dict[tuple[str, int], str]:
    """Digests of the runs that warm up by themselves, by variant and seed."""
    plan = Plan(a_design())
    found = {}
    for run in map(plan.run, range(len(plan))):
        simulation = open_simulation(plan.scenario(run.point), run.seed)
        simulation.run(simulation.num_steps)
        found[run.point.variant, run.seed] = simulation.digest()
    assert len(set(found.values())) == len(VARIANTS) * TWO_SEEDS
    return found


def digests(folder: Path) -> dict[tuple[str, int], str]:
    runs = load_sweep(folder)
    return dict(zip(zip(runs["variant"], runs["seed"], strict=True), runs["digest"], strict=True))


class Watched(Inline):
    """Runs calls at once, and keeps the tasks; `before` may do something to a warm-up first."""

    def __init__(self, before: Callable[[Task], None] = lambda _: None) -> None:
        self.tasks: list[Task] = []
        self.before = before

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        if fn is run_task:
            self.tasks.append(args[0])
            self.before(args[0])
        return super().submit(fn, *args, **kwargs)


def test_two_workers_make_one_warm_up_for_each_seed(
    alone: dict[tuple[str, int], str], notes: Path, tmp_path: Path
) -> None:
    with WorkerPool(2, note_warm_ups) as pool:
        report = run_sweep(a_design(), tmp_path / "out", executor=pool)
    assert report.is_complete
    assert digests(tmp_path / "out") == alone
    assert sorted(notes.read_text().split()) == ["0", "1"]
    assert not (tmp_path / "out" / WARM_UPS).exists()


@pytest.mark.slow
def test_a_worker_killed_as_it_writes_a_warm_up_changes_nothing(
    alone: dict[tuple[str, int], str], notes: Path, tmp_path: Path
) -> None:
    with WorkerPool(2, die_as_the_first_file_is_written) as pool:
        run_sweep(a_design(), tmp_path / "out", executor=pool)
    assert digests(tmp_path / "out") == alone
    assert sorted(notes.read_text().split()) in (["0", "0", "1"], ["0", "1", "1"])
    assert not (tmp_path / "out" / WARM_UPS).exists()


@pytest.mark.slow
def test_two_workers_that_make_the_same_one_at_a_time_do_no_harm(
    alone: dict[tuple[str, int], str], notes: Path, tmp_path: Path
) -> None:
    plan, file = Plan(a_design()), tmp_path / "warm"
    runs = [plan.run(number) for number in range(len(plan)) if plan.run(number).seed == 0]
    tasks = [
        Task(run.key, plan.tables, run.point.changes, 0, (), None, (), plan.inputs, file)
        for run in runs
    ]
    with WorkerPool(2, note_warm_ups) as pool:
        outcomes = list(pool.map(run_task, tasks))
    expected = [alone[run.point.variant, 0] for run in runs]
    assert [outcome.digest for outcome in outcomes] == expected
    assert [path.name for path in tmp_path.iterdir() if "warm" in path.name] == ["warm"]
    made = len(notes.read_text().split())
    assert open_warmed(plan.scenario(runs[0].point), 0, file).step_count == 0
    assert len(notes.read_text().split()) == made


@pytest.mark.parametrize("damage", ["cut", "foreign", "gone"])
def test_a_warm_up_that_is_damaged_on_the_way_is_made_again(
    alone: dict[tuple[str, int], str], tmp_path: Path, damage: str
) -> None:
    seen: dict[str, bytes] = {}

    def spoil(task: Task) -> None:
        assert task.warm_up is not None
        if not task.warm_up.exists():
            return
        seen.setdefault(task.warm_up.name, task.warm_up.read_bytes())
        if damage == "gone":
            task.warm_up.unlink()
        else:
            first = next(iter(seen.values()))
            task.warm_up.write_bytes(first if damage == "foreign" else first[:-1])

    run_sweep(a_design(), tmp_path / "out", executor=Watched(spoil))
    assert len(seen) == TWO_SEEDS
    assert digests(tmp_path / "out") == alone


@pytest.mark.slow
def test_a_failing_run_leaves_its_warm_up_to_the_others_and_its_driver_cleans_up(
    tmp_path: Path,
) -> None:
    last = [{"kind": "withdraw", "at_step": 3, "account": 0, "usd": 1e11}]
    design = a_design(variants={"bad": {"interventions": last}, **VARIANTS})
    with pytest.raises(TooManyFailuresError):
        run_sweep(design, tmp_path / "out", executor=Inline(), max_failures=1)
    assert not (tmp_path / "out" / WARM_UPS).exists()
    report = run_sweep(design, tmp_path / "out", executor=Inline())
    assert (report.is_complete, report.failures) == (True, TWO_SEEDS)
    errors = load_sweep(tmp_path / "out").query("variant == 'bad'")["error"]
    assert errors.str.contains("withdraw").all()


def names(design: Design) -> list[str]:
    plan = Plan(design)
    return [plan.warm_up(number) for number in range(len(plan))]


def test_runs_whose_rules_differ_have_warm_ups_of_their_own(tmp_path: Path) -> None:
    parameters = {"venue.funding.interval_hours": [1, 4]}
    found = names(a_design(parameters=parameters))
    assert len(found) == 2 * len(VARIANTS) * TWO_SEEDS
    assert len(set(found)) == 2 * TWO_SEEDS
    watched = Watched()
    run_sweep(a_design(parameters=parameters, variants={}), tmp_path / "out", executor=watched)
    assert [task.warm_up for task in watched.tasks] == [None] * 2 * TWO_SEEDS
    assert "days" not in UNFELT
    lengths = names(a_design(variants={"short": {}, "long": {"days": 0.5}}))
    assert len(set(lengths)) == 2 * TWO_SEEDS


def test_without_a_warm_up_or_with_traders_of_a_user_s_own_nothing_is_shared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert set(names(a_design(set={}))) == {""}
    body = "    def {}:\n        pass\n"
    (tmp_path / "own.py").write_text(
        "import marketsim\n\n"
        f"class Quiet(marketsim.Strategy):\n{body.format('decide(self, market, traders)')}\n"
        f"class Plain(marketsim.Trader):\n{body.format('step(self)')}"
    )
    for strategy in ("own.py:Quiet", "own.py:Plain"):
        table = {"strategy": strategy, "count": 2, "capital": 1000.0}
        design = a_design(set={"record.warm_up": 1.0, "populations.own": table})
        assert set(names(design)) == {""}


@pytest.mark.parametrize("shards", [[SHARED] * 2, [Shard(1, 2), Shard(2, 2)]])
def test_drivers_that_divide_a_sweep_make_the_same_rows_and_leave_no_files(
    alone: dict[tuple[str, int], str], tmp_path: Path, shards: list[Shard]
) -> None:
    killed = tmp_path / "out" / WARM_UPS / "any.killed"
    for number, shard in enumerate(shards):
        run_sweep(a_design(), tmp_path / "out", executor=Watched(), shard=shard)
        if number == 0 and shard != SHARED:
            killed.mkdir(parents=True)
    assert digests(tmp_path / "out") == alone
    assert not (tmp_path / "out" / WARM_UPS).exists()


def test_an_executor_elsewhere_that_sees_no_folder_makes_the_same_rows(
    alone: dict[tuple[str, int], str], tmp_path: Path
) -> None:
    class Elsewhere(Executor):
        """Runs calls where the sweep's folder is not."""

        def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
            task: Task = args[0]
            if task.warm_up is not None:
                args = (task._replace(warm_up=tmp_path / "not here" / task.warm_up.name),)
            return Inline().submit(fn, *args, **kwargs)

    run_sweep(a_design(), tmp_path / "out", executor=Elsewhere())
    assert digests(tmp_path / "out") == alone
    assert not (tmp_path / "not here").exists()
