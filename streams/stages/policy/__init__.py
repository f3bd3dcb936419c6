"""Reads the clinical policy from disk: the packaged one, or a hospital's own."""
