"""Sizes of ViTs as numbers and as words."""

import pytest

from vitlab import registry
from vitlab.models.vit import VARIANTS
from vitlab.pretrained.families._vit_sizes import ratio, resolve, sizes


@pytest.mark.parametrize('gated', [False, True])
@pytest.mark.parametrize('numbers', [*VARIANTS.values(), (48, 2, 4, 72)])
def test_there_and_back(numbers, gated):
  words = dict(name='vit', mlp='swiglu' if gated else 'gelu') | sizes(*numbers, (8, 4), gated)
  assert resolve(words) == (numbers, (8, 4))
  assert 'variant' in words and registry.make('models', words)


def test_a_size_that_has_a_name_is_called_by_it():
  assert sizes(384, 12, 6, 1536, (14, 14)) == dict(variant='S/14')


@pytest.mark.parametrize('width', [24, 384, 768, 1152, 1536])
def test_a_ratio_gives_the_number_back_when_it_is_rounded_down(width):
  for hidden in range(1, 9000):
    assert int(width * ratio(hidden, width)) == hidden
