"""Sequence to sequence: a sentence in, a sentence out, learned with teacher forcing.

A batch holds `tokens` (int32, b s: the source), `targets` (int32, b t), both ending with EOS and
padded with PAD (`vitlab.ops.tokens`), and `mask` (bool, b; all True where absent). Among the
metrics is `padding`, the share of the source and target that is computed for nothing.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jaxtyping import Array, Float, Int

from vitlab.errors import UserError
from vitlab.ops import losses
from vitlab.ops.sampling import argmax
from vitlab.ops.search import GREEDY, Search, make_search
from vitlab.ops.tokens import PAD, is_token, shift_right
from vitlab.tasks import Assumed, Batch, Key, Loss, Task, Variables, apply_train


def make(
  model: nn.Module,
  label_smoothing: float = 0.0,
  max_ratio: float = 2.0,
  max_tokens: int = 0,
  search: Mapping[str, Any] = GREEDY,
) -> Task:
  """Builds the task around a model with the methods of an encoder-decoder.

  Args:
    model: `module(tokens, inputs, train) -> (logits, out)` says what follows each input, with
      dropout from the rng stream 'dropout'; `encode(tokens) -> memory`, `start(memory, max_length)
      -> (memory, state)` and `step(memory, state, token) -> (logits, state)` say it one by one.
      Memory and state have a method `take(rows)`, the memory a `mask` of the source, [b s], and the
      state its `coverage`: the attention each of its tokens has had so far, [b s], or None.
    label_smoothing: The fraction of the target that is spread over the whole vocabulary.
    max_ratio: How long a decoded sentence may become: this times its source, and 8 more.
    max_tokens: How long it may become whatever its source, EOS included; 0: max_ratio decides.
    search: How it is found: the spec of a `vitlab.ops.search`.

  Raises:
    UserError: one of the numbers is out of range, or there is no such search.
  """
  _check(label_smoothing, max_ratio, max_tokens)
  decoded = _decoded(model, _room(max_ratio, max_tokens), make_search(search))

  def init(key: Key, batch: Batch) -> Variables:
    inputs = shift_right(batch['targets'])
    return {'model': model.init({'params': key}, batch['tokens'], inputs, train=False)}

  def training_loss(variables: Variables, batch: Batch, key: Key) -> Loss:
    tokens, targets = _read(batch, 'tokens'), _read(batch, 'targets')
    mask = is_token(targets)
    (logits, out), mutated = apply_train(
      model, variables['model'], tokens, shift_right(targets), key=key
    )
    values = losses.token_cross_entropy(logits, targets, mask=mask, label_smoothing=label_smoothing)
    value, count = losses.masked_mean(values, mask)
    right = (argmax(logits) == targets) & mask
    metrics = {
      'loss': (jnp.sum(values), count),
      'token_accuracy': (jnp.sum(right, dtype=jnp.float32), count),
      'padding': _padding(tokens, targets),
    }
    outputs = dict(targets=targets, mask=mask, logits=logits, out=out)
    return Loss(value, metrics, {'model': mutated}, weight=count, outputs=outputs)

  return Task(init, {'model': training_loss}, dict(_predict(model), decoded=decoded))


def example(facts: Mapping[str, Any]) -> dict[str, Any]:
  """An example of any data set of this kind, all zero: a row of `tokens` and one of `targets`.

  Args:
    facts: Those of the data set; its `lengths`, where it has them, say how long a row may be.
  """
  row = np.zeros(max(facts.get('lengths', [1])), np.int32)
  return dict(tokens=row, targets=row)


def assumed(data: Mapping[str, Any], model: Mapping[str, Any]) -> Assumed | None:
  """What a config says of text that is not here: vocab_size and lengths in `data`."""
  del model
  if not data.get('vocab_size') or not data.get('lengths'):
    return None
  facts = dict(vocab_size=data['vocab_size'], lengths=tuple(data['lengths']))
  return Assumed(facts, example(facts), facts['lengths'])


def _check(label_smoothing: float, max_ratio: float, max_tokens: int) -> None:
  if max_ratio <= 0 or max_tokens < 0 or not 0 <= label_smoothing < 1:
    raise UserError(
      f'translation(label_smoothing={label_smoothing}, max_ratio={max_ratio}, '
      f'max_tokens={max_tokens}): the smoothing lies in [0, 1), the ratio above 0, and '
      'max_tokens is 0 or more'
    )


def _padding(*sides: Int[Array, 'b _']) -> tuple[Float[Array, ''], Float[Array, '']]:
  """Which share of the sentences is padding, as (sum, count)."""
  rows = [is_token(side).any(axis=-1, keepdims=True) & jnp.ones_like(side, bool) for side in sides]
  padding = [row & ~is_token(side) for row, side in zip(rows, sides)]
  total = lambda masks: sum(jnp.sum(mask, dtype=jnp.float32) for mask in masks)  # noqa: E731
  return total(padding), total(rows)


def _predict(model: nn.Module) -> dict[str, Callable[..., Any]]:
  """Whatever reads the targets."""

  def forward(variables: Variables, batch: Batch) -> tuple[Float[Array, 'b t vocab'], Any]:
    inputs = shift_right(_read(batch, 'targets'))
    logits, out = model.apply(variables['model'], _read(batch, 'tokens'), inputs, train=False)
    return logits.astype(jnp.float32), out

  def logits(variables: Variables, batch: Batch) -> Float[Array, 'b t vocab']:
    return forward(variables, batch)[0]

  def scores(variables: Variables, batch: Batch) -> dict[str, Float[Array, ' b']]:
    """Of each target, given its source: sums over its tokens."""
    targets, given = _read(batch, 'targets'), logits(variables, batch)
    mask = is_token(targets)
    loss = losses.token_cross_entropy(given, targets, mask=mask)
    right = (argmax(given) == targets) & mask
    sums = dict(loss=loss, right=right, tokens=mask)
    return {name: jnp.sum(x, axis=-1, dtype=jnp.float32) for name, x in sums.items()}

  def cross_attention(variables: Variables, batch: Batch) -> list[Float[Array, 'b n t s']]:
    out = forward(variables, batch)[1]
    if 'cross_attention' not in out:
      raise UserError(f'the model {type(model).__name__} has no attention to look at')
    return out['cross_attention']

  return dict(logits=logits, scores=scores, cross_attention=cross_attention)


def _room(max_ratio: float, max_tokens: int) -> Callable[..., tuple[int, Int[Array, ' b']]]:
  """Sources -> the most tokens that any target may have, and each of them."""

  def room(tokens: Int[Array, 'b s']) -> tuple[int, Int[Array, ' b']]:
    count = is_token(tokens).sum(-1)
    if max_tokens:  # none for what only fills the batch: it would be the last to end
      return max_tokens, jnp.where(count > 0, max_tokens, 0)
    length = math.ceil(max_ratio * tokens.shape[-1]) + 8
    return length, jnp.ceil(max_ratio * count).astype(jnp.int32) + 8

  return room


def _decoded(
  model: nn.Module, room: Callable[..., tuple[int, Int[Array, ' b']]], search: Search
) -> Callable[..., Any]:
  def decoded(variables: Variables, batch: Batch) -> dict[str, Array]:
    """What the model says itself, the best first: 'tokens' [b k t] and their 'score' [b k]."""
    tokens = _read(batch, 'tokens')
    length, limit = room(tokens)
    memory = model.apply(variables['model'], tokens, method='encode')
    memory, start = model.apply(variables['model'], memory, length, method='start')
    if search.width > 1:  # all k look at the same: the search moves their states alone
      memory = memory.take(jnp.repeat(jnp.arange(len(tokens)), search.width))

    def step(state: Any, token: Int[Array, ' b']) -> tuple[Float[Array, 'b vocab'], Any]:
      return model.apply(variables['model'], memory, state, token, method='step')

    def take(state: Any, rows: Int[Array, ' rows']) -> Any:
      return state.take(rows)

    def coverage(state: Any) -> Float[Array, 'b s']:
      if state.coverage is None:
        name = type(model).__name__
        raise UserError(f'the model {name} has no attention: search without coverage_penalty')
      return jnp.where(memory.mask, state.coverage, 1.0)

    found = search.find(step, take, start, limit, length, source=tokens, coverage=coverage)
    return dict(zip(('tokens', 'score'), found))

  return decoded


def _read(batch: Batch, key: str) -> Int[Array, 'b t']:
  """Sentences of the batch; padding alone where the example does not count."""
  return jnp.where(batch['mask'][:, None], batch[key], PAD) if 'mask' in batch else batch[key]
