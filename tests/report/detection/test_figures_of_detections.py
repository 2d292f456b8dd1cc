"""The numbers behind the figures of a detector."""

import numpy as np
import pytest
from _helpers import detected

from vitlab.report import paint
from vitlab.report.detection import figures
from vitlab.report.detection.collected import Answers, Look, Pictures, Seen

NAMES = [f'<{i}>' for i in range(10)]


@pytest.fixture(scope='module')
def details():
  return detected.details()


def test_boxes_are_those_of_the_evaluation_worst_pictures_first(details):
  found = figures.boxes(details, NAMES, detected.pictures(details))
  assert [one['index'] for one in found['pictures']] == details['worst_index'].tolist()
  assert found['score'] == pytest.approx(float(details['score']), rel=1e-5)
  for key in ('truth', 'found'):
    rows = [row for one in found['pictures'] for row in one[key]]
    np.testing.assert_allclose([r['box'] for r in rows], details[f'{key}_boxes'], atol=0.051)
    assert [row['of'] for row in rows] == details[f'{key}_classes'].tolist()
  source = detected.dataset().splits['test']
  first = found['pictures'][0]
  np.testing.assert_allclose(
    [row['box'] for row in first['truth']], source.truth(first['index']).boxes, atol=0.051
  )
  assert (first['width'], first['height'], first['small']) == (64, 64, True)
  assert not any(row['free'] for row in first['truth'])


def test_what_need_not_be_found_is_marked_and_pictures_may_be_missing(details):
  changed = details | {'truth_outcome': np.full_like(details['truth_outcome'], 3)}
  found = figures.boxes(changed, NAMES, Pictures())
  assert all(row['free'] for one in found['pictures'] for row in one['truth'])
  assert not any(row['crowd'] for one in found['pictures'] for row in one['truth'])
  crowded = details | {'truth_crowd': np.ones_like(details['truth_crowd'])}
  found = figures.boxes(crowded, NAMES, Pictures())
  assert all(row['crowd'] for one in found['pictures'] for row in one['truth'])
  assert {one['source'] for one in found['pictures']} == {None}


def test_precision_is_of_the_classes_with_most_objects_and_of_sizes(details):
  found = figures.precision(details, NAMES)
  order = sorted(np.argsort(-details['class_count'], kind='stable')[: figures.LINES])
  assert [line['name'] for line in found['classes']] == [NAMES[i] for i in order]
  assert found['known'] == 10
  np.testing.assert_allclose(
    [line['points'] for line in found['classes']],
    details['curve_precision'][order, 0],
    atol=1e-4,
  )
  # all digits are small: one line
  assert [size['name'] for size in found['sizes']] == ['small']
  assert found['sizes'][0]['ap'] == pytest.approx(details['class_ap50'].mean(), rel=1e-5)


def test_classes_without_objects_have_no_curve(details):
  curve = details['curve_precision'].copy()
  curve[3:] = np.nan
  curve[:3, 2] = 0.25  # medium ones
  changed = dict(curve_precision=curve, class_ap50=np.append(np.ones(3), np.full(7, np.nan)))
  found = figures.precision(details | changed, NAMES)
  assert (found['known'], len(found['classes'])) == (3, 3)
  assert [(s['name'], s['ap']) for s in found['sizes'][2:]] == [('medium', 0.25)]
  assert figures.precision(details | dict(curve_precision=curve * np.nan), NAMES) is None
  assert figures.precision({}, NAMES) is None


def seen(shape=(64, 96), size=(64, 70), grid=(8, 12), heads=2, layers=2):
  """A picture with padding at the right; each query looks at one column of the map."""
  decoder = np.zeros((layers, heads, 5, *grid))
  for query in range(5):
    decoder[:, :, query, :, query] = query + 1
  places = np.arange(grid[0] * grid[1]).reshape(-1, 1, 1) * np.ones(grid)
  found = Answers(
    np.array([[8.0, 0, 16, 64], [0, 0, 8, 64], [1, 2, 3, 4]]),
    np.array([0.9, 0.5, 0.01]),
    np.array([1, 7, 2]),
    np.ones(3, bool),
  )
  look = Look(np.array([1, 0, 3]), decoder, np.tile(places, (layers, heads, 1, 1, 1)))
  image = np.zeros((*size, 3), np.uint8)
  return Seen('picture 0', image, shape, found, found, look)


def unpacked(monkeypatch, one):
  packed = []
  monkeypatch.setattr(paint, 'pack', lambda values: packed.append(values) or 'packed')
  data = figures.queries(one, NAMES)
  return data, packed[0]


def test_maps_are_cut_to_the_picture_and_stand_by_answer_layer_and_head(monkeypatch):
  data, values = unpacked(monkeypatch, seen())
  assert [(a['name'], a['score']) for a in data['answers']] == [('<1>', 0.9), ('<7>', 0.5)]
  # 70 of 96 pixels are 9 of 12 cells, which reach two pixels over the border
  assert data['grid'] == (8, 9)
  np.testing.assert_allclose(data['cover'], [1, 72 / 70])
  assert (data['decoder'], data['encoder']) == ((2, 3), (2, 3))
  maps = values[: 2 * 2 * 3 * 72].reshape(2, 2, 3, 8, 9)
  for answer, query in enumerate((1, 0)):
    expected = np.zeros((8, 9), int)
    expected[:, query] = 255
    np.testing.assert_array_equal(maps[answer], np.broadcast_to(expected, (2, 3, 8, 9)))
  assert len(data['places']) <= figures.PLACES
  assert all(y < 8 and x < 9 for y, x in data['places'])
  assert len(values) == (2 + len(data['places'])) * 2 * 3 * 72


def test_places_are_looked_up_in_the_map_with_its_padding(monkeypatch):
  one = seen()
  encoder = np.zeros_like(one.look.encoder)
  encoder[:, :, 3 * 12 + 5, 0, 0] = 1  # row 3, column 5, of 12 columns
  data, values = unpacked(monkeypatch, one._replace(look=one.look._replace(encoder=encoder)))
  maps = values[2 * 2 * 3 * 72 :].reshape(-1, 2, 3, 8, 9)
  looking = [place for place, of in zip(data['places'], maps) if of[:, :, 0, 0].all()]
  assert looking == [(3, 5)]


def test_where_heads_are_too_many_bytes_their_mean_stays(monkeypatch):
  monkeypatch.setattr(figures, 'BYTES', 100)
  data, values = unpacked(monkeypatch, seen())
  assert (data['decoder'], data['encoder']) == ((2, 1), (2, 1))
  assert len(values) == (2 + len(data['places'])) * 2 * 72


def test_without_an_encoder_no_place_is_asked(monkeypatch):
  one = seen()
  data, values = unpacked(monkeypatch, one._replace(look=one.look._replace(encoder=None)))
  assert data['places'] == [] and len(values) == 2 * 2 * 3 * 72


def test_a_model_without_queries_or_sure_answers_has_no_maps():
  one = seen()
  assert figures.queries(one._replace(look=None), NAMES) is None
  unsure = one.found._replace(scores=np.full(3, 0.01))
  assert figures.queries(one._replace(found=unsure), NAMES) is None


@pytest.mark.parametrize('cells', [(1, 1), (2, 40), (8, 8), (25, 34)])
def test_places_lie_all_over_the_map(cells):
  places = figures._places(cells)
  assert 0 < len(places) <= figures.PLACES
  assert len(set(places)) == len(places)
  y, x = np.array(places).T
  assert y.max() < cells[0] and x.max() < cells[1]
  assert x.max() - x.min() >= cells[1] // 2 - 1
