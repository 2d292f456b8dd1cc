import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from vitlab import names
from vitlab.errors import UserError
from vitlab.train import optim

RUN = dict(total_steps=100, batch_size=10, num_examples=100)


def block(*depth):
  return {
    'norm1': {'scale': np.ones((*depth, 4), 'f'), 'bias': np.zeros((*depth, 4), 'f')},
    'attention': {
      'qkv': {'kernel': np.ones((*depth, 4, 3, 2, 2), 'f')},
      'out': {'kernel': np.ones((*depth, 2, 2, 4), 'f')},
    },
    'mlp': {'up': {'kernel': np.ones((*depth, 4, 8), 'f'), 'bias': np.ones((*depth, 8), 'f')}},
  }


def vit(scan=False):
  """Parameters named as in the ViT, values drawn."""
  encoder = {'blocks': block(2)} if scan else {'block_0': block(), 'block_1': block()}
  params = {
    'patch_embed': {'kernel': np.ones((2, 2, 1, 4), 'f'), 'bias': np.ones(4, 'f')},
    'cls_token': np.ones((1, 4), 'f'),
    'position_embedding': {'grid': np.ones((2, 2, 4), 'f')},
    'encoder': encoder,
    'norm': {'scale': np.ones(4, 'f')},
    'head': {'kernel': np.ones((4, 3), 'f'), 'bias': np.ones(3, 'f')},
  }
  generator = np.random.default_rng(0)
  return jax.tree.map(lambda x: generator.normal(size=x.shape).astype('f'), params)


def make(params=None, **spec):
  spec = {'name': 'sgd', 'learning_rate': 0.1, 'schedule': 'constant', **spec}
  return optim.make(spec, params=vit() if params is None else params, **RUN)


def ones(params):
  return jax.tree.map(jnp.ones_like, params)


def first_update(params=None, grads=None, **spec):
  """name -> what one step adds to the parameter."""
  params = vit() if params is None else params
  tx, _ = make(params, **spec)
  grads = ones(params) if grads is None else grads
  updates, _ = jax.jit(tx.update)(grads, tx.init(params), params)
  return names.flatten(updates)


@pytest.mark.parametrize('name', sorted(optim.aliases()))
def test_every_alias_moves_all_but_the_frozen_and_keeps_the_form_of_its_state(name):
  params = {k: vit()[k] for k in ('patch_embed', 'head')}
  tx, _ = make(params, name=name, freeze='patch_embed', clip_norm=1.0)

  @jax.jit
  def step(params, state):
    # `value` as the training step passes it; the optimisers that do not ask ignore it.
    optimizer = optax.with_extra_args_support(tx)
    updates, state = optimizer.update(params, state, params, value=jnp.ones(()))
    return optax.apply_updates(params, updates), state

  moved, state = step(params, tx.init(params))
  moved, after = step(moved, state)
  for leaf, old in zip(
    jax.tree.leaves(moved['patch_embed']), jax.tree.leaves(params['patch_embed'])
  ):
    np.testing.assert_array_equal(leaf, old)
  for leaf, old in zip(jax.tree.leaves(moved['head']), jax.tree.leaves(params['head'])):
    assert np.isfinite(leaf).all() and np.any(leaf != old)
  assert jax.eval_shape(tx.init, params) == jax.eval_shape(lambda s: s, after)


def test_adamw_is_optax_adamw():
  params, spec = vit(), dict(b2=0.95, weight_decay=0.1)
  tx, rate = make(params, name='adamw', schedule='cosine', warmup='1 epochs', **spec)
  kernels = jax.tree_util.tree_map_with_path(lambda p, _: p[-1].key == 'kernel', params)
  theirs = optax.adamw(rate, mask=kernels, **spec)
  a, b = params, params
  state_a, state_b = tx.init(a), theirs.init(b)
  update_a, update_b = jax.jit(tx.update), jax.jit(theirs.update)
  for _ in range(3):
    updates, state_a = update_a(a, state_a, a)
    a = optax.apply_updates(a, updates)
    updates, state_b = update_b(b, state_b, b)
    b = optax.apply_updates(b, updates)
  jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-6, atol=1e-7), a, b)


@pytest.mark.parametrize('name', ['adamw', 'lion', 'adafactor', 'muon'])
@pytest.mark.parametrize('scan', [False, True])
def test_decoupled_decay_is_the_rate_times_the_kernels(name, scan):
  params = vit(scan)
  plain = first_update(params, name=name)
  decayed = first_update(params, name=name, weight_decay=0.5)
  for key, value in names.flatten(params).items():
    expected = -0.1 * 0.5 * value if key.endswith('kernel') else np.zeros_like(value)
    np.testing.assert_allclose(decayed[key] - plain[key], expected, atol=1e-6)


