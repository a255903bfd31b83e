"""The public names of the package, after every submodule was loaded."""

import subprocess
import sys
from pathlib import Path

import marketsim

ROOMS = {folder.parent.name for folder in Path(marketsim.__file__).parent.glob("*/__init__.py")}
#: Loads every submodule; a submodule of a public name's own name would take its place.
LOAD_ALL = """
import pkgutil, importlib, marketsim
for info in pkgutil.walk_packages(marketsim.__path__, "marketsim."):
    if not info.name.endswith("__main__"):
        importlib.import_module(info.name)
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
