"""Reformer: causality, documents in one row, texts read piece by piece, and what it refuses."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vitlab.errors import UserError
from vitlab.models import reformer

VOCAB = 11
TOKENS = np.random.default_rng(0).integers(0, VOCAB, (2, 14), dtype=np.int32)
WORDS = {
  'lsh': dict(num_hashes=2),
  'mixed': dict(attn_layers=('local', 'lsh', 'full'), axial_shape=(4, 4), mlp='swiglu'),
}


def make(**words):
  small = dict(variant='mu', context=16, lsh_chunk=4, local_chunk=4, dropout_rate=0.0, depth=3)
  return reformer.make(VOCAB, **small | words)


def variables_of(model, seed=0):
  """All parameters off their initial values."""
  variables = jax.jit(model.init)(jax.random.key(seed), TOKENS)
  random = np.random.default_rng(seed)
  return jax.tree.map(lambda x: x + random.normal(0, 0.3, x.shape).astype(np.float32), variables)


def close(found, wanted, atol=2e-5):
  np.testing.assert_allclose(found, wanted, atol=atol, rtol=2e-5)


@pytest.mark.parametrize('name', WORDS)
def test_no_gradient_comes_from_a_later_token(name):
  """Of the values; through the hash a later token may move who stands beside whom."""
  model = make(**WORDS[name])
  variables = variables_of(model)
  table = variables['params']['token_embedding']['embedding']

  def loss(extra):
    # Every token has a vector of its own, so that its gradient can be told.
    embed = dict(variables['params']['token_embedding'], embedding=table + extra)
    params = dict(variables['params'], token_embedding=embed)
    tokens = jnp.arange(VOCAB)[None]
    return jnp.abs(model.apply({'params': params}, tokens)[0][:, 5]).sum()

  gradient = jnp.abs(jax.jit(jax.grad(loss))(jnp.zeros_like(table))).max(-1)
  assert (gradient[:6] > 0).any() and not gradient[6:].any()


@pytest.mark.parametrize('name', WORDS)
def test_a_text_read_in_pieces_is_one_that_is_padded(name):
  model = make(**WORDS[name])
  variables = variables_of(model)
  whole = jax.jit(model.apply)
  step = jax.jit(partial(model.apply, method='step'))
  state, read = model.apply(variables, 2, 16, method='start'), 0
  for count in (8, 1, 4):
    tokens = jnp.asarray(TOKENS[:, read : read + count])
    logits, state = step(variables, state, tokens)
    read += count
    padded = np.pad(TOKENS[:, :read], ((0, 0), (0, 16 - read)))
    segments = jnp.broadcast_to((jnp.arange(16) < read).astype(jnp.int32), (2, 16))
    wanted = whole(variables, padded, segments=segments)[0]
    close(logits, wanted[:, read - count : read])
  assert int(state.length) == 13
  ahead, _ = step(variables, state, jnp.array([[5], [3]]))
  again, _ = step(variables, state.take(jnp.array([1, 1])), jnp.array([[5], [3]]))
  close(again[1], ahead[1])


def test_documents_in_one_row_do_not_see_one_another():
  """Where all attention is full, each says what it says alone."""
  model = make(attn_layers=('full',))
  variables = variables_of(model)
  apply = jax.jit(model.apply)
  segments = jnp.array([[1] * 5 + [2] * 6 + [0] * 3, [1] * 14])
  packed, _ = apply(variables, TOKENS, segments=segments)
  for row, first, last in ((0, 0, 5), (0, 5, 11), (1, 0, 14)):
    alone = np.zeros_like(TOKENS)
    alone[0, : last - first] = TOKENS[row, first:last]
    close(packed[row, first:last], apply(variables, alone)[0][0, : last - first])


def test_padding_to_whole_chunks_is_not_seen():
  """A text of 14 tokens and one of 16 whose last two are of nobody."""
  model = make(**WORDS['mixed'])
  variables = variables_of(model)
  logits, out = jax.jit(model.apply)(variables, TOKENS)
  padded = np.pad(TOKENS, ((0, 0), (0, 2)), constant_values=5)
  segments = jnp.broadcast_to((jnp.arange(16) < 14).astype(jnp.int32), (2, 16))
  close(logits, jax.jit(model.apply)(variables, padded, segments=segments)[0][:, :14])
  for weights in out['attention']:
    assert weights.shape == (2, 2, 14, 14)
    close(weights.sum(-1), np.ones((2, 2, 14)))
    assert not np.triu(weights, 1).any()


def test_rounds_of_hashing_and_full_attention_share_parameters():
  tree = jax.eval_shape(make().init, jax.random.key(0), TOKENS)
  for words in (dict(num_hashes=1), dict(attn_layers=('full',)), dict(backward='plain')):
    assert jax.eval_shape(make(**words).init, jax.random.key(0), TOKENS) == tree


def test_axial_positions_are_rows_and_columns():
  model = make(axial_shape=(4, 4), axial_widths=(6, 10))
  params = variables_of(model)['params']['position_embedding']
  assert (params['rows'].shape, params['columns'].shape) == ((4, 6), (4, 10))
  positions = model.position_embedding.apply
  found = positions({'params': params}, 14, jnp.float32)
  for place in (0, 3, 4, 13):
    wanted = [params['rows'][place // 4], params['columns'][place % 4]]
    close(found[place], np.concatenate(wanted))
  place = jnp.array([[5, 0]])
  close(positions({'params': params}, 2, jnp.float32, position=place)[0], found[place[0]])


def test_the_largest_has_the_size_of_the_paper():
  model = reformer.make(256, 'base', context=65536, axial_shape=(256, 256))
  tree = jax.eval_shape(model.init, jax.random.key(0), TOKENS)
  layer = 3 * 1024**2 + 2 * 1024 * 4096 + 4096 + 1024 + 4 * 1024
  count = 12 * layer + 256 * 1024 + 2 * 256 * 512 + 2 * 2048 + 2048 * 256 + 256
  assert sum(x.size for x in jax.tree.leaves(tree)) == count


@pytest.mark.parametrize(
  'words, says',
  [
    (dict(variant='tini'), 'did you mean tiny'),
    (dict(attn_layers=('lsj',)), "unknown attn_layers 'lsj'"),
    (dict(attn_layers='lsh'), "needs to be a list, .'lsh', 'local'."),
    (dict(backward='reverse'), 'did you mean reversible'),
    (dict(num_hashes=0), 'num_hashes=0 needs to be 1 or more'),
    (dict(num_buckets=3), r'num_buckets=\(3,\) needs even numbers'),
    (dict(num_heads=3), 'does not divide into 3 heads'),
    (dict(axial_shape=(2, 4)), r'axial_shape=\(2, 4\) needs .* context=16 or more\n'),
    (dict(axial_shape=(4, 4), axial_widths=(8, 9)), r'axial_widths=\(8, 9\)'),
  ],
)
def test_bad_words_are_refused(words, says):
  with pytest.raises(UserError, match=says):
    make(**words)


@pytest.mark.parametrize('words', [dict(context=8), dict(context=8, axial_shape=(2, 4))])
def test_a_text_longer_than_what_is_learned_is_refused(words):
  with pytest.raises(UserError, match='may come'):
    jax.eval_shape(make(**words).init, jax.random.key(0), TOKENS)
