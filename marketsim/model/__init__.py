"""The Mesa face: the market as a `mesa.Model`, its traders as agents."""
