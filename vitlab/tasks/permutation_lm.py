"""A permutation language model: tokens of a text are said in a random order (XLNet, 1906.08237).

A batch holds `tokens` (int32, b t), `mask` (bool, b; all True where absent) and perhaps

  segments (int32, b t)   0 for padding, else numbers that tell passages or documents apart
  begins (bool, b t)      where a word begins: spans of whole words are said then
  restart (bool, b)       in training, of rows that the next batch goes on with: those that do not
                          go on with one. Their last token is the first one of the next row

Which spans are said, and in which order, is drawn anew in every step. In evaluation it is a
function of `index`, the number of the example: always the same. There are two evaluations:
`guesses`, in which a token is said from the context and from those said before it, as in training;
and `guesses_at_once`, from the context alone, which is what a masked language model is asked
(`vitlab.tasks.masked_lm`), so that the two can be compared.
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jaxtyping import Array, Float, Int

from vitlab.errors import UserError
from vitlab.ops.masking import Places
from vitlab.ops.permutations import choose_spans, draw_order
from vitlab.tasks import (
  Assumed,
  Batch,
  Key,
  Loss,
  Task,
  Variables,
  _words,
  apply_train,
  remembered,
  without_rows,
)

UNIT = 'windows'
Draw = Callable[[Key, Batch], tuple[Int[Array, 'b t'], Places]]


def make(
  model: nn.Module,
  special: Mapping[str, int | None],
  share: float = 1 / 6,
  longest: int = 5,
) -> Task:
  """Builds the task around a model that reads in any order.

  Args:
    model: `module(tokens, segments, places, order, train) -> (logits, out)` says what stands at
      some places of each row, of tokens of lower rank in the order, with dropout from the rng
      stream 'dropout'; without places and order it reads in both directions. (`vitlab.models.xlnet`
      and `vitlab.ops.permutations`.)
    special: Number of each special token by its role; none of them is said, all are context.
    share: Share of the tokens that is said, 1/6 in the paper.
    longest: Words of the longest span that is said.

  Raises:
    UserError: a share or a span that is none.
  """
  if not 0 < share < 1 or longest < 1:
    raise UserError(
      f'permutation_lm(share={share}, longest={longest}): the share of the tokens that are said '
      'lies between 0 and 1, the longest span is 1 or more'
    )
  draw = _drawer(special, share, longest)

  def init(key: Key, batch: Batch) -> Variables:
    places = jnp.zeros((batch['tokens'].shape[0], 1), jnp.int32)
    return {'model': model.init({'params': key}, batch['tokens'], _segments(batch), places)}

  def training_loss(variables: Variables, batch: Batch, key: Key) -> Loss:
    order_key, dropout_key = jax.random.split(key)
    batch = _read(batch)
    order, places = draw(order_key, batch)
    read = batch['tokens'], batch['segments'], places.index, order
    collections = remembered(variables['model'], batch)
    (logits, _), mutated = apply_train(model, collections, *read, key=dropout_key)
    value, count, loss, accuracy = _words.learned(logits, batch['tokens'], places)
    metrics = {'loss': loss, 'masked_accuracy': accuracy}
    return Loss(value, metrics, {'model': mutated}, weight=count)

  return Task(init, {'model': training_loss}, _predict(model, draw))


def example(facts: Mapping[str, Any]) -> dict[str, Any]:
  """An example of any data set of this kind, all zero.

  Args:
    facts: Those of the data set; `context` says how many tokens are read at once.
  """
  return dict(tokens=np.zeros(facts.get('context', 1) + 1, np.int32))


def assumed(data: Mapping[str, Any], model: Mapping[str, Any]) -> Assumed | None:
  """What a config says of text that is not here: vocab_size and context."""
  vocab_size, context = data.get('vocab_size') or model.get('vocab_size'), data.get('context')
  if not vocab_size or not context:
    return None
  facts = dict(vocab_size=vocab_size, context=context, special={})
  restart = dict(restart=np.zeros((), bool)) if data.get('order') == 'lanes' else {}
  return Assumed(facts, example(facts) | restart)


def _drawer(special: Mapping[str, int | None], share: float, longest: int) -> Draw:
  """(key, batch) -> the rank of every token, and the places that are said."""
  numbers = jnp.array([number for number in special.values() if number is not None], jnp.int32)

  def draw(key: Key, batch: Batch) -> tuple[Int[Array, 'b t'], Places]:
    tokens, real = batch['tokens'], batch['segments'] > 0
    allowed, most = real & ~jnp.isin(tokens, numbers), max(1, round(share * tokens.shape[1]))
    span_key, order_key = jax.random.split(key)
    places = choose_spans(span_key, allowed, share, most, longest, batch.get('begins'))
    return draw_order(order_key, places, real)

  return draw


def _read(batch: Batch) -> Batch:
  """The batch with segments, and no token that the next one has as well: a memory would tell it."""
  batch = dict(batch, segments=_segments(batch))
  cut = ('tokens', 'segments', 'begins') if 'restart' in batch else ()
  return batch | {name: batch[name][:, :-1] for name in cut if name in batch}


def _segments(batch: Batch) -> Int[Array, 'b t']:
  """The segments, or that there is text at all; masked rows are padding, of which none is said."""
  segments = batch.get('segments', jnp.ones_like(batch['tokens']))
  return jnp.where(batch['mask'][:, None], segments, 0) if 'mask' in batch else segments


def _predict(model: nn.Module, draw: Draw) -> dict[str, Callable[..., Any]]:
  def forward(variables: Variables, batch: Batch, *read: Any) -> tuple[Array, Any]:
    alone = without_rows(variables)['model']  # an evaluation remembers no rows of a training
    logits, out = model.apply(alone, batch['tokens'], _segments(batch), *read)
    return logits.astype(jnp.float32), out

  def logits(variables: Variables, batch: Batch) -> Float[Array, 'b t vocab']:
    """Of every place, the tokens as they stand there; or, where a batch says what is `hidden`
    (bool, b t), of these places from all that is not."""
    if 'hidden' not in batch:
      return forward(variables, batch)[0]
    places = jnp.broadcast_to(jnp.arange(batch['tokens'].shape[1]), batch['tokens'].shape)
    return forward(variables, batch, places, batch['hidden'].astype(jnp.int32))[0]

  def said(variables: Variables, batch: Batch, highest: int) -> dict[str, Array]:
    rows = {name: batch[name] for name in ('tokens', 'begins') if name in batch}
    order, places = _words.by_index(draw, batch['index'], rows | dict(segments=_segments(batch)))
    order = jnp.minimum(order, highest)
    found, _ = forward(variables, batch, places.index, order)
    return _words.guessed(found, batch['tokens'], places)

  def guesses(variables: Variables, batch: Batch) -> dict[str, Array]:
    """Of the tokens that are said: 'nll', whether the most probable is 'right', which are
    'counted', their 'place', the 'target' and the 'guess'; each from those of lower rank."""
    return said(variables, batch, highest=batch['tokens'].shape[1])

  def guesses_at_once(variables: Variables, batch: Batch) -> dict[str, Array]:
    """The same of the same tokens, from the context alone: as if all of them were hidden."""
    return said(variables, batch, highest=1)

  def features(variables: Variables, batch: Batch) -> Float[Array, 'b d']:
    """The mean of the tokens' features, padding left out."""
    return _words.mean_of_tokens(forward(variables, batch)[1]['features'], _segments(batch) > 0)

  def attention(variables: Variables, batch: Batch) -> list[Float[Array, 'b n t t']]:
    return forward(variables, batch)[1]['attention']

  known = (logits, guesses, guesses_at_once, features, attention)
  return {prediction.__name__: prediction for prediction in known}
