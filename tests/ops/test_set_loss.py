"""DETR's loss is Hugging Face's, and its matching the best there is; every trap would be seen."""

from contextlib import nullcontext

import _helpers.detrs as detrs  # before what needs torchvision
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from scipy.optimize import linear_sum_assignment

from vitlab.errors import UserError
from vitlab.ops import set_loss
from vitlab.ops.boxes import Objects
from vitlab.tasks.detection import total

NUMBERS = np.random.default_rng(0)
LOGITS = NUMBERS.normal(0, 2, (2, 3, 7, 6))
BOXES = NUMBERS.uniform(0.1, 0.6, (2, 3, 7, 4))


def objects(size=detrs.SIZE):
  boxes, classes = map(jnp.asarray, (detrs.BOXES, detrs.CLASSES))
  return Objects(set_loss.relative(boxes, jnp.asarray(size)), classes)


def terms(logits, boxes, there=None, mask=(True, True), learned=7, no_object_weight=0.1):
  logits, boxes, mask = map(jnp.asarray, (logits, boxes, mask))
  return set_loss.terms(logits, boxes, there or objects(), mask, 7, learned, no_object_weight)


def theirs():
  """Their loss, its parts, and its gradients in logits and boxes."""
  leaves = [torch.tensor(x.swapaxes(0, 1), requires_grad=True) for x in (LOGITS, BOXES)]
  loss, parts = detrs.set_loss(*leaves)
  loss.backward()
  return float(loss.detach()), parts, [x.grad.transpose(0, 1).numpy() for x in leaves]


def test_terms_and_gradients_are_hugging_face_s(x64):
  loss, parts, grads = theirs()

  def whole(logits, boxes):
    found = terms(logits, boxes)
    return total(found), found

  both = jax.jit(jax.value_and_grad(whole, (0, 1), has_aux=True))
  (value, found), ours = both(jnp.asarray(LOGITS), jnp.asarray(BOXES))
  assert abs(value - loss) < 1e-12
  for name, other in {'class': 'loss_ce', 'box': 'loss_bbox', 'giou': 'loss_giou'}.items():
    assert abs(found[name].sum / found[name].count - parts[other]) < 1e-12
  for mine, their in zip(ours, grads):
    np.testing.assert_allclose(mine, their, atol=1e-12)


MATCH = set_loss.match
ONE_FOR_ALL = lambda *x: jnp.broadcast_to(MATCH(*x)[:, -1:], (2, 3, 3))  # noqa: E731
CORNERS = lambda boxes, size: boxes / jnp.tile(size[:, ::-1], 2)[:, None]  # noqa: E731
TRAPS = {
  'mean over predictions': lambda: terms(LOGITS, BOXES, no_object_weight=1.0),
  'no object first': lambda: terms(np.roll(LOGITS, 1, axis=-1), BOXES),
  'sides of the padded picture': lambda: terms(LOGITS, BOXES, objects(np.full((2, 2), 96))),
  'one matching for all layers': ('match', ONE_FOR_ALL),
  'distances of corners': ('relative', CORNERS),
  'other weights of the cost': ('match', lambda *x: MATCH(x[0] * 9, *x[1:])),
  'an overlap without its hull': ('box_ops.giou', set_loss.box_ops.iou),
}


@pytest.mark.parametrize('trap', TRAPS)
def test_a_mistake_would_be_seen(trap, monkeypatch, x64):
  loss, case = theirs()[0], TRAPS[trap]
  if isinstance(case, tuple):
    monkeypatch.setattr(f'vitlab.ops.set_loss.{case[0]}', case[1])
    case = lambda: terms(LOGITS, BOXES)  # noqa: E731
  assert abs(total(case()) - loss) > 1e-2


def test_the_matching_has_the_least_total_cost(x64):
  found = set_loss.match(jnp.asarray(LOGITS), jnp.asarray(BOXES), objects())
  probability = np.exp(LOGITS) / np.exp(LOGITS).sum(-1, keepdims=True)
  for b, (boxes, classes) in enumerate(zip(*map(np.asarray, objects()))):
    boxes, classes = boxes[classes >= 0], classes[classes >= 0]
    for layer in range(3):
      distance = abs(BOXES[b, layer][:, None] - boxes).sum(-1)
      corners = [set_loss.box_ops.cxcywh_to_xyxy(jnp.asarray(x)) for x in (BOXES[b, layer], boxes)]
      giou = np.asarray(set_loss.box_ops.pairwise_giou(*corners))
      cost = 5 * distance - probability[b, layer][:, classes] - 2 * giou
      rows, columns = linear_sum_assignment(cost)
      expected = np.full(3, -1)
      expected[columns] = rows
      np.testing.assert_array_equal(found[b, layer], expected)


