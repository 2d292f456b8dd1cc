"""Any optax optimiser by name, with what recipes add to it, by regular expression on names.

One spec (a flat config node) makes one optimiser:

  optim = dict(name='adamw', learning_rate=1e-3, warmup='5 epochs', weight_decay=0.05, b2=0.95,
               clip_norm=1.0, layer_decay=0.75, freeze='patch_embed')

In this order: frozen parameters drop out, with their gradients and optimiser state; clipping by the
global norm of the others; the optimiser; factors on the learning rate (its decay of the weights
included). Of the keys, `Spec` documents some, `schedules.Schedule` those of the learning rate; all
others are keywords of the optax function.
"""

import collections
import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from optax import contrib

from vitlab import names
from vitlab.errors import UserError, unknown
from vitlab.train import duration, muon, schedules

# These take a learning rate, but cannot follow a schedule (first row), or need more than parameters
# and gradients: gradients per example, a Hessian, a stored key, other parameters in evaluation.
_NOT_OFFERED = {
  *('lbfgs', 'optimistic_adam', 'rprop', 'sm3'),
  *('dpsgd', 'sophia', 'noisy_sgd', 'schedule_free', 'schedule_free_adamw', 'schedule_free_sgd'),
}

# Keywords of optax functions that the fields of Spec, or roles of parameters, stand for.
_OURS = {
  'mask',
  'weight_decay_mask',
  'weight_decay_rate',
  'adam_weight_decay',
  'muon_weight_dimension_numbers',
}


class Spec(NamedTuple):
  """What a spec may say beside the schedule and the keywords of the optax function.

  Attributes:
    name: An optimiser of optax or optax.contrib. `muon` orthogonalises the kernels, those of
      convolutions flattened, and leaves embeddings, the first layer, heads, biases and norms to
      AdamW: adam_learning_rate (by default learning_rate, which suits both with consistent_rms=0.2,
      arXiv:2502.16982; its schedule is the same), adam_b1=0.9, adam_b2=0.999.
    weight_decay: Decoupled, times the learning rate, where the optimiser has a decay of its own;
      an L2 penalty where it has none (sgd, adam, rmsprop), as in torch.
    decay_mask: The parameters that decay; by default kernels, and no biases, norms, embeddings.
    lr_multipliers: (regex, factor) pairs; the first that matches a parameter counts.
    layer_decay: Learning rate times layer_decay ** (depth + 1 - layer), where layer is 0 for
      embeddings, i + 1 for block i and depth + 1 for the rest (BEiT, arXiv:2106.08254). Blocks are
      counted through all stages; what merges patches belongs to the block behind it.
    freeze: The parameters that do not move.
    clip_norm: Largest global norm of the gradients; 0 is off.
    every: Steps from one update of the player to its next: the others move `every` times as often
      (the n_critic of a GAN). Durations and the schedule go on counting steps of the run.
  """

  name: str
  weight_decay: float = 0.0
  decay_mask: str = r'(^|/)kernel$'
  lr_multipliers: Sequence[tuple[str, float]] = ()
  layer_decay: float = 1.0
  freeze: str = ''
  clip_norm: float = 0.0
  every: int = 1


def make(
  spec: Mapping[str, Any],
  *,
  params: Any,
  total_steps: int,
  batch_size: int,
  num_examples: int | None,
) -> tuple[optax.GradientTransformationExtraArgs, optax.Schedule]:
  """The optimiser of one player and its learning rate as a function of the step.

  Args:
    spec: Fields of `Spec` and of `schedules.Schedule`, and keywords of the optax function.
    params: The player's parameters, arrays or their shapes.
    total_steps: Steps of the whole run.
    batch_size: Examples per step.
    num_examples: Examples per epoch, None if there are no epochs.

  Raises:
    UserError: an unknown name or keyword, a value out of range, a regex that matches nothing.
  """
  for key, example in (('name', "'adamw'"), ('learning_rate', '1e-3')):
    if key not in spec:
      raise UserError(f'optim has no {key}: set it, for example {key}={example}')
  own, schedule, keywords = _split(spec)
  to_steps = functools.partial(
    duration.steps, batch_size=batch_size, num_examples=num_examples, total=total_steps
  )
  rate = schedules.make(schedule, total_steps, to_steps)
  shapes = names.flatten(params)
  frozen = names.matching(own.freeze, shapes, 'optim.freeze') if own.freeze else set()
  parts = []
  if schedules.non_negative('clip_norm', own.clip_norm):
    parts.append(optax.clip_by_global_norm(own.clip_norm))
  factors = _factors(own, shapes)
  if 'adam_learning_rate' in keywords:
    _scale_rest(factors, shapes, keywords.pop('adam_learning_rate'), schedule.learning_rate)
  parts += _alias(own, keywords, _per_update(rate, own.every), shapes)
  if any(np.any(factor != 1) for factor in factors.values()):
    parts.append(_scale_by_name(factors))
  if own.every > 1:
    parts = [optax.conditionally_mask(optax.chain(*parts), lambda step: step % own.every == 0)]
  # The norm is kept in the state because only here it is known which gradients count; the step
  # reads it from there.
  tx = optax.chain(optax.snapshot('grad_norm', optax.tree.norm), *parts)
  if frozen:
    labels = {name: 'frozen' if name in frozen else 'trained' for name in shapes}
    tx = optax.partition(
      {'trained': tx, 'frozen': optax.set_to_zero()}, names.mapper(labels)(params)
    )
  return tx, rate


