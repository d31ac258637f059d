"""One training step: what an objective draws and loses, gradients, optimizer, average."""
