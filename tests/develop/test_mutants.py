"""The errors that `mutants.py` puts into the package still have a place there, and a test each."""

import shutil
from pathlib import Path

import pytest

from tests.develop.mutants import MUTANTS, PAGE, ROOT, put


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutant_still_has_its_place_and_its_killer(mutant, tmp_path: Path):
    (tmp_path / mutant.file).parent.mkdir()
    shutil.copy(ROOT / "marketsim" / mutant.file, tmp_path / mutant.file)
    put(mutant, tmp_path)
    with pytest.raises(ValueError, match="no single"):
        put(mutant._replace(passage="nowhere in it"), tmp_path)
    row = next(row for row in PAGE.read_text().splitlines() if f"| {mutant.name} |" in row)
    file, _, name = row.rpartition(" | ")[2].strip("`| ").partition("::")
    assert f"def {name}(" in (ROOT / file).read_text()