def test_sgd_decays_with_an_l2_penalty_and_a_mask_of_ones_own():
  params = vit()
  decayed = first_update(params, weight_decay=0.5, decay_mask='^head/bias$')
  for key, value in names.flatten(params).items():
    penalty = 0.5 * value if key == 'head/bias' else 0
    np.testing.assert_allclose(decayed[key], -0.1 * (1 + penalty) * np.ones_like(value), rtol=1e-6)


def test_frozen_parameters_have_no_state():
  tx, _ = make(name='adamw', freeze='encoder|patch_embed')
  held = names.flatten(tx.init(vit()))
  assert any('head/kernel' in name for name in held)
  assert not any('encoder' in name or 'patch_embed' in name for name in held)


def test_clipping_and_the_norm_count_the_unfrozen_only():
  params = vit()
  grads = ones(params)
  grads['encoder'] = jax.tree.map(lambda x: jnp.full_like(x, jnp.nan), grads['encoder'])
  free = [g for name, g in names.flatten(grads).items() if not name.startswith('encoder')]
  norm = math.sqrt(sum(g.size for g in free))
  tx, _ = make(params, freeze='^encoder/', clip_norm=0.5)
  updates, state = tx.update(grads, tx.init(params), params)
  np.testing.assert_allclose(optax.tree.get(state, 'grad_norm'), norm, rtol=1e-6)
  np.testing.assert_allclose(updates['head']['kernel'], -0.1 * 0.5 / norm, rtol=1e-6)
  assert not any(np.any(u) for u in jax.tree.leaves(updates['encoder']))


def test_learning_rate_multipliers_first_match_counts():
  updates = first_update(lr_multipliers=(('head/bias', 3.0), ('head', 2.0)))
  np.testing.assert_allclose(updates['head/bias'], -0.3, rtol=1e-6)
  np.testing.assert_allclose(updates['head/kernel'], -0.2, rtol=1e-6)
  np.testing.assert_allclose(updates['norm/scale'], -0.1, rtol=1e-6)


def test_layer_decay():
  updates = first_update(layer_decay=0.5, lr_multipliers=(('^head', 10.0),))
  # Depth 2: embeddings are layer 0, blocks 1 and 2, the rest 3.
  expected = {
    'patch_embed/kernel': 1 / 8,
    'cls_token': 1 / 8,
    'position_embedding/grid': 1 / 8,
    'encoder/block_0/mlp/up/bias': 1 / 4,
    'encoder/block_1/attention/qkv/kernel': 1 / 2,
    'norm/scale': 1,
    'head/kernel': 10,
  }
  for name, factor in expected.items():
    np.testing.assert_allclose(updates[name], -0.1 * factor, rtol=1e-6, err_msg=name)


def test_layer_decay_counts_blocks_through_the_stages():
  one = lambda: {'kernel': np.ones((2, 2), 'f')}  # noqa: E731
  scanned = {'kernel': np.ones((2, 2, 2), 'f')}
  params = {
    'patch_embed': one(),
    'patch_norm': one(),
    'stage_0': {'block_0': {'mlp': one()}, 'block_1': {'mlp': one()}},
    'merging_1': {'reduction': one()},
    'stage_1': {'blocks': {'mlp': scanned}},
    'norm': one(),
  }
  updates = first_update(params, layer_decay=0.5)
  # Depth 4: two blocks in each stage.
  expected = {
    'patch_embed/kernel': 1 / 32,
    'patch_norm/kernel': 1 / 32,
    'stage_0/block_0/mlp/kernel': 1 / 16,
    'stage_0/block_1/mlp/kernel': 1 / 8,
    'merging_1/reduction/kernel': 1 / 4,
    'norm/kernel': 1,
  }
  for name, factor in expected.items():
    np.testing.assert_allclose(updates[name], -0.1 * factor, rtol=1e-6, err_msg=name)
  scanned = updates['stage_1/blocks/mlp/kernel']
  np.testing.assert_allclose(scanned[:, 0, 0], [-0.1 / 4, -0.1 / 2], rtol=1e-6)


@pytest.mark.parametrize('name', ['adamw', 'muon'])
def test_scanned_blocks_move_like_unrolled_ones(name):
  scanned = vit(scan=True)
  unrolled = {**scanned, 'encoder': {}}
  for i in range(2):
    blocks = scanned['encoder']['blocks']
    unrolled['encoder'][f'block_{i}'] = jax.tree.map(lambda x, i=i: x[i], blocks)
  spec = dict(name=name, weight_decay=0.1, layer_decay=0.7, clip_norm=1.0)
  a = first_update(scanned, grads=scanned, **spec)
  b = first_update(unrolled, grads=unrolled, **spec)
  for key, update in a.items():
    if 'blocks' in key:
      other = [b[key.replace('blocks', f'block_{i}')] for i in range(2)]
      np.testing.assert_allclose(update, np.stack(other), rtol=2e-4, atol=1e-7, err_msg=key)
    else:
      np.testing.assert_allclose(update, b[key], rtol=2e-4, atol=1e-7, err_msg=key)


