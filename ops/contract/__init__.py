"""The contract as documents for colleagues in other languages."""
