"""One training step for any number of players.

For each player in order: differentiate its loss with respect to its own parameters, update them,
hand the moved variables on. The same function trains a classifier (one player) and a GAN (two), and
carries whatever Flax collections the losses mutate: BatchNorm statistics, memories, spectral norms.
"""

from collections.abc import Callable, Collection, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Int, PyTree, Shaped

from vitlab.errors import UserError
from vitlab.tasks import (
  AVERAGED,
  BY_ROW,
  ONCE,
  Batch,
  Key,
  Loss,
  Metrics,
  Task,
  Variables,
  averaged,
)

Optimizers = Mapping[str, optax.GradientTransformation]  # by player


class State(NamedTuple):
  """All that a step reads and writes; with the config it determines the rest of the run.

  It owns its arrays, so that a step may be jitted with its state donated.

  Attributes:
    step: Number of steps done.
    variables: player -> Flax collection -> tree.
    opt_state: player -> state of its optimiser.
    ema: player -> collection -> average, of parameters and BatchNorm statistics; empty when the
      average is off.
  """

  step: Int[Array, '']
  variables: Variables
  opt_state: Mapping[str, PyTree]
  ema: Mapping[str, PyTree]

  def averaged(self) -> Variables:
    """The variables to evaluate: with the averages where there are any."""
    return averaged(self.variables, self.ema)


def metric_name(name: str, player: str, players: Collection[str]) -> str:
  """'loss' of the only player that learns; 'generator_loss' of one among several."""
  return name if len(players) == 1 else f'{player}_{name}'


def init_state(
  task: Task, optimizers: Optimizers, key: Key, batch: Batch, ema_decay: float = 0.0
) -> State:
  """The state before the first step; pure, also under `jax.jit` and `jax.eval_shape`.

  Raises:
    UserError: ema_decay is not in [0, 1).
  """
  if not 0 <= ema_decay < 1:
    raise UserError(f'config.ema_decay={ema_decay}: expected 0 (off) or a number below 1')
  variables = task.init(key, batch)
  params = {player: variables[player]['params'] for player in task.losses}
  opt_state = {player: optimizers[player].init(params[player]) for player in task.losses}
  ema = {player: _of_average(variables[player]) for player in task.losses} if ema_decay else {}
  state = State(jnp.zeros((), jnp.int32), variables, opt_state, ema)
  # Each leaf a buffer of its own: the average starts as the parameters, some optimisers keep them
  # too, and a buffer cannot be donated twice.
  return jax.tree.map(jnp.copy, state)


def make_train_step(
  task: Task,
  optimizers: Optimizers,
  *,
  seed: int,
  microbatches: int = 1,
  ema_decay: float = 0.0,
) -> Callable[[State, Batch], tuple[State, Metrics]]:
  """The step (state, batch) -> (state, metrics), to be jitted with the state donated.

  Metrics are (sum, count) pairs: those of the losses and the norm of each player's gradients.

  Args:
    task: Its losses move in order, each with the variables that the one before left.
    optimizers: One per player.
    seed: Randomness is fold_in(fold_in(fold_in(key(seed), step), player index), microbatch): a
      function of the step, so that a resumed run draws what an undisturbed one draws.
    microbatches: Gradient accumulation: microbatch i is the rows i, i + m, ... of the batch (which
      leaves rows on their devices), with its rows of the collections of `BY_ROW` and those of
      `ONCE` as the step found them; others pass from one to the next. Gradients are averaged with
      `Loss.weight`: they are those of the whole batch.
    ema_decay: Decay of the average of parameters and BatchNorm statistics, 0 is off. It is
      min(ema_decay, (1 + t) / (10 + t)) after t steps, so that the first ones are soon forgotten.

  Raises:
    UserError: microbatches is not a positive number, or, when traced, does not divide the batch.
  """
  if microbatches < 1:
    raise UserError(f'config.microbatches={microbatches}: expected a whole number >= 1')

  def train_step(state: State, batch: Batch) -> tuple[State, Metrics]:
    key = jax.random.fold_in(jax.random.key(seed), state.step)
    variables, opt_state, metrics = state.variables, dict(state.opt_state), {}
    for index, (player, loss) in enumerate(task.losses.items()):
      gradient = _accumulated(_differentiate(loss, player), player, microbatches)
      grads, out = gradient(variables, batch, jax.random.fold_in(key, index))
      # Some optimisers (momo, ...) ask for the value of the loss; the others ignore it.
      optimizer = optax.with_extra_args_support(optimizers[player])
      params = variables[player]['params']
      updates, opt_state[player] = optimizer.update(
        grads, opt_state[player], params, value=out.value
      )
      moved = {player: {'params': optax.apply_updates(params, updates)}}
      variables = _merge(variables, out.mutated, moved)
      norm = optax.tree.get(opt_state[player], 'grad_norm', optax.tree.norm(grads))
      found = {**out.metrics, 'grad_norm': (norm, jnp.ones(()))}
      metrics |= {metric_name(name, player, task.losses): pair for name, pair in found.items()}
    ema = _average(state.ema, variables, state.step, ema_decay) if ema_decay else state.ema
    return State(state.step + 1, variables, opt_state, ema), metrics

  return train_step


