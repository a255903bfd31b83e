"""A finished run: its tables, figures and summary, its folder, and the `Run` a user holds."""
