"""How good a model is, where it fails, and for whom: measured, with the uncertainty of the measurement."""
