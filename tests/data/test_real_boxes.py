"""Published pictures with boxes, read as they are published: COCO's and Pascal VOC's format."""

import collections
import contextlib
import io
import json
import tarfile

import numpy as np
import pytest
from _helpers.real_data import ROOT
from PIL import Image

from vitlab.data import box_sets, pipeline
from vitlab.data.annotations import trainable, training_rows
from vitlab.data.sets import detection_folder

pytestmark = pytest.mark.data
SIZE = dict(image_size=(240, 320))


def detr_targets(rows, height, width):
  """ConvertCocoPolysToMask of DETR, datasets/coco.py, as NumPy."""
  rows = [row for row in rows if row.get('iscrowd', 0) == 0]
  boxes = np.array([row['bbox'] for row in rows], np.float32).reshape(-1, 4)
  boxes[:, 2:] += boxes[:, :2]
  boxes[:, 0::2] = boxes[:, 0::2].clip(0, width)
  boxes[:, 1::2] = boxes[:, 1::2].clip(0, height)
  keep = (boxes[:, 3] > boxes[:, 1]) & (boxes[:, 2] > boxes[:, 0])
  return boxes[keep], np.array([row['category_id'] for row in rows], np.int64)[keep]


def test_coco_as_pycocotools_and_detr_read_it(caplog):
  from pycocotools.coco import COCO

  box_sets._say.cache_clear()
  dataset = detection_folder.make(str(ROOT / 'coco_tiny'), **SIZE)
  line = 'train 80, val 80 pictures, 1,520 boxes, 45 at most in one; crowd regions, not learned'
  assert f'{line} from: 17' in caplog.text
  ids = np.array(dataset.facts['class_ids'])
  assert len(ids) == 80 and ids[-1] == 90 and dataset.facts['class_names'][79] == 'toothbrush'
  for split, count in dict(train=705, val=815).items():
    with contextlib.redirect_stdout(io.StringIO()):
      reference = COCO(ROOT / 'coco_tiny' / f'instances_{split}2017.json')
    source = dataset.splits[split]
    assert sum(len(source.truth(i).classes) for i in range(80)) == count
    for i in range(80):
      truth = source.truth(i)
      rows = reference.loadAnns(reference.getAnnIds(imgIds=truth.image_id))
      about = reference.loadImgs(truth.image_id)[0]
      assert (truth.height, truth.width) == (about['height'], about['width'])
      assert ids[truth.classes].tolist() == [row['category_id'] for row in rows]
      assert truth.area.tolist() == [row['area'] for row in rows]
      assert truth.crowd.tolist() == [row['iscrowd'] for row in rows]
      boxes, classes = detr_targets(rows, truth.height, truth.width)
      height, width = source.sizes[i]
      scale = np.array([width / truth.width, height / truth.height] * 2)
      found = training_rows(truth, (int(height), int(width)), 44)
      np.testing.assert_allclose(found[0][: len(boxes)], boxes * scale, rtol=1e-5, atol=1e-4)
      assert ids[found[1][: len(boxes)]].tolist() == classes.tolist()
      assert (found[1][len(boxes) :] == -1).all()


def test_coco_in_batches_of_three_shapes():
  dataset = detection_folder.make(str(ROOT / 'coco_tiny'), **SIZE)
  shapes = collections.Counter()
  for batch in pipeline.eval_batches(dataset.splits['val'], batch_size=4):
    assert batch['mask'].all()
    shapes[batch['image'].shape[1:3]] += 1
  assert set(shapes) <= {(240, 320), (320, 240), (320, 320)} and len(shapes) > 1
  batches = pipeline.train_batches(dataset.splits['train'], batch_size=4, seed=0)
  shapes = {next(batches)['image'].shape for _ in range(12)}
  batches.close()
  assert shapes == {(4, 240, 320, 3), (4, 320, 240, 3)}


def test_blood_cells(caplog):
  box_sets._say.cache_clear()
  dataset = detection_folder.make(str(ROOT / 'bccd' / 'bccd.tar'), **SIZE)
  sizes = {split: len(source) for split, source in dataset.splits.items()}
  assert sizes == dict(train=205, val=87, test=72, trainval=292)
  assert dataset.facts['class_names'] == ['Platelets', 'RBC', 'WBC']
  assert '4,888 boxes, 30 at most in one; boxes without area, not learned from: 2' in caplog.text
  official = [s for s in dataset.splits if s != 'trainval']
  truths = [dataset.splits[s].truth(i) for s in official for i in range(sizes[s])]
  counts = np.bincount(np.concatenate([truth.classes for truth in truths]))
  assert counts.tolist() == [361, 4155, 372]
  learned = sum(int(trainable(truth).sum()) for truth in truths)
  assert learned == 4886 and dataset.facts['max_objects'] == 32


def test_a_blood_cell_is_where_its_box_is():
  """White cells are violet: redder than green where the box is, and nowhere else so much."""
  source = detection_folder.make(str(ROOT / 'bccd'), **SIZE).splits['train']
  with tarfile.open(ROOT / 'bccd' / 'bccd.tar') as archive:
    name = source.truth(0).name
    picture = Image.open(io.BytesIO(archive.extractfile(name).read()))
  assert picture.size == (640, 480)
  inside, outside = [], []
  for i in range(20):
    row = source[i]
    violet = row['image'][..., 2].astype(int) - row['image'][..., 1]
    white = row['boxes'][row['classes'] == 2].round().astype(int)
    mask = np.zeros(violet.shape, bool)
    for x1, y1, x2, y2 in white:
      mask[y1:y2, x1:x2] = True
    inside.append(violet[mask].mean())
    outside.append(violet[~mask].mean())
  assert np.mean(inside) > np.mean(outside) + 20


def test_coco_stands_in_the_order_of_its_file():
  content = json.loads((ROOT / 'coco_tiny' / 'instances_val2017.json').read_text())
  dataset = detection_folder.make(str(ROOT / 'coco_tiny'), **SIZE)
  names = [dataset.splits['val'].truth(i).name for i in range(80)]
  assert names == [f'val2017/{image["file_name"]}' for image in content['images']]
