"""The policy as a book that people search."""
