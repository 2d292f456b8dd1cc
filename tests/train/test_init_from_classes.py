"""The classes of weights are those of the data by name: in evaluation, as a teacher, in a start.

Two colours decide everything here: a model that knows them is right about all pictures, and one
whose classes have changed places about none.
"""

import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from _helpers import photos, runs
from safetensors.numpy import load_file, save_file

from vitlab import pretrained
from vitlab.cli import config_file
from vitlab.errors import UserError
from vitlab.predict import evaluation, trained
from vitlab.predict import folder as folder_lib
from vitlab.train import init_from as start_lib
from vitlab.train import setup
from vitlab.train import weights as weights_lib
from vitlab.train.run import train

ONE = jax.devices()[:1]
FORMATS = ('timm', 'huggingface')


def config(path, **overrides):
  settings = dict(
    data=dict(name='folder', path=str(path), image_size=8),
    batch_size=8,
    duration='30 steps',
    task=dict(name='classification', num_classes=None),
    evaluators=dict(test=dict(name='classification', every='30 steps')),
    model__dropout_rate=0.0,
    model__num_classes=None,
    ema_decay=0.0,
  )
  return runs.config(**settings | overrides)


@pytest.fixture(scope='module')
def root(tmp_path_factory):
  """Pictures, a run that knows them, and what it exports with both classes in the other order."""
  root = tmp_path_factory.mktemp('classes')
  photos.write(root / 'photos', cat='red', dog='blue')
  train(config(root / 'photos'), str(root / 'run'), devices=ONE)
  for format in FORMATS:
    folder = pathlib.Path(folder_lib.export(trained.load(str(root / 'run')), format))
    folder.rename(root / format)
    swap(root / format)
  return root


def swap(folder):
  """Exchanges the places of both classes: in the head and in the names."""
  tensors = load_file(folder / 'model.safetensors')
  for name in tensors:
    if name.startswith(('head.', 'classifier.')):
      tensors[name] = np.ascontiguousarray(tensors[name][::-1])
  save_file(tensors, folder / 'model.safetensors', metadata={'format': 'pt'})
  name_classes(folder, ['dog', 'cat'])


def name_classes(folder, names):
  known = json.loads((folder / 'config.json').read_text())
  if 'label_names' in known:
    known['label_names'] = names
  else:
    known['id2label'] = {str(i): name for i, name in enumerate(names)}
  (folder / 'config.json').write_text(json.dumps(known))


def accuracy(folder, config):
  if weights_lib.is_published(folder):
    config.init_from = folder
    config, _ = start_lib.resolve(config)
  return evaluation.evaluate(folder, config)['test/accuracy']


def test_data_with_some_of_the_classes_in_another_place(root, tmp_path):
  assert accuracy(str(root / 'run'), config(root / 'photos')) == 1
  photos.write(tmp_path / 'one', dog='blue', **{'~cat': 'red'})
  with pytest.raises(UserError) as error:
    accuracy(str(root / 'run'), config(tmp_path / 'one'))
  said = f"{root}/run knows the classes 'cat', 'dog'; the data have 'dog', '~cat'; unknown to it: "
  assert str(error.value).startswith(said + "'~cat'\n")
  assert len(str(error.value).splitlines()) == 2
  by_position = config(tmp_path / 'one', match_classes='position')
  assert accuracy(str(root / 'run'), by_position) == 0


def test_data_with_fewer_classes_than_the_model(root, tmp_path):
  photos.write(tmp_path / 'three', ant='green', cat='red', dog='blue')
  train(config(tmp_path / 'three', duration='40 steps'), str(tmp_path / 'run'), devices=ONE)
  assert accuracy(str(tmp_path / 'run'), config(root / 'photos')) == 1


@pytest.mark.parametrize('format', FORMATS)
def test_published_weights_in_another_order(root, format, tmp_path, caplog):
  folder = str(root / format)
  assert trained.load(folder).facts['class_names'] == ['dog', 'cat']
  assert accuracy(folder, config(root / 'photos')) == 1
  assert not caplog.records
  photos.write(tmp_path / 'other', dog='blue', emu='red')
  with pytest.raises(
    UserError, match="'dog', 'cat'; the data have 'dog', 'emu'; unknown .*: 'emu'"
  ):
    accuracy(folder, config(tmp_path / 'other'))


def start(path, folder, **overrides):
  filled, sources = start_lib.resolve(config(path, **overrides))
  built = setup.build(filled, ONE, sources=sources)
  return built, built.init().variables


def right(built, variables):
  """Of the pictures: by what the first head of a player's model says."""
  source = built.split('test')
  batch = {
    key: jnp.stack([source[i][key] for i in range(len(source))]) for key in ('image', 'label')
  }
  logits = built.task.predict['logits'](variables, batch)
  return float((logits.argmax(-1) == batch['label']).mean())


