"""Proof by damage: a steady flow of cases, a seeded schedule of faults, and a verifier that would notice."""
