"""Classification against NumPy, and what it says when model and task do not fit."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from _helpers import tiny
from scipy.special import expit, log_expit, log_softmax, softmax

from vitlab.data.sets import digits
from vitlab.errors import UserError
from vitlab.tasks import classification

RNG = np.random.default_rng(0)
BATCH = dict(
  image=jnp.asarray(RNG.integers(0, 256, (4, 6, 6, 1), dtype=np.uint8)),
  label=jnp.asarray([0, 2, 1, 2], jnp.int32),
  mask=jnp.asarray([True, True, True, False]),
)
KEY = jax.random.key(0)


def build(model=None, **spec):
  task = classification.make(model or tiny.Perceptron(), num_classes=3, **spec)
  return task, task.init(KEY, BATCH)


def by_hand(variables, image, mean=0.5, std=0.5):
  p = jax.tree.map(np.asarray, variables['model']['params'])
  x = ((np.asarray(image) / 255 - mean) / std).reshape(len(image), -1)
  hidden = np.tanh(x @ p['hidden']['kernel'] + p['hidden']['bias'])
  return hidden, hidden @ p['head']['kernel'] + p['head']['bias']


def test_predictions_normalise_the_pixels_and_nothing_else():
  task, variables = build(augment='random_crop(3)|mixup', mean=(0.1,), std=(0.3,))
  features, logits = by_hand(variables, BATCH['image'], 0.1, 0.3)
  for name, expected in dict(
    features=features, logits=logits, probabilities=softmax(logits, axis=-1)
  ).items():
    np.testing.assert_allclose(task.predict[name](variables, BATCH), expected, atol=1e-5)


@pytest.mark.parametrize('smoothing', [0.0, 0.2])
@pytest.mark.parametrize('name', ['softmax', 'sigmoid'])
def test_loss_and_accuracy_by_hand(name, smoothing):
  task, variables = build(loss=name, label_smoothing=smoothing)
  z = by_hand(variables, BATCH['image'])[1][:3]
  y = np.eye(3)[[0, 2, 1]] * (1 - smoothing) + smoothing / 3
  if name == 'softmax':
    expected = -(y * log_softmax(z, axis=-1)).sum(-1)
  else:
    expected = -(y * log_expit(z) + (1 - y) * log_expit(-z)).mean(-1)
  result = task.losses['model'](variables, BATCH, KEY)
  np.testing.assert_allclose(result.value, expected.mean(), rtol=1e-5)
  np.testing.assert_allclose(result.metrics['loss'], (expected.sum(), 3), rtol=1e-5)
  np.testing.assert_allclose(result.metrics['accuracy'], ((z.argmax(-1) == [0, 2, 1]).sum(), 3))


def test_without_a_mask_everything_counts():
  task, variables = build()
  bare = {name: BATCH[name] for name in ('image', 'label')}
  full = bare | {'mask': jnp.ones(4, bool)}
  loss = task.losses['model']
  assert loss(variables, bare, KEY).value == loss(variables, full, KEY).value


def test_sigmoid_asks_for_every_class_of_a_mixed_image():
  """At zero weights every answer is 1/2, and the gradient tells what was asked for."""
  task, variables = build(loss='sigmoid', augment='mixup(1.0)')
  batch = {name: BATCH[name][:2] for name in ('image', 'label')}
  zero = jax.tree.map(jnp.zeros_like, variables)
  gradient = jax.grad(lambda v: task.losses['model'](v, batch, KEY).value)(zero)
  bias = gradient['model']['params']['head']['bias']
  np.testing.assert_allclose(bias, (expit(0) - np.array([1, 0, 1])) / 3, atol=1e-6)


def test_channels_have_their_own_mean_and_std():
  image = jnp.asarray(RNG.integers(0, 256, (2, 4, 4, 3), dtype=np.uint8))
  mean, std = (0.1, 0.2, 0.3), (0.5, 0.6, 0.7)
  task = classification.make(tiny.Perceptron(), 3, mean=mean, std=std)
  variables = task.init(KEY, dict(image=image))
  _, logits = by_hand(variables, image, mean, std)
  np.testing.assert_allclose(
    task.predict['logits'](variables, dict(image=image)), logits, atol=1e-5
  )


def test_batch_statistics_move_in_training_only():
  task, variables = build(tiny.ConvNet())
  mutated = task.losses['model'](variables, BATCH, KEY).mutated
  before, after = (v['model']['batch_stats']['norm']['mean'] for v in (variables, mutated))
  assert np.all(after != before)
  moved = {'model': {**variables['model'], **mutated['model']}}
  predict = task.predict['logits']
  assert np.any(predict(moved, BATCH) != predict(variables, BATCH))


def test_attention_is_a_list_with_the_weights_of_every_block():
  task, variables = build(tiny.Attention())
  attention = task.predict['attention'](variables, BATCH)
  assert [weights.shape for weights in attention] == [(4, 2, 6, 6)] * 2
  np.testing.assert_allclose(attention[0].sum(-1), 1, atol=1e-6)
  assert np.any(attention[0] != attention[1])


def test_intermediates_are_all_that_the_model_gives():
  task, variables = build(tiny.Attention())
  out = task.predict['intermediates'](variables, BATCH)
  assert set(out) == {'features', 'attention'}
  np.testing.assert_array_equal(out['features'], task.predict['features'](variables, BATCH))


def test_initialisation_is_abstract_too():
  task, variables = build()
  abstract = jax.eval_shape(task.init, KEY, BATCH)
  assert jax.tree.map(jnp.shape, variables) == jax.tree.map(lambda x: x.shape, abstract)


@pytest.mark.parametrize(
  'spec, message',
  [
    (dict(loss='hinge'), "unknown loss of the classification task 'hinge'.* sigmoid, softmax"),
    (dict(augment='mixupp'), "unknown augmentation 'mixupp': did you mean mixup"),
    (dict(mean=(0.1, 0.2)), 'mean has 2 values, but images have 1 channels'),
    (dict(std=()), 'std has 0 values'),
  ],
)
def test_bad_specs_are_explained(spec, message):
  with pytest.raises(UserError, match=message):
    build(**spec)


def test_what_a_model_does_not_give_is_explained():
  task, variables = build()
  for name in ('attention', 'inner_attention'):
    with pytest.raises(UserError, match=f'Perceptron gives no {name}: it gives features'):
      task.predict[name](variables, BATCH)


def test_a_model_with_other_classes_is_explained():
  task, variables = build(tiny.Perceptron(num_classes=5))
  for use in (
    lambda: task.predict['logits'](variables, BATCH),
    lambda: task.losses['model'](variables, BATCH, KEY),
  ):
    with pytest.raises(UserError, match='gives 5 logits, the task has 3 classes'):
      use()


def test_an_example_has_the_keys_and_shapes_of_the_data():
  dataset = digits.make()
  wanted = {
    key: (np.shape(x), np.asarray(x).dtype) for key, x in dataset.splits['train'][0].items()
  }
  found = classification.example(dataset.facts)
  assert {key: (np.shape(x), x.dtype) for key, x in found.items()} == wanted


def test_what_a_config_says_of_pictures_that_are_not_here():
  known = classification.assumed(dict(image_size=(4, 6), channels=1), dict(num_classes=3))
  assert known.example['image'].shape == (4, 6, 1) and known.facts['num_classes'] == 3
  assert classification.assumed(dict(image_size=8), {}) is None
  assert classification.assumed({}, dict(num_classes=3)) is None
