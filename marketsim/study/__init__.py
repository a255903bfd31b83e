"""What runs say: statistics, comparisons, sensitivities, calibration, real markets beside them."""
