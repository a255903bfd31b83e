"""Movies of runs: slow where much burns, and refused in words where they cannot be written."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import marketsim
from marketsim.cli import app
from marketsim.report import movie
from marketsim.report.canvas import find_look


@pytest.fixture(scope="module")
def run():
    return marketsim.run_scenario("contagion", seed=1, days=0.55)


def test_time_runs_slowly_where_much_is_liquidated(run) -> None:
    moments = movie.story_moments(run, 100)
    assert moments[0] < 0.1
    assert moments[-1] == run.markets["hours"].max()
    assert (np.diff(moments) >= 0).all()
    rows = run.liquidations
    usd = rows["notional_usd"].to_numpy()
    low, high = np.interp([0.05, 0.95], np.cumsum(usd) / usd.sum(), rows["hours"])
    shown = ((moments >= low - 0.02) & (moments <= high + 0.02)).mean()
    assert shown > 3 * (high - low) / moments[-1]


def test_a_calm_run_is_shown_evenly() -> None:
    calm = marketsim.run_scenario("quickstart", days=0.05)
    steps = np.diff(movie.story_moments(calm, 10))
    assert np.ptp(steps) < 0.01


@pytest.mark.slow
def test_it_is_written_as_a_gif_that_ends_on_the_run_s_sum(run, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(movie, "PICTURES", 6)
    file = tmp_path / "run.gif"
    movie.write_movie(run, file, find_look())
    with Image.open(file) as picture:
        assert picture.format == "GIF"
        assert picture.n_frames >= 5
        assert picture.size[0] == movie._WIDTH


def test_one_that_is_interrupted_leaves_the_file_before_as_it_was(run, tmp_path, monkeypatch):
    monkeypatch.setattr(movie, "PICTURES", 6)
    file = tmp_path / "run.gif"
    file.write_bytes(b"before")

    def interrupt(done: int, total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        movie.write_movie(run, file, find_look(), interrupt)
    assert file.read_bytes() == b"before"
    assert [each.name for each in tmp_path.iterdir()] == ["run.gif"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere"], "no such folder"),
        (["run", "-o", "run.avi"], ".gif or .mp4"),
    ],
)
def test_bad_input_is_refused_in_words(arguments, said, run, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    run.save("run")
    answer = CliRunner().invoke(app, ["movie", *arguments])
    assert answer.exit_code == 2, answer.output
    assert said in answer.output


def test_mp4_without_ffmpeg_says_so(run, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.chdir(tmp_path)
    run.save("run")
    answer = CliRunner().invoke(app, ["movie", "run", "-o", "run.mp4"])
    assert answer.exit_code == 2
    assert "ffmpeg" in answer.output
