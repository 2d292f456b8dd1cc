"""A deep stack of equal blocks: unrolled or scanned, with or without rematerialisation.

The choice never changes a result: the blocks' initial parameters and their random keys come from
the stack's own, one per layer, whichever way they then run. Only the layout of the parameters
differs, `block_0`, `block_1`, ... or `blocks` with a leading depth axis; `stack_blocks` and
`unstack_blocks` convert.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree

from vitlab.errors import UserError, unknown
from vitlab.layers.sharding import PRODUCT, constrain_batch
from vitlab.ops.recompute import checkpoint

# Policies of jax.checkpoint, from the least memory to the least time.
REMAT = ('nothing_saveable', 'dots_with_no_batch_dims_saveable', 'dots_saveable')


class Stack(nn.Module):
  """Applies `depth` blocks of the same kind, each with its own parameters.

  Attributes:
    block: Called as block(x, train, drop_path_rate, **inputs); returns (x, out). It holds
      parameters only.
    depth: How many.
    drop_path_rate: Of the last block; it rises linearly from 0 at the first, or from the first of
      two rates to the second.
    scan: Compile one block and loop over it: depth times less to compile, some slower on CPU.
    remat: What the backward pass keeps of a block instead of recomputing it, one of `REMAT`; ''
      keeps everything.
    turns: Keyword arguments that the blocks take in turn, constants of the program: a Swin's blocks
      leave their windows in place and shift them.
  """

  block: nn.Module
  depth: int
  drop_path_rate: float | tuple[float, float] = 0.0
  scan: bool = False
  remat: str = ''
  turns: Sequence[Mapping[str, Any]] = ({},)

  @nn.compact
  def __call__(
    self,
    x: PyTree[Float[Array, 'b ...']],
    train: bool = False,
    each: Mapping[str, Sequence[PyTree]] | None = None,
    **inputs: Any,
  ) -> tuple[PyTree[Float[Array, 'b ...']], list[PyTree]]:
    """Runs the blocks.

    Args:
      x: What goes from block to block: tokens, or a tuple of arrays (TNT's pixels and patches).
      train: Whether dropout and drop-path act.
      each: Inputs that differ from block to block, one for each (a decoder's past).
      **inputs: Those that do not.

    Returns:
      The last block's result, and every block's `out`.
    """
    block = self.block.clone(parent=None)
    if self.is_initializing():
      self._init(block, x, inputs)
    random = train and self.has_rng('dropout')
    keys = jax.random.split(self.make_rng('dropout'), self.depth) if random else None
    shares = dict(rate=self._rates(), key=keys)
    layers = [
      _layer(shares, i) | dict(each={name: own[i] for name, own in (each or {}).items()})
      for i in range(self.depth)
    ]

    def apply(turn, x, params, layer, inputs):
      rngs = None if layer['key'] is None else {'dropout': layer['key']}
      inputs = {**inputs, **layer['each'], **turn}
      x, out = block.apply({'params': params}, x, train, layer['rate'], rngs=rngs, **inputs)
      return jax.tree.map(constrain_batch, x), out

    turns = [partial(apply, turn) for turn in self.turns]
    if self.remat:
      # Inside a scan nothing can merge the recomputation with the original, so no barrier.
      options = dict(policy=remat_policy(self.remat), prevent_cse=not self.scan)
      turns = [checkpoint(turn, **options) for turn in turns]

    run = self._scan if self.scan else self._unrolled
    return run(turns, jax.tree.map(constrain_batch, x), layers, inputs)

  def _unrolled(self, turns, x, layers, inputs) -> tuple[PyTree, list[PyTree]]:
    """Calls the blocks, each turn traced and lowered once; XLA inlines the calls."""
    turns, outs = [jax.jit(turn) for turn in turns], []
    for i in range(self.depth):
      with jax.named_scope(f'block_{i}'):
        turn = turns[i % len(turns)]
        x, out = turn(x, self._params(f'block_{i}'), layers[i], inputs)
      outs.append(out)
    return x, outs

  def _scan(self, turns, x, layers, inputs) -> tuple[PyTree, list[PyTree]]:
    """Loops over groups of as many blocks as there are turns."""
    n = len(turns)
    if self.depth % n:
      raise UserError(f'scan: {self.depth} blocks do not divide into groups of {n}; use scan=False')

    def group(x, xs):
      outs = []
      for i, turn in enumerate(turns):
        x, out = turn(x, *_layer(xs, i), inputs)
        outs.append(out)
      return x, outs

    xs = (self._params('blocks'), jax.tree.map(lambda *leaves: jnp.stack(leaves), *layers))
    xs = jax.tree.map(lambda leaf: leaf.reshape(-1, n, *leaf.shape[1:]), xs)
    x, outs = jax.lax.scan(group, x, xs, length=self.depth // n)
    return x, [_layer(outs[i % n], i // n) for i in range(self.depth)]

  def _rates(self) -> Float[Array, ' depth'] | None:
    """Every block's drop-path rate; None where nothing is dropped."""
    rates = self.drop_path_rate
    first, last = (0.0, rates) if isinstance(rates, (int, float)) else rates
    return jnp.linspace(first, last, self.depth) if last else None

  def _init(self, block: nn.Module, x: PyTree, inputs: Mapping) -> None:
    """Draws all layers' parameters at once: compiled once, and the same ones either way."""
    keys, turn = jax.random.split(self.make_rng('params'), self.depth), self.turns[0]
    stacked = jax.vmap(lambda key: block.init(key, x, **inputs, **turn)['params'])(keys)
    params = {'blocks': stacked} if self.scan else unstack_blocks({'blocks': stacked})
    for name, tree in params.items():
      self.put_variable('params', name, tree)

  def _params(self, name: str) -> PyTree:
    params = self.get_variable('params', name)
    if params is None:
      raise UserError(
        f'the parameters of {self.name} have no {name}: they are laid out for scan={not self.scan}'
        f'\nstack_blocks and unstack_blocks of vitlab.layers.stack convert them'
      )
    return params


def check_remat(name: str) -> str:
  """The name, if it is '' or that of a rematerialisation policy; else UserError lists them."""
  if name and name not in REMAT:
    raise unknown('remat', name, REMAT)
  return name


def remat_policy(name: str) -> Callable[..., Any]:
  """What `jax.checkpoint` keeps; with some products also those of split kernels."""
  policies = jax.checkpoint_policies
  policy = getattr(policies, name)
  if name == 'nothing_saveable':
    return policy
  return policies.save_from_both_policies(policy, policies.save_only_these_names(PRODUCT))


def stack_blocks(params: Mapping) -> dict:
  """Parameters of an unrolled stack -> of a scanned one, wherever in the tree it is."""
  names = sorted((n for n in params if re.fullmatch(r'block_\d+', n)), key=lambda n: int(n[6:]))
  rest = {k: stack_blocks(v) if isinstance(v, Mapping) else v for k, v in params.items()}
  blocks = [rest.pop(name) for name in names]
  if blocks:
    stack = np.stack if isinstance(jax.tree.leaves(blocks)[0], np.ndarray) else jnp.stack
    rest['blocks'] = jax.tree.map(lambda *leaves: stack(leaves), *blocks)
  return rest


def unstack_blocks(params: Mapping) -> dict:
  """Parameters of a scanned stack -> of an unrolled one, wherever in the tree it is."""
  rest = {k: unstack_blocks(v) if isinstance(v, Mapping) else v for k, v in params.items()}
  if 'blocks' in rest:
    blocks = rest.pop('blocks')
    depth = jax.tree.leaves(blocks)[0].shape[0]
    rest |= {f'block_{i}': _layer(blocks, i) for i in range(depth)}
  return rest


def _layer(tree: PyTree, i: int) -> PyTree:
  return jax.tree.map(lambda leaf: leaf[i], tree)
