"""A page that draws with an exported network in the reader's browser."""
