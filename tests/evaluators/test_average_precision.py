"""Average precision of a split: the same however its pictures are batched, and what is refused."""

import numpy as np
import pytest
from _helpers.detections import (
  BOX,
  FAR,
  NAMES,
  Found,
  Truth,
  by_pycocotools,
  predictions,
  random_picture,
  twelve,
)

from vitlab.errors import UserError
from vitlab.evaluators import average_precision


def measured(pictures, **arguments):
  how = {
    name: arguments.pop(name) for name in ('ids', 'rows', 'padding', 'scale') if name in arguments
  }
  return average_precision.make(3, **arguments)(predictions(pictures, **how))


def test_forty_pictures_however_they_are_batched_and_padded():
  rng = np.random.default_rng(40)
  pictures = [random_picture(rng) for _ in range(40)]
  plain, details = measured(pictures, rows=40, padding=0)
  np.testing.assert_allclose(twelve(plain), by_pycocotools(pictures, 3), rtol=1e-12)
  for how in (dict(rows=1, padding=0), dict(rows=7, padding=9), dict(rows=3, scale=0.5)):
    metrics, others = measured(pictures, **how)
    assert metrics == plain
    assert {
      key: np.array_equal(value, others[key], equal_nan=np.asarray(value).dtype.kind == 'f')
      for key, value in details.items()
    } == dict.fromkeys(details, True)


def test_nothing_found_is_zero():
  metrics, details = measured([([Truth(BOX)], []), ([], [])])
  sizes = [f'{name}_{size}' for name in ('ap', 'ar') for size in ('medium', 'large')]
  assert metrics == dict.fromkeys({*NAMES, 'f1', 'precision', 'recall'} - {*sizes}, 0)
  assert details['score'] == np.inf and details['picture_missed'].tolist() == [1, 0]


def test_suppression_on_top_and_a_lowest_score():
  near = [Found((0, 0, 10, 9), 0.8), Found((0, 1, 10, 9), 0.7, label=1), Found((1, 0, 10, 10), 0.6)]
  pictures = [([Truth(BOX), Truth(FAR)], [Found(BOX, 0.9), *near, Found(FAR, 0.5)])]
  plain, _ = measured(pictures, prediction='candidates')
  assert plain['ap'] == pytest.approx((51 + 50 * 2 / 4) / 101)
  suppressed, details = measured(pictures, prediction='candidates', nms_iou=0.5)
  assert suppressed['ap'] == pytest.approx(1)
  assert details['found_classes'].tolist() == [0, 1, 0]  # the other class is no rival
  assert measured(pictures, nms_iou=0.9)[0]['ap'] < 1  # 0.9 is not more than 0.9
  assert measured(pictures, nms_iou=0.5, score_threshold=0.55)[0]['ap'] == pytest.approx(51 / 101)


def test_what_is_given_stays_as_it_is():
  batches = list(
    predictions([([Truth(BOX)], [Found((0, 0, 10, 6), 0.9), Found(BOX, 0.8)])])(
      'detections', 'test'
    )
  )
  before = repr(batches)
  average_precision.make(1)(lambda *_: iter(batches))
  assert repr(batches) == before


@pytest.mark.parametrize('objects', [[], [Truth(BOX, crowd=True)]])
def test_a_split_without_objects_is_refused(objects):
  with pytest.raises(UserError, match="the split 'test' has no object to be found in 1 pictures"):
    measured([(objects, [Found(BOX, 0.9)])])
  with pytest.raises(UserError, match='in 0 pictures'):
    measured([])


@pytest.mark.parametrize('wrong', [dict(nms_iou=1.5), dict(nms_iou=-0.1), dict(max_detections=0)])
def test_arguments_out_of_range_are_refused(wrong):
  with pytest.raises(UserError, match=f'average_precision.{next(iter(wrong))}='):
    average_precision.make(1, **wrong)


def test_it_leads_a_sweep():
  assert average_precision.LEADS in average_precision.make(1)(predictions([([Truth(BOX)], [])]))[0]
