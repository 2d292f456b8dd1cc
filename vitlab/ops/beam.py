"""Finding a sentence, given a function that says what may come next.

A log-probability is that of the model as it is: padding and the beginning of a sentence, which
nobody says, are left out afterwards, so that scoring the sentence again gives the same number.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PyTree

from vitlab.ops.tokens import BOS, EOS, PAD

# (state of all sentences, the token each said last) -> (logits of the next one, the next state)
Step = Callable[[PyTree, Int[Array, ' b']], tuple[Float[Array, 'b vocab'], PyTree]]
# (state of all sentences, rows) -> the state of these sentences, of which some may come twice
Take = Callable[[PyTree, Int[Array, ' rows']], PyTree]


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
    log_probability = sayable(logits)
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


def beam(
  step: Step,
  take: Take,
  state: PyTree,
  limit: Int[Array, ' b'],
  max_length: int,
  *,
  beams: int,
  length_penalty: float = 0.6,
  gnmt: bool = True,
) -> tuple[Int[Array, 'b k t'], Float[Array, 'b k']]:
  """The k sentences with the best score that a search along k of them finds.

  The score is the log-probability over ((5 + length) / 6)^a (GNMT, Wu et al. 2016,
  arXiv:1609.08144, equation 14, without its coverage), or over length^a as in Hugging Face; EOS
  counts. A sentence is given up only when nothing that is still growing can overtake what has
  ended, however long it may become.

  Args:
    step: What comes next.
    take: Some rows of its state.
    state: Before the first token.
    limit: How many tokens each sentence may have, EOS included; what is cut off there counts.
    max_length: t, at least the largest limit.
    beams: k.
    length_penalty: a; 0 prefers short sentences, 1 takes the mean over tokens (if not gnmt).
    gnmt: Which of the two forms.

  Returns:
    Sentences, the best first, padded after their EOS, and their scores; -inf where there are fewer.
  """
  size = len(limit)
  search = _Search(step, take, limit[:, None], beams, length_penalty, gnmt)
  empty = jnp.full((size, beams, max_length), PAD, jnp.int32)
  nothing = jnp.full((size, beams), -jnp.inf, jnp.float32)
  start = _Beams(
    length=jnp.zeros((), jnp.int32),
    state=take(state, jnp.repeat(jnp.arange(size), beams)),
    token=jnp.full((size, beams), BOS, jnp.int32),
    growing=empty,
    total=jnp.where(limit[:, None] > 0, nothing.at[:, 0].set(0.0), -jnp.inf),  # once, not k times
    ended=empty,
    score=nothing,
  )
  found = jax.lax.while_loop(
    lambda b: (b.length < max_length) & jnp.any(b.total > -jnp.inf), search.extend, start
  )
  return found.ended, found.score


class _Beams(NamedTuple):
  """Sentences that grow, with the sums of their log-probabilities, and those that have ended."""

  length: Int[Array, '']
  state: PyTree
  token: Int[Array, 'b k']
  growing: Int[Array, 'b k t']
  total: Float[Array, 'b k']  # -inf where nothing grows any more
  ended: Int[Array, 'b k t']
  score: Float[Array, 'b k']  # the best first


class _Search(NamedTuple):
  step: Step
  take: Take
  limit: Int[Array, 'b 1']
  beams: int
  length_penalty: float
  gnmt: bool

  def extend(self, b: _Beams) -> _Beams:
    """Every sentence that grows by one token."""
    size, k = b.token.shape
    logits, state = self.step(b.state, b.token.reshape(-1))
    vocab, length = logits.shape[-1], b.length + 1
    total = b.total[..., None] + sayable(logits).reshape(size, k, vocab)
    # Twice as many as needed: if k of them end here, k others go on.
    total, place = jax.lax.top_k(total.reshape(size, -1), 2 * k)
    parent, token = place // vocab, (place % vocab).astype(jnp.int32)
    sentence = jnp.take_along_axis(b.growing, parent[..., None], axis=1)
    sentence = jax.lax.dynamic_update_index_in_dim(sentence, token, b.length, axis=2)
    ends = token == EOS
    # As everywhere: an end that is not among the k best is no end.
    score = jnp.where(ends & (jnp.arange(2 * k) < k), total / self._norm(length), -jnp.inf)
    total, best = jax.lax.top_k(jnp.where(ends, -jnp.inf, total), k)
    parent, token = (jnp.take_along_axis(x, best, axis=1) for x in (parent, token))
    growing = jnp.take_along_axis(sentence, best[..., None], axis=1)
    # What has reached its limit ends there.
    full = length >= self.limit
    cut = jnp.where(full, total / self._norm(length), -jnp.inf)
    ended, score = _best(k, (b.ended, sentence, growing), (b.score, score, cut))
    # No log-probability is positive: the most that can become of a sum is to be divided by more.
    most = jnp.maximum(self._norm(length), self._norm(self.limit))
    beaten = score[:, -1:] >= jnp.max(total, axis=1, keepdims=True) / most
    total = jnp.where(full | beaten, -jnp.inf, total)
    rows = (jnp.arange(size)[:, None] * k + parent).reshape(-1)
    return _Beams(length, self.take(state, rows), token, growing, total, ended, score)

  def _norm(self, length: Int[Array, '*b']) -> Float[Array, '*b']:
    base = (5.0 + length) / 6.0 if self.gnmt else length.astype(jnp.float32)
    return base**self.length_penalty


def _best(
  k: int, sentences: tuple[Int[Array, 'b _ t'], ...], scores: tuple[Float[Array, 'b _'], ...]
) -> tuple[Int[Array, 'b k t'], Float[Array, 'b k']]:
  """The k best of all."""
  score, place = jax.lax.top_k(jnp.concatenate(scores, axis=1), k)
  sentence = jnp.concatenate(sentences, axis=1)
  return jnp.take_along_axis(sentence, place[..., None], axis=1), score


def sayable(logits: Float[Array, '*b vocab']) -> Float[Array, '*b vocab']:
  """Log-probabilities in float32; -inf for padding and the beginning."""
  ids = jnp.arange(logits.shape[-1])
  log_probability = jax.nn.log_softmax(logits.astype(jnp.float32))
  return jnp.where((ids == PAD) | (ids == BOS), -jnp.inf, log_probability)
