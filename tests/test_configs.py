"""Every config builds at full size, documents itself, and its smoke variant learns."""

import ast
import os
import pathlib
import re
import subprocess
import sys

import jax
import numpy as np
import pytest
from _helpers import photos, runs

from vitlab import config as config_lib
from vitlab import names, registry
from vitlab.cli import config_file
from vitlab.data import batches
from vitlab.errors import UserError
from vitlab.inspection import stand_in
from vitlab.train import duration, setup
from vitlab.train.run import train

ROOT = pathlib.Path(__file__).parents[1]
CONFIGS = sorted(ROOT.glob('configs/*.py'))
# Without which a config refuses to be read.
ARGUMENTS = {
  'vit_folder': 'path=photos',
  'word2vec_text': 'text.txt',
  'gpt_text': 'text.txt',
  'transformer_xl_enwik8': 'enwik8.txt',
  'bert_pretrain_text': 'text.txt',
  'xlnet_text': 'text.txt',
  'bert_classify': 'weights=bert,path=texts.csv',
  'bert_tag': 'weights=bert,path=tags.conll',
  'gpt2_small': 'text,tokenizer=gpt2',
  'reformer_enwik8': 'enwik8.zip',
  'finetune': 'weights=weights,path=photos',
  'features': 'path=photos',
  'faster_rcnn_small': 'path=cells',
  'detr_small': 'path=cells',
  'yolo_small': 'path=cells',
  'transformer_multi30k': 'text',
  'rnn_multi30k': 'text',
  'rnn_attention_multi30k': 'text',
}
# What weights would decide.
WEIGHTS = dict.fromkeys(
  ['finetune', 'features'],
  {
    'model.name': 'vit',
    'model.variant': 'B/16',
    'data.image_size': 224,
    'data.resize': 'crop',
    'task.mean': (0.5,),
    'task.std': (0.5,),
  },
)
# And a text.
WEIGHTS |= {
  'bert_classify': {'model.vocab_size': 30522},
  'bert_tag': {'model.vocab_size': 30522},
  'gpt_text': {'model.vocab_size': 65},
  'gpt2_small': {'model.vocab_size': 50257},
  'transformer_xl_enwik8': {'model.vocab_size': 256},
  'reformer_enwik8': {'model.vocab_size': 256},
}
# Of a smoke variant, where it is not a tenth.
CHANCE = {
  'bert_pretrain_text': 1 / 300,
  'xlnet_text': 1 / 300,
  'bert_classify': 1 / 2,
  'bert_tag': 4 / 5,
}


def example(config):
  """Facts and a batch of four as the config's own data spec says; zeros where files are needed."""
  with config.unlocked():
    if config.data.name == 'idx':  # whose files say the size
      config.data.update(image_size=28, channels=1)
    if 'num_classes' in config.model:  # else said by the folders
      config.model.num_classes = config.model.num_classes or 10
  dataset = stand_in.dataset(config)
  shapes = {**batches.shapes(dataset.splits['train']), 'mask': ((), 'bool')}
  batch = {key: jax.ShapeDtypeStruct((4, *shape), dtype) for key, (shape, dtype) in shapes.items()}
  return dataset.facts, batch


# DeiT III has a class token without a position; big_vision's S/16 has neither, and fixed positions.
PARAMETERS = {
  'vit_s16_imagenet': 21_974_632,
  'deit3_s16_imagenet': 22_059_496,
  'deit_s_imagenet': 22_050_664,
  'gpt2_small': 124_439_808,
  # 12 · 3,413,504 and 256 · 513; the paper says 41 million.
  'transformer_xl_enwik8': 41_093_376,
  # 6 · (3,152,384 + 4,204,032) and 37,000 · 512 by the sizes of table 3; it says 65 million.
  'transformer_wmt14': 63_082_496,
}


def load(path, arg=''):
  return config_file.load(f'{path}:{arg}' if arg else str(path))


@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: path.stem)
def test_a_config_builds_at_full_size(path):
  config = load(path, ARGUMENTS.get(path.stem, ''))
  with config.unlocked():
    config.update_from_flattened_dict(WEIGHTS.get(path.stem, {}))
  facts, batch = example(config)
  task = setup.make_task(config, facts)
  variables = jax.eval_shape(task.init, jax.random.key(0), batch)
  for player in task.losses:
    loss = jax.eval_shape(task.losses[player], variables, batch, jax.random.key(0))
    assert loss.value.shape == ()
  if 'logits' in task.predict:  # those that know classes or words
    classes = config.model.get('num_classes') or facts['vocab_size']
    rows = next(batch[key].shape for key in ('targets', 'label', 'tokens') if key in batch)
    if config.task.name == 'language_model':  # whose last token is a target alone
      rows = (rows[0], rows[1] - 1)
    assert jax.eval_shape(task.predict['logits'], variables, batch).shape == (*rows, classes)
  if path.stem in PARAMETERS:
    leaves = jax.tree.leaves([variables[player]['params'] for player in task.losses])
    assert sum(leaf.size for leaf in leaves) == PARAMETERS[path.stem]


