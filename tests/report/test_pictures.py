"""Mistakes and attention, as the model itself computes them."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from _helpers import runs, tiny

from vitlab.data import digits
from vitlab.engine import experiment, workdir
from vitlab.engine.train import train
from vitlab.engine.trained import Trained
from vitlab.errors import UserError
from vitlab.report import page, pictures
from vitlab.tasks import classification

DATA = digits.make()
TEST = DATA.splits['test']
MISTAKES = [(7, int(TEST[7]['label']), 3, 0.9), (2, int(TEST[2]['label']), -1, 0.8)]


def trained(task, config=None):
  """Any weights will do, and those of NumPy need not be compiled."""
  random = np.random.default_rng(0)
  batch = {'image': jax.ShapeDtypeStruct((1, 8, 8, 1), np.uint8)}
  shapes = jax.eval_shape(task.init, jax.random.key(0), batch)
  variables = jax.tree.map(lambda x: random.normal(0, 0.3, x.shape).astype(x.dtype), shapes)
  return Trained('', 0, config, DATA.facts, task, variables)


@functools.cache
def look(pool='cls', num_registers=0):
  """A ViT of 4 x 4 patches, and its pictures."""
  config = runs.config(model__patch_size=2, model__pool=pool, model__num_registers=num_registers)
  model = trained(experiment.make_task(config, DATA.facts))
  return model, pictures.look(model, TEST, MISTAKES)


def predict(model, name):
  """For the first of the mistakes."""
  batch = {'image': jnp.asarray(TEST[MISTAKES[0][0]]['image'])[None]}
  return np.asarray(jax.jit(model.task.predict[name])(model.variables, batch))[0]


def test_rollout_multiplies_the_mixing_of_all_layers():
  weights = np.random.default_rng(0).dirichlet(np.ones(5), (3, 2, 5)).astype(np.float32)
  expected = np.eye(5)
  for layer in weights:
    expected = (layer.mean(0) + np.eye(5)) / 2 @ expected
  found = np.asarray(pictures.rollout(jnp.asarray(weights)))
  np.testing.assert_allclose(found, expected, rtol=1e-5)
  np.testing.assert_allclose(found.sum(axis=-1), 1, rtol=1e-5)


@pytest.mark.parametrize(
  ('pool', 'registers', 'before'), [('cls', 0, 1), ('cls', 3, 4), ('gap', 2, 2)]
)
def test_attention_is_that_of_the_class_token_or_of_the_mean_patch(pool, registers, before):
  model, found = look(pool, registers)
  one = found.attended[0]
  weights = predict(model, 'attention')
  row = weights[:, :, 0] if pool == 'cls' else weights[:, :, before:].mean(axis=2)
  expected = row[..., before:].reshape(1, 2, 4, 4)
  np.testing.assert_allclose(one.attention, expected, rtol=1e-5)
  assert one.rollout.shape == (4, 4)
  probabilities = predict(model, 'probabilities')
  assert one.predicted == probabilities.argmax()
  assert one.confidence == pytest.approx(probabilities.max(), rel=1e-5)


def test_mistakes_keep_their_order_and_bring_their_images():
  found = look()[1].mistakes
  assert [one[:1] + one[2:5] for one in found] == MISTAKES
  np.testing.assert_array_equal(found[1].image, TEST[2]['image'])


def test_attended_are_mistakes_and_others_of_different_classes():
  attended = look()[1].attended
  assert len(attended) == pictures.ATTENDED
  assert [one.index for one in attended[:2]] == [7, 2]
  others = attended[2:]
  assert len({one.label for one in others}) == len(others)
  assert not {7, 2} & {one.index for one in others}
  assert all(one.label == TEST[one.index]['label'] for one in attended)


def test_many_mistakes_leave_room_for_others():
  mistakes = [(i, int(TEST[i]['label']), 0, 0.5) for i in range(60)]
  found = pictures.look(look()[0], TEST, mistakes)
  assert len(found.mistakes) == pictures.MISTAKES
  assert [one.index for one in found.attended[:4]] == [0, 1, 2, 3]
  assert all(one.index >= 60 for one in found.attended[4:])


@pytest.mark.parametrize('module', [tiny.Perceptron(10), tiny.Attention(10)])
def test_a_model_without_attention_over_patches_shows_its_mistakes(module):
  task = classification.make(module, num_classes=10)
  found = pictures.look(trained(task), TEST, MISTAKES)
  assert len(found.mistakes) == 2 and not found.attended


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
  folder = tmp_path_factory.mktemp('runs') / 'digits'
  config = runs.config(duration='2 steps', evaluators__test__every='2 steps')
  train(config, str(folder), devices=jax.devices()[:1])
  return folder


def test_pictures_of_a_run_come_from_its_checkpoint_and_its_evaluation(folder):
  found = pictures.collect(folder)
  details = workdir.read_details(folder, 'test')
  assert [one.index for one in found.mistakes] == details['mistakes_index'][:24].tolist()
  assert [one.label for one in found.mistakes] == details['mistakes_label'][:24].tolist()
  # The mistakes are those of the model whose attention is shown.
  wrong = found.attended[: pictures.ATTENDED // 2]
  assert [one.predicted for one in wrong] == [one.predicted for one in found.mistakes[:4]]


def test_the_report_of_a_run_has_its_pictures(folder):
  text = page.report([folder]).read_text()
  assert 'id="mistakes"' in text and 'id="attention"' in text
  assert 'Not in this report' not in text


def test_a_run_that_was_not_evaluated_has_no_pictures(folder, tmp_path):
  with pytest.raises(UserError, match='holds no run'):
    pictures.collect(tmp_path)
  (folder / 'details' / 'test.npz').rename(tmp_path / 'test.npz')
  try:
    with pytest.raises(UserError, match='no details of a classification'):
      pictures.collect(folder)
  finally:
    (tmp_path / 'test.npz').rename(folder / 'details' / 'test.npz')
