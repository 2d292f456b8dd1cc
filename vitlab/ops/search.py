"""Finding a sentence, given a function that says what may come next."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PyTree

from vitlab.ops.tokens import BOS, EOS, PAD

# (state of all sentences, the token each said last) -> (logits of the next one, the next state)
Step = Callable[[PyTree, Int[Array, ' b']], tuple[Float[Array, 'b vocab'], PyTree]]


def greedy(
  step: Step, state: PyTree, limit: Int[Array, ' b'], max_length: int
) -> tuple[Int[Array, 'b t'], Float[Array, ' b']]:
  """The most probable token, again and again.

  Args:
    step: What comes next.
    state: Before the first token; as step returns it.
    limit: How many tokens each sentence may have, EOS included; one that is cut off has none.
    max_length: t, at least the largest limit.

  Returns:
    The sentences, padded after their EOS, and their log-probabilities: the sum over their tokens.
  """
  size = len(limit)

  def unfinished(carry: tuple[Any, ...]) -> Any:
    i, *_, done = carry
    return (i < max_length) & ~done.all()

  def extend(carry: tuple[Any, ...]) -> tuple[Any, ...]:
    i, state, token, tokens, score, done = carry
    logits, state = step(state, token)
    log_probability = jax.nn.log_softmax(sayable(logits))
    best = jnp.argmax(log_probability, axis=-1).astype(token.dtype)
    token = jnp.where(done, PAD, best)
    gain = jnp.take_along_axis(log_probability, best[:, None], axis=-1)[:, 0]
    score += jnp.where(done, 0.0, gain)
    tokens = jax.lax.dynamic_update_index_in_dim(tokens, token, i, axis=1)
    return i + 1, state, token, tokens, score, done | (token == EOS) | (i + 1 >= limit)

  start = (
    jnp.zeros((), jnp.int32),
    state,
    jnp.full(size, BOS, jnp.int32),
    jnp.full((size, max_length), PAD, jnp.int32),
    jnp.zeros(size, jnp.float32),
    limit <= 0,
  )
  _, _, _, tokens, score, _ = jax.lax.while_loop(unfinished, extend, start)
  return tokens, score


def sayable(logits: Float[Array, '*b vocab']) -> Float[Array, '*b vocab']:
  """Logits in float32 with those of padding and of the beginning, which nobody says, at -inf."""
  ids = jnp.arange(logits.shape[-1])
  return jnp.where((ids == PAD) | (ids == BOS), -jnp.inf, logits.astype(jnp.float32))
