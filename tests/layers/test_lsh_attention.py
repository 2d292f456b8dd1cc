"""The attention layers of a Reformer: where rotations and buckets come from, and full attention."""

import jax
import jax.numpy as jnp
import numpy as np

from vitlab.layers.lsh_attention import LocalAttention, LSHAttention
from vitlab.ops.lsh import default_buckets

X = jax.random.normal(jax.random.key(0), (2, 16, 8))
OPTIONS = dict(num_heads=2, head_dim=8, chunk=4, causal=True)
LAYER = LSHAttention(num_hashes=2, context=16, **OPTIONS)
VARIABLES = jax.jit(LAYER.init)(jax.random.key(0), X)


def run(layer=LAYER, x=X, **named):
  rngs = named.pop('rngs', None)
  return jax.jit(lambda v, x, named: layer.apply(v, x, rngs=rngs, **named))(VARIABLES, x, named)


def test_rotations_are_those_of_a_seed_or_drawn_in_training_or_given():
  of = lambda found: np.asarray(found[1]['buckets'])  # noqa: E731
  assert (of(run()) == of(run())).all()
  assert (of(run()) != of(run(LAYER.clone(seed=1)))).any()
  drawn = [of(run(rngs={'dropout': jax.random.key(i)})) for i in (0, 0, 1)]
  assert (drawn[0] == drawn[1]).all() and (drawn[0] != drawn[2]).any()
  (size,) = default_buckets(16, 4, 16)
  rotations = jax.random.normal(jax.random.key(0), (2, 8, 2, size // 2))
  np.testing.assert_array_equal(of(run(rotations=rotations)), of(run()))
  assert (of(run(rotations=-rotations)) != of(run())).all()
  buckets = jnp.roll(of(run()), 1, axis=-1)
  found = run(buckets=buckets)
  np.testing.assert_array_equal(of(found), buckets)
  assert float(jnp.abs(found[0] - run()[0]).max()) > 1e-3


def test_without_rounds_and_in_one_chunk_attention_is_full():
  full, seen = run(LAYER.clone(num_hashes=0))
  assert 'buckets' not in seen
  assert float(jnp.abs(full - run()[0]).max()) > 1e-3
  np.testing.assert_allclose(run(LAYER.clone(chunk=16))[0], full, atol=1e-6)
  np.testing.assert_allclose(run(x=X[:, :4])[0], full[:, :4], atol=1e-6)
  # No token sees itself where it sees another: the diagonal is empty but for the first.
  diagonal = jnp.diagonal(seen['attention'], axis1=2, axis2=3)
  np.testing.assert_allclose(diagonal, jnp.broadcast_to(jnp.arange(16) == 0, (2, 2, 16)), atol=1e-6)


def test_another_number_of_rounds_takes_the_same_parameters():
  for num_hashes in (0, 1, 4):
    layer = LAYER.clone(num_hashes=num_hashes)
    tree = jax.eval_shape(layer.init, jax.random.key(0), X)
    assert jax.tree.map(jnp.shape, tree) == jax.tree.map(jnp.shape, VARIABLES)
  leaves = jax.tree_util.tree_leaves_with_path(VARIABLES)
  assert {jax.tree_util.keystr(path) for path, _ in leaves} == {
    f"['params']['{name}']['kernel']" for name in ('q', 'v', 'out')
  }


def test_a_text_of_one_chunk_has_full_local_attention():
  layer = LocalAttention(**OPTIONS)
  variables = layer.init(jax.random.key(0), X)
  found, _ = layer.apply(variables, X[:, :3])
  whole, _ = layer.apply(variables, X)
  np.testing.assert_allclose(found, whole[:, :3], atol=1e-6)
