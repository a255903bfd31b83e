"""What a finished run looks like, measured as real markets are measured, and held against them."""
