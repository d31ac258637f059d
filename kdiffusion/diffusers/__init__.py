"""Models of the library diffusers: reading and writing them."""
