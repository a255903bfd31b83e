"""What a run need not write down where its series alone are looked at."""

RECORD = {"contagion_minutes": "never", "heatmap_minutes": "never", "causes": False}
#: The same, to be stated on top of a scenario.
QUIET = [(f"record.{field}", str(value).lower()) for field, value in RECORD.items()]
