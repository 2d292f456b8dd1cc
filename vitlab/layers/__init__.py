"""Flax modules that project and call an op."""
