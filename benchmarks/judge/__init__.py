"""Training a judge: a small classifier of real images, which reads what samples show."""
