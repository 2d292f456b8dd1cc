"""A deep stack of equal blocks: unrolled or scanned, with or without rematerialisation.

The choice never changes a result: the blocks' initial parameters and their random keys come from
the stack's own, one per layer, whichever way they then run. Only the layout of the parameters
differs, `block_0`, `block_1`, ... or `blocks` with a leading depth axis; `stack_blocks` and
`unstack_blocks` convert.
"""

import re
from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree

from vitlab.errors import UserError, unknown
from vitlab.layers.sharding import constrain_batch

# Policies of jax.checkpoint, from the least memory to the least time.
REMAT = ('nothing_saveable', 'dots_with_no_batch_dims_saveable', 'dots_saveable')


class Stack(nn.Module):
  """Applies `depth` blocks of the same kind, each with its own parameters.

  Attributes:
    block: Called as block(x, train, drop_path_rate, **inputs); returns (x, out). It holds
      parameters only.
    depth: How many.
    drop_path_rate: Of the last block; it rises linearly from 0 at the first.
    scan: Compile one block and loop over it: depth times less to compile, some slower on CPU.
    remat: What the backward pass keeps of a block instead of recomputing it, one of `REMAT`; ''
      keeps everything.
  """

  block: nn.Module
  depth: int
  drop_path_rate: float = 0.0
  scan: bool = False
  remat: str = ''

  @nn.compact
  def __call__(
    self, x: Float[Array, 'b t d'], train: bool = False, **inputs: Any
  ) -> tuple[Float[Array, 'b t d'], list[PyTree]]:
    """Runs the blocks; returns the last one's tokens and every block's `out`."""
    block = self.block.clone(parent=None)
    if self.is_initializing():
      self._init(block, x, inputs)
    random = train and self.has_rng('dropout')
    layers = dict(
      rate=jnp.linspace(0, self.drop_path_rate, self.depth) if self.drop_path_rate else None,
      key=jax.random.split(self.make_rng('dropout'), self.depth) if random else None,
    )

    def apply(x, params, layer, inputs):
      rngs = None if layer['key'] is None else {'dropout': layer['key']}
      x, out = block.apply({'params': params}, x, train, layer['rate'], rngs=rngs, **inputs)
      return constrain_batch(x), out

    if self.remat:
      # Inside a scan nothing can merge the recomputation with the original, so no barrier.
      policy = getattr(jax.checkpoint_policies, self.remat)
      apply = jax.checkpoint(apply, policy=policy, prevent_cse=not self.scan)

    x = constrain_batch(x)
    if self.scan:
      xs = (self._params('blocks'), layers)
      x, outs = jax.lax.scan(lambda x, xs: apply(x, *xs, inputs), x, xs, length=self.depth)
      return x, [_layer(outs, i) for i in range(self.depth)]
    # Traced and lowered once; XLA inlines the calls.
    apply, outs = jax.jit(apply), []
    for i in range(self.depth):
      with jax.named_scope(f'block_{i}'):
        x, out = apply(x, self._params(f'block_{i}'), _layer(layers, i), inputs)
      outs.append(out)
    return x, outs

  def _init(self, block: nn.Module, x: Array, inputs: Mapping) -> None:
    """Draws all layers' parameters at once: compiled once, and the same ones either way."""
    keys = jax.random.split(self.make_rng('params'), self.depth)
    stacked = jax.vmap(lambda key: block.init(key, x, **inputs)['params'])(keys)
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
