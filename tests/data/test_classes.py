"""Classes are the same by name, and by nothing else unless somebody says so."""

import pickle

import numpy as np
import pytest
from _helpers.boxes import pictures
from _helpers.pictures import Noise, noise

from vitlab.data import Dataset, classes, identity, pipeline, splits
from vitlab.data.sources import Arrays
from vitlab.errors import UserError

MODEL = ('ant', 'bee', 'cat')


def numbers(data, model=MODEL, **words):
  facts = dict(class_names=data), dict(class_names=model)
  found = classes.numbers(*facts, 'runs/a', **words)
  return None if found is None else found.tolist()


def test_equal_names_need_nothing():
  assert numbers(MODEL) is None and numbers(None) is None
  assert numbers(['crane', 'crane'], ['crane', 'crane']) is None


def test_labels_follow_the_names():
  assert numbers(['cat', 'ant', 'bee']) == [2, 0, 1]
  assert numbers(['cat', 'bee']) == [2, 1]  # of some of the classes alone


@pytest.mark.parametrize(
  ('data', 'model', 'words'),
  [
    (['dog', 'bee', 'emu'], MODEL, "unknown to it: 'dog', 'emu'"),
    (['bee', 'ant', 'bee'], MODEL, "of several classes: 'bee'"),
    (['bee', 'ant'], ['ant', 'bee', 'bee'], "of several classes: 'bee'"),
  ],
)
def test_other_names_are_refused_with_both_sides(data, model, words):
  with pytest.raises(UserError) as error:
    numbers(data, model)
  first, second = str(error.value).splitlines()
  assert words in first and first.startswith("runs/a knows the classes 'ant', 'bee'")
  assert ', '.join(map(repr, data)) in first
  assert second.endswith('--config.match_classes=position')


def test_a_thousand_classes_are_two_lines():
  with pytest.raises(UserError) as error:
    numbers([f'n{i:08}' for i in range(1000)], [f'name {i}' for i in range(1000)])
  assert len(str(error.value).splitlines()) == 2 and len(str(error.value)) < 700


def test_by_position_on_demand_and_where_nobody_knows_the_names(caplog):
  assert numbers(['dog', 'emu', 'fox'], by='position') is None and not caplog.records
  assert numbers(['dog'], ()) is None and caplog.records
  for unknown in (['LABEL_0', 'LABEL_1', 'LABEL_2'], ['class 0', 'class 1', 'class 2']):
    caplog.clear()
    assert numbers(['dog', 'emu', 'fox'], unknown) is None
    (record,) = caplog.records
    assert 'runs/a: classes without names' in record.message
    with pytest.raises(UserError, match="runs/a has 3 classes, the data have 1: 'dog'"):
      numbers(['dog'], unknown)
  assert numbers(['1', '0', '2'], ['0', '1', '2']) == [1, 0, 2]  # digits are names
  with pytest.raises(UserError, match='config.match_classes .* did you mean position'):
    numbers(['dog'], by='positon')


def test_a_data_set_in_the_numbers_of_a_model(caplog):
  image, label = noise(6, 4, 3), np.array([0, 1, 1, 0, 1, 0], np.int32)
  own = Dataset(
    dict(train=Arrays(dict(image=image, label=label)), test=Noise()),
    dict(num_classes=2, class_names=['cat', 'bee'], image={}),
  )
  facts = dict(class_names=MODEL)
  found = classes.align(own, facts, 'runs/a')
  assert found.facts == dict(num_classes=3, class_names=list(MODEL), image={})
  np.testing.assert_array_equal(found.splits['train'].arrays['label'], [2, 1, 1, 2, 1, 2])
  part = splits.select(found, 'train[2:4]')
  assert [int(part[i]['label']) for i in range(2)] == [1, 2]
  assert part[0]['label'].dtype == np.int32
  assert classes.align(own, own.facts, 'runs/a') is own
  assert classes.align(Dataset({}, {}), facts, 'runs/a') == Dataset({}, {})
  digests = [identity.digest_of(one.splits['train']) for one in (own, found)]
  assert None not in digests and digests[0] != digests[1]


def test_the_classes_of_boxes_are_renumbered_and_no_class_is_still_none():
  classes_of_boxes = np.array([[0, -1], [1, 0]], np.int32)
  source = Arrays(dict(image=noise(2, 4, 3), classes=classes_of_boxes))
  facts = dict(class_names=['cat', 'bee'], num_classes=2)
  found = classes.align(Dataset(dict(test=source), facts), dict(class_names=MODEL), 'runs/a')
  assert found.splits['test'].arrays['classes'].tolist() == [[2, -1], [1, 2]]
  assert found.splits['test'][0]['classes'].tolist() == [2, -1]
  assert set(found.splits['test'][1]) == {'image', 'classes'}


def test_pictures_that_are_decoded_on_demand_stay_so():
  source = Noise(length=3)
  found = classes.Renumbered(source, np.array([2, 0, 1], np.int32))
  assert not hasattr(found, 'arrays') and len(pickle.loads(pickle.dumps(found))) == 3
  assert [int(found[i]['label']) for i in range(3)] == [2, 0, 1]
  assert found.describe(1) == 'noise-1' and not hasattr(found, 'buckets')
  loaded = classes.Renumbered(pipeline.Loaded(source), np.array([2, 0, 1], np.int32))
  (batch,) = pipeline.eval_batches(loaded, batch_size=4)
  assert batch['label'].tolist() == [2, 0, 1, 0] and batch['mask'].tolist() == [1, 1, 1, 0]


def test_truth_and_the_ids_of_the_file_are_renumbered_as_labels_are():
  """Of two classes, dog (id 7) and ant (id 3), in a model that knows ant, bee and dog."""
  source = pictures(sizes=((6, 8), (6, 8)))
  data = Dataset(dict(train=source), dict(class_names=['dog', 'ant'], class_ids=[7, 3]))
  aligned = classes.align(data, dict(class_names=['ant', 'bee', 'dog']), 'runs/a')
  train = aligned.splits['train']
  assert [train.truth(i).classes.tolist() for i in range(2)] == [[2], [0]]
  assert [train[i]['classes'].tolist() for i in range(2)] == [[2, -1, -1, -1], [0, -1, -1, -1]]
  assert aligned.facts['class_ids'] == [3, None, 7] and train.shapes == source.shapes
  assert not hasattr(classes.Renumbered(Noise(), np.arange(3)), 'truth')
