"""COCO's twelve numbers: pycocotools' own on what it can take, and right where it cannot."""

import numpy as np
import pytest
from _helpers.detections import (
  BOX,
  FAR,
  Found,
  Truth,
  by_pycocotools,
  predictions,
  random_picture,
  twelve,
)

from vitlab.evaluators import average_precision


def apart(number, right, wrong=0):
  """So many objects of one size, of which so many are found, and so many detections of nothing."""
  places = [(20 * (i % 30), 20 * (i // 30), 10, 10) for i in range(number + wrong)]
  found = [Found(box, 0.9) for box in places[:right]]
  found += [Found(box, 0.5) for box in places[number:]]
  return [([Truth(box) for box in places[:number]], found)]


# What is measured -> the numbers of it.
CASES = {
  'one object, found exactly': (
    [([Truth(BOX)], [Found(BOX, 0.9)])],
    dict(ap=1, ap50=1, ap_small=1),
  ),
  'recall 7 of 10': (apart(10, 7), dict(ap=70 / 101)),
  'recall 3 of 10': (apart(10, 3), dict(ap=31 / 101)),
  'recall 29 of 100': (apart(100, 29), dict(ap=30 / 101)),
  'recall 57 of 100': (apart(100, 57), dict(ap=57 / 101)),
  'recall 1 of 3': (apart(3, 1), dict(ap=34 / 101)),
  'recall 1 of 2': (apart(2, 1), dict(ap=51 / 101)),
  'precision is made monotone from the right': (
    [([Truth(BOX), Truth(FAR)], [Found(BOX, 0.9), Found((90, 90, 9, 9), 0.8), Found(FAR, 0.7)])],
    dict(ap=(51 + 50 * 2 / 3) / 101),
  ),
  'overlaps are inclusive': (
    [([Truth(BOX)], [Found((0, 0, 10, 5), 0.9)])],
    dict(ap=0.1, ap50=1, ap75=0),
  ),
  'overlaps are inclusive at 0.75': (
    [([Truth(BOX)], [Found((0, 0, 10, 7.5), 0.9)])],
    dict(ap=0.6, ap75=1),
  ),
  'greedy by score, not by overlap': (
    [([Truth(BOX)], [Found((0, 0, 10, 6), 0.9), Found(BOX, 0.8)])],
    dict(ap=0.65, ap50=1, ap75=0.5),
  ),
  'one detection on two equal objects': (
    [([Truth(BOX), Truth(BOX)], [Found(BOX, 0.9)])],
    dict(ap=51 / 101),
  ),
  'many may match a crowd, and do not count': (
    [
      (
        [Truth((0, 0, 100, 100), crowd=True), Truth((200, 200, 10, 10))],
        [Found((10, 10, 10, 10), 0.9), Found((12, 12, 10, 10), 0.85)]
        + [Found((200, 200, 10, 10), 0.8)],
      )
    ],
    dict(ap=1, ar1=0, ar10=1),
  ),
  '1024 is small and medium': (
    [([Truth((0, 0, 32, 32))], [Found((0, 0, 32, 32), 0.9)])],
    dict(ap_small=1, ap_medium=1, ap_large=None),
  ),
  '9216 is medium and large': (
    [([Truth((0, 0, 96, 96))], [Found((0, 0, 96, 96), 0.9)])],
    dict(ap_small=None, ap_medium=1, ap_large=1),
  ),
  'sizes go by area, not by the box': (
    [([Truth((0, 0, 96, 96), area=1000)], [Found((0, 0, 96, 96), 0.9)])],
    dict(ap_small=1, ap_medium=None, ap_large=None),
  ),
  'what is wrong outside of a size does not count in it': (
    [([Truth(BOX)], [Found((100, 100, 200, 200), 0.9), Found(BOX, 0.8)])],
    dict(ap=0.5, ap_small=1),
  ),
  'the 101st detection does not count': (
    [([Truth(BOX)], [Found((300, 300, 9, 9), 0.9)] * 100 + [Found(BOX, 0.8)])],
    dict(ap=0),
  ),
  'a class that is found and is not there': (
    [([Truth(BOX)], [Found(BOX, 0.9), Found(FAR, 0.9, label=1)])],
    dict(ap=1),
  ),
  'a class that is not listed': (
    [([Truth(BOX)], [Found(FAR, 0.95, label=7), Found(BOX, 0.9)])],
    dict(ap=1),
  ),
  'pictures without objects': (
    [([], [Found(BOX, 0.9)]), ([Truth(BOX)], [Found(BOX, 0.8)])],
    dict(ap=0.5),
  ),
  # Of the first object in all there are two: with ids from 0, the first can never be found.
  'two objects, both found': (apart(2, 2), dict(ap=1)),
  'a difficult object is one as others': (
    [([Truth(BOX), Truth(FAR, difficult=True)], [Found(BOX, 0.9)])],
    dict(ap=51 / 101),
  ),
}


def measured(pictures, **arguments):
  how = {
    name: arguments.pop(name) for name in ('ids', 'rows', 'padding', 'scale') if name in arguments
  }
  return average_precision.make(3, **arguments)(predictions(pictures, **how))


@pytest.mark.parametrize('name', CASES)
def test_numbers(name):
  pictures, expected = CASES[name]
  metrics, _ = measured(pictures)
  assert {key: metrics.get(key) for key in expected} == pytest.approx(expected)
  np.testing.assert_allclose(twelve(metrics), by_pycocotools(pictures, 3), rtol=1e-12)


@pytest.mark.parametrize('seed', range(8))
def test_random_pictures(seed):
  rng = np.random.default_rng(seed)
  pictures = [random_picture(rng) for _ in range(5)]
  pictures[0] = ([Truth(BOX)], [])  # there is something
  np.testing.assert_allclose(twelve(measured(pictures)[0]), by_pycocotools(pictures, 3), rtol=1e-12)


@pytest.mark.parametrize('ids, ap', [([1, 2], 0.5), ([2, 1], 1), ([10, 9], 1), (['10', '9'], 0.5)])
def test_of_equal_scores_the_picture_with_the_lower_id_comes_first(ids, ap):
  pictures = [([], [Found(BOX, 0.9)]), ([Truth(BOX)], [Found(BOX, 0.9)])]
  assert measured(pictures, ids=ids)[0]['ap'] == pytest.approx(ap)


def test_of_equal_scores_in_a_picture_the_first_comes_first():
  found = [Found(FAR, 0.9), Found(BOX, 0.9)]
  assert measured([([Truth(BOX)], found)])[0]['ap'] == pytest.approx(0.5)
  assert measured([([Truth(BOX)], found[::-1])])[0]['ap'] == pytest.approx(1)


@pytest.mark.parametrize('limit, ap, names', [(101, 1, ['ar1', 'ar10', 'ar101']), (1, 0, ['ar1'])])
def test_other_numbers_of_detections(limit, ap, names):
  pictures = [([Truth(BOX)], [Found((300, 300, 9, 9), 0.9)] * 100 + [Found(BOX, 0.8)])]
  metrics, _ = measured(pictures, max_detections=limit)
  assert metrics['ap50'] == pytest.approx(1 / 101 if ap else 0)
  assert [name for name in metrics if name[:2] == 'ar' and name[2:].isdigit()] == names


def test_curves_and_classes():
  pictures = [
    ([Truth(BOX), Truth((50, 50, 100, 100)), Truth(FAR, 2)], [Found(BOX, 0.9), Found(FAR, 0.8)])
  ]
  _, details = measured(pictures)
  curve = details['curve_precision']
  assert curve.shape == (3, 4, 101) and details['sizes'].tolist() == [
    'all',
    'small',
    'medium',
    'large',
  ]
  assert curve[0, 0].sum() == 51 and curve[0, 1].sum() == 101 and curve[0, 3].sum() == 0
  assert np.isnan(curve[0, 2]).all() and np.isnan(curve[1]).all()
  assert details['curve_score'][0, 0, 0] == np.float32(0.9)
  np.testing.assert_allclose(details['class_ap50'], [51 / 101, np.nan, 0])
  np.testing.assert_allclose(details['class_recall50'], [0.5, np.nan, 0])
  assert details['class_count'].tolist() == [2, 0, 1]


def test_nothing_is_printed(capsys):
  measured(CASES['recall 1 of 3'][0])
  assert capsys.readouterr() == ('', '')
