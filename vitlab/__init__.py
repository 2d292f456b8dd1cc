"""vitlab: train, compare and understand attention models in JAX."""
