"""The traders: one strategy per file, what they share in `base` and `habits`."""
