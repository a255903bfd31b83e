"""The page of a running market: its server and the sessions of those who watch."""
