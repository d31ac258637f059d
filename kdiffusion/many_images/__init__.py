"""Many images into files, by as many machines as there are."""
