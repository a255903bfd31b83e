"""The kernel decorator: what decides the cache, and that an edit takes effect on the next run."""

import copy
import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import numba
import numpy as np
import pytest

from marketsim.agents.margins import assess_accounts
from marketsim.engine import _jit, _sources, ledger, mark
from marketsim.engine.allocation import grow
from tests.engine.small import open_venue

compiled_only = pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="needs compiled kernels")


@pytest.fixture
def package(tmp_path):
    """Return a copy of the package."""
    copy = tmp_path / "src" / "marketsim"
    shutil.copytree(_sources.PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    return copy


def test_only_the_kernel_decorator_compiles():
    for path in _sources.PACKAGE.rglob("*.py"):
        if path != _sources.PACKAGE / "engine" / "_jit.py":
            assert "njit" not in path.read_text(), path


# Next run

SCRIPT = """
from marketsim.agents.margins import assess_accounts
from marketsim.engine import _jit
from marketsim.engine.formulas.requirements import scaled_initial_fraction as fraction
share = fraction(200_000_000, 500_000_000)
hits = sum(getattr(fraction, "entry", _jit).stats.cache_hits.values()) if CACHED else 0
print(_jit.__file__, share, _jit.CACHE is not None, hits)
"""


def run(package, cache, *, cached=True, **environment):
    """Run a tiny kernel in a new process; return its result, and whether cache and hits exist."""
    env = {key: value for key, value in os.environ.items() if not key.startswith("NUMBA")}
    env |= {"PYTHONPATH": "", "MARKETSIM_CACHE_DIR": str(cache), **environment}
    script = SCRIPT.replace("CACHED", str(cached))
    command = [sys.executable, "-W", "error", "-c", script]
    done = subprocess.run(
        command, check=False, env=env, cwd=package.parent, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    file, share, has_cache, hits = done.stdout.split()
    assert Path(file).is_relative_to(package)
    return int(share), has_cache == "True", int(hits)


def test_second_run_compiles_nothing_and_an_edit_of_a_called_kernel_takes_effect(package, tmp_path):
    cache = tmp_path / "cache"
    assert run(package, cache) == (600_000_000, True, 0)
    assert run(package, cache) == (600_000_000, True, 1)
    without_kernels = package / "scenario" / "errors.py"
    without_kernels.write_text(without_kernels.read_text() + "another = 1\n")
    assert run(package, cache) == (600_000_000, True, 1)
    # the edited function is in another file than the one that is called and cached
    edited = package / "engine" / "formulas" / "integers.py"
    text = edited.read_text()
    line = "    taken = int(np.int64(size // _ONE * share + rest // _ONE))\n"
    assert text.count(line) == 1
    edited.write_text(text.replace(line, line + "    taken += 7\n"))
    assert run(package, cache) == (600_000_007, True, 0)
    edited.write_text(text)
    assert run(package, cache) == (600_000_000, True, 1)
    assert len(folders(cache)) == 2


def test_cache_folder_that_cannot_be_made_leaves_kernels_uncached(package, tmp_path):
    occupied = tmp_path / "occupied"
    occupied.write_text("not a folder")
    assert run(package, occupied, cached=False) == (600_000_000, False, 0)
    assert occupied.read_text() == "not a folder"


def test_without_compilation_kernels_are_plain_functions(package, tmp_path):
    cache = tmp_path / "cache"
    assert run(package, cache, cached=False, NUMBA_DISABLE_JIT="1")[0] == 600_000_000
    assert not list(cache.rglob("*.nbc"))


# The cache folder


def folders(root):
    """Names of the digests there are kernels of."""
    return {path.name for path in root.iterdir()} - {"digests"}


def make_folder(root, name, age):
    folder = root / name
    folder.mkdir(parents=True)
    (folder / "kernel.nbc").write_text("")
    os.utime(folder, (1e9 - age, 1e9 - age))
    return folder


def test_old_digests_are_pruned(tmp_path, monkeypatch):
    monkeypatch.setenv("MARKETSIM_CACHE_DIR", str(tmp_path))
    for age in range(6):
        make_folder(tmp_path, f"{age:016x}", age)
    current = _jit._open_cache()
    kept = {f"{age:016x}" for age in range(_jit.KEPT_DIGESTS - 1)}
    assert folders(tmp_path) == kept | {current.name}
    assert current.name == _sources.kernel_digest()


def test_current_digest_is_kept_however_long_ago_it_was_made(tmp_path, monkeypatch):
    monkeypatch.setenv("MARKETSIM_CACHE_DIR", str(tmp_path))
    make_folder(tmp_path, _sources.kernel_digest(), 10**8)
    for age in range(_jit.KEPT_DIGESTS):
        make_folder(tmp_path, f"{age:016x}", age)
    assert (_jit._open_cache() / "kernel.nbc").exists()


def test_code_without_a_hint_has_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setenv("MARKETSIM_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(_jit, "WITHOUT", ["slot", "order"])
    assert _jit._open_cache().parent == tmp_path / "without-slot-order"


def test_a_run_is_compiled_once_its_loop_is(tmp_path, monkeypatch):
    monkeypatch.setattr(_jit, "CACHE", tmp_path)
    (tmp_path / "run_1").mkdir()
    (tmp_path / "run_1" / "loop.open_step-273.py311.1.nbc").touch()
    assert not _jit.is_compiled()
    (tmp_path / "run_1" / "loop.run_steps-330.py311.1.nbc").touch()
    assert _jit.is_compiled()


def test_pruning_leaves_foreign_folders_alone(tmp_path, monkeypatch):
    monkeypatch.setenv("MARKETSIM_CACHE_DIR", str(tmp_path))
    names = ["photos", "thesis", "mail", "music", "0123456789abcdef0", "0123456789abcdeg"]
    foreign = [make_folder(tmp_path, name, 10**8) for name in names]
    _jit._open_cache()
    assert all((folder / "kernel.nbc").exists() for folder in foreign)


# Calls


@compiled_only
def test_longer_arrays_need_no_new_compilation():
    state = open_venue()
    mark.update_marks(state)
    before = len(mark.update_marks.entry.signatures)
    longer = grow(state, num_orders=5000, num_nodes=5000, num_intents=5000, num_fills=5000)
    mark.update_marks(longer)
    mark.update_marks(open_venue((1.0,) * 50, num_markets=7))
    assert len(mark.update_marks.entry.signatures) == before == 1


def test_kernels_write_to_the_callers_arrays_and_keep_no_reference():
    state = open_venue()
    counts = [sys.getrefcount(array) for array in state]
    for _ in range(100):
        ledger.post(state, 0, 0, 1)
        ledger.account_equity(state)
    assert state.pool[0].cash == 10**9 + 100
    assert [sys.getrefcount(array) for array in state] == counts


@pytest.mark.parametrize(
    "make", [copy.copy, copy.deepcopy, lambda s: pickle.loads(pickle.dumps(s))]
)
def test_a_copy_is_taken_by_its_own_arrays(make):
    state = open_venue()
    ledger.post(state, 0, 0, 1)
    other = make(state)
    assert type(other) is type(state)
    is_shared = other.pool is state.pool
    for each in (state, other):
        ledger.post(each, 0, 0, 10)
    expected = 10**9 + (21 if is_shared else 11)
    assert [int(each.pool[0].cash) for each in (state, other)] == [expected] * 2


def test_arrays_of_another_type_are_not_taken_for_those_before():
    account, out = np.array([1, 0]), np.zeros((2, 3))
    state = open_venue((5.0, 7.0))
    for kind in (np.int64, np.int32, np.int64):
        assess_accounts(state, account.astype(kind), 2, out)
        assert out[:, 0].tolist() == [7.0, 5.0]
        out[:] = 0.0
    strided = np.array([1, 9, 0, 9])[::2]
    assess_accounts(state, strided, 2, out)
    assert out[:, 0].tolist() == [7.0, 5.0]
