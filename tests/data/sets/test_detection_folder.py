"""One set of pictures in three formats, as folders and archives: the same boxes, whatever it is."""

import numpy as np
import pytest
from _helpers.detection_files import FORMATS, NAMES, PICTURES
from _helpers.trees import KINDS, write

from vitlab.data import pipeline
from vitlab.data.sets import detection_folder
from vitlab.errors import UserError


def contents(dataset):
  """What every format must say alike."""
  return {
    split: [
      (
        *(truth.name.split('/')[-1], truth.height, truth.width, truth.boxes.tolist()),
        *(truth.classes.tolist(), truth.area.tolist(), truth.crowd.tolist()),
      )
      for truth in map(source.truth, range(len(source)))
    ]
    for split, source in dataset.splits.items()
  }


def expected():
  return {
    split: [
      (
        *(f'{name}.png', height, width, [list(map(float, box)) for _, *box in objects]),
        [NAMES.index(label) for label, *_ in objects],
        [float((x2 - x1) * (y2 - y1)) for _, x1, y1, x2, y2 in objects],
        [False] * len(objects),
      )
      for name, (height, width, objects) in rows.items()
    ]
    for split, rows in PICTURES.items()
  }


@pytest.mark.parametrize('kind', FORMATS)
@pytest.mark.parametrize('tree', KINDS)
def test_all_formats_in_all_trees_say_the_same(tmp_path, kind, tree):
  dataset = detection_folder.make(write(tmp_path, FORMATS[kind](), tree), image_size=(20, 40))
  found = contents(dataset)
  for split, rows in expected().items():
    for row, wanted in zip(found[split], rows, strict=True):
      np.testing.assert_allclose(row[3], wanted[3], atol=1e-9)
      np.testing.assert_allclose(row[5], wanted[5], atol=1e-9)
      assert (row[:3], row[4], row[6]) == (wanted[:3], wanted[4], wanted[6])
  facts = dataset.facts
  assert facts['class_names'] == NAMES and facts['num_classes'] == 2 and facts['max_objects'] == 4
  assert facts['class_ids'] == ([3, 17] if kind == 'coco' else [0, 1])
  assert facts['shapes'] == [[20, 40], [40, 20], [40, 40]]
  assert facts['image']['resize'] == 'fit' and facts['image']['image_size'] == (20, 40)


@pytest.mark.parametrize('kind', FORMATS)
def test_they_can_be_trained_on(tmp_path, kind):
  dataset = detection_folder.make(write(tmp_path, FORMATS[kind](), 'folder'), image_size=(10, 20))
  batches = pipeline.train_batches(dataset.splits['train'], batch_size=1, seed=0)
  seen = [next(batches) for _ in range(3)]
  batches.close()
  assert {batch['image'].shape for batch in seen} == {(1, 10, 20, 3), (1, 20, 10, 3)}
  (tall,) = [batch for batch in seen if batch['image'].shape[1] == 20]
  np.testing.assert_allclose(tall['boxes'][0], [[0.5, 1, 5.5, 16], *[[0] * 4] * 3], rtol=1e-6)
  assert tall['classes'].tolist() == [[0, -1, -1, -1]] and tall['size'].tolist() == [[20, 10]]


@pytest.mark.parametrize(
  ('texts', 'words'),
  [
    ({}, 'holds no boxes: neither JSON'),
    ({'cat/a.png': b''}, 'only learn to classify'),
    ({'a.json': b'{}', 'a.xml': b'<a/>'}, r'may be coco \(a.json\) or voc \(a.xml\)\nsay which'),
  ],
)
def test_what_is_none_of_the_formats_or_several(tmp_path, texts, words):
  with pytest.raises(UserError, match=words):
    detection_folder.make(write(tmp_path, texts))


def test_no_path():
  with pytest.raises(UserError, match='path is empty'):
    detection_folder.make('')
