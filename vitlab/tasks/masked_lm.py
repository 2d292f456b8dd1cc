"""A masked language model: tokens of a text are hidden and guessed (BERT, arXiv:1810.04805).

A batch holds `tokens` (int32, b t), `mask` (bool, b; all True where absent) and perhaps

  segments (int32, b t)   0 for padding, 1 and 2 for two passages; where no passage is to be
                          guessed, documents of any number, which are read as one
  begins (bool, b t)      where a word begins: whole words are hidden then
  label (int32, b)        whether the second passage is another one (1) than the next (0)

What is hidden is drawn anew in every step. In evaluation it is a function of `index`, the number of
the example: always the same.
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jaxtyping import Array, Float, Int

from vitlab.errors import UserError
from vitlab.ops import losses
from vitlab.ops.masking import Places, choose_places, corrupt
from vitlab.ops.sampling import argmax
from vitlab.tasks import Assumed, Batch, Key, Loss, Task, Variables, _words, apply_train, mask_of

UNIT = 'windows'


def make(
  model: nn.Module,
  vocab_size: int,
  special: Mapping[str, int | None],
  share: float = 0.15,
  next_passage: bool = False,
) -> Task:
  """Builds the task around a model that reads in both directions.

  Args:
    model: `module(tokens, segments, places, train) -> (logits, out)` says what stands at some
      places of each row, with dropout from the rng stream 'dropout'. With `next_passage` its out
      holds 'next_passage', logits [b 2].
    vocab_size: Tokens of the vocabulary, of which any may take the place of a hidden one.
    special: Number of each special token by its role, among them 'mask'; none of them is hidden.
    share: Share of the tokens that is hidden.
    next_passage: Whether the model also learns if the second passage follows the first (`label`):
      the loss is then the sum of two means, over hidden tokens and over examples. (With
      microbatches, each counts by its hidden tokens in both.)

  Raises:
    UserError: a share that is none, or a vocabulary without a token to hide others.
  """
  if not 0 < share < 1:
    raise UserError(f'masked_lm(share={share}): the share of hidden tokens lies between 0 and 1')
  if special.get('mask') is None:
    raise UserError(
      'masked_lm: the vocabulary has no token that hides others ([MASK])'
      '\ntake data.tokenizer=wordpiece, or the vocabulary of a published BERT'
    )
  hide = _hider(vocab_size, special, share)

  def init(key: Key, batch: Batch) -> Variables:
    places = jnp.zeros((batch['tokens'].shape[0], 1), jnp.int32)
    return {'model': model.init({'params': key}, batch['tokens'], _segments(batch), places)}

  def training_loss(variables: Variables, batch: Batch, key: Key) -> Loss:
    hide_key, dropout_key = jax.random.split(key)
    batch = _visible(batch, next_passage)
    read, places = hide(hide_key, batch)
    (logits, out), mutated = apply_train(
      model, variables['model'], read, _segments(batch), places.index, key=dropout_key
    )
    value, count, loss, accuracy = _words.learned(logits, batch['tokens'], places)
    metrics = {'masked_loss': loss, 'masked_accuracy': accuracy, 'loss': loss}
    if next_passage:
      more, metrics['next_accuracy'] = _next(batch, out)
      value += more[0] / jnp.maximum(more[1], 1.0)
      # Of two means the sum; as a pair over the same count, so that microbatches add up.
      metrics['loss'] = (value * count, count)
    return Loss(value, metrics, {'model': mutated}, weight=count)

  return Task(init, {'model': training_loss}, _predict(model, hide, next_passage))


def example(facts: Mapping[str, Any]) -> dict[str, Any]:
  """An example of any data set of this kind, all zero.

  Args:
    facts: Those of the data set; `context` says how many tokens are read at once.
  """
  return dict(tokens=np.zeros(facts.get('context', 1) + 1, np.int32))


def assumed(data: Mapping[str, Any], model: Mapping[str, Any]) -> Assumed | None:
  """What a config says of text that is not here: vocab_size, and context or max_length."""
  vocab_size = data.get('vocab_size') or model.get('vocab_size')
  length = data.get('context') or model.get('max_length')
  if not vocab_size or not length:
    return None
  facts = dict(vocab_size=vocab_size, context=length, special=dict(mask=0))
  return Assumed(facts, example(facts))


def _hider(
  vocab_size: int, special: Mapping[str, int | None], share: float
) -> Callable[[Key, Batch], tuple[Int[Array, 'b t'], Places]]:
  """(key, batch) -> tokens as they are read, and the places to guess."""
  numbers = jnp.array(sorted({number for number in special.values() if number is not None}))

  def hide(key: Key, batch: Batch) -> tuple[Int[Array, 'b t'], Places]:
    tokens = batch['tokens']
    allowed = (_segments(batch) > 0) & ~jnp.isin(tokens, numbers)
    most = max(1, round(share * tokens.shape[1]))
    place_key, token_key = jax.random.split(key)
    places = choose_places(place_key, allowed, share, most, batch.get('begins'))
    return corrupt(token_key, tokens, places, special['mask'], vocab_size), places

  return hide


def _segments(batch: Batch) -> Int[Array, 'b t']:
  return batch.get('segments', jnp.ones_like(batch['tokens']))


def _visible(batch: Batch, passages: bool) -> Batch:
  """The batch with segments that say passages, or that there is text at all; masked rows are
  padding, of which nothing is guessed."""
  segments = _segments(batch) if passages else (_segments(batch) > 0).astype(jnp.int32)
  if 'mask' in batch:
    segments = jnp.where(batch['mask'][:, None], segments, 0)
  return dict(batch, segments=segments)


def _next(batch: Batch, out: Mapping[str, Any]) -> tuple[tuple, tuple]:
  """(sum, count) of the loss and of the accuracy of the second head."""
  logits, label, mask = out['next_passage'], batch['label'], mask_of(batch)
  values = losses.token_cross_entropy(logits, label, mask=mask)
  count = jnp.sum(mask, dtype=jnp.float32)
  right = (argmax(logits) == label) & mask
  return (jnp.sum(values), count), (jnp.sum(right, dtype=jnp.float32), count)


def _predict(
  model: nn.Module, hide: Callable[..., Any], next_passage: bool
) -> dict[str, Callable[..., Any]]:
  def forward(variables: Variables, batch: Batch, *places: Any) -> tuple[Array, Any]:
    segments = _visible(batch, next_passage)['segments']
    logits, out = model.apply(variables['model'], batch['tokens'], segments, *places)
    return logits.astype(jnp.float32), out

  def logits(variables: Variables, batch: Batch) -> Float[Array, 'b t vocab']:
    """Of every place, the tokens as they stand there."""
    return forward(variables, batch)[0]

  def guesses(variables: Variables, batch: Batch) -> dict[str, Array]:
    """Of hidden tokens: 'nll', whether the most probable is 'right', which are 'counted', their
    'place', the 'target' and the 'guess'; of passages 'next_passage', the logits."""
    batch = _visible(batch, next_passage)
    rows = {k: batch[k] for k in ('tokens', 'segments', 'begins') if k in batch}
    read, places = _words.by_index(hide, batch['index'], rows)
    found, out = forward(variables, dict(batch, tokens=read), places.index)
    result = _words.guessed(found, batch['tokens'], places)
    return result | (dict(next_passage=out['next_passage']) if next_passage else {})

  def features(variables: Variables, batch: Batch) -> Float[Array, 'b d']:
    """The mean of the tokens' features, padding left out."""
    return _words.mean_of_tokens(forward(variables, batch)[1]['features'], _segments(batch) > 0)

  def attention(variables: Variables, batch: Batch) -> list[Float[Array, 'b n t t']]:
    return forward(variables, batch)[1]['attention']

  return dict(logits=logits, guesses=guesses, features=features, attention=attention)
