"""How good drawn images are: features, distances between sets of them, a judge of their class."""
