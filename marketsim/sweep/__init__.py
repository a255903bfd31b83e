"""Many runs: their design, plan, runner and store."""
