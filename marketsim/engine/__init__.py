"""The venue: one file per stage of a step, in the order of `step`."""
