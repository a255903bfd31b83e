"""`--force` replaces what a run wrote, and nothing that its owner keeps beside it or elsewhere."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from marketsim.cli import app
from marketsim.results.folder import write_run
from marketsim.results.run import load_run
from marketsim.tape.result import RunResult
from tests.tape.conftest import make_result, result

__all__ = ["make_result", "result"]

Make = Callable[..., RunResult]
COMMAND = ("run", "quickstart", "--steps", "2", "--quiet", "--out")


def force(folder: Path) -> tuple[int, str]:
    """Simulate into a folder, by force."""
    done = CliRunner().invoke(app, [*COMMAND, str(folder), "--force"])
    return done.exit_code, " ".join(done.output.split())


@pytest.fixture
def run(result: RunResult, tmp_path: Path) -> Path:
    return write_run(result, tmp_path / "run")


def contents(folder: Path) -> dict[str, bytes]:
    return {
        file.relative_to(folder).as_posix(): file.read_bytes() if file.is_file() else b""
        for file in sorted(folder.rglob("*"))
    }


@pytest.mark.parametrize(
    "name",
    ["paper/draft.md", "figures/r.png", "notes.txt", ".hidden", "more.parquet", "run.json.bak"],
)
def test_a_folder_that_holds_more_than_a_run_is_refused_untouched(run: Path, name: str) -> None:
    (run / name).parent.mkdir(exist_ok=True)
    (run / name).write_text("mine")
    before = contents(run.parent)
    code, said = force(run)
    assert code == 2
    assert f"{run / Path(name).parts[0]}: is not what the run wrote" in said
    assert contents(run.parent) == before


@pytest.mark.parametrize("name", ["markets.parquet", "run.json", "scenario.toml"])
def test_a_link_in_the_place_of_a_file_is_refused_and_not_followed(run: Path, name: str) -> None:
    (run / name).rename(run.parent / name)
    (run / name).symlink_to(run.parent / name)
    before = contents(run.parent)
    code, said = force(run)
    assert code == 2
    assert f"{run / name}: is not what the run wrote" in said
    assert contents(run.parent) == before


def test_a_folder_in_the_place_of_a_table_is_refused(run: Path) -> None:
    (run / "markets.parquet").unlink()
    (run / "markets.parquet").mkdir()
    (run / "markets.parquet" / "mine").write_text("")
    code, said = force(run)
    assert code == 2
    assert "markets.parquet: is not what the run wrote" in said
    assert (run / "markets.parquet" / "mine").exists()


@pytest.mark.parametrize("target", ["run", "elsewhere"])
def test_a_link_to_a_run_is_refused(run: Path, target: str) -> None:
    link = run.parent / "link"
    link.symlink_to(run.parent / target)
    before = contents(run.parent)
    code, said = force(link)
    assert code == 2
    assert f"{link}: is a symbolic link" in said
    assert contents(run.parent) == before


def test_a_folder_of_links_may_hold_the_run(run: Path, make_result: Make) -> None:
    (run.parent / "link").symlink_to(run.parent, target_is_directory=True)
    write_run(make_result(2), run.parent / "link" / "run", force=True)
    assert load_run(run).seed == 2


@pytest.mark.parametrize("what", ["no run", "changed", "cut", "other version", "no record"])
def test_what_is_no_run_folder_is_refused_untouched(run: Path, what: str) -> None:
    record = run / "run.json"
    text = record.read_text()
    if what == "no run":
        shutil.rmtree(run)
        run.mkdir()
        (run / "y").write_text("x")
    elif what == "no record":
        record.unlink()
    else:
        changed = {
            "changed": text.replace('"seed": 1', '"seed": 2'),
            "cut": text[:-50],
            "other version": text.replace('"format_version": ', '"format_version": 9'),
        }
        record.write_text(changed[what])
    before = contents(run.parent)
    code, said = force(run)
    assert code == 2
    assert "--force" in said
    assert contents(run.parent) == before


def test_a_damaged_table_is_replaced(run: Path, make_result: Make) -> None:
    (run / "markets.parquet").write_bytes(b"damaged")
    (run / "steps.parquet").unlink()
    write_run(make_result(2), run, force=True)
    assert load_run(run).seed == 2
    assert {file.name for file in run.parent.iterdir()} == {"run"}


def test_what_is_put_there_during_the_run_stays(
    run: Path, make_result: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    from marketsim.results import folder as module

    fill = module._fill

    def slowly(*args: object) -> None:
        fill(*args)  # type: ignore[arg-type]
        (run / "notes.txt").write_text("mine")

    monkeypatch.setattr(module, "_fill", slowly)
    with pytest.raises(module.RunFolderError, match=r"notes\.txt: is not what the run wrote"):
        write_run(make_result(2), run, force=True)
    assert (run / "notes.txt").read_text() == "mine"
    assert {file.name for file in run.parent.iterdir()} == {"run"}
    assert load_run(run).seed == 1
