"""The numbers behind each figure of a classifier."""

import base64
import io
import math

import numpy as np
import pytest
from _helpers import workdirs
from PIL import Image

from vitlab.report.classification import figures
from vitlab.report.classification.pictures import Picture

NAMES = ['cat', 'dog', 'cow']


def picture(image, **changes):
  return Picture(index=3, image=image, label=1, predicted=2, confidence=0.75)._replace(**changes)


def test_a_picture_has_its_size_and_its_labels():
  image = np.arange(8 * 6, dtype=np.uint8).reshape(8, 6, 1)
  found = figures.picture(picture(image), NAMES)
  assert found['source'].startswith('data:image/png;base64,')
  assert (found['width'], found['height']) == (6, 8)
  assert (found['truth'], found['said'], found['right']) == ('dog', 'cow', False)


def test_a_prediction_of_nan_has_no_class_and_an_unknown_one_no_truth():
  image = np.zeros((2, 2, 3), np.uint8)
  found = figures.picture(picture(image, label=-1, predicted=-1, confidence=math.nan), NAMES)
  assert (found['said'], found['truth'], found['confidence']) == ('NaN', None, None)


def unpacked(found):
  data = base64.b64decode(found['maps'].removeprefix('data:image/png;base64,'))
  return np.asarray(Image.open(io.BytesIO(data))).reshape(-1)


def test_maps_of_a_layer_are_the_mean_the_heads_and_the_queries():
  one = workdirs.pictures(count=1, depth=2, heads=3, grid=4).attended[0]
  found = figures.attention(one, [])
  layers = found['layers']
  assert [(layer['name'], layer['columns'], layer['by_query']) for layer in layers] == [
    ('layer 1', 4, 4),
    ('layer 2', 4, 4),
  ]
  assert layers[0]['grid'] == (4, 4) and layers[0]['asked'][5] == [1, 1]
  expected = []
  for layer in one.look.layers:
    for maps in (layer.maps, *layer.queries):
      expected += [maps.mean(0), *maps]
  expected += one.look.overlays.values()
  scaled = [np.round(m / m.max() * 255).astype(np.uint8).reshape(-1) for m in expected]
  scaled = np.concatenate(scaled)
  found = unpacked(found)
  np.testing.assert_array_equal(found[: len(scaled)], scaled)
  assert not found[len(scaled) :].any()


@pytest.mark.parametrize(('grid', 'columns', 'by_query'), [(14, 13, 1), (48, 1, 1)])
def test_heads_are_left_out_where_they_are_too_many_bytes(grid, columns, by_query):
  one = workdirs.pictures(count=1, depth=12, heads=12, grid=grid).attended[0]
  layer = figures.attention(one, [])['layers'][0]
  assert (layer['columns'], layer['by_query']) == (columns, by_query)


def test_distances_are_means_over_the_images():
  looks = [one.look.layers for one in workdirs.pictures(count=2, depth=2, heads=3).attended]
  found = figures.distances(looks)
  assert [layer['name'] for layer in found] == ['layer 1', 'layer 2']
  expected = (looks[0][1].distance + looks[1][1].distance) / 2
  np.testing.assert_allclose(found[1]['pixels'], expected, rtol=1e-5)
