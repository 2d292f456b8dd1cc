import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import PartitionSpec as P

from vitlab import names
from vitlab.errors import UserError
from vitlab.inspection import collectives
from vitlab.models import transformer, vit
from vitlab.tasks import classification, translation
from vitlab.train import optim, sharding, step

LAYOUTS = {
  'one': dict(data=1),
  'data': dict(data=8),
  'fsdp': dict(data=1, fsdp=8),
  'all': dict(data=2, fsdp=2, model=2),
}
BATCH = {
  'image': jnp.array(np.random.default_rng(0).integers(0, 256, (16, 8, 8, 1), dtype=np.uint8)),
  'label': jnp.arange(16, dtype=jnp.int32) % 10,
  'mask': jnp.arange(16) % 5 != 0,
}


def make_mesh(sizes):
  count = int(np.prod(list(sizes.values())))
  return sharding.make_mesh(sizes, jax.devices()[:count])


def vit_state(variant='mu/4', image=(8, 8, 1), tx=None, ema_decay=0.9, **options):
  """Shapes of the state of a ViT."""
  task = classification.make(vit.make(variant, 10, **options), num_classes=10)
  batch = {'image': jax.ShapeDtypeStruct((8, *image), jnp.uint8)}
  batch = {**batch, 'label': jax.ShapeDtypeStruct((8,), jnp.int32)}
  init = functools.partial(
    step.init_state, task, {'model': tx or optax.adamw(0.1)}, ema_decay=ema_decay
  )
  return jax.eval_shape(init, jax.random.key(0), batch)


def specs(state, sizes, rules=()):
  """name -> PartitionSpec of the parameters."""
  placed = sharding.state_shardings(state, make_mesh(sizes), rules)
  return {n: s.spec for n, s in names.flatten(placed.variables['model']['params']).items()}


@pytest.mark.parametrize(
  'sizes, shape',
  [
    (dict(data=-1, fsdp=1, model=1), (8, 1, 1)),
    (dict(data=2, fsdp=-1, model=2), (2, 2, 2)),
    (dict(fsdp=8), (1, 8, 1)),
    (dict(data=8, fsdp=1, model=-1), (8, 1, 1)),
  ],
)
def test_mesh(sizes, shape):
  mesh = sharding.make_mesh(sizes)
  assert tuple(mesh.shape.items()) == tuple(zip(('data', 'fsdp', 'model'), shape))
  assert set(mesh.axis_types) == {jax.sharding.AxisType.Auto}


@pytest.mark.parametrize(
  'sizes, message',
  [
    (dict(data=16), 'data=16: the sizes must multiply to the 8 devices'),
    (dict(data=2, fsdp=2), 'data=2, fsdp=2: the sizes must multiply to the 8 devices'),
    (dict(data=-1, fsdp=3), 'must multiply to the 8 devices'),
    (dict(data=-1, fsdp=-1), 'only one axis can be -1'),
    (dict(data=0), 'config.mesh.data=0: expected a number >= 1'),
    (dict(data=2.0), 'config.mesh.data=2.0'),
    (dict(dataa=8), "unknown axis in config.mesh 'dataa': did you mean data"),
  ],
)
def test_bad_meshes_are_refused(sizes, message):
  with pytest.raises(UserError, match=message):
    sharding.make_mesh(sizes)


def test_batch_must_divide():
  mesh = sharding.make_mesh(LAYOUTS['all'])
  sharding.check_batch_size(16, mesh, microbatches=4)
  with pytest.raises(UserError, match='batch_size=24 is not a multiple of 16 = mesh data 2 x fsdp'):
    sharding.check_batch_size(24, mesh, microbatches=4)
  with pytest.raises(UserError, match='batch_size=0'):
    sharding.check_batch_size(0, mesh)


@pytest.mark.parametrize('scan', [False, True])
def test_rules_on_a_full_size_vit(scan):
  state = vit_state('B/16', (224, 224, 3), scan=scan, class_token=True)
  found = specs(state, LAYOUTS['all'])
  expected = {
    'attention/qkv/kernel': ('fsdp', None, 'model', None),  # [768, 3, 12, 64]
    'attention/qkv/bias': (None, 'model', 'fsdp'),
    'attention/out/kernel': ('model', None, 'fsdp'),  # [12, 64, 768]
    'attention/out/bias': ('fsdp',),
    'mlp/up/kernel': ('fsdp', 'model'),  # [768, 3072]
    'mlp/up/bias': ('model',),
    'mlp/down/kernel': ('model', 'fsdp'),
    'norm1/scale': ('fsdp',),
  }
  for name, spec in expected.items():
    if scan:
      assert found[f'encoder/blocks/{name}'] == P(None, *spec), name
    else:
      assert {found[f'encoder/block_{i}/{name}'] for i in range(12)} == {P(*spec)}, name
  assert found['patch_embed/kernel'] == P(None, None, None, 'fsdp')
  assert found['head/kernel'] == P('fsdp', None)


