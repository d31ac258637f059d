"""Models of the library diffusers: reading them."""
