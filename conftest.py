"""What is not looked through for doctests where an extra is not installed."""

from importlib.util import find_spec

HAS_RL = find_spec("gymnasium") is not None and find_spec("pettingzoo") is not None
collect_ignore_glob = [] if HAS_RL else ["marketsim/rl/*", "marketsim/bench/rl.py"]
if find_spec("pams") is None:
    collect_ignore_glob.append("tests/benchmarks/pams_market.py")
