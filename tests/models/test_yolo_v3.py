"""YOLOv3: its counts, its boxes, and its loss against one of plain NumPy."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vitlab.errors import UserError
from vitlab.models import yolo_v3
from vitlab.ops.boxes import Objects

HEIGHT, WIDTH, CLASSES = 64, 96, 3
MAPS = [(8, 12), (4, 6), (2, 3)]
# Anchors that suit the picture; some are nobody's best.
ANCHORS = ((6, 8), (10, 6), (90, 2), (14, 20), (24, 16), (2, 80), (40, 30), (30, 50), (44, 34))
MODEL = yolo_v3.make('mu', CLASSES, anchors=ANCHORS, dtype='float64')
SIZE = jnp.array([[HEIGHT, WIDTH]] * 3)
# Two want the same anchor of the same cell; one has its centre on the right edge; one row is empty.
OBJECTS = Objects(
  np.array(
    [
      [[10, 10, 20, 16], [11, 11, 20, 17], [58, 32, 98, 62], [60, 8, 66, 16]],
      [[92, 30, 100, 38], [0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]],
      [[0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]],
    ],
    float,
  ),
  np.array([[0, 2, 1, 1], [1, -1, -1, -1], [-1, -1, -1, -1]]),
)


def sigmoid(x):
  return 1 / (1 + np.exp(-x))


def cross_entropy(z, y):
  return -(y * np.log(sigmoid(z)) + (1 - y) * np.log(1 - sigmoid(z)))


def iou(a, b) -> float:
  width = max(min(a[2], b[2]) - max(a[0], b[0]), 0)
  height = max(min(a[3], b[3]) - max(a[1], b[1]), 0)
  area = lambda box: (box[2] - box[0]) * (box[3] - box[1])  # noqa: E731
  return width * height / (area(a) + area(b) - width * height)


def places():
  """(map, row, column, anchor) of every anchor, in order."""
  for level, (rows, columns) in enumerate(MAPS):
    for row in range(rows):
      for column in range(columns):
        yield from ((level, row, column, 3 * level + k) for k in range(3))


def plain(deltas, objectness, logits, objects, ignore=0.5):
  """Boxes [q 4] of one picture, and its three losses, one anchor and one object at a time."""
  owner, boxes = {}, []
  for number, (box, name) in enumerate(zip(*objects)):
    if name < 0:
      continue
    width, height = box[2] - box[0], box[3] - box[1]
    shape = lambda w, h: (0, 0, w, h)  # noqa: E731
    best = int(np.argmax([iou(shape(width, height), shape(*anchor)) for anchor in ANCHORS]))
    stride, (rows, columns) = 8 * 2 ** (best // 3), MAPS[best // 3]
    row = min(int((box[1] + box[3]) / 2 / stride), rows - 1)
    column = min(int((box[0] + box[2]) / 2 / stride), columns - 1)
    owner[best // 3, row, column, best] = number
  terms = dict.fromkeys(('class', 'objectness', 'box'), 0.0)
  for q, place in enumerate(places()):
    level, row, column, anchor = place
    stride, (x, y, w, h) = 8 * 2**level, deltas[q]
    centre = (sigmoid(x) + column) * stride, (sigmoid(y) + row) * stride
    sides = ANCHORS[anchor][0] * np.exp(w), ANCHORS[anchor][1] * np.exp(h)
    box = [c - s / 2 for c, s in zip(centre, sides)] + [c + s / 2 for c, s in zip(centre, sides)]
    boxes.append(box)
    if place not in owner:
      overlaps = [iou(box, other) for other, name in zip(*objects) if name >= 0]
      if max(overlaps, default=0) <= ignore:
        terms['objectness'] += cross_entropy(objectness[q], 0)
      continue
    box, name = (part[owner[place]] for part in objects)
    width, height = box[2] - box[0], box[3] - box[1]
    scale = 2 - width * height / (WIDTH * HEIGHT)
    terms['box'] += scale * (
      cross_entropy(x, (box[0] + box[2]) / 2 / stride - column)
      + cross_entropy(y, (box[1] + box[3]) / 2 / stride - row)
      + (w - np.log(width / ANCHORS[anchor][0])) ** 2 / 2
      + (h - np.log(height / ANCHORS[anchor][1])) ** 2 / 2
    )
    terms['objectness'] += cross_entropy(objectness[q], 1)
    terms['class'] += cross_entropy(logits[q], np.eye(CLASSES)[name]).sum()
  return boxes, terms


@pytest.fixture(scope='module')
def out():
  """Answers with random logits, of which some overlap the objects well."""
  with jax.enable_x64(True):
    random = np.random.default_rng(0)
    count = 3 * sum(rows * columns for rows, columns in MAPS)
    draw = lambda *shape: jnp.asarray(random.normal(size=shape))  # noqa: E731
    out = dict(deltas=0.3 * draw(3, count, 4), objectness=draw(3, count), logits=draw(3, count, 3))
    out['levels'] = [jnp.zeros((3, *shape, 1), float) for shape in MAPS]
    out['boxes'] = yolo_v3.decode(out['deltas'], *MODEL._grid(out['levels']))
    return out


def losses(model, out, mask=(True, True, True), objects=OBJECTS):
  objects = jax.tree.map(jnp.asarray, objects)
  terms = jax.jit(model.losses)(out, objects, SIZE, jnp.array(mask))
  return {name: term.weight * term.sum / term.count for name, term in terms.items()}


def expected(out, rows=(0, 1, 2)):
  """The boxes, and the mean over pictures of every loss."""
  words = [np.asarray(out[key]) for key in ('deltas', 'objectness', 'logits')]
  found = [plain(*(word[i] for word in words), [part[i] for part in OBJECTS]) for i in rows]
  terms = [terms for _, terms in found]
  return [boxes for boxes, _ in found], {k: np.mean([t[k] for t in terms]) for k in terms[0]}


def test_equals_a_plain_one(out, x64):
  boxes, terms = expected(out)
  np.testing.assert_allclose(out['boxes'], boxes, atol=1e-11)
  got = losses(MODEL, out)
  assert set(got) == set(terms)
  for name, value in terms.items():
    np.testing.assert_allclose(got[name], value, rtol=1e-12)


def test_rows_that_do_not_count_weigh_nothing(out, x64):
  nan = {k: x if k == 'levels' else x.at[2].set(jnp.nan) for k, x in out.items()}
  _, terms = expected(out, (0, 1))
  got = losses(MODEL, nan, (True, True, False))
  for name, value in terms.items():
    np.testing.assert_allclose(got[name], value, rtol=1e-12)


def anchors_of_the_best_map(objects, anchors, maps):
  """The best anchor of the finest map alone."""
  return assigned(objects, anchors[:3] + ((1e-3, 1e-3),) * 6, maps)


def first_has_it(objects, anchors, maps):
  turned = Objects(objects.boxes[::-1], objects.classes[::-1])
  owner = assigned(turned, anchors, maps)
  return jnp.where(owner >= 0, len(objects.boxes) - 1 - owner, -1)


assigned = yolo_v3.assigned
TRAPS = {
  'nothing is ignored': dict(ignore=2.0),
  'more is ignored': dict(ignore=0.3),
  'other anchors': dict(anchors=MODEL.anchors[::-1]),
}


@pytest.mark.parametrize('trap', [*TRAPS, anchors_of_the_best_map, first_has_it])
def test_a_trap_would_be_seen(trap, out, monkeypatch, x64):
  model = MODEL
  if callable(trap):
    monkeypatch.setattr(yolo_v3, 'assigned', trap)
  else:
    model = MODEL.clone(**TRAPS[trap])
  _, terms = expected(out)
  got = losses(model.clone(parent=None), out)
  assert max(abs(got[name] - value) for name, value in terms.items()) > 1e-3


def test_the_last_object_has_a_contested_anchor_and_no_centre_is_outside_of_the_map():
  run = partial(yolo_v3.assigned, anchors=ANCHORS, maps=tuple(MAPS))
  owners = jax.jit(jax.vmap(run))(jax.tree.map(jnp.asarray, OBJECTS))
  found = {
    (i, int(owners[i, q])): place
    for i in range(3)
    for q, place in enumerate(places())
    if owners[i, q] >= 0
  }
  assert found == {
    (0, 1): (0, 1, 1, 1),
    (0, 2): (2, 1, 2, 6),
    (0, 3): (0, 1, 7, 0),
    (1, 0): (0, 4, 11, 0),
  }


def test_parameters():
  """Of the authors' own, which Keras ports count: 62,001,757 less 52,608 running statistics."""
  model, image = yolo_v3.make(), jax.ShapeDtypeStruct((1, 64, 64, 3), jnp.float32)
  shapes = jax.eval_shape(model.init, jax.random.key(0), image, jnp.ones((1, 2), int))
  count = lambda tree: sum(leaf.size for leaf in jax.tree.leaves(tree))  # noqa: E731
  assert count(shapes['params']) == 61_949_149
  assert count(shapes['batch_stats']) == 52_608


