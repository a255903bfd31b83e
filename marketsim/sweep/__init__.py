"""Designs of many runs, their runner and store, and what they say together."""
