"""Published weights in daily use: their features are computed once, and their model wins."""

import json
import pathlib

import numpy as np
import pytest
from _helpers import published
from PIL import Image

from vitlab.cli import config_file
from vitlab.errors import UserError
from vitlab.predict import evaluation
from vitlab.train import evaluate, init_from

CONFIGS = pathlib.Path(__file__).parents[2] / 'configs'


@pytest.fixture(scope='module')
def weights(tmp_path_factory):
  return str(published.save_huggingface(tmp_path_factory.mktemp('weights')))


@pytest.fixture(scope='module')
def photos(tmp_path_factory):
  """Two colours that any features tell apart, under names that the weights do not know."""
  folder, random = tmp_path_factory.mktemp('photos'), np.random.default_rng(0)
  for split, count in (('train', 20), ('test', 5)):
    for channel, name in enumerate(('red', 'green')):
      (folder / split / name).mkdir(parents=True)
      for i in range(count):
        image = random.integers(0, 60, (20, 30, 3), np.uint8)
        image[..., channel] += 190
        Image.fromarray(image).save(folder / split / name / f'{i}.png')
  return str(folder)


def run(name, photos, weights, overrides=(), output=''):
  config = config_file.load(f'{CONFIGS}/{name}.py:path={photos}', overrides)
  config, sources = init_from.resolve(init_from.of_weights(config, weights, overrides))
  return config, evaluation.evaluate(weights, config, output, sources=sources)


def test_features_of_weights_are_judged_without_training(weights, photos, tmp_path, capsys):
  output = tmp_path / 'numbers.json'
  config, metrics = run('features', photos, weights, output=str(output))
  assert metrics['neighbours/accuracy'] == metrics['probe/accuracy'] == 1.0
  assert json.loads(output.read_text()) == metrics
  assert 'probe/accuracy' in capsys.readouterr().out
  assert config.data.image_size == (published.SIZE, published.SIZE)


def test_a_head_that_knows_nothing_is_not_evaluated(weights, photos):
  with pytest.raises(UserError, match="predict function of the task 'logits'.*features"):
    run('features', photos, weights, ['--config.evaluators.probe.name=classification'])


@pytest.mark.parametrize('name', ['vit_folder', 'resnet_cifar10'])
def test_the_model_and_the_pictures_of_a_config_do_not_stand_against_weights(name, weights, photos):
  """But what a command line says does, and what data and evaluators are stays."""
  config = config_file.load(f'{CONFIGS}/{name}.py:path={photos}')
  config, _ = init_from.resolve(init_from.of_weights(config, weights))
  assert (config.model.name, config.model.width) == ('vit', 16)
  assert config.data.image_size == (published.SIZE, published.SIZE)
  assert config.data.resize == 'squash' and config.task.mean == (0.5, 0.5, 0.5)
  assert config.data.path == photos and set(config.evaluators) == {'test'}
  overrides = ['--config.model.variant=B/16']
  config = config_file.load(f'{CONFIGS}/{name}.py:path={photos}', overrides)
  with pytest.raises(UserError, match=r"contradicts .*variant='B/16'"):
    init_from.resolve(init_from.of_weights(config, weights, overrides))


class Counted:
  """Predictions that count how often a split is computed."""

  def __init__(self):
    self.computed = []

  def __call__(self, name, split):
    self.computed.append((name, split))
    for i in range(3):
      rows = dict(image=np.zeros((2, 4, 4)), label=np.array([i, i]), index=np.array([2 * i, 1]))
      if split == 'lines':
        rows['text'] = [dict(tokens='ein Satz')] * 2
      yield np.full((2, 8), i, np.float32), rows


def columns(rows):
  outputs, batches = zip(*rows)
  return np.concatenate(outputs), np.concatenate([batch['label'] for batch in batches])


def test_the_features_of_a_split_are_computed_once():
  source = Counted()
  predictions = evaluate.shared(source, ['image'])
  first = columns(predictions('features', 'test'))
  for one, other in zip(first, columns(predictions('features', 'test'))):
    np.testing.assert_array_equal(one, other)
  assert all('image' not in batch for _, batch in predictions('features', 'test'))
  columns(predictions('features', 'train'))
  assert all('image' in batch for _, batch in predictions('logits', 'test'))
  columns(predictions('logits', 'test'))
  for _ in range(2):
    assert [batch['text'][0]['tokens'] for _, batch in predictions('features', 'lines')][0]
  logits = [('logits', 'test')] * 2 + [('features', 'lines')]
  assert source.computed == [('features', 'test'), ('features', 'train'), *logits]


def test_what_is_too_large_or_was_not_read_to_the_end_is_computed_again():
  source = Counted()
  small = evaluate.shared(source, ['image'], limit=3 * 2 * (8 * 4 + 16))
  next(small('features', 'test'))
  for split in ('test', 'test', 'train', 'train'):
    features, label = columns(small('features', split))
    np.testing.assert_array_equal(features[:, 0], label)
  splits = [split for _, split in source.computed]
  assert splits == ['test', 'test', 'train', 'train']
