"""What a model looks at is what its own intermediates say."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from _helpers import tiny
from ml_collections import ConfigDict

from vitlab import registry
from vitlab.errors import UserError
from vitlab.predict.trained import Trained
from vitlab.report.classification import look
from vitlab.tasks import classification

IMAGE = np.random.default_rng(0).integers(0, 256, (8, 10, 1), np.uint8)
BATCH = {'image': IMAGE[None]}


def trained(model, spec=None):
  """Any weights will do, and those of NumPy need not be compiled."""
  random = np.random.default_rng(0)
  task = classification.make(model, num_classes=3)
  shapes = jax.eval_shape(task.init, jax.random.key(0), BATCH)
  variables = jax.tree.map(lambda x: random.normal(0, 0.3, x.shape).astype(x.dtype), shapes)
  return Trained('', 0, ConfigDict({'model': spec or {}}), {}, task, variables)


@functools.cache
def seen():
  """A ViT, and what it looks at."""
  spec = dict(name='vit', variant='mu/2', pool='cls')
  model = trained(registry.make('models', dict(num_classes=3, **spec)), spec)
  return model, look.looker(model)(IMAGE)


def random_weights(*shape):
  return np.random.default_rng(0).dirichlet(np.ones(shape[-1]), shape[:-1]).astype(np.float32)


def reading(pool, *tokens):
  """As much of a model as says which tokens it reads."""
  config = ConfigDict({'model': {'pool': pool}})
  return Trained('', 0, config, {}, None, {'model': {'params': dict.fromkeys(tokens)}})


# What the model is, the tokens it reads, how many come before the patches.
READ = {
  'the class token': (reading('cls', 'cls_token', 'registers'), [0], 3),
  'the class and distillation tokens': (reading('cls', 'cls_token', 'dist_token'), [0, 1], 2),
  'the average patch': (reading('gap', 'cls_token'), range(1, 21), 1),
}


@pytest.mark.parametrize('words', READ)
def test_maps_are_those_of_the_tokens_that_are_read(words):
  model, rows, prefix = READ[words]
  assert look.reads(model) == words
  weights = [random_weights(1, 2, 20 + prefix, 20 + prefix) for _ in range(2)]
  out = {'levels': [jnp.zeros((1, 4, 5, 3))], 'attention': [jnp.asarray(w) for w in weights]}
  layers, rolled = look._attention(model, out, (8, 10))
  mixed = np.eye(20 + prefix)
  for (maps, queries, distance), (w,) in zip(layers, weights):
    expected = w[:, list(rows)].mean(1)[:, prefix:].reshape(-1, 4, 5)
    np.testing.assert_allclose(maps, expected, rtol=1e-4, atol=1e-6)
    # Every cell of a small map is asked, row by row.
    np.testing.assert_allclose(queries[6], w[:, prefix + 6, prefix:].reshape(-1, 4, 5), rtol=1e-4)
    assert distance.shape == (2,)
    mixed = (w.mean(0) + np.eye(20 + prefix)) / 2 @ mixed
  expected = mixed[list(rows)].mean(0)[prefix:].reshape(4, 5)
  np.testing.assert_allclose(rolled, expected, rtol=1e-4, atol=1e-6)


def test_windows_lie_where_the_model_cut_them():
  maps = [(8, 10), (8, 10), (4, 5), (4, 5), (2, 3)]
  out = {
    'levels': [jnp.zeros((1, 2, 3, 1))],
    'blocks': [{'tokens': jnp.zeros((1, *size, 1))} for size in maps],
    'attention': [
      jnp.asarray(random_weights(1, groups, 2, t, t))
      for groups, t in ((12, 9), (12, 9), (4, 9), (4, 9), (2, 4))
    ],
  }
  layouts = [block.layout for block in look.blocks(out)]
  assert [layout.grid for layout in layouts] == maps
  assert [layout[3:] for layout in layouts] == [(3, 0), (3, 1), (3, 0), (3, 1), (2, 0)]
  assert [len(layout.places) for layout in layouts] == [12, 12, 4, 4, 2]


def test_the_pixels_of_a_patch_are_a_window_of_inner_attention():
  def weights(*shape):
    return jax.ShapeDtypeStruct((1, *shape), jnp.float32)

  out = {
    'levels': [weights(2, 3, 8)],
    'attention': [weights(2, 7, 7)],
    'inner_attention': [weights(6, 4, 16, 16)],
  }
  outer, inner = look.blocks(out)
  assert (outer.layout.prefix, outer.layout.grid) == (1, (2, 3))
  assert (inner.name, inner.layout.grid, inner.layout.window) == ('inner layer 1', (8, 12), 4)
  assert inner.layout.places[1][:5].tolist() == [4, 5, 6, 7, 16]


def test_without_attention_over_a_map_there_are_the_cross_checks():
  found = look.looker(trained(tiny.Attention(3)))(IMAGE)
  assert not found.layers and found.rollout is None
  assert found.saliency.shape == (8, 10) and found.occlusion.shape == (6, 8)
  assert set(found.overlays) == {'saliency', 'occlusion'}


def test_looking_at_a_vit():
  model, found = seen()
  batch = {'image': jnp.asarray(BATCH['image'])}
  out = jax.jit(model.task.predict['intermediates'])(model.variables, batch)
  np.testing.assert_allclose(found.probabilities, jax.nn.softmax(out['logits'][0]), rtol=1e-4)
  (layer,) = found.layers
  assert (layer.name, layer.window, layer.shift) == ('layer 1', 0, 0)
  weights = np.asarray(out['attention'][0])[0]
  np.testing.assert_allclose(layer.maps, weights[:, 0, 1:].reshape(2, 4, 5), rtol=1e-4)
  assert layer.asked.tolist() == [list(cell) for cell in np.ndindex(4, 5)]
  np.testing.assert_allclose(layer.queries[7], weights[:, 8, 1:].reshape(2, 4, 5), rtol=1e-4)


def test_occlusion_is_the_fall_of_the_predicted_class():
  model, found = seen()
  said = int(found.probabilities.argmax())
  covered = jnp.asarray(IMAGE, jnp.float32).at[:2, :2].set(IMAGE.mean())[None]
  after = jax.jit(model.task.predict['probabilities'])(model.variables, {'image': covered})
  fall = float(found.probabilities[said] - after[0, said])
  assert found.occlusion.shape == (6, 8)
  assert found.occlusion[0, 0] == pytest.approx(fall, abs=1e-4)


def test_overlays_show_what_speaks_for_the_prediction():
  values = np.array([[-1.0, 2.0]])
  one = look.Look(np.ones(1), values, values, (), np.array([[0.3, 0.7]]))
  assert one.overlays['saliency'].tolist() == one.overlays['occlusion'].tolist() == [[0, 2]]
  np.testing.assert_allclose(one.overlays['rollout'], [[0, 0.4]])


def test_a_task_that_does_not_classify_is_refused():
  model = trained(tiny.Perceptron(3))
  with pytest.raises(UserError, match='only classifiers of images'):
    look.looker(model._replace(task=model.task._replace(predict={})))
