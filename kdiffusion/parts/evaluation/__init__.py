"""How good samples are: distances of features to real images, a classifier of their class."""
