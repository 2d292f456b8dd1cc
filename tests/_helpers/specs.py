"""The smallest model of every family, as a spec, and its variables without a computation."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from vitlab import registry

SPECS = {
  'vit': dict(variant='mu/8', mlp='gelu'),
  'swin': dict(variant='T', width=8, depths=(1, 2), num_heads=(1, 2)),
  'tnt': dict(variant='S', width=24, depth=1),
  'resnet': dict(variant='18', width=8),
}
SPECS = {name: dict(name=name, num_classes=3, **words) for name, words in SPECS.items()}
SENTENCES = {name: dict(name=name, variant='mu', vocab_size=9) for name in ('transformer', 'gpt')}


def tree_of(spec, size, fill=np.zeros):
  """Variables of a model for images of this size (height, width); fill: shape -> array.

  A model of sentences takes any size.
  """
  module = registry.make('models', spec)
  tokens = jnp.zeros((1, 1), jnp.int32)
  sentences = dict(transformer=(tokens, tokens), gpt=(tokens,))
  inputs = sentences.get(spec['name']) or (jnp.zeros((1, *size, 3)),)
  like = jax.eval_shape(partial(module.init, train=False), jax.random.key(0), *inputs)
  return jax.tree.map(lambda leaf: np.asarray(fill(leaf.shape), leaf.dtype), like)
