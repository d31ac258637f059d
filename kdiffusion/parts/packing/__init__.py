"""Data sets larger than memory: written once as plain arrays, from which training reads."""
