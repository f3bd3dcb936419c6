"""Inference: what the image model finds in the picture of a case."""
