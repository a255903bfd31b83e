"""The formulas of the exchange: one scalar function each, with its equation and its source.

Each is used by a rule that a venue can have; formulas of other rules lie beside the conformance
tests. Every integer formula is free of scale: it gives the same answer in atoms, in cents or in
units of 1e-12, as long as all its amounts share one unit and its fractions are in units of 1e-9
(`ONE`).
"""
