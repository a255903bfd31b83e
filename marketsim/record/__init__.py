"""What a run writes down: series, event rows, the finished result and the run folder."""
