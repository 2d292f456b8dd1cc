"""Sentences as rows of integers: what the first four numbers mean in every vocabulary here."""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Int

PAD, BOS, EOS, UNK = range(4)  # padding, begin and end of a sentence, unknown
SPECIAL = ('<pad>', '<s>', '</s>', '<unk>')  # how they are written


def is_token(tokens: Int[Array, '*b t']) -> Bool[Array, '*b t']:
  """Where there is a token and not padding."""
  return tokens != PAD


def shift_right(targets: Int[Array, '*b t'], start: int = BOS) -> Int[Array, '*b t']:
  """What a decoder reads while it learns to say the targets: each time the token before."""
  first = jnp.full_like(targets[..., :1], start)
  return jnp.concatenate([first, targets[..., :-1]], axis=-1)
