"""What predictions say: scores, intervals, confusion, calibration."""
