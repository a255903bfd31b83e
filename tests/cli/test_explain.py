"""``marketsim explain`` on a run with liquidations, and on what it must refuse."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from marketsim.results.run import Run, load_run
from tests.account.conftest import JUMP, make_run

Cli = Callable[..., Result]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("explained")
    (folder / "jump.toml").write_text(JUMP)
    return load_run(make_run(folder / "jump.toml", folder / "run"))


@pytest.fixture
def copy(run: Run, tmp_path: Path) -> Path:
    return Path(shutil.copytree(run.path, tmp_path / "copy"))


def test_every_liquidated_account_is_explained_in_80_columns(run: Run, marketsim: Cli) -> None:
    for account in run.liquidations["account"].unique()[:6]:
        done = marketsim("explain", run.path, "--account", account)
        assert done.exit_code == 0, done.output
        assert max(map(len, done.stdout.splitlines())) <= 80
        assert "…" not in done.stdout
        for word in ("maintenance margin", "= buffer", "liquidated at", "BTC index moves", "how"):
            assert word in done.stdout


def test_an_account_that_was_never_liquidated_says_so(run: Run, marketsim: Cli) -> None:
    done = marketsim("explain", run.path, "--account", 0)
    assert done.exit_code == 0
    assert "never liquidated in this run" in done.stdout
    assert "step 179 of 180" in done.stdout


def test_json_is_one_object_with_the_same_numbers(run: Run, marketsim: Cli) -> None:
    account = int(run.liquidations["account"][0])
    done = marketsim("explain", run.path, "--account", account, "--json")
    found = json.loads(done.stdout)
    assert found["account"] == account
    row = run.liquidations.iloc[0]
    assert found["liquidations"][0]["equity_usd"] == row["equity_usd"]
    assert found["step"] == row["step"]


def test_what_cannot_be_explained_ends_with_a_sentence(
    run: Run, marketsim: Cli, tmp_path: Path
) -> None:
    first = int(run.liquidations["account"].iloc[0])
    for arguments, words in (
        ((run.path, "--account", 999), "there is no account 999, only 0 to 105"),
        (
            (run.path,),
            f"--account N: state the number of an account; first liquidated were {first}",
        ),
        ((run.path, "--account", 0, "--step", 180), "the run has steps 0 to 179"),
        ((tmp_path / "none", "--account", 0), "no such folder"),
        ((tmp_path, "--account", 0), "not a run folder"),
    ):
        done = marketsim("explain", *arguments)
        assert done.exit_code == 2
        assert words in done.output
        assert len(done.output.strip().splitlines()) == 1


def test_another_version_and_damaged_tables_are_refused(copy: Path, marketsim: Cli) -> None:
    record = json.loads((copy / "run.json").read_text())
    (copy / "run.json").write_text(json.dumps(record | {"format_version": 99}))
    done = marketsim("explain", copy, "--account", 0)
    assert done.exit_code == 2
    assert "format version 99" in done.output
    (copy / "run.json").write_text(json.dumps(record))
    content = (copy / "liquidations.parquet").read_bytes()
    (copy / "liquidations.parquet").write_bytes(content[:-9])
    done = marketsim("explain", copy, "--account", 0)
    assert done.exit_code == 2
    assert "damaged" in done.output
    (copy / "liquidations.parquet").write_bytes(bytes(len(content)))
    done = marketsim("explain", copy, "--account", 0)
    assert done.exit_code == 2
    assert "liquidations.parquet: damaged, or not the file" in done.output
    (copy / "liquidations.parquet").unlink()
    done = marketsim("explain", copy, "--account", 0)
    assert done.exit_code == 2
    assert "missing" in done.output