@pytest.mark.parametrize('format', [*FORMATS, 'run'])
def test_a_head_that_is_kept_gets_the_order_of_the_data(root, format, tmp_path):
  path = str(root / format)
  built, variables = start(root / 'photos', path, init_from=path)
  assert right(built, variables) == 1
  teacher = dict(name='vit', variant='Ti/4', width=8, depth=1, num_heads=2, mlp_dim=8)
  task = dict(name='distillation', task=dict(name='classification', num_classes=None))
  task |= dict(teacher=teacher | dict(num_classes=None))
  built, taught = start(root / 'photos', path, task=task, init_from=dict(teacher=path))
  for a, b in zip(*(jax.tree.leaves(x['params']) for x in (taught['teacher'], variables['model']))):
    np.testing.assert_array_equal(a, b)


def test_other_classes_start_a_new_head_or_by_position(root, tmp_path):
  path = str(root / 'timm')
  photos.write(tmp_path / 'other', emu='red', fox='blue')
  with pytest.raises(UserError) as error:
    start(tmp_path / 'other', path, init_from=path)
  lines = str(error.value).splitlines()
  assert "'dog', 'cat'; the data have 'emu', 'fox'; unknown to it: 'emu', 'fox'" in lines[0]
  assert 'match_classes=position' in lines[1] and "head='new'" in lines[2] and len(lines) == 3
  built, variables = start(tmp_path / 'other', path, init_from=path, match_classes='position')
  assert right(built, variables) == 0  # 'dog' became 'emu': as was asked for
  _, new = start(tmp_path / 'other', path, init_from=dict(path=path, head='new'))
  assert not np.any(new['model']['params']['head']['kernel'])
  _, new = start(tmp_path / 'other', path, init_from=dict(path=path, fresh='params/head/'))
  assert not np.any(new['model']['params']['head']['kernel'])


def test_weights_without_names_are_taken_by_position_with_one_word(root, tmp_path, caplog):
  path = root / 'huggingface'
  before = (path / 'config.json').read_text()
  try:
    name_classes(path, ['LABEL_0', 'LABEL_1'])
    assert accuracy(str(path), config(root / 'photos')) == 0
    assert [r.message for r in caplog.records] == [
      f'{path}: classes without names are known by their position alone'
    ]
  finally:
    (path / 'config.json').write_text(before)


def test_both_heads_of_a_deit_are_put_in_order_and_nothing_else():
  head = dict(kernel=np.array([[1.0, 2.0]]), bias=np.array([3.0, 4.0]))
  params = dict(head=head, head_dist=head, norm=dict(bias=np.array([5.0, 6.0])))
  about = pretrained.About(dict(name='vit', num_classes=2), None, ('dog', 'cat'))
  load = lambda like, **_: dict(params=params, batch_stats=dict(mean=np.ones(2)))  # noqa: E731
  weights = weights_lib.Weights('weights', about, load, frozenset(), {})
  found = weights.load(dict(params=params), dict(class_names=['cat', 'dog']))
  for name in ('head', 'head_dist'):
    np.testing.assert_array_equal(found['params'][name]['kernel'], [[2, 1]])
    np.testing.assert_array_equal(found['params'][name]['bias'], [4, 3])
  np.testing.assert_array_equal(found['params']['norm']['bias'], [5, 6])
  np.testing.assert_array_equal(params['head']['bias'], [3, 4])
  np.testing.assert_array_equal(found['batch_stats']['mean'], [1, 1])


def test_an_encoder_keeps_classes_of_its_own():
  """Three, of which the ten of the data are none; its spec leaves their number to its weights."""
  params = dict(head=dict(kernel=np.ones((2, 3)), bias=np.arange(3.0)))
  spec = dict(name='vit', variant='mu/2', num_classes=3)
  about = pretrained.About(spec, None, ('red', 'green', 'blue'))
  load = lambda like, **_: dict(params=params)  # noqa: E731
  weights = weights_lib.Weights('weights', about, load, frozenset(), {})
  facts = dict(num_classes=10, class_names=[str(i) for i in range(10)])
  found = weights.load(dict(params=params), facts)
  np.testing.assert_array_equal(found['params']['head']['bias'], [0, 1, 2])
  settings = config_file.load('configs/sagan_digits.py:smoke,encoder=weights')
  filled = start_lib.fill(settings, {'encoder': weights})
  assert filled.task.encoder.to_dict() == spec
  facts = dict(num_classes=3, class_names=['blue', 'green', 'red'])  # the same ones, in its order
  np.testing.assert_array_equal(
    weights.load(dict(params=params), facts)['params']['head']['bias'], [2, 1, 0]
  )
