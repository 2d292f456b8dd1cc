"""Mistakes and attention, as the model itself computes them."""

import functools
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from _helpers import runs, tiny

from vitlab import workdir
from vitlab.data.sets import digits
from vitlab.errors import UserError
from vitlab.predict.trained import Trained
from vitlab.report import page
from vitlab.report.classification import pictures
from vitlab.report.mistakes import Mistake
from vitlab.tasks import classification
from vitlab.train import setup
from vitlab.train.run import train

DATA = digits.make()
TEST = DATA.splits['test']
MISTAKES = [
  Mistake(7, int(TEST[7]['label']), 3, 0.9),
  Mistake(2, int(TEST[2]['label']), -1, 0.8),
]


def trained(task, config=None):
  """Any weights will do, and those of NumPy need not be compiled."""
  random = np.random.default_rng(0)
  batch = {'image': jax.ShapeDtypeStruct((1, 8, 8, 1), np.uint8)}
  shapes = jax.eval_shape(task.init, jax.random.key(0), batch)
  variables = jax.tree.map(lambda x: random.normal(0, 0.3, x.shape).astype(x.dtype), shapes)
  return Trained('', 0, config, DATA.facts, task, variables)


@functools.cache
def look():
  """A ViT of 4 x 4 patches, and its pictures."""
  config = runs.config(model__patch_size=2)
  model = trained(setup.make_task(config, DATA.facts))
  return model, pictures.look(model, TEST, MISTAKES)


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
  mistakes = [Mistake(i, int(TEST[i]['label']), 0, 0.5) for i in range(60)]
  found = pictures.look(look()[0], TEST, mistakes)
  assert len(found.mistakes) == pictures.MISTAKES
  assert [one.index for one in found.attended[:4]] == [0, 1, 2, 3]
  assert all(one.index >= 60 for one in found.attended[4:])


def test_looking_that_fails_leaves_the_mistakes(caplog):
  task = classification.make(tiny.Perceptron(10), num_classes=10)
  task = task._replace(predict={'logits': task.predict['logits']})
  found = pictures.look(trained(task), TEST, MISTAKES)
  assert len(found.mistakes) == 2 and not found.attended
  assert 'without what the model looks at' in caplog.text


def test_what_the_model_says_is_shown_with_what_it_rests_on():
  model, found = look()
  one = found.attended[0]
  batch = {'image': jnp.asarray(TEST[7]['image'])[None]}
  expected = np.asarray(jax.jit(model.task.predict['probabilities'])(model.variables, batch))[0]
  np.testing.assert_allclose(one.look.probabilities, expected, rtol=1e-4)
  assert (one.predicted, one.label) == (expected.argmax(), MISTAKES[0][1])
  assert one.confidence == pytest.approx(expected.max(), rel=1e-4)
  assert len(one.look.layers) == 1 and found.reads == 'the class token'


def test_images_that_tell_runs_apart_come_first():
  wrong = [[0, 3, 5, 8], [3, 9, 0, 11, 12]]
  found = pictures._telling(wrong, TEST)
  assert found[:4] == [5, 8, 9, 11] and found[4:6] == [0, 3]
  assert len(set(found)) == pictures.ATTENDED and not {12} & set(found)


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
  folder = tmp_path_factory.mktemp('runs') / 'digits'
  config = runs.config(duration='2 steps', evaluators__test__every='2 steps')
  train(config, str(folder), devices=jax.devices()[:1])
  return folder


def test_pictures_of_a_run_come_from_its_checkpoint_and_its_evaluation(folder):
  (found,) = pictures.collect([folder])
  details = workdir.read_details(folder, 'test')
  assert [one.index for one in found.mistakes] == details['mistakes_index'][:24].tolist()
  assert [one.label for one in found.mistakes] == details['mistakes_label'][:24].tolist()
  # The mistakes are those of the model whose attention is shown.
  wrong = found.attended[: pictures.ATTENDED // 2]
  assert [one.predicted for one in wrong] == [one.predicted for one in found.mistakes[:4]]


def test_the_report_of_a_run_has_its_pictures(folder):
  text = page.report([folder]).read_text()
  assert 'id="mistakes"' in text and 'id="attention"' in text
  absent = text[text.index('Not in this report') :]
  assert absent.count('<li>') == 2  # what only Swin has
  assert 'Windows: attention is not within' in absent and 'Position bias: the model has' in absent


def test_runs_are_looked_at_with_the_same_images(folder):
  first, second = pictures.collect([folder, folder])
  assert [one.index for one in first.attended] == [one.index for one in second.attended]
  assert len(first.attended) == pictures.ATTENDED and not first.mistakes


def test_runs_on_other_images_are_not_compared(folder):
  model, source, _ = pictures._tested(folder)
  other = model._replace(facts=model.facts | {'class_names': ['cat', 'dog']})
  with pytest.raises(UserError, match='not evaluated on the same images'):
    pictures._check_the_same([model, other], [source, source])


def test_a_run_that_was_not_evaluated_has_no_pictures(folder, tmp_path):
  with pytest.raises(UserError, match='holds no run'):
    pictures.collect([tmp_path])
  (folder / 'details' / 'test.npz').rename(tmp_path / 'test.npz')
  try:
    with pytest.raises(UserError, match='no details of a classification'):
      pictures.collect([folder])
  finally:
    (tmp_path / 'test.npz').rename(folder / 'details' / 'test.npz')


def test_mistakes_of_other_pictures_are_not_shown(folder, tmp_path, caplog):
  shutil.copytree(folder, tmp_path / 'run')
  facts = workdir.read_json(tmp_path / 'run' / 'facts.json')
  facts['splits']['test']['digest'] = '0' * 16
  workdir.write_json(tmp_path / 'run' / 'facts.json', facts)
  with pytest.raises(UserError, match='data have changed: test: its 360 examples are others'):
    pictures.collect([tmp_path / 'run'])
  text = page.report([tmp_path / 'run']).read_text()
  assert 'id="mistakes"' not in text and 'splits.test.digest' in text
  assert 'the report goes without pictures' in caplog.text


def test_a_slow_look_at_images_says_how_far_it_is(monkeypatch, capsys):
  assert list(pictures._told([5, 7])) == [5, 7] and capsys.readouterr().err == ''
  monkeypatch.setattr(pictures, 'SILENCE', -1.0)
  assert list(pictures._told([5, 7])) == [5, 7]
  assert 'image 2 of 2' in capsys.readouterr().err