def _differentiate(
  loss: Callable[[Variables, Batch, Key], Loss], player: str
) -> Callable[[Variables, Batch, Key], tuple[PyTree, Loss]]:
  """(variables, batch, key) -> (gradient of the player's parameters, its loss)."""

  def gradient(variables, batch, key):
    def objective(params):
      out = loss(_merge(variables, {player: {'params': params}}), batch, key)
      return out.value, out._replace(weight=jnp.asarray(out.weight, jnp.float32), outputs={})

    return jax.grad(objective, has_aux=True)(variables[player]['params'])

  return gradient


def _accumulated(gradient: Callable, player: str, microbatches: int) -> Callable:
  """Turns the gradient of a batch into one that goes through it in microbatches."""

  def whole(variables, batch, key):
    if microbatches == 1:
      return gradient(variables, batch, jax.random.fold_in(key, 0))

    def body(carry, inputs):
      total, shared = carry
      index, rows, memories = inputs
      current = _merge(variables, shared, at_first, memories)
      grads, out = gradient(current, rows, jax.random.fold_in(key, index))
      total = jax.tree.map(lambda t, g: t + out.weight * g, total, grads)
      shared, memories = _collections(_merge(current, out.mutated))
      return (total, shared), (out._replace(mutated={}), memories)

    # float32 at least, whatever the parameters are: this is a long sum.
    params = variables[player]['params']
    zeros = jax.tree.map(lambda p: jnp.zeros(p.shape, jnp.promote_types(p, jnp.float32)), params)
    shared, memories = _collections(variables)
    at_first = _pick(variables, lambda name: name in ONCE)
    rows, memories = jax.tree.map(lambda x: _split(x, microbatches), (batch, memories))
    (total, shared), (outs, memories) = jax.lax.scan(
      body, (zeros, shared), (jnp.arange(microbatches), rows, memories)
    )
    memories = jax.tree.map(_join, memories)
    mutated = {player: {**shared[player], **memories[player]} for player in variables}
    weight = jnp.sum(outs.weight)
    weight = jnp.where(weight > 0, weight, 1)  # a batch of nothing but padding moves nothing
    grads = jax.tree.map(lambda t, p: (t / weight).astype(p.dtype), total, params)
    value = jnp.sum(outs.value * outs.weight) / weight
    metrics = jax.tree.map(lambda x: jnp.sum(x, axis=0), outs.metrics)
    return grads, Loss(value, metrics, mutated, weight)

  return whole


def _split(x: Shaped[Array, 'b ...'], microbatches: int) -> Shaped[Array, 'm rows ...']:
  """Rows i, i + m, ... as microbatch i: contiguous ones would move between devices."""
  if x.shape[0] % microbatches:
    raise UserError(
      f'config.batch_size={x.shape[0]} is not a multiple of config.microbatches={microbatches}'
    )
  return x.reshape(-1, microbatches, *x.shape[1:]).swapaxes(0, 1)


def _join(x: Shaped[Array, 'm rows ...']) -> Shaped[Array, 'b ...']:
  """Undoes `_split`."""
  return x.swapaxes(0, 1).reshape(-1, *x.shape[2:])


def _collections(variables: Variables) -> tuple[Variables, Variables]:
  """All collections but the parameters: those that all rows share, and those of `BY_ROW`."""
  shared = _pick(variables, lambda name: name not in ('params', *BY_ROW))
  return shared, _pick(variables, lambda name: name in BY_ROW)


def _pick(variables: Variables, wanted: Callable[[str], bool]) -> Variables:
  """Some collections of all players."""
  return {
    player: {name: tree for name, tree in collections.items() if wanted(name)}
    for player, collections in variables.items()
  }


def _merge(variables: Variables, *changes: Variables) -> Variables:
  """The variables with some collections of some players replaced, one change after the other."""
  for changed in changes:
    for player, collections in changed.items():
      if new := sorted(set(collections) - set(variables[player])):
        raise ValueError(f"{player} mutates {', '.join(new)}, which its task's init did not make")
    variables = {p: {**variables[p], **changed.get(p, {})} for p in variables}
  return variables


def _of_average(collections: Mapping[str, PyTree]) -> dict[str, PyTree]:
  return {name: tree for name, tree in collections.items() if name in AVERAGED}


def _average(ema: Mapping, variables: Variables, step: Int[Array, ''], ema_decay: float) -> Mapping:
  decay = jnp.minimum(ema_decay, (1 + step) / (10 + step))
  current = {player: _of_average(variables[player]) for player in ema}
  return optax.incremental_update(current, ema, 1 - decay)
