"""What is asked of a detector for its page: the answers, the candidates, the attention."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from _helpers import detected
from ml_collections import ConfigDict

from vitlab.errors import UserError
from vitlab.ops.boxes import Detections
from vitlab.predict.trained import Trained
from vitlab.report import detection, mistakes
from vitlab.report.detection import collected
from vitlab.tasks import detection as task_lib

SHARES = np.array([[0.5, 0.5, 0.2, 0.4], [0.2, 0.3, 0.4, 0.6], [0.25, 0.3, 0.4, 0.6]], np.float32)


class Asking(nn.Module):
  """Three queries with boxes of their own, of which the first is the least sure; two overlap."""

  queries: bool = True

  @nn.compact
  def __call__(self, image, size, train=False, objects=None):
    b, h, w, _ = image.shape
    self.param('nothing', nn.initializers.zeros, (1,))
    places = h // 8 * (w // 8)
    out = dict(levels=[jnp.zeros((b, h // 8, w // 8, 1))])
    if self.queries:
      weights = jnp.arange(3.0)[:, None] + jnp.zeros((b, 2, 3, places))
      own = jnp.arange(places)[:, None] + jnp.zeros((b, 2, places, places))
      boxes = jnp.tile(jnp.asarray(SHARES), (b, 2, 1, 1))
      out |= dict(boxes=boxes, cross_attention=[weights] * 2, attention=[own] * 2)
    return out

  @nn.nowrap
  def detect(self, out, size, suppress=True):
    b = out['levels'][0].shape[0]
    x, y, w, h = jnp.moveaxis(jnp.asarray(SHARES)[jnp.array([2, 1, 0, 0])], -1, 0)
    shares = jnp.stack([x - w / 2, y - h / 2, x + w / 2, y + h / 2], -1)
    boxes = shares * jnp.tile(size[:, None, ::-1], 2)
    last = 1 if suppress else 2  # without suppression, the second one as well
    scores = jnp.tile(jnp.array([0.9, 0.8 * (last - 1), 0.3, 0.0]), (b, 1))
    return Detections(boxes, scores, jnp.where(scores > 0, jnp.array([4, 4, 5, 5]), -1))


def trained(queries=True):
  task = task_lib.make(Asking(queries))
  facts = dict(detected.dataset().facts) | dict(image=dict(image_size=(32, 64), channels=1))
  batch = dict(image=jnp.zeros((1, 32, 64, 1), jnp.uint8), size=jnp.array([[32, 64]]))
  return Trained(
    '', 0, ConfigDict(detected.CONFIG), facts, task, task.init(jax.random.key(0), batch)
  )


@pytest.fixture(scope='module')
def seen():
  image = np.zeros((40, 32, 1), np.uint8)  # a tall one, with padding below
  source = [dict(image=image, size=np.array([40, 32]))]
  return [collected.look(trained(queries), source, [0])[0] for queries in (True, False)]


def test_answers_and_candidates_are_told_apart(seen):
  for one in seen:
    assert one.shape == (64, 32) and one.image.shape == (40, 32, 1)
    np.testing.assert_allclose(one.found.scores, [0.9, 0.3])
    np.testing.assert_allclose(one.candidates.scores, [0.9, 0.8, 0.3])
    assert one.candidates.classes.tolist() == [4, 4, 5]
    assert one.found.kept.tolist() == [True, True]
    assert one.candidates.kept.tolist() == [True, False, True]  # 0.8 overlaps 0.9
    np.testing.assert_allclose(one.found.boxes[1], [12.8, 12, 19.2, 28], atol=1e-4)


def test_answers_have_the_query_that_gave_them(seen):
  look = seen[0].look
  assert look.queries.tolist() == [2, 0]
  assert look.decoder.shape == (2, 2, 3, 8, 4) and look.encoder.shape == (2, 2, 32, 8, 4)
  np.testing.assert_array_equal(look.decoder[0, 0, :, 0, 0], [0, 1, 2])
  assert seen[1].look is None


def test_a_workdir_gives_its_worst_pictures_and_some_others(tmp_path, monkeypatch):
  folder = detected.write(tmp_path / 'run')
  model = trained()
  facts = dict(model.facts) | dict(image=dict(image_size=(64, 64), channels=1))
  monkeypatch.setattr(collected.trained_lib, 'load', lambda given: model._replace(facts=facts))
  (found,) = detection.collect([folder])
  details = detected.details()
  assert list(found.images) == details['worst_index'].tolist()[: collected.WORST]
  source = detected.dataset().splits['test']
  for index, image in found.images.items():
    np.testing.assert_array_equal(image, source[index]['image'])
  assert [one.index for one in found.seen[:3]] == details['worst_index'][:3].tolist()
  assert len(found.seen) == len({one.index for one in found.seen}) <= collected.LOOKED


def test_a_model_that_cannot_be_asked_leaves_its_worst_pictures(tmp_path, monkeypatch, caplog):
  folder = detected.write(tmp_path / 'run')
  model = trained()._replace(variables={})
  monkeypatch.setattr(collected.trained_lib, 'load', lambda given: model)
  (found,) = detection.collect([folder])
  assert found.images and not found.seen
  assert 'goes without what the model looks at' in caplog.text


def test_without_an_evaluation_there_is_nothing(tmp_path):
  with pytest.raises(UserError, match='no details of a detection yet'):
    mistakes.evaluated(tmp_path, ConfigDict(detected.CONFIG), {}, collected.KEY, 'a detection')
