"""What the subset is worth: estimates with their intervals, forecasts of the error, validation."""
