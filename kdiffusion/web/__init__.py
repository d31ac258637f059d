"""A page that samples from an exported network in the reader's browser."""