def test_a_decoder_splits_the_heads_of_both_attentions():
  task = translation.make(transformer.make(32, 'base'))
  batch = {name: jax.ShapeDtypeStruct((8, 5), jnp.int32) for name in ('tokens', 'targets')}
  init = functools.partial(step.init_state, task, {'model': optax.adamw(0.1)})
  found = specs(jax.eval_shape(init, jax.random.key(0), batch), LAYOUTS['all'])
  expected = {
    'attention/out/kernel': ('model', None, 'fsdp'),  # [8, 64, 512]
    'cross/out/kernel': ('model', None, 'fsdp'),
    'cross/q/kernel': ('fsdp', 'model', None),  # [512, 8, 64]
    'cross/kv/kernel': ('fsdp', None, 'model', None),  # [512, 2, 8, 64]
  }
  for name, spec in expected.items():
    assert found[f'decoder/block_5/{name}'] == P(*spec), name


def test_what_does_not_divide_is_not_split():
  state = vit_state('Ti/16', (32, 32, 3))  # 3 heads
  found = specs(state, LAYOUTS['all'])
  assert found['encoder/block_0/attention/qkv/kernel'] == P('fsdp', None, None, None)
  assert found['encoder/block_0/mlp/up/kernel'] == P('fsdp', 'model')
  assert found['head/bias'] == P('fsdp')  # 10 classes over 2
  assert specs(state, LAYOUTS['fsdp'])['head/bias'] == P(None)  # nor over 8
  found = specs(state, LAYOUTS['fsdp'])
  assert found['encoder/block_0/mlp/up/bias'] == P('fsdp')  # nothing is the model's there


def test_rules_of_ones_own_come_first():
  rules = (('qkv/kernel', ('model', None, None, ('data', 'fsdp'))), ('^head', 'replicated'))
  found = specs(vit_state(), LAYOUTS['all'], rules)
  assert found['encoder/block_0/attention/qkv/kernel'] == P('model', None, None, ('data', 'fsdp'))
  assert found['head/kernel'] == P()
  assert found['encoder/block_0/mlp/up/kernel'] == P('fsdp', 'model')


def test_other_collections_are_whole_unless_a_rule_matches():
  variables = {
    'model': {
      'params': {'w': jax.ShapeDtypeStruct((8, 8), jnp.float32)},
      'memory': {'w': jax.ShapeDtypeStruct((16, 4), jnp.float32)},
      'batch_stats': {'mean': jax.ShapeDtypeStruct((8,), jnp.float32)},
    }
  }
  state = step.State(jax.ShapeDtypeStruct((), jnp.int32), variables, {}, {})
  mesh = sharding.make_mesh(LAYOUTS['fsdp'])
  placed = sharding.state_shardings(state, mesh, [('^memory/', [['data', 'fsdp']])])
  found = jax.tree.map(lambda s: s.spec, placed.variables['model'])
  assert found == {
    'params': {'w': P('fsdp', None)},
    'memory': {'w': P(('data', 'fsdp'))},
    'batch_stats': {'mean': P()},
  }


@pytest.mark.parametrize(
  'rules, message',
  [
    ([('encodr/.*kernel', ('fsdp',))], "config.sharding_rules 'encodr/.*' matches none"),
    ([('head/kernel', ('tensor',))], "unknown mesh axis .* 'tensor'"),
    ([('head/kernel', 'replicate')], "'replicate'"),
    ([('head/bias', (None, 'fsdp'))], r'for head/bias: the array is \(10,\)'),
    ([('head/bias', ('fsdp',))], r'the array is \(10,\) and would be split in \[8\]'),
  ],
)
def test_bad_rules_are_refused(rules, message):
  with pytest.raises(UserError, match=message):
    specs(vit_state(), LAYOUTS['fsdp'], rules)


