"""What is guessed of a text: counted where it counts, and drawn for each row by its number."""

import jax
import jax.numpy as jnp
import numpy as np

from vitlab.ops.masking import Places
from vitlab.tasks import _words

TOKENS = jnp.array([[3, 1, 4], [1, 5, 2]])
PLACES = Places(jnp.array([[2, 0], [1, 0]]), jnp.array([[True, True], [True, False]]))
LOGITS = 20.0 * jax.nn.one_hot(jnp.array([[4, 2], [5, 1]]), 6)  # right, wrong; right, not counted


def test_only_places_that_count_are_learned_and_guessed():
  value, count, loss, accuracy = _words.learned(LOGITS, TOKENS, PLACES)
  assert count == 3 and (float(accuracy[0]), accuracy[1]) == (2.0, 3)
  np.testing.assert_allclose(value, 20 / 3, rtol=1e-5)
  np.testing.assert_allclose(loss[0], 20, rtol=1e-5)
  found = _words.guessed(LOGITS, TOKENS, PLACES)
  assert found['target'].tolist() == [[4, 3], [5, 1]] and found['guess'].tolist() == [
    [4, 2],
    [5, 1],
  ]
  assert found['right'].tolist() == [[True, False], [True, False]]
  np.testing.assert_allclose(found['nll'].sum(), 20, rtol=1e-5)


def test_what_is_drawn_of_a_row_depends_on_its_number_alone():
  def draw(key, rows):
    return rows['x'] + jax.random.uniform(key, rows['x'].shape)

  rows = {'x': jnp.zeros((3, 2))}
  found = _words.by_index(draw, jnp.array([7, 8, 7]), rows)
  np.testing.assert_array_equal(found[0], found[2])
  assert (found[0] != found[1]).all()
  alone = _words.by_index(draw, jnp.array([8]), {'x': jnp.zeros((1, 2))})
  np.testing.assert_array_equal(alone[0], found[1])


def test_padding_has_no_part_in_the_mean_of_tokens():
  found = jnp.array([[[1.0], [3.0], [100.0]], [[5.0], [7.0], [9.0]]])
  real = jnp.array([[True, True, False], [False, False, False]])
  assert _words.mean_of_tokens(found, real).tolist() == [[2.0], [0.0]]