def test_the_recipe_of_nanogpt_has_its_numbers_and_decays_what_it_decays():
  """Matrices and embeddings; 10.65 million is what it prints, without places and our biases."""
  config = load(ROOT / 'configs' / 'gpt_shakespeare_char.py', 'gpu,path=input.txt')
  model = setup.make_model(config, dict(vocab_size=65, context=config.data.context))
  tree = jax.eval_shape(model.init, jax.random.key(0), np.zeros((1, 2), np.int32))['params']
  shapes = names.flatten(tree)
  sizes = {name: leaf.size for name, leaf in shapes.items() if not name.endswith('bias')}
  assert sizes.pop('position_embedding/table') == 256 * 384
  assert sum(sizes.values()) == 10_646_784
  matched = names.matching(config.optim.decay_mask, shapes, 'decay_mask')
  assert matched == {name for name in shapes if not name.endswith(('bias', 'scale'))}
  assert model.dropout_rate == model.decoder.block.dropout_rate == 0.2
  assert model.decoder.block.attention.dropout_rate == 0.2


@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: path.stem)
def test_a_config_lasts_a_number_of_steps(path):
  config = load(path, ARGUMENTS.get(path.stem, ''))
  options = dict(batch_size=config.batch_size, num_examples=1_000_000)
  total = duration.steps(config.duration, **options)
  specs = [config.optim.get('warmup', '1%'), config.checkpoint.every, config.log_every]
  specs += [spec.every for spec in config.evaluators.values()]
  assert all(duration.steps(text, **options, total=total) for text in specs)


@pytest.mark.parametrize('epochs, name', [(11, 'vit'), (13, 'swin'), (16, 'tnt'), (8, 'resnet')])
def test_the_small_recipes_give_little_data_more_epochs(epochs, name):
  config = load(ROOT / 'configs' / f'{name}_fashion_mnist.py')

  def steps(examples):
    return duration.steps(config.duration, batch_size=config.batch_size, num_examples=examples)

  assert steps(60_000) == round(epochs * 60_000 / config.batch_size)
  assert steps(7000) == steps(800) > 2 * epochs * 7000 / config.batch_size


def test_the_small_recipes_read_files_of_mnist_and_pictures(tmp_path):
  pictures = photos.write(tmp_path / 'photos', count=1, cat='red', dog='blue')
  (tmp_path / 'files').mkdir()
  (tmp_path / 'files' / 'train-images-idx3-ubyte.gz').touch()
  found = {
    name: load(ROOT / 'configs' / 'vit_fashion_mnist.py', f'path={tmp_path / name}').data
    for name in ('photos', 'files', 'nowhere')
  }
  assert [one.name for one in found.values()] == ['folder', 'idx', 'idx']
  dataset = registry.make('data.sets', found['photos'].to_dict())
  assert found['photos'].path == pictures and dataset.facts['class_names'] == ['cat', 'dog']
  assert dataset.splits['test'][0]['image'].shape == (28, 28, 3)
  assert dataset.splits['test'].arrays  # decoded once


@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: path.stem)
def test_a_config_says_command_hardware_and_number(path):
  text = ast.get_docstring(ast.parse(path.read_text()))
  assert len(text.partition('\n')[0]) <= 80
  assert f'--config=configs/{path.name}' in text
  assert re.search(r'^  hardware ', text, re.M)
  reached = re.search(r'^  time .*\n  reached ', text, re.M)
  published = re.search(r'^  published .* (%|BLEU|nats|bits|FID).*; not run here$', text, re.M)
  assert reached or published


@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: path.stem)
def test_a_config_refuses_an_unknown_argument(path):
  with pytest.raises(UserError, match='unknown config argument'):
    load(path, 'bogus=1')


def test_what_configs_share_is_found_from_any_folder_and_is_no_config(tmp_path):
  command = [sys.executable, ROOT / 'launch.py', f'--config={CONFIGS[-1]}:bogus=1']
  environment = {key: value for key, value in os.environ.items() if key != 'PYTHONPATH'}
  done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
  assert 'unknown config argument' in done.stderr
  shared = sorted(ROOT.glob('configs/common/*.py'))
  assert shared
  assert not {str(path) for path in shared} & config_file.describe_all(str(ROOT / 'configs')).keys()
  for path in shared:
    with pytest.raises(UserError, match='has no function get_config'):
      load(path)


@pytest.fixture(scope='module')
def smoke_run(tmp_path_factory):
  """config -> workdir and result of its run; configs that are the same share one."""

  done = {}

  def run(config):
    key = config.to_json_best_effort(sort_keys=True)
    if key not in done:
      folder = tmp_path_factory.mktemp('smoke') / 'run'
      done[key] = folder, train(config, str(folder), devices=jax.devices()[:1])
    return done[key]

  return run


@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: path.stem)
def test_smoke_learns(path, smoke_run):
  config = load(path, 'smoke')
  folder, result = smoke_run(config)
  assert set(config) == set(config_lib.base())
  accuracies = [value for name, value in result['metrics'].items() if 'accuracy' in name]
  drawn = [row['test/frechet'] for row in runs.rows(folder) if 'test/frechet' in row]
  if drawn:  # by two players, whose losses are no measure of what they learn
    assert drawn[-1] < 0.8 * drawn[0]
  elif accuracies:
    chance = CHANCE.get(path.stem, 0.1)
    assert accuracies[0] > min(3 * chance, (1 + chance) / 2)
  else:
    losses = [row['train/loss'] for row in runs.rows(folder) if 'train/loss' in row]
    assert losses[-1] < 0.7 * losses[0]
