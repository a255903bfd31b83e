"""Reports: one page each, true to the folder, in which hostile names stay names."""

import html
import re
import shlex
from pathlib import Path

import pytest
from matplotlib.figure import Figure
from typer.testing import CliRunner

import marketsim
from marketsim.cli import app
from marketsim.report import run_report
from marketsim.report.run_report import needs_rerun, report_run
from marketsim.report.sweep_report import report_sweep

HOSTILE = "<img src=x onerror=alert(1)></script>"
SHORT = [
    ("days", "0.55"),
    ("record.contagion_minutes", "60"),
    ("record.depth_minutes", "60"),
    ("record.heatmap_minutes", "10"),
]


@pytest.fixture(scope="module")
def run():
    return marketsim.run_scenario("contagion", seed=1, overrides=SHORT)


@pytest.fixture(scope="module")
def page(run) -> str:
    return report_run(run)


@pytest.fixture(scope="module")
def calm():
    return marketsim.run_scenario("quickstart", seed=1, days=0.05, overrides=SHORT[1:])


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the figures empty, for what is told beside them."""
    monkeypatch.setattr(run_report, "draw_picture", lambda *_: Figure())


@pytest.mark.slow
def test_it_tells_the_numbers_of_the_summary_and_repeats_them(run, page: str) -> None:
    text = re.sub(r"<[^>]+>", " ", re.sub(r'src="data:[^"]+"', "", page))
    told = run.summary
    assert f"{told['accounts_liquidated']} accounts of {told['num_accounts']}" in text
    assert f"the digest {run.digest}" in text
    assert f"--seed {run.seed}" in text
    for name in run.market_names:
        assert name in text
    assert "insurance fund" in text
    assert text.count("crash of BTC") >= 1


@pytest.mark.slow
def test_it_tells_how_deep_the_largest_cascade_is(run, page: str) -> None:
    assert run.summary["largest_cascade_depth"] >= 4
    assert f"{run.summary['largest_cascade_depth']} generations" in page
    table = page.partition("The largest cascades")[2].partition("</table>")[0]
    assert table.count("<tr>") - 1 == run.summary["cascades"] <= len(run.cascades())


@pytest.mark.slow
def test_it_is_one_file_without_script_or_network(page: str) -> None:
    assert "default-src &#x27;none&#x27;" in page
    assert "<script" not in page
    assert not re.findall(r'(?:src|href)="(?!data:image/png)', page)
    assert page.count("<figure>") >= 12
    assert page.count("<h1>") == 1
    assert all(re.findall(r'<img alt="([^"]*)"', page))


def test_a_run_without_liquidations_is_told_in_fewer_figures(calm) -> None:
    assert not len(calm.liquidations)
    page = report_run(calm)
    assert "Nobody was liquidated" in page
    assert "The largest cascades" not in page


@pytest.mark.usefixtures("undrawn")
def test_names_that_read_like_markup_stay_names() -> None:
    hostile = marketsim.load_scenario("quickstart", [("days", "0.05")])
    hostile = hostile.model_copy(update={"description": HOSTILE})
    held = marketsim.run_scenario(hostile)
    assert not needs_rerun(held) or held.tables
    page = report_run(held)
    assert HOSTILE not in page
    assert "&lt;img src=x onerror=alert(1)&gt;" in page


@pytest.mark.usefixtures("undrawn")
def test_its_commands_can_be_pasted_whatever_the_folder_is_called(calm, tmp_path: Path) -> None:
    name = "my run; echo"
    page = report_run(calm.save(tmp_path / name))
    commands = html.unescape(page.rpartition("<pre><code>")[2].partition("</code>")[0])
    words = [shlex.split(line) for line in commands.splitlines()]
    assert words[0] == ["marketsim", "run", f"{name}/scenario.toml", "--seed", "1"]
    assert [line[2] for line in words[1:]] == [name] * 3


@pytest.mark.usefixtures("undrawn")
def test_the_command_writes_it_beside_the_run(calm, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    calm.save("run")
    answer = CliRunner().invoke(app, ["report", "run", "-q"])
    assert answer.exit_code == 0, answer.output
    assert "run-report.html" in answer.output
    assert "quickstart, seed 1" in (tmp_path / "run-report.html").read_text()
    again = CliRunner().invoke(app, ["report", "run", "-q"])
    assert again.exit_code == 2
    assert "--force" in again.output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere"], "no such folder"),
        (["."], "not a run folder"),
        (["run", "-o", "page.pdf"], "must end in .html"),
    ],
)
def test_bad_input_is_refused_in_words(arguments, said, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    answer = CliRunner().invoke(app, ["report", *arguments])
    assert answer.exit_code == 2, answer.output
    assert said in answer.output
    assert "Traceback" not in answer.output


@pytest.mark.slow
def test_sweeps_and_comparisons_have_a_report(tmp_path: Path) -> None:
    folder = tmp_path / "twins"
    marketsim.compare(
        "quickstart",
        {"venue.funding.interval_hours": 1.0},
        seeds=2,
        first_seed=5,
        days=0.1,
        set_={"populations.noise.attention": {"kind": "uniform", "min": 5.0, "max": 20.0}},
        metrics=["volume_usd", "open_interest_usd"],
        workers=1,
        out=folder,
    )
    page = report_sweep(folder)
    assert "quickstart and its twin" in page
    assert "venue.funding.interval_hours" in page
    assert "volume_usd" in page
    assert "<figure>" in page
    attention = "'populations.noise.attention={ kind = \"uniform\", min = 5.0, max = 20.0 }'"
    assert (
        "marketsim compare quickstart --change venue.funding.interval_hours=1.0 "
        f"--set {attention} --seeds 2 --seed 5 --days 0.1 --out twins" in html.unescape(page)
    )
