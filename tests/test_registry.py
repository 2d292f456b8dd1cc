"""A spec finds the file of its name and becomes its keyword arguments."""

import pytest

from vitlab import registry
from vitlab.errors import UserError


def test_names_are_the_files():
  assert 'digits' in registry.names('data')
  assert not any(name.startswith('_') for name in registry.names('data'))


def test_make_passes_the_spec_and_what_is_given_beside_it():
  dataset = registry.make('data', {'name': 'digits'})
  assert dataset.facts['num_classes'] == 10
  evaluate = registry.make('evaluators', {'name': 'classification', 'bins': 3}, split='train')
  assert callable(evaluate)


@pytest.mark.parametrize(
  'spec, says',
  [
    ({}, 'needs a name, one of'),
    ({'name': 'digit'}, 'did you mean digits'),
    ({'name': 'idx', 'pth': 'x'}, 'did you mean path'),
  ],
)
def test_a_wrong_spec_says_what_exists(spec, says):
  with pytest.raises(UserError, match=says):
    registry.make('data', spec)
