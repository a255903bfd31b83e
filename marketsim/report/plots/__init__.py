"""The figures of runs, one file each; `kinds.py` lists them."""
