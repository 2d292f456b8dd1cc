"""Muon moves matrices, and AdamW the rest, told apart by their roles in real models' names."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from optax import contrib

from vitlab import names
from vitlab.errors import UserError
from vitlab.train import muon, optim

SHAPES = {
  'source/embedding': (7, 4),
  'patch_embed/kernel': (2, 2, 1, 4),
  'patch_embed/bias': (4,),
  'position_embedding/grid': (2, 2, 4),
  'cls_token': (1, 4),
  'stem/conv/kernel': (3, 3, 1, 4),
  'encoder/blocks/norm1/scale': (2, 4),
  'encoder/blocks/attention/qkv/kernel': (2, 4, 3, 2, 2),
  'encoder/blocks/attention/qkv/bias': (2, 3, 2, 2),
  'encoder/blocks/attention/out/kernel': (2, 2, 2, 4),
  'encoder/blocks/mlp/up/kernel': (2, 4, 8),
  'stage_0/block_0/conv1/kernel': (3, 3, 4, 8),
  'merging_1/reduction/kernel': (8, 4),
  'decoder/cells_0/hidden/kernel': (5, 4, 3),
  'head/kernel': (4, 3),
  'head/bias': (3,),
  'head_dist/kernel': (4, 3),
}
# name -> how a kernel of it becomes a stack of matrices [n in out]
MATRICES = {
  'encoder/blocks/attention/qkv/kernel': lambda x: x.transpose(0, 2, 1, 3, 4).reshape(6, 4, 4),
  'encoder/blocks/attention/out/kernel': lambda x: x.reshape(2, 4, 4),
  'encoder/blocks/mlp/up/kernel': lambda x: x,
  'stage_0/block_0/conv1/kernel': lambda x: x.reshape(1, 36, 8),
  'merging_1/reduction/kernel': lambda x: x[None],
  'decoder/cells_0/hidden/kernel': lambda x: x.transpose(1, 0, 2),
}
RUN = dict(total_steps=100, batch_size=10, num_examples=100)


def tree(seed):
  generator = np.random.default_rng(seed)
  params = {}
  for name, shape in SHAPES.items():
    *parents, last = name.split('/')
    node = params
    for parent in parents:
      node = node.setdefault(parent, {})
    node[last] = generator.normal(size=shape).astype('f')
  return params


@functools.cache
def steps(count=2, **spec):
  """name -> what is added by each of a few steps with the same gradients."""
  spec = dict(name='muon', learning_rate=0.02, schedule='constant') | spec
  tx, _ = optim.make(spec, params=tree(0), **RUN)
  state, found = tx.init(tree(0)), []
  for _ in range(count):
    updates, state = jax.jit(tx.update)(tree(1), state, tree(0))
    found.append(names.flatten(updates))
  return found


@pytest.mark.parametrize('rate', [None, 0.003])
def test_the_rest_moves_by_adamw_at_its_own_rate(rate):
  """As optax.adamw does, without Nesterov's momentum: the first step is the rate."""
  own = {} if rate is None else dict(adam_learning_rate=rate)
  found = steps(3, adam_b1=0.8, adam_b2=0.9, **own)
  adamw = optax.adamw(rate or 0.02, b1=0.8, b2=0.9)
  state, params = adamw.init(tree(0)), jax.tree.map(jnp.zeros_like, tree(0))
  for updates in found:
    theirs, state = adamw.update(tree(1), state, params)
    theirs = names.flatten(theirs)
    for name in SHAPES.keys() - MATRICES.keys():
      np.testing.assert_allclose(updates[name], theirs[name], rtol=0, atol=1e-7, err_msg=name)
      assert updates is not found[0] or np.abs(updates[name]).max() <= (rate or 0.02) * 1.0001


@functools.partial(jax.jit, static_argnums=1)
def orthogonal(gradient, consistent_rms):
  """The first step of optax's own for one matrix."""
  theirs = contrib.muon(0.02, consistent_rms=consistent_rms)
  return theirs.update(gradient, theirs.init(gradient), gradient)[0]


@pytest.mark.parametrize('name', MATRICES)
def test_every_matrix_is_orthogonalised_on_its_own(name):
  update, gradient = (MATRICES[name](names.flatten(x)[name]) for x in (steps(1)[0], tree(1)))
  rows, columns = gradient.shape[1:]
  for got, one in zip(update, gradient):
    np.testing.assert_allclose(got, orthogonal(one, 0.2), rtol=1e-4, atol=1e-6)
    values = np.linalg.svd(got, compute_uv=False) / (0.02 * 0.2 * max(rows, columns) ** 0.5)
    assert np.median(values) > 0.6 and values.max() < 1.3


def test_the_scale_of_the_original_on_request():
  name = 'encoder/blocks/mlp/up/kernel'
  update = steps(1, consistent_rms=None)[0][name]
  for got, one in zip(update, names.flatten(tree(1))[name]):
    np.testing.assert_allclose(got, orthogonal(one, None), rtol=1e-4, atol=1e-6)


def test_states_of_the_optimiser_of_optax_go_on():
  """Those of runs that were started when the rest moved by it."""
  params = tree(0)
  rate = lambda i: 0.02 + 0 * i  # noqa: E731
  theirs = contrib.muon(
    rate, muon_weight_dimension_numbers=muon._matrices, consistent_rms=0.2
  ).init(params)
  ours = muon.muon(rate).init(params)
  assert jax.tree.structure(theirs) == jax.tree.structure(ours)


def test_weights_decay_times_the_rate_of_their_part():
  rates = dict(learning_rate=0.02, adam_learning_rate=0.005)
  (plain,), (decayed,) = steps(1, **rates), steps(1, **rates, weight_decay=0.5)
  for name, value in names.flatten(tree(0)).items():
    rate = 0.02 if name in MATRICES else 0.005
    expected = -0.5 * rate * value if name.endswith('kernel') else np.zeros_like(value)
    np.testing.assert_allclose(decayed[name] - plain[name], expected, atol=1e-6, err_msg=name)


@pytest.mark.parametrize(
  'spec, says',
  [
    (dict(adam_learning_rate=-1.0), 'adam_learning_rate=-1.0: expected a finite number'),
    (dict(adam_learning_rate=0.1, learning_rate=0.0), 'learning_rate beside it must not be 0'),
    (dict(adam_weight_decay=0.1), "unknown keyword of optim muon 'adam_weight_decay'"),
    (dict(ns_coeffs='dion'), "optim.ns_coeffs='dion': give three numbers"),
    (dict(name='adamw', adam_learning_rate=0.1), "unknown keyword of optim adamw 'adam_learn"),
  ],
)
def test_bad_words_are_refused(spec, says):
  with pytest.raises(UserError, match=says):
    steps(1, **spec)
