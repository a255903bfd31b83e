"""One account or portfolio: its margin maths, explained and put under stress."""
