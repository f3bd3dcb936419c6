"""Processes of their own for pictures whose decoding costs memory or time that the caller cannot afford to lose."""
