"""The public names of the package, after every submodule was loaded."""

import subprocess
import sys
from pathlib import Path

import marketsim

ROOMS = {folder.parent.name for folder in Path(marketsim.__file__).parent.glob("*/__init__.py")}
#: Loads every submodule; a submodule of a public name's own name would take its place.
LOAD_ALL = """
import pkgutil, importlib, marketsim
from importlib.util import find_spec
def left_out(name):  # the extra rl may be missing
    if name.startswith(("marketsim.rl", "marketsim.bench.rl")):
        return find_spec("gymnasium") is None or find_spec("pettingzoo") is None
    return name.endswith("__main__")
found = pkgutil.walk_packages(marketsim.__path__, "marketsim.", lambda name: None)
names = [info.name for info in found]
for name in names:
    if not left_out(name):
        importlib.import_module(name)
wrong = [name for name in marketsim.__all__ if not callable(getattr(marketsim, name))]
assert not wrong, wrong
print(*marketsim.__all__)
"""


def test_no_public_name_is_a_room_s() -> None:
    assert set(marketsim.__all__) & ROOMS == set()


def test_public_names_are_what_they_were_once_everything_is_loaded() -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOAD_ALL], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == marketsim.__all__


def test_public_names_are_listed_once() -> None:
    assert sorted(marketsim.__all__) == sorted(marketsim._PLACES)
    assert set(marketsim.__all__) <= set(dir(marketsim))
