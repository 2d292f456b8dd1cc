"""A spec finds the file of its name and becomes its keyword arguments."""

import types

import pytest

from vitlab import registry
from vitlab.errors import UserError


def test_names_are_the_files():
  assert 'digits' in registry.names('data.sets')
  assert not any(name.startswith('_') for name in registry.names('data.sets'))


def test_make_passes_the_spec_and_what_is_given_beside_it():
  dataset = registry.make('data.sets', {'name': 'digits'})
  assert dataset.facts['num_classes'] == 10
  evaluate = registry.make('evaluators', {'name': 'classification', 'bins': 3}, split='train')
  assert callable(evaluate)


@pytest.mark.parametrize(
  'spec, says',
  [
    ({}, 'needs a name, one of'),
    ({'name': 'digit'}, 'did you mean digits'),
    ({'name': 'idx', 'pth': 'x'}, 'did you mean path'),
    ({'name': 'idx'}, 'data/sets/idx needs path'),
    ({'name': 'idx', 'path': None}, 'idx needs path: it is None.*\ngive it a value$'),
    ({'name': 'folder', 'path': 'x', 'resize': None}, "or leave it out: it is then 'crop'"),
  ],
)
def test_a_wrong_spec_says_what_exists(spec, says):
  with pytest.raises(UserError, match=says):
    registry.make('data.sets', spec)


@pytest.fixture
def echoes(monkeypatch):
  """Every component says how it was called."""

  def find(folder, name):
    if name == 'plain':
      return lambda width=1, model=None: (folder, name, width, model)
    return lambda backbone=None, task=None, teacher=None: (folder, name, backbone, task, teacher)

  monkeypatch.setattr(registry, 'find', find)


def test_a_spec_inside_a_spec_is_built_first(echoes):
  backbone = dict(name='plain', width=3)
  made = registry.make('models', dict(name='made_of_others', backbone=backbone))
  assert made == ('models', 'made_of_others', ('models', 'plain', 3, None), None, None)
  assert backbone == dict(name='plain', width=3)


def test_what_is_given_goes_to_the_innermost_of_the_folder(echoes):
  spec = dict(
    name='wrapper',
    task=dict(name='wrapper', task=dict(name='plain')),
    teacher=types.MappingProxyType(dict(name='plain', width=2)),
  )
  plain = ('tasks', 'plain', 1, 'student')
  teacher = ('models', 'plain', 2, None)
  inner = ('tasks', 'wrapper', None, plain, None)
  made = registry.make('tasks', spec, model='student')
  assert made == ('tasks', 'wrapper', None, inner, teacher)


def test_a_component_that_is_there_already_is_taken(echoes):
  made = registry.make('models', dict(name='made_of_others', backbone='a module'))
  assert made[2] == 'a module'


def test_a_wrong_spec_inside_a_spec_says_what_exists():
  backbone = dict(name='vit', variant='mu/2', patch_sze=3)
  with pytest.raises(UserError, match='models/vit.*did you mean patch_size'):
    registry.make('models', dict(name='vit', variant='mu/1', backbone=backbone))
