"""What is asked of a detector for its page: the answers, the candidates, the attention."""

import numpy as np
import pytest
from _helpers import detected
from ml_collections import ConfigDict

from vitlab.errors import UserError
from vitlab.report import detection, mistakes
from vitlab.report.detection import collected


@pytest.fixture(scope='module')
def seen():
  image = np.zeros((40, 32, 1), np.uint8)  # a tall one, with padding below
  return [
    collected.look(detected.trained(queries), {'tall': image})[0] for queries in (True, False)
  ]


def test_answers_and_candidates_are_told_apart(seen):
  for one in seen:
    assert one.name == 'tall' and one.shape == (64, 32) and one.image.shape == (40, 32, 1)
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
  model = detected.trained()
  facts = dict(model.facts) | dict(image=dict(image_size=(64, 64), channels=1))
  monkeypatch.setattr(collected.trained_lib, 'load', lambda given: model._replace(facts=facts))
  (found,) = detection.collect([folder])
  details = detected.details()
  assert list(found.images) == details['worst_index'].tolist()[: collected.WORST]
  source = detected.dataset().splits['test']
  for index, image in found.images.items():
    np.testing.assert_array_equal(image, source[index]['image'])
  worst = [f'picture {index}' for index in details['worst_index'][:3]]
  assert [one.name for one in found.seen[:3]] == worst
  assert len(found.seen) == len({one.name for one in found.seen}) <= collected.LOOKED
  assert detection.collect([folder, folder]) == []  # nothing is loaded for what is not shown


def test_a_model_that_cannot_be_asked_leaves_its_worst_pictures(tmp_path, monkeypatch, caplog):
  folder = detected.write(tmp_path / 'run')
  model = detected.trained()._replace(variables={})
  monkeypatch.setattr(collected.trained_lib, 'load', lambda given: model)
  (found,) = detection.collect([folder])
  assert found.images and not found.seen
  assert 'goes without what the model looks at' in caplog.text


def test_without_an_evaluation_there_is_nothing(tmp_path):
  with pytest.raises(UserError, match='no details of a detection yet'):
    mistakes.evaluated(tmp_path, ConfigDict(detected.CONFIG), {}, collected.KEY, 'a detection')
