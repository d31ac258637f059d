"""The mathematics of diffusion in NumPy float64: schedules, samplers, guidance, the loop."""
