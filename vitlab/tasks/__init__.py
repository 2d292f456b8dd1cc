"""A task is one kind of learning, as pure functions; every loop in vitlab knows only this contract.

A supervised task is a game with one player, a GAN one with two. Each player owns a set of Flax
variables (its parameters, BatchNorm statistics, memories); a step differentiates each player's loss
in turn with respect to that player's own parameters. Wrappers such as distillation are functions
`Task -> Task`. A player without a loss is there to be looked at: the step never moves it.

`vitlab/tasks/<name>.py` holds `make(model, **spec) -> Task` and says what its data look like:
`example(facts)` is one example of data with these facts, all zero; `assumed(data, model)` is what
these two parts of a config say of data that are not here, or None. What only some kinds of learning
have stands in files of the same name: vitlab/predict/<name>.py and vitlab/report/<name>/.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Bool, Float, PyTree, Shaped
from ml_collections import ConfigDict

from vitlab import registry
from vitlab.errors import UserError

Key = Shaped[Array, '']  # a typed PRNG key (jax.random.key)
Batch = Mapping[str, Array]  # keys: image label tokens targets boxes classes mask segments
Variables = Mapping[str, Mapping[str, PyTree]]  # player -> Flax collection -> tree
Metrics = Mapping[str, tuple[Float[Array, ''], Float[Array, '']]]  # (sum, count) pairs

# Collections by what the step and the mesh have to know of them; all others are one value for all
# rows, handed from microbatch to microbatch and from step to step.
AVERAGED = ('params', 'batch_stats')  # a statistic belongs to the weights it was measured with
BY_ROW = ('memory',)  # first axis: rows of the batch; row i of the next step goes on where i ended
ONCE = ('spectral',)  # follows the weights, not the rows: every microbatch finds the step's, anew


class Loss(NamedTuple):
  """What one player's loss function returns for one batch.

  Attributes:
    value: The scalar that is differentiated, a mean over what counts in the batch.
    metrics: (sum, count) pairs, among them `loss`; padding weighs nothing in either. Of several
      players that learn, each one's metrics get its name in front.
    mutated: Collections that changed, player -> collection -> tree (BatchNorm statistics, memory).
    weight: How much counts in this batch (examples, tokens): microbatches are averaged with it, so
      that their mean is the mean over the whole batch.
    outputs: name -> what the value was computed from, for wrappers; the step drops it.
  """

  value: Float[Array, '']
  metrics: Metrics
  mutated: Variables
  weight: Float[Array, ''] | float = 1.0
  outputs: Mapping[str, Any] = {}


class Task(NamedTuple):
  """One kind of learning.

  Attributes:
    init: (key, batch) -> variables of every player, those without a loss (a teacher) included.
    losses: player -> ((variables, batch, key) -> Loss); the players move in this order.
    predict: name -> ((variables, batch) -> tree of arrays whose first axis is the batch): what
      evaluators, pictures and export may ask for by name. Never in training mode, never random but
      by `batch['index']`, the number of each example in its split, which evaluators' batches have.
      It reads no collection of `BY_ROW`: what needs a memory scans a row that is long enough.
  """

  init: Callable[[Key, Batch], Variables]
  losses: Mapping[str, Callable[[Variables, Batch, Key], Loss]]
  predict: Mapping[str, Callable[[Variables, Batch], PyTree]]


class Assumed(NamedTuple):
  """What a config says of data that are not on this machine.

  Attributes:
    facts: Facts of the data set, those that the model and the task need.
    example: One example, all zero.
    buckets: Lengths that batches of ragged examples are padded to.
  """

  facts: Mapping[str, Any]
  example: Mapping[str, Any]
  buckets: Sequence[int] = ()


def apply_train(
  model: nn.Module, variables: PyTree, *inputs: Any, key: Key, **named: Any
) -> tuple[Any, PyTree]:
  """Applies a model in training mode.

  Args:
    model: Called as module(*inputs, train=True, **named).
    variables: Its collections, 'params' among them.
    *inputs: Arrays of the batch.
    key: Key of the rng stream 'dropout'.
    **named: More of them, by the names that the model has for them.

  Returns:
    What the model returns, and the collections that changed: all but 'params' may.
  """
  mutable = [collection for collection in variables if collection != 'params']
  rngs = {'dropout': key}
  return model.apply(variables, *inputs, train=True, **named, rngs=rngs, mutable=mutable)


def remembered(collections: Mapping[str, PyTree], batch: Batch) -> Mapping[str, PyTree]:
  """A model's collections, of which rows that go on with nothing have forgotten those of `BY_ROW`.

  Args:
    collections: Those of the model; in a memory zeros are nothing.
    batch: With `restart` (bool, b) where rows go on in the next batch: those that do not.

  Raises:
    UserError: the model remembers, and the rows do not go on.
  """
  memory = {name: collections[name] for name in BY_ROW if name in collections}
  if memory and 'restart' not in batch:
    raise UserError(
      'the model remembers the batch before, with which these rows do not go on'
      "\nset data.order='lanes', or model.memory_length=0"
    )

  def forget(x: Array) -> Array:
    restart = batch['restart'].reshape(-1, *(1,) * (x.ndim - 1))
    return jnp.where(restart, jnp.zeros_like(x), x)

  return {**collections, **jax.tree.map(forget, memory)}


def mask_of(batch: Batch) -> Bool[Array, ' b']:
  """Which rows of a batch are examples and no padding: its `mask`, or all where it has none."""
  if 'mask' in batch:
    return batch['mask']
  return jnp.ones(next(iter(batch.values())).shape[:1], bool)  # any, in a program that is exported


def innermost(spec: Any) -> Any:
  """The spec of the task that wrappers wrap, a mapping or a part of a config as the whole is."""
  inner = spec.get('task')
  return innermost(inner) if isinstance(inner, Mapping | ConfigDict) else spec


def kind(spec: Any) -> str:
  """The kind of learning of a task's spec: the name of the innermost, which a wrapper wraps."""
  return innermost(spec)['name']


def unit(spec: Any) -> str:
  """What its examples are called, in the plural: `UNIT` in the file of a kind, else 'examples'."""
  return getattr(registry.module('tasks', kind(spec)), 'UNIT', 'examples')


def inputs(spec: Any) -> Sequence[str]:
  """What features stand for: `INPUTS` in the file of a kind, keys of its batches, else nothing."""
  return getattr(registry.module('tasks', kind(spec)), 'INPUTS', ())


def averaged(variables: Variables, averages: Variables) -> Variables:
  """The variables to evaluate: with the averages of `AVERAGED` where there are any."""
  return {
    player: {**collections, **averages.get(player, {})} for player, collections in variables.items()
  }


def without_rows(variables: Variables) -> Variables:
  """The variables without the collections of `BY_ROW`."""
  return {
    player: {name: tree for name, tree in collections.items() if name not in BY_ROW}
    for player, collections in variables.items()
  }
