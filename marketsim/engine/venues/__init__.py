"""Venue presets, as data: one TOML file each, named after the venue.

A file states every field of `marketsim.scenario.venue.Venue`; a comment beside each value names
the document it was taken from. The table ``[market]`` holds what a market of that venue gets
where the scenario does not say otherwise.
"""
