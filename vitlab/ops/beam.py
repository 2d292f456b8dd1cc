"""Beam search: the sentences with the best score, as far as a few at a time lead to them.

The score is that of GNMT (Wu et al. 2016, arXiv:1609.08144, equation 14),

  log P / ((5 + length) / 6)^a + β Σ_i log min(Σ_j p_ij, 1),

with p_ij the attention of token j to the source's token i, or has length^a below, as in Hugging
Face; EOS counts. What grows is as long as its rivals and may still look at the rest of its source:
there the log-probability alone decides.

When k sentences have ended, the search for them is over (`early_stopping`)

  'never'  when nothing that grows can overtake them, however long it may become
  'false'  when nothing that grows would overtake them if it ended here (Hugging Face's default)
  'true'   at once
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PyTree

from vitlab.ops.sampling import sayable
from vitlab.ops.tokens import BOS, EOS, PAD

# (state of all sentences, the token each said last) -> (logits of the next one, the next state)
Step = Callable[[PyTree, Int[Array, ' b']], tuple[Float[Array, 'b vocab'], PyTree]]
# (state of all sentences, rows) -> the state of these sentences, of which some may come twice
Take = Callable[[PyTree, Int[Array, ' rows']], PyTree]
# state of all sentences -> how much attention each token of their sources has had, 1 at padding
Coverage = Callable[[PyTree], Float[Array, 'b s']]


def beam(
  step: Step,
  take: Take,
  state: PyTree,
  limit: Int[Array, ' b'],
  max_length: int,
  coverage: Coverage | None = None,
  *,
  beams: int,
  length_penalty: float = 0.6,
  coverage_penalty: float = 0.0,
  gnmt: bool = True,
  early_stopping: str = 'never',
  forced_eos: bool = False,
) -> tuple[Int[Array, 'b k t'], Float[Array, 'b k']]:
  """The k sentences with the best score that a search along k of them finds.

  Args:
    step: What comes next.
    take: Some rows of its state.
    state: Before the first token.
    limit: How many tokens each sentence may have, EOS included; what is cut off there counts.
    max_length: t, at least the largest limit.
    coverage: What a state holds of Σ_j p_ij; asked for only if there is a penalty.
    beams: k.
    length_penalty: a; 0 prefers short sentences, 1 takes the mean over tokens (if not gnmt).
    coverage_penalty: β, not negative.
    gnmt: Which of the two forms of the length.
    early_stopping: 'never', 'false' or 'true', see above.
    forced_eos: The last token that the limit allows is an EOS, without a loss of probability.

  Returns:
    Sentences, the best first, padded after their EOS, and their scores; -inf where there are fewer.
  """
  size = len(limit)
  options = (length_penalty, gnmt, coverage_penalty, early_stopping, forced_eos)
  search = _Search(step, take, coverage, limit[:, None], beams, *options)
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
  found = jax.lax.while_loop(search.unfinished, search.extend, start)
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
  coverage: Coverage | None
  limit: Int[Array, 'b 1']
  beams: int
  length_penalty: float
  gnmt: bool
  coverage_penalty: float
  early_stopping: str
  forced_eos: bool

  def unfinished(self, b: _Beams) -> Bool[Array, '']:
    return (b.length < b.growing.shape[-1]) & jnp.any(b.total > -jnp.inf)

  def extend(self, b: _Beams) -> _Beams:
    """Every sentence that grows by one token."""
    size, k = b.token.shape
    logits, state = self.step(b.state, b.token.reshape(-1))
    vocab, length = logits.shape[-1], b.length + 1
    full = length >= self.limit  # what has reached its limit ends there
    gain = sayable(logits).reshape(size, k, vocab)
    if self.forced_eos:
      end = jnp.where(jnp.arange(vocab) == EOS, 0.0, -jnp.inf)
      gain = jnp.where(full[..., None], end, gain)
    total = b.total[..., None] + gain
    # Twice as many as needed: if k of them end here, k others go on.
    total, place = jax.lax.top_k(total.reshape(size, -1), 2 * k)
    parent, token = place // vocab, (place % vocab).astype(jnp.int32)
    sentence = jnp.take_along_axis(b.growing, parent[..., None], axis=1)
    sentence = jax.lax.dynamic_update_index_in_dim(sentence, token, b.length, axis=2)
    missing = jnp.take_along_axis(self._missing(state).reshape(size, k), parent, axis=1)
    ends = (token == EOS) | full
    score = jnp.where(ends, total / self._norm(length) + missing, -jnp.inf)
    # As everywhere: an end that is not among the k best is no end.
    score = jnp.where(jnp.arange(2 * k) < k, score, -jnp.inf)
    total, best = jax.lax.top_k(jnp.where(ends, -jnp.inf, total), k)
    parent, token = (jnp.take_along_axis(x, best, 1) for x in (parent, token))
    growing = jnp.take_along_axis(sentence, best[..., None], axis=1)
    ended, score = _best(k, (b.ended, sentence), (b.score, score))
    total = jnp.where(self._over(score[:, -1:], total, length), -jnp.inf, total)
    rows = (jnp.arange(size)[:, None] * k + parent).reshape(-1)
    return _Beams(length, self.take(state, rows), token, growing, total, ended, score)

  def _over(
    self, worst: Float[Array, 'b 1'], total: Float[Array, 'b k'], length: Int[Array, '']
  ) -> Bool[Array, 'b 1']:
    """Where what grows need not be followed: worst is the last score of k that have ended."""
    if self.early_stopping == 'true':
      return worst > -jnp.inf
    most = self._norm(length)
    if self.early_stopping == 'never':
      # No log-probability is positive and no coverage adds to it: the most that can become of a
      # sum is to be divided by more.
      most = jnp.maximum(most, self._norm(self.limit))
    return worst >= jnp.max(total, axis=1, keepdims=True) / most

  def _norm(self, length: Int[Array, '*b']) -> Float[Array, '*b']:
    base = (5.0 + length) / 6.0 if self.gnmt else length.astype(jnp.float32)
    return base**self.length_penalty

  def _missing(self, state: PyTree) -> Float[Array, ' rows']:
    """β Σ_i log min(Σ_j p_ij, 1): what the score of each loses where its source is not covered."""
    if not self.coverage_penalty:
      return jnp.zeros(len(self.limit) * self.beams, jnp.float32)
    # Attention that has underflowed makes a sentence bad, not impossible.
    smallest = jnp.finfo(jnp.float32).tiny
    log = jnp.log(jnp.clip(self.coverage(state), smallest, 1.0))
    return self.coverage_penalty * jnp.sum(log, axis=-1)


def _best(
  k: int, sentences: tuple[Int[Array, 'b _ t'], ...], scores: tuple[Float[Array, 'b _'], ...]
) -> tuple[Int[Array, 'b k t'], Float[Array, 'b k']]:
  """The k best of all."""
  score, place = jax.lax.top_k(jnp.concatenate(scores, axis=1), k)
  sentence = jnp.concatenate(sentences, axis=1)
  return jnp.take_along_axis(sentence, place[..., None], axis=1), score