@pytest.mark.parametrize(
  'options',
  [
    dict(variant='tiny'),
    dict(num_classes=0),
    dict(depths=(1, 2)),
    dict(anchors=((10, 13), (16, 30))),
    dict(anchors=((10, 13), (16, 30), (10, -1))),
  ],
)
def test_refused_in_one_line(options):
  with pytest.raises(UserError) as error:
    yolo_v3.make(**options)
  assert len(str(error.value).splitlines()) <= 3


def test_answers_of_any_picture_lie_in_it():
  """Sides that 32 does not divide; what is left is within the picture, in order, and suppressed."""
  model = yolo_v3.make('mu', CLASSES, anchors=ANCHORS, score_threshold=0.0, max_detections=7)
  image, size = (
    jax.random.normal(jax.random.key(0), (2, 40, 70, 3)),
    jnp.array([[40, 70], [33, 50]]),
  )
  variables = jax.jit(model.init)(jax.random.key(1), image, size)

  @jax.jit
  def run(variables):
    out = model.apply(variables, image, size)
    return out, model.detect(out, size), model.detect(out, size, suppress=False)

  out, found, candidates = run(variables)
  assert out['boxes'].shape == (2, 3 * (8 * 12 + 4 * 6 + 2 * 3), 4)
  for answers in found, candidates:
    assert answers.boxes.shape == (2, 7, 4) and (answers.classes >= 0).all()
    assert (jnp.diff(answers.scores, axis=1) <= 0).all()
    assert (answers.boxes >= 0).all()
    assert (answers.boxes <= jnp.tile(size[:, None, ::-1], (1, 1, 2))).all()
