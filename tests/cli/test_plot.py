"""``marketsim plot``: figures from run folders, and everything it must refuse."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from marketsim.report.plots.kinds import KINDS
from marketsim.results.folder import write_run
from marketsim.results.run import load_run
from marketsim.run.simulation import Simulation
from marketsim.scenario.loader import load_scenario
from marketsim.sweep.design import parse_design
from tests.account.conftest import JUMP, make_run
from tests.cli.conftest import TINY

Cli = Callable[..., Result]

OWN = """\
import marketsim


class Idle(marketsim.Trader):
    def step(self):
        pass
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    parent = tmp_path_factory.mktemp("plotted")
    (parent / "jump.toml").write_text(JUMP)
    return make_run(parent / "jump.toml", parent / "run")


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_figure_is_written_where_it_is_asked_for(marketsim: Cli, folder: Path) -> None:
    done = marketsim("plot", folder, "prices", "-o", "deep/prices.svg", "--size", "column")
    assert (done.exit_code, done.stdout) == (0, "drawn deep/prices.svg\n")
    assert Path("deep/prices.svg").read_text().startswith("<?xml")


def test_left_out_the_file_is_named_after_the_kind(marketsim: Cli, folder: Path) -> None:
    assert marketsim("plot", folder, folder, "ghost", "--market", "BTC").exit_code == 0
    assert Path("ghost.png").stat().st_size > 1000


def test_what_the_run_lacks_is_recorded_in_memory(marketsim: Cli, folder: Path) -> None:
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    assert marketsim("plot", folder, "depth", "--dark").exit_code == 0
    assert marketsim("plot", folder, "account", "--account", 40).exit_code == 0
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before


def test_causes_that_were_not_recorded_are_found_again(marketsim: Cli, tmp_path: Path) -> None:
    changes = [("record.causes", "false"), ("days", "0.3"), ("record.contagion_minutes", "never")]
    simulation = Simulation(load_scenario("quickstart", changes), 1)
    simulation.run(simulation.num_steps)
    bare = write_run(simulation.result(), tmp_path / "bare")
    assert len(load_run(bare).liquidations)
    for kind in ("cascade", "network", "contagion"):
        assert marketsim("plot", bare, kind).exit_code == 0


def test_a_sweep_s_runs_are_made_again(marketsim: Cli) -> None:
    from concurrent.futures import ThreadPoolExecutor

    from marketsim.sweep.runner import run_sweep

    Path("tiny.toml").write_text(TINY)
    design = {"base": "tiny.toml", "metrics": ["volume_usd"], "replicates": 3}
    with ThreadPoolExecutor(1) as executor:
        run_sweep(parse_design(design), "swept", executor=executor)
    done = marketsim("plot", "swept", "events", "--series", "premium")
    assert done.exit_code == 0, done.output


def test_the_kinds_are_listed(marketsim: Cli) -> None:
    text = marketsim("plot", "--kinds").stdout
    assert [line.split("`")[1] for line in text.splitlines()[2:]] == [kind.name for kind in KINDS]
    assert all(kind.name in marketsim("plot", "--help").stdout for kind in KINDS)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["funding-heatmp"], "did you mean 'funding-heatmap'"),
        (["prices", "--market", "DOGE"], "market 'DOGE': must be one of BTC, ETH"),
        (["prices", "--account", "3"], "--account: not an option of prices, which has --market"),
        (["account", "--account", "5000"], "account 5000: the run has accounts 0 to"),
        (["cascade", "--cascade", "0"], "has cascades 1 to"),
        (["events", "--series", "nonsense"], "series 'nonsense': must be one of"),
        (["ghost"], "ghost takes two runs"),
        (["prices", "--size", "poster"], "--size poster: must be one of slide, column"),
        (["prices", "-o", "prices.bmp"], "ends in .png, .svg, .pdf"),
        (["prices", "-o", "prices"], "ends in .png, .svg, .pdf"),
        (["prices", "-o", "/proc/prices.png"], "cannot be written"),
    ],
)
def test_bad_input_is_one_sentence(
    marketsim: Cli, folder: Path, words: list[str], said: str
) -> None:
    done = marketsim("plot", folder, *words)
    assert done.exit_code == 2
    assert said in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_folder_that_is_no_run_is_refused(marketsim: Cli, tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "nowhere"):
        done = marketsim("plot", folder, "prices")
        assert done.exit_code == 2
        assert str(folder) in done.stderr


def test_a_file_in_the_way_is_refused(marketsim: Cli, folder: Path) -> None:
    Path("here.png").mkdir()
    done = marketsim("plot", folder, "prices", "-o", "here.png")
    assert done.exit_code == 2
    assert "is a folder" in done.stderr


def test_a_damaged_table_is_refused(marketsim: Cli, folder: Path, tmp_path: Path) -> None:
    broken = Path(shutil.copytree(folder, tmp_path / "broken"))
    file = broken / "markets.parquet"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    done = marketsim("plot", broken, "prices")
    assert done.exit_code == 2
    assert "damaged" in done.stderr


def test_somebody_s_code_is_not_run_unasked(marketsim: Cli, tmp_path: Path) -> None:
    own = tmp_path / "elsewhere" / "own.py"
    own.parent.mkdir()
    own.write_text(OWN)
    scenario = TINY.replace('"noise"', f'"{own}:Idle"')
    Path("own.toml").write_text(scenario)
    made = marketsim("run", "own.toml", "--out", "made", "--trust", "--quiet")
    assert made.exit_code == 0, made.output
    done = marketsim("plot", "made", "depth")
    assert done.exit_code == 2
    assert "--trust" in done.stderr
    assert marketsim("plot", "made", "prices").exit_code == 0
    assert marketsim("plot", "made", "depth", "--trust").exit_code == 0


def test_a_replay_that_cannot_be_written_is_refused_before_the_work(marketsim: Cli) -> None:
    done = marketsim("replay", "nowhere", "-o", "/proc/replay.html")
    assert done.exit_code == 2
    assert "/proc/replay.html: cannot be written" in done.stderr