@pytest.mark.parametrize('rows, refused', [(10, False), (11, True)])
def test_more_objects_than_queries_are_refused(rows, refused):
  """Rows are rounded up to a multiple of four: eleven hold eight objects or more, for 7 queries."""
  there = objects()
  more = [(0, 0), (0, rows - there.classes.shape[1])]
  there = Objects(
    jnp.pad(there.boxes, [*more, (0, 0)]), jnp.pad(there.classes, more, constant_values=-1)
  )
  with pytest.raises(UserError, match='num_queries=7 are fewer') if refused else nullcontext():
    jax.eval_shape(lambda *given: terms(*given, there), LOGITS, BOXES)


def test_pictures_that_do_not_count_weigh_nothing(x64):
  """Nor does what stands in their rows, in value and gradient."""
  alone = objects()._replace(classes=objects().classes.at[1].set(-1))

  def loss(logits, boxes, there):
    return total(terms(logits, boxes, there, mask=(True, False)))

  other = [np.concatenate([x[:1], NUMBERS.permutation(x[1:], axis=2)]) for x in (LOGITS, BOXES)]
  other = [jnp.asarray(x) for x in other]
  assert loss(*other, alone) == loss(LOGITS, BOXES, objects())
  for gradient in jax.grad(loss, (0, 1))(*other, objects()):
    assert (gradient[0] != 0).any() and not gradient[1].any()


def test_no_object_anywhere_is_a_loss_of_classes_alone(x64):
  nothing = objects()._replace(classes=jnp.full((2, 3), -1))
  found = terms(LOGITS, BOXES, nothing)
  assert found['class'].sum > 0 and found['auxiliary'].sum > 0
  assert found['box'].sum == found['giou'].sum == 0
  blank = terms(LOGITS, BOXES, nothing, mask=(False, False))
  assert total(blank) == 0 and jnp.isfinite(total(blank))


def test_groups_of_queries_are_matched_each_by_itself(x64):
  """Twice the same queries, in another order, have the loss of once."""
  order = [3, 0, 6, 5, 2, 1, 4]
  twice = [np.concatenate([x, x[:, :, order]], axis=2) for x in (LOGITS, BOXES)]
  one, two = terms(LOGITS, BOXES), terms(*twice, learned=14)
  for name, term in one.items():
    np.testing.assert_allclose(two[name].sum / two[name].count, term.sum / term.count, rtol=1e-12)


def test_what_is_told_is_compared_with_what_it_is_told_of(x64):
  """Without matching, without 'no object', in all layers, and not at all where nothing is."""
  there = objects()
  told = jnp.where(jnp.arange(6) == there.classes[..., None], 30.0, 0.0)
  told = jnp.broadcast_to(jnp.concatenate([told, told], axis=1)[:, None], (2, 3, 6, 6))
  boxes = jnp.broadcast_to(jnp.concatenate([there.boxes] * 2, axis=1)[:, None], (2, 3, 6, 4))
  both = [
    jnp.concatenate([jnp.asarray(x), y], axis=2) for x, y in zip((LOGITS, BOXES), (told, boxes))
  ]
  found = terms(*both)
  assert found['denoising'].count == 10 and abs(found['denoising'].sum) < 1e-9
  assert float(found['class'].sum) == float(terms(LOGITS, BOXES)['class'].sum)
  both[1] = both[1].at[:, :, -1].set(0.9)  # where the second picture has no object
  expected = 5 * abs(0.9 - there.boxes[0, 2]).sum()
  spoilt = terms(*both)['denoising'].sum / 3
  assert expected < spoilt < expected + 2 * 2
  both[1] = both[1].at[0, :, -1].set(there.boxes[0, 2])
  assert abs(terms(*both)['denoising'].sum) < 1e-9


def test_a_prediction_that_is_no_number_is_matched_last(x64):
  boxes = BOXES.copy()
  boxes[:, :, :4] = np.nan
  found = set_loss.match(jnp.asarray(LOGITS), jnp.asarray(boxes), objects())
  assert (found[0] >= 4).all() and (found[1, :, :2] >= 4).all() and (found[1, :, 2] == -1).all()


def test_objects_that_change_their_query_in_the_last_layer_are_counted_and_weigh_nothing():
  both = jnp.asarray(LOGITS), jnp.asarray(BOXES)
  there = np.asarray(objects().classes) >= 0
  queries = np.asarray(set_loss.match(*both, objects()))
  found = terms(*both)['rematched']
  assert float(found.sum) == (queries[:, -1] != queries[:, -2])[there].sum() > 0
  assert float(found.count) == there.sum() and found.weight == 0
  alike = [x.at[:, -1].set(x[:, -2]) for x in both]
  assert float(terms(*alike)['rematched'].sum) == 0
  first = terms(*both, mask=(True, False))['rematched']
  assert (float(first.sum), float(first.count)) == (
    (queries[0, -1] != queries[0, -2])[there[0]].sum(),
    there[0].sum(),
  )
  # two groups of queries: as many objects again
  groups = [jnp.concatenate([x, x], axis=2) for x in both]
  doubled = terms(*groups, learned=14)['rematched']
  assert (float(doubled.sum), float(doubled.count)) == (2 * float(found.sum), 2 * there.sum())