def for_players(
  spec: Mapping[str, Any], params: Mapping[str, Any], **run: Any
) -> tuple[dict[str, optax.GradientTransformationExtraArgs], dict[str, optax.Schedule]]:
  """The optimisers and learning rates of all players.

  Args:
    spec: One spec for all, or player -> spec: without `name`, its keys are the players.
    params: player -> parameters, arrays or their shapes.
    **run: total_steps, batch_size and num_examples, as for `make`.

  Raises:
    UserError: as `make`, or neither a name nor exactly one spec per player.
  """
  if 'name' not in spec and set(spec) != set(params):
    raise UserError(
      f'optim has no name and the keys {", ".join(sorted(spec)) or "(none)"}: give it a name '
      f'(adamw, sgd, ...), or one spec for each of the players {", ".join(sorted(params))}'
    )
  specs = spec if 'name' not in spec else dict.fromkeys(params, spec)
  made = {player: make(specs[player], params=params[player], **run) for player in params}
  return {p: tx for p, (tx, _) in made.items()}, {p: rate for p, (_, rate) in made.items()}


def aliases() -> dict[str, Callable[..., optax.GradientTransformation]]:
  """The optimisers on offer, by name."""
  return {
    name: function
    for module in (contrib, optax)
    for name, function in vars(module).items()
    if inspect.isfunction(function)
    and 'learning_rate' in inspect.signature(function).parameters
    and not name.startswith(('_', 'scale_by'))
    and name not in _NOT_OFFERED
  }


def _split(spec: Mapping[str, Any]) -> tuple[Spec, schedules.Schedule, dict[str, Any]]:
  """The fields of a spec by owner; the last are those of the optax function."""
  rest = dict(spec)
  own = Spec(**{key: rest.pop(key) for key in Spec._fields if key in rest})
  rate_keys = [key for key in schedules.Schedule._fields if key in rest]
  schedule = schedules.Schedule(**{key: rest.pop(key) for key in rate_keys})
  offered = aliases()
  if own.name not in offered:
    raise unknown('optim.name', str(own.name), offered)
  parameters = inspect.signature(offered[own.name]).parameters
  possible = parameters.keys() - _OURS
  for key in rest:
    if key not in possible:
      schema = possible | set(Spec._fields) | set(schedules.Schedule._fields)
      raise unknown(f'keyword of optim {own.name}', key, schema)
  defaults = {key: p.default for key, p in parameters.items()}
  defaults |= Spec._field_defaults | schedules.Schedule._field_defaults
  for key, value in spec.items():
    if value is None and defaults.get(key, '') not in (None, ''):
      raise UserError(
        f'optim.{key}=None: give it a value, or leave it out: it is then {defaults[key]!r}'
      )
  return own, schedule, rest


