"""Going on with a text, token by token, from what a model remembers of it."""

import itertools
from collections.abc import Iterator
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jaxtyping import Array, Float, Int, Key

from vitlab.ops.sampling import argmax, draw, keys_of
from vitlab.ops.search import Search
from vitlab.tasks import Variables

_keys_of = jax.jit(keys_of, static_argnums=0)


class Continuation:
  """A model and a way to choose from what it says.

  A prompt is read in pieces of 1, 2, 4, ... tokens, so that few programs are compiled whatever its
  length. Where a text grows longer than the context, its last half is read again from the start of
  the positions, and it goes on from there; an `endless` model goes on with what it remembers.

  Args:
    model: See `vitlab.tasks.language_model`; its state has a method `take(rows)`.
    variables: Its collections.
    search: Greedy, or sample: its seed and the tokens of the prompt decide what is drawn.
    context: The tokens that it reads at once.
    vocab_size: The tokens that may be said: the first so many.
  """

  def __init__(
    self, model: nn.Module, variables: Variables, search: Search, context: int, vocab_size: int
  ):
    self._model, self._variables, self._context = model, variables, context
    self._options = {key: x for key, x in search.options.items() if key not in ('seed', 'samples')}
    self._greedy, self._seed = search.name == 'greedy', search.options.get('seed', 0)
    self._vocab_size = vocab_size
    self.endless = getattr(model, 'endless', False)
    self._step = jax.jit(self._read_and_choose, donate_argnums=1)
    self._start = jax.jit(partial(model.apply, method='start'), static_argnums=(1, 2))
    self._take = jax.jit(lambda state, rows: state.take(rows))

  def __call__(
    self, prompt: Int[np.ndarray, ' t'], samples: int
  ) -> Iterator[tuple[Int[np.ndarray, ' k'], Float[np.ndarray, ' k']]]:
    """What each of k samples says next, and its log-probability, for ever."""
    last = np.tile(prompt[-1:], samples)
    texts = [np.tile(token, samples) for token in prompt]
    keys = self._keys(prompt, samples)
    state = self._take(self._read(prompt[None, :-1]), np.zeros(samples, np.int32))
    length = len(prompt) - 1
    for number in itertools.count():
      if length == self._context and not self.endless:
        recent = np.stack(texts[-max(1, self._context // 2) :], axis=1)
        state, length = self._read(recent[:, :-1]), recent.shape[1] - 1
      token, gain, state = self._step(self._variables, state, last[:, None], keys, number)
      length, last = length + 1, np.asarray(token)
      texts.append(last)
      yield last, np.asarray(gain)

  def _keys(self, prompt: Int[np.ndarray, ' t'], samples: int) -> Key[Array, ' k']:
    """A key for each sample, by the seed and the prompt."""
    if self._greedy:
      return jax.random.split(jax.random.key(0), samples)
    # Padding changes no key: few lengths are compiled.
    padded = np.pad(prompt, (0, (1 << (len(prompt) - 1).bit_length()) - len(prompt)))
    (key,) = _keys_of(self._seed, padded[None])
    return jax.vmap(jax.random.fold_in, (None, 0))(key, jnp.arange(samples))

  def _read(self, tokens: Int[np.ndarray, 'k t']) -> Any:
    """The state of texts that are as long."""
    rows, length = tokens.shape
    state = self._start(self._variables, rows, self._context)
    keys = jax.random.split(jax.random.key(0), rows)
    first = 0
    while first < length:
      piece = 1 << ((length - first).bit_length() - 1)
      given = tokens[:, first : first + piece]
      _, _, state = self._step(self._variables, state, given, keys, 0)
      first += piece
    return state

  def _read_and_choose(
    self,
    variables: Variables,
    state: Any,
    tokens: Int[Array, 'k t'],
    keys: Key[Array, ' k'],
    number: Int[Array, ''],
  ) -> tuple[Int[Array, ' k'], Float[Array, ' k'], Any]:
    logits, state = self._model.apply(variables, state, tokens, method='step')
    said = logits[:, -1, : self._vocab_size].astype(jnp.float32)
    log_probability = jax.nn.log_softmax(said)
    if self._greedy:
      token = argmax(log_probability)
    else:
      each = jax.vmap(jax.random.fold_in, (0, None))(keys, number)
      token = draw(each, log_probability, **self._options).astype(jnp.int32)
    return token, jnp.take_along_axis(log_probability, token[:, None], axis=-1)[:, 0], state
