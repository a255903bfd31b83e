"""The script that trains an agent: what it leaves, and where."""

import importlib.util
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.develop.blocks import DOCS, read_blocks, run_python

SCRIPT = DOCS.parent / "experiments" / "learning_carry" / "train.py"
WITHOUT = "import runpy, sys; sys.modules['stable_baselines3'] = None; runpy.run_path({script!r})"
RESULTS = {"scores.csv", "summary.json", "figure.png"}


@pytest.fixture
def script(tmp_path, monkeypatch):
    """The script, its folder and the current one being empty but for its README; two seeds."""
    for name in ("gymnasium", "pettingzoo", "stable_baselines3"):
        pytest.importorskip(name, reason=f"{name} is not installed (the extra rl-train)")
    spec = importlib.util.spec_from_file_location("learning_carry", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    home = tmp_path / "beside"
    home.mkdir()
    shutil.copy(SCRIPT.with_name("README.md"), home)
    monkeypatch.setattr(module, "HERE", home)
    monkeypatch.setattr(module, "EVALUATION_SEEDS", range(2))
    monkeypatch.chdir(tmp_path)
    return module


def call(script, monkeypatch, *arguments):
    """Run the script with arguments."""
    monkeypatch.setattr(sys, "argv", ["train.py", *arguments])
    script.main()


def files(folder: Path) -> set[str]:
    return {file.name for file in folder.iterdir()}


def test_the_script_names_what_is_missing_and_the_extra():
    code = WITHOUT.format(script=str(SCRIPT))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == "needs stable-baselines3: pip install -e '.[rl-train]'\n"


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_an_agent_is_kept_and_plays_as_the_page_says(script, monkeypatch, capsys):
    call(script, monkeypatch, "--steps", "10")
    out = Path("runs/learning-carry")
    assert files(out) == {"agent.zip", *RESULTS}
    assert files(script.HERE) == {"README.md"}, "nothing is published unasked"
    shown = capsys.readouterr().out
    for name in ("nothing", "random", "basis", "carry", "PPO"):
        assert f"scoring {name} on 2 seeds ... mean " in shown
    (block,) = [
        b for b in read_blocks((DOCS / "learning-agents.md").read_text()) if "PPO" in b.text
    ]
    names = {"gym": script.gym, "score": script.marketsim.rl.score}
    run_python(block.text, names)
    assert capsys.readouterr().out == f"wealth: {names['info']['wealth']:,.0f} USD\n"
    with pytest.raises(SystemExit, match="2"):
        call(script, monkeypatch)
    assert "agent.zip is there" in capsys.readouterr().err
    assert json.loads((out / "summary.json").read_text())["steps"] == 4096


def test_results_are_published_when_asked_for(script, monkeypatch):
    scores = {name: [0.01, 0.02] for name in script.marketsim.rl.BASELINES}
    scores["PPO"] = [0.03, 0.01]
    Path("out").mkdir()
    script.write(scores, 4096, 1.0, Path("out"))
    script.publish(scores, Path("out"))
    assert files(script.HERE) == {"README.md", *RESULTS}
    text = (script.HERE / "README.md").read_text(encoding="utf-8")
    assert "| carry | 1.50 ± 0.98 | 1 of 2 seeds |" in text
    assert text.count("<!-- scores -->") == text.count("<!-- end of scores -->") == 1


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--steps", "0"], "argument --steps: 0: must be at least 1"),
        (["--steps", "many"], "argument --steps: invalid int value: 'many'"),
        (["--out", "beside/README.md"], "argument --out: beside/README.md/agent.zip"),
    ],
)
def test_a_wrong_option_is_refused_before_the_training(
    script, monkeypatch, capsys, arguments, told
):
    with pytest.raises(SystemExit, match="2"):
        call(script, monkeypatch, *arguments)
    assert told in capsys.readouterr().err
