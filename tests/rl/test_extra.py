"""What is said where the extra is missing."""

import subprocess
import sys

import pytest
from typer.testing import CliRunner

from marketsim.cli import app

IMPORT = "import sys; sys.modules[{name!r}] = None; import marketsim.rl"


@pytest.mark.parametrize("name", ["gymnasium", "pettingzoo"])
def test_the_room_names_what_is_missing_and_the_extra(name):
    if name == "pettingzoo":
        pytest.importorskip("gymnasium", reason="gymnasium is not installed (the extra rl)")
    code = IMPORT.format(name=name)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert f"ImportError: marketsim.rl needs {name}: pip install" in done.stderr


def test_the_benchmark_is_refused_with_a_sentence(monkeypatch):
    monkeypatch.setattr(sys.modules["marketsim.cli.bench"], "find_spec", lambda name: None)
    done = CliRunner().invoke(app, ["bench", "rl"])
    assert done.exit_code == 2
    assert "pip install -e '.[rl]'" in done.output
