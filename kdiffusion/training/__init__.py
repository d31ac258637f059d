"""One training step: the losses of an objective, gradients, optimizer, average."""
