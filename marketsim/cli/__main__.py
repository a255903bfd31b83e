"""``python -m marketsim.cli``: the command line without its script."""

from marketsim.cli import main

main()
