"""What learning agents need beside marketsim itself."""

from importlib.util import find_spec

#: The packages of the extra.
NEEDED = ("gymnasium", "pettingzoo")


def ensure_installed() -> None:
    """Refuse to go on without the packages of the extra.

    Raises
    ------
    ImportError
        Naming what is missing, and the extra.
    """
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        raise ImportError(
            f"marketsim.rl needs {' and '.join(missing)}: pip install 'marketsim-perps[rl]'"
        )