def test_muon_orthogonalises_query_key_and_value_each_on_its_own():
  params = vit()
  update = first_update(params, grads=params, name='muon', ns_steps=12)
  for matrix in np.moveaxis(update['encoder/block_0/attention/qkv/kernel'], 1, 0):
    values = np.linalg.svd(matrix.reshape(4, 4), compute_uv=False)
    assert values.max() / values.min() < 2  # 5-coefficient iterations end between 0.7 and 1.2


def test_players_have_their_own_or_share_one():
  params = {'generator': {'w': np.ones(2, 'f')}, 'discriminator': {'w': np.ones(3, 'f')}}
  spec = {
    player: dict(name='sgd', learning_rate=rate, schedule='constant')
    for player, rate in (('generator', 0.1), ('discriminator', 0.4))
  }
  optimizers, rates = optim.for_players(spec, params, **RUN)
  assert {player: float(rates[player](0)) for player in params} == pytest.approx(
    {'generator': 0.1, 'discriminator': 0.4}
  )
  update, _ = optimizers['discriminator'].update(
    params['discriminator'], optimizers['discriminator'].init(params['discriminator'])
  )
  np.testing.assert_allclose(update['w'], -0.4, rtol=1e-6)
  _, rates = optim.for_players(spec['generator'], params, **RUN)
  assert float(rates['discriminator'](0)) == pytest.approx(0.1)
  for bad in ({}, {'generator': spec['generator']}, {**spec, 'critic': spec['generator']}):
    with pytest.raises(
      UserError, match='one spec for each of the players discriminator, generator'
    ):
      optim.for_players(bad, params, **RUN)


@pytest.mark.parametrize(
  'spec, message',
  [
    (dict(name='adamv'), "unknown optim.name 'adamv': did you mean ada.* or "),
    (dict(name='scale_by_adam'), 'unknown optim.name'),
    (dict(beta2=0.9), "unknown keyword of optim sgd 'beta2'"),
    (dict(name='adamw', beta1=0.9), 'unknown keyword'),
    (dict(momentun=0.9), 'did you mean momentum'),
    (dict(name='adamw', mask=None), "unknown keyword of optim adamw 'mask'"),
    (dict(learning_rate=math.nan), 'optim.learning_rate=nan: expected a finite number >= 0'),
    (dict(learning_rate=-1.0), 'optim.learning_rate=-1.0'),
    (dict(weight_decay=-0.1), 'optim.weight_decay=-0.1'),
    (dict(clip_norm='1'), "optim.clip_norm='1'"),
    (dict(warmup='five epochs'), "duration 'five epochs'"),
    (dict(freeze='^heads/'), r"optim.freeze '\^heads/' matches none of the.*\n.*head/"),
    (dict(freeze='('), 'not a regular expression'),
    (
      dict(name='adam', b2=None),
      'optim.b2=None: give it a value, or leave it out: it is then 0.999',
    ),
    (dict(lr_multipliers=None), 'optim.lr_multipliers=None: give'),
    (dict(weight_decay=0.1, decay_mask='kernels'), "optim.decay_mask 'kernels' matches none"),
    (dict(lr_multipliers=(('stem', 2.0),)), "optim.lr_multipliers 'stem' matches none"),
    (dict(lr_multipliers=(('head', -2.0),)), 'optim.lr_multipliers=-2.0'),
    (dict(name='prodigy', weight_decay=0.1), "set decay_mask='.'"),
  ],
)
def test_bad_specs_are_refused(spec, message):
  with pytest.raises(UserError, match=message) as error:
    make(**spec)
  assert len(str(error.value).splitlines()) <= 3


def test_layer_decay_needs_one_stack_of_blocks():
  with pytest.raises(UserError, match='found no blocks'):
    make({'head': {'kernel': np.ones((2, 2))}}, layer_decay=0.5)
  with pytest.raises(UserError, match="found blocks in 'decoder', 'encoder'"):
    make({'encoder': vit()['encoder'], 'decoder': vit()['encoder']}, layer_decay=0.5)


def test_name_and_learning_rate_must_be_given():
  for spec, key in ((dict(name='sgd'), 'learning_rate'), (dict(learning_rate=1.0), 'name')):
    with pytest.raises(UserError, match=f'optim has no {key}'):
      optim.make(spec, params=vit(), **RUN)