@pytest.mark.parametrize('name', ['adamw', 'lion', 'adafactor', 'muon'])
def test_optimiser_state_and_average_follow_their_parameters(name):
  params = vit_state().variables['model']['params']
  tx, _ = optim.make(
    dict(name=name, learning_rate=0.1, freeze='patch_embed'),
    params=params,
    total_steps=10,
    batch_size=8,
    num_examples=8,
  )
  state = vit_state(tx=tx)
  placed = sharding.state_shardings(state, sharding.make_mesh(LAYOUTS['all']))
  assert jax.tree.structure(placed) == jax.tree.structure(state)
  assert placed.ema['model'] == placed.variables['model']
  by_name = names.flatten(placed.variables['model']['params'])
  held = names.flatten(placed.opt_state['model'])
  leaves = names.flatten(state.opt_state['model'])
  shapes = {n: leaf.shape for n, leaf in names.flatten(params).items()}
  moments = 0
  for path, found in held.items():
    owner = [n for n in by_name if path.endswith('/' + n) and shapes[n] == leaves[path].shape]
    moments += bool(owner)
    assert found == (by_name[max(owner, key=len)] if owner else placed.step), path
  assert moments >= len(by_name) - 2


@functools.cache
def trained(layout, microbatches=1, steps=20):
  """Losses, state, its shardings and the compiled step of a short run."""
  mesh = make_mesh(LAYOUTS[layout])
  # Stacked blocks start from the same parameters as unrolled ones and give the same losses.
  scan = layout in ('data', 'all')
  task = classification.make(vit.make('mu/4', 10, depth=2, scan=scan), num_classes=10)
  rows = sharding.batch_sharding(mesh)
  with jax.set_mesh(mesh):
    batch = jax.device_put(BATCH, rows)
    key = jax.random.key(0)
    abstract = jax.eval_shape(task.init, key, batch)['model']['params']
    spec = dict(name='adamw', learning_rate=3e-3, weight_decay=0.1, clip_norm=1.0)
    tx, _ = optim.make(spec, params=abstract, total_steps=20, batch_size=16, num_examples=16)
    optimizers = {'model': tx}
    init = functools.partial(step.init_state, task, optimizers, ema_decay=0.9)
    placed = sharding.state_shardings(jax.eval_shape(init, key, batch), mesh)
    state = jax.jit(init, out_shardings=placed)(key, batch)
    train_step = step.make_train_step(
      task, optimizers, seed=0, microbatches=microbatches, ema_decay=0.9
    )
    compiled = (
      jax.jit(
        train_step, in_shardings=(placed, rows), out_shardings=(placed, None), donate_argnums=0
      )
      .lower(state, batch)
      .compile()
    )
    losses = []
    for _ in range(steps):
      state, metrics = compiled(state, batch)
      losses.append(float(metrics['loss'][0] / metrics['loss'][1]))
  return losses, state, placed, compiled


@pytest.mark.parametrize('layout', ['data', 'fsdp', 'all'])
def test_eight_devices_equal_one(layout):
  losses, alone = trained(layout)[0], trained('one')[0]
  np.testing.assert_allclose(losses, alone, atol=1e-5)
  assert losses[-1] < 0.8 * losses[0]


def test_microbatches_on_eight_devices():
  losses = trained('all', microbatches=2, steps=3)[0]
  np.testing.assert_allclose(losses, trained('one')[0][:3], atol=1e-5)


@pytest.mark.parametrize('layout', ['fsdp', 'all'])
def test_state_is_really_split(layout):
  _, state, placed, _ = trained(layout)
  total = held = 0
  for leaf, where in zip(jax.tree.leaves(state), jax.tree.leaves(placed)):
    assert leaf.sharding.is_equivalent_to(where, leaf.ndim)
    shards = leaf.addressable_shards
    assert {shard.data.shape for shard in shards} == {where.shard_shape(leaf.shape)}
    total, held = total + leaf.size, held + shards[0].data.size
  # An eighth but for the head's bias; a quarter but for embeddings, norms and biases: a half.
  assert held < total / (7.9 if layout == 'fsdp' else 3.6)


def test_traffic_is_what_theory_says():
  """Parameters are gathered twice, gradients reduced once; activations stay where they are."""

  def sent(layout):
    _, state, placed, compiled = trained(layout)
    found = collectives.read(compiled.as_text(), make_mesh(LAYOUTS[layout]).shape)
    params = jax.tree.map(
      lambda x, where: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=where),
      state.variables['model']['params'],
      placed.variables['model']['params'],
    )
    return collectives.summary(found), collectives.least(params)

  rows, least = sent('fsdp')
  assert {row.kind for row in rows} == {'all-gather', 'reduce-scatter', 'all-reduce'}
  assert sum(row.bytes for row in rows) <= 1.05 * least
  assert sum(row.bytes for row in rows if row.kind == 'all-reduce') <= 0.01 * least
  rows, least = sent('data')
  assert {row.kind for row in rows} == {'all-reduce'}
  assert sum(row.bytes for row in rows) <= 1.01 * least