def _alias(
  own: Spec, keywords: dict[str, Any], rate: optax.Schedule, shapes: Mapping[str, Any]
) -> list[optax.GradientTransformation]:
  """The optax function with its weight decay, to be chained."""
  weight_decay = schedules.non_negative('weight_decay', own.weight_decay)
  decaying = names.matching(own.decay_mask, shapes, 'optim.decay_mask') if weight_decay else set()
  mask = names.mapper({name: name in decaying for name in shapes})
  function = muon.muon if own.name == 'muon' else aliases()[own.name]
  optimizer = functools.partial(function, learning_rate=rate, **keywords)
  known = inspect.signature(function).parameters
  if not weight_decay:
    return [optimizer(weight_decay=0.0)] if 'weight_decay' in known else [optimizer()]
  if own.name in ('adafactor', 'muon'):
    # Their own decay is not times the learning rate (adafactor), not masked for all (muon).
    return [optimizer(), optax.add_decayed_weights(lambda i: -weight_decay * rate(i), mask)]
  if 'weight_decay' not in known:
    return [optax.add_decayed_weights(weight_decay, mask), optimizer()]
  mask_key = next((key for key in ('mask', 'weight_decay_mask') if key in known), None)
  if mask_key:
    return [optimizer(weight_decay=weight_decay, **{mask_key: mask})]
  if len(decaying) < len(shapes):
    raise UserError(
      f"optim {own.name} decays all weights or none: set decay_mask='.' or weight_decay=0"
    )
  return [optimizer(weight_decay=weight_decay)]


def _per_update(rate: optax.Schedule, every: Any) -> optax.Schedule:
  """A schedule over steps of the run as one over the updates of a player that skips some."""
  if isinstance(every, bool) or not isinstance(every, int) or every < 1:
    raise UserError(f'optim.every={every!r}: expected a whole number of steps >= 1')
  return rate if every == 1 else lambda updates: rate(updates * every)


def _factors(own: Spec, shapes: Mapping[str, Any]) -> dict[str, float | np.ndarray]:
  """Factor on the learning rate per name; along the depth where blocks are stacked."""
  factors: dict[str, Any] = dict.fromkeys(shapes, 1.0)
  for regex, factor in reversed(own.lr_multipliers):
    value = schedules.non_negative('lr_multipliers', factor)
    for name in names.matching(regex, shapes, 'optim.lr_multipliers'):
      factors[name] = value
  if schedules.non_negative('layer_decay', own.layer_decay) == 1:
    return factors
  layers, depth = _layers(shapes)
  return {name: factors[name] * own.layer_decay ** (depth + 1 - layers[name]) for name in shapes}


def _scale_rest(
  factors: dict[str, Any], shapes: Mapping[str, Any], rate: float, peak: float
) -> None:
  """Gives what Muon leaves to AdamW a learning rate of its own, with the same schedule."""
  schedules.non_negative('adam_learning_rate', rate)
  if not peak:
    raise UserError(f'optim.adam_learning_rate={rate}: the learning_rate beside it must not be 0')
  for name, leaf in shapes.items():
    if names.matrix_axes(name, leaf.ndim) is None:
      factors[name] = factors[name] * rate / peak


def _layers(shapes: Mapping[str, Any]) -> tuple[dict[str, int | np.ndarray], int]:
  """Layer per name (0 embeddings, i + 1 block i, depth + 1 the rest), and the depth.

  Raises:
    UserError: no blocks, or more than one stack of them.
  """
  found = {name: block for name in shapes if (block := names.block(name))}
  stacks = {block.stack for block in found.values()}
  if len(stacks) != 1:
    given = 'no blocks' if not stacks else 'blocks in ' + ', '.join(sorted(map(repr, stacks)))
    raise UserError(
      f'optim.layer_decay needs one stack of block_0, block_1, ... (or blocks); found {given}.\n'
      'Use lr_multipliers, a tuple of (regex, factor)'
    )
  numbers = {name: _numbers(block, shapes[name]) for name, block in found.items()}
  depths = collections.Counter()  # by stage
  for name, block in found.items():
    depths[block.stage] = max(depths[block.stage], int(np.max(numbers[name])) + 1)
  before = {stage: sum(n for other, n in depths.items() if other < stage) for stage in depths}
  depth = sum(depths.values())
  layers = {name: before[block.stage] + numbers[name] + 1 for name, block in found.items()}
  for name in shapes.keys() - layers.keys():
    stage = names.merged_stage(name)
    layer = depth + 1 if stage is None else before[stage] + 1
    layers[name] = 0 if names.is_input_layer(name) else layer
  return layers, depth


def _numbers(block: names.Block, leaf: Any) -> int | np.ndarray:
  """The number of a block within its stage; of stacked blocks all, along the leading axis."""
  if block.number is not None or not leaf.ndim:
    return block.number or 0
  return np.arange(leaf.shape[0]).reshape(-1, *[1] * (leaf.ndim - 1))


def _scale_by_name(factors: Mapping[str, Any]) -> optax.GradientTransformation:
  scale = names.mapper(factors)
  return optax.stateless(
    lambda updates, _: jax.tree.map(
      lambda u, f: u * jnp.asarray(f, u.dtype), updates, scale(updates)
    )
  )
