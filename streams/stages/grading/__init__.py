"""Grading: what a finding means for this patient, by the clinical rules."""
