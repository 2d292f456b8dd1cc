"""Small things that all families need to read and write config.json."""

import pytest

from vitlab.errors import UserError
from vitlab.pretrained.specs import all_words, count, named, refuse


def test_a_spec_has_the_defaults_of_its_make():
  words = all_words(dict(name='vit', variant='Ti/16', num_classes=3))
  assert (words['variant'], words['num_classes'], words['pool']) == ('Ti/16', 3, 'cls')


def test_their_words_are_listed():
  assert named('swish', {'swish': 'silu'}, 'activation') == 'silu'
  with pytest.raises(UserError, match="unknown activation 'gelu_2'.*possible are gelu, swish"):
    named('gelu_2', {'swish': 'silu', 'gelu': 'gelu'}, 'activation')


def test_what_a_format_cannot_hold_is_named():
  refuse('timm', pool=False, mlp='')
  with pytest.raises(UserError, match='timm has no such model: it cannot say this pool, rope'):
    refuse('timm', pool=True, mlp=False, rope=True)


def test_count():
  shapes = {'blocks.0.norm.weight': (1,), 'blocks.11.norm.weight': (1,), 'my.blocks.30.x': (1,)}
  assert count(shapes, 'blocks') == 12
  assert count(shapes, 'layers') == 0
