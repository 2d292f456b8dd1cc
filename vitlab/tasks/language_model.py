"""A language model: in a text, what follows each token.

A batch holds `tokens` (int32, b t+1), of which all but the last are read and all but the first are
to be said, `mask` (bool, b; all True where absent) and perhaps

  segments (int32, b t+1)   the document that each token is of, 1, 2, ..., and 0 for padding: no
                            document sees another, and none has to say how the next one begins
  scored (bool, b t)        which of the targets count, where windows over a text overlap
  restart (bool, b)         in training: which rows do not go on where the batch before ended

No token stands for padding: the vocabularies of other people have none.
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jaxtyping import Array, Bool, Float

from vitlab.errors import UserError
from vitlab.ops import losses
from vitlab.ops.sampling import argmax
from vitlab.ops.search import make_search
from vitlab.tasks import (
  Assumed,
  Batch,
  Key,
  Loss,
  Task,
  Variables,
  apply_train,
  remembered,
)

UNIT = 'windows'
SEARCH = dict(name='sample', temperature=0.8)
MAX_TOKENS = 256


def make(
  model: nn.Module,
  label_smoothing: float = 0.0,
  search: Mapping[str, Any] = SEARCH,
  max_tokens: int = MAX_TOKENS,
) -> Task:
  """Builds the task around a causal model.

  Args:
    model: `module(tokens, train, segments) -> (logits, out)` says what follows each token, with
      dropout from the rng stream 'dropout'; it is given segments where the batch has them. For
      `vitlab.predict` it reads on: `start(batch_size, max_length) -> state` and `step(state,
      tokens) -> (logits, state)`; the state has a method `take(rows)`, and where the model has
      `endless` and it is true, texts may become longer than `max_length`. What it remembers of the
      batch before in training is a collection of `vitlab.tasks.BY_ROW`, in which zeros are nothing.
      Where it has `attends` and it is false, there is no attention to predict.
    label_smoothing: The fraction of the target that is spread over the whole vocabulary.
    search: How `vitlab.predict` continues a text: the spec of a `vitlab.ops.search`, greedy or
      sample.
    max_tokens: The most that it adds to a prompt.

  Raises:
    UserError: a number is out of range, or there is no such search.
  """
  if not 0 <= label_smoothing < 1 or max_tokens < 1:
    raise UserError(
      f'language_model(label_smoothing={label_smoothing}, max_tokens={max_tokens}): the smoothing '
      'lies in [0, 1), and max_tokens is 1 or more'
    )
  if make_search(search).name == 'beam':
    raise UserError('language_model has no beams: search is greedy or sample')

  def init(key: Key, batch: Batch) -> Variables:
    return {'model': model.init({'params': key}, batch['tokens'][:, :-1], train=False)}

  def training_loss(variables: Variables, batch: Batch, key: Key) -> Loss:
    tokens, named = _read(batch)
    targets, mask = tokens[:, 1:], counted(batch)
    (logits, out), mutated = apply_train(
      model, remembered(variables['model'], batch), tokens[:, :-1], key=key, **named
    )
    values = losses.token_cross_entropy(logits, targets, mask=mask, label_smoothing=label_smoothing)
    value, count = losses.masked_mean(values, mask)
    right = (argmax(logits) == targets) & mask
    metrics = {
      'loss': (jnp.sum(values), count),
      'token_accuracy': (jnp.sum(right, dtype=jnp.float32), count),
    }
    outputs = dict(targets=targets, mask=mask, logits=logits, out=out)
    return Loss(value, metrics, {'model': mutated}, weight=count, outputs=outputs)

  return Task(init, {'model': training_loss}, _predict(model))


def example(facts: Mapping[str, Any]) -> dict[str, Any]:
  """An example of any data set of this kind, all zero.

  Args:
    facts: Those of the data set; `context` says how many tokens are read at once.
  """
  return dict(tokens=np.zeros(facts.get('context', 1) + 1, np.int32))


def assumed(data: Mapping[str, Any], model: Mapping[str, Any]) -> Assumed | None:
  """What a config says of text that is not here: vocab_size and context, in data or model."""
  facts = {key: data.get(key) or model.get(key) for key in ('vocab_size', 'context')}
  if not all(facts.values()):
    return None
  restart = dict(restart=np.zeros((), bool)) if data.get('order') == 'lanes' else {}
  return Assumed(facts, example(facts) | restart)


def counted(batch: Batch) -> Bool[Array, 'b t']:
  """Which targets count: they and their inputs are of one document, and nothing leaves them out."""
  tokens = batch['tokens']
  found = jnp.ones((tokens.shape[0], tokens.shape[1] - 1), bool)
  if 'segments' in batch:
    segments = batch['segments']
    found = (segments[:, 1:] == segments[:, :-1]) & (segments[:, 1:] > 0)
  if 'scored' in batch:
    found &= batch['scored']
  if 'mask' in batch:
    found &= batch['mask'][:, None]
  return found


def _predict(model: nn.Module) -> dict[str, Callable[..., Any]]:
  def forward(variables: Variables, batch: Batch) -> tuple[Float[Array, 'b t vocab'], Any]:
    tokens, named = _read(batch)
    found, out = model.apply(variables['model'], tokens[:, :-1], train=False, **named)
    return found.astype(jnp.float32), out

  def logits(variables: Variables, batch: Batch) -> Float[Array, 'b t vocab']:
    return forward(variables, batch)[0]

  def scores(variables: Variables, batch: Batch) -> dict[str, Array]:
    """Of every target: its 'nll', whether it is the most probable ('right') and 'counted'."""
    targets, mask = _read(batch)[0][:, 1:], counted(batch)
    given = logits(variables, batch)
    nll = losses.token_cross_entropy(given, targets, mask=mask)
    return dict(nll=nll, right=(argmax(given) == targets) & mask, counted=mask)

  def attention(variables: Variables, batch: Batch) -> list[Float[Array, 'b n t t']]:
    out = forward(variables, batch)[1]
    if 'attention' not in out:
      raise UserError(f'the model {type(model).__name__} has no attention to look at')
    return out['attention']

  attends = dict(attention=attention) if getattr(model, 'attends', True) else {}
  return dict(logits=logits, scores=scores) | attends


def _read(batch: Batch) -> tuple[Array, dict[str, Array]]:
  """Its tokens, and its segments for the model where it has them; zeros where no example is."""
  named = {key: batch[key] for key in ('tokens', 'segments') if key in batch}
  if 'mask' in batch:
    named = {key: jnp.where(batch['mask'][:, None], x, 0) for key, x in named.items()}
  tokens = named.pop('tokens')
  return tokens, {key: x[:, :-1] for key, x in named.items()}
