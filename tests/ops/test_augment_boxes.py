import jax
import jax.numpy as jnp
import pytest

from vitlab.errors import UserError
from vitlab.ops import augment_boxes


def test_the_empty_pipeline_changes_nothing():
  sample = augment_boxes.Sample(
    jnp.ones((1, 4, 4, 1)),
    jnp.array([[4, 4]]),
    jnp.ones((1, 2, 4)),
    jnp.array([[0, -1]]),
  )
  assert augment_boxes.compile('')(jax.random.key(0), sample) is sample


def test_what_there_is_not_is_named():
  with pytest.raises(UserError, match='turn'):
    augment_boxes.compile('turn')
