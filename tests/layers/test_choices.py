"""Words of a config: what they stand for, and what is refused."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vitlab.errors import UserError
from vitlab.layers import choices


def test_rates_are_probabilities_below_one():
  choices.check_rates(dropout_rate=0.0, drop_path_rate=0.99)
  for rate in (-0.1, 1.0, 10.0):
    with pytest.raises(UserError, match=f'drop_path_rate={rate} is not a probability'):
      choices.check_rates(dropout_rate=0.0, drop_path_rate=rate)


def test_a_dtype_by_name():
  assert choices.compute_dtype('bfloat16') == jnp.bfloat16
  with pytest.raises(UserError, match='float33.*bfloat16'):
    choices.compute_dtype('float33')


def test_a_classifier_starts_with_a_guess_in_float32():
  head = choices.classifier(7, jnp.dtype('bfloat16'))
  x = jnp.ones((2, 3), jnp.bfloat16)
  logits = head.apply(head.init(jax.random.key(0), x), x)
  assert logits.dtype == jnp.float32
  np.testing.assert_array_equal(logits, np.zeros((2, 7)))
  assert choices.classifier(None, jnp.dtype('float32')) is None


class Size(NamedTuple):
  width: int
  num_heads: int
  depths: tuple[int, ...] = (2, 2)
  inner_width: int = 8
  inner_num_heads: int = 2


SIZES = {'S': Size(32, 4), 'B': Size(64, 8)}


def test_a_size_is_a_variant_with_the_numbers_that_a_config_gives():
  assert choices.pick_size('Net', SIZES, 'S', width=None, depths=None) == SIZES['S']
  found = choices.pick_size('Net', SIZES, 'B', width=24, num_heads=3, depths=[1, 2, 3])
  assert found == Size(24, 3, (1, 2, 3))


@pytest.mark.parametrize(
  'overrides, says',
  [
    (dict(variant='M'), "unknown Net variant 'M'"),
    (dict(width=30), 'the width 30 does not divide into 4 heads'),
    (dict(inner_num_heads=3), 'the width 8 does not divide into 3 heads'),
    (dict(num_heads=0), 'num_heads=0 needs to be 1 or more'),
    (dict(depths=(2, 0)), r'depths=\(2, 0\) need to be 1 or more'),
    (dict(depths=()), r'depths=\(\) need to be 1 or more'),
  ],
)
def test_a_size_that_cannot_be_is_refused(overrides, says):
  with pytest.raises(UserError, match=says):
    choices.pick_size('Net', SIZES, **{'variant': 'S', **overrides})


def test_a_word_is_one_of_those_that_are_possible():
  possible = dict(colour=('red', 'blue'), size=('small',))
  choices.check_words(possible, colour='blue', size='small')
  with pytest.raises(UserError, match="unknown colour 'bleu': did you mean blue"):
    choices.check_words(possible, colour='bleu', size='small')
