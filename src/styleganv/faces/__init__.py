"""The built-in dataset: cartoon faces drawn by this package, every factor of which is known and can be recovered."""
