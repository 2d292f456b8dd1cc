"""Sentences for encoder-decoders, of unequal length and padded with 0."""

import jax.numpy as jnp

VOCAB = 11
TOKENS = jnp.array([[4, 7, 5, 9, 2], [8, 2, 0, 0, 0], [6, 10, 4, 2, 0]])
INPUTS = jnp.array([[1, 9, 5, 7], [1, 8, 3, 0], [1, 4, 10, 6]])
