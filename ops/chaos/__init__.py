"""Chaos campaigns: a steady flow of cases, a seeded schedule of faults, and a verifier of what came out."""
