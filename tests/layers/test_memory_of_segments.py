"""What segments leave to each other: the newest tokens, as many as there is room for."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vitlab.layers.memory import empty

TEXT = np.random.default_rng(0).normal(size=(2, 12, 3)).astype(np.float32)


def after(memory, *lengths):
  """The memory of two blocks, of which the second had the negative of what the first had."""
  place = 0
  for length in lengths:
    part = jnp.asarray(TEXT[:, place : place + length])
    memory, place = memory.then([part, -part]), place + length
  return memory


@pytest.mark.parametrize('places, lengths', [(5, (3, 2)), (5, (2, 2, 2)), (5, (7,)), (5, (2,))])
def test_the_newest_are_kept_in_their_order_however_they_came(places, lengths):
  memory = after(empty(2, 2, places, 3, jnp.float32), *lengths)
  read, kept = sum(lengths), min(sum(lengths), places)
  for block, sign in enumerate((1, -1)):
    found = memory.inputs[:, block, places - kept :]
    np.testing.assert_array_equal(found, sign * TEXT[:, read - kept : read])
  np.testing.assert_array_equal(memory.length, [kept, kept])


def test_places_that_are_not_written_are_no_keys():
  memory = after(empty(2, 2, 4, 3, jnp.float32), 1)
  memory = memory._replace(length=memory.length.at[1].set(0))
  mask = memory.written(2)
  assert mask.shape == (2, 1, 1, 6)
  np.testing.assert_array_equal(mask[0, 0, 0], [False, False, False, True, True, True])
  np.testing.assert_array_equal(mask[1, 0, 0], [False, False, False, False, True, True])


def test_a_memory_of_no_places_stays_empty():
  memory = after(empty(2, 2, 0, 3, jnp.float32), 3)
  assert memory.inputs.shape == (2, 2, 0, 3) and not memory.length.any()
  assert memory.written(3).all()


def test_no_gradient_enters():
  def total(x):
    return (empty(2, 1, 4, 3, jnp.float32).then([x]).inputs ** 2).sum()

  assert not jax.grad(total)(jnp.asarray(TEXT)).any()
