"""Every config builds at full size, documents itself, and its smoke variant learns."""

import ast
import pathlib
import re

import jax
import pytest

from vitlab import config as config_lib
from vitlab.engine import config_file, duration, experiment
from vitlab.engine.train import train
from vitlab.errors import UserError

ROOT = pathlib.Path(__file__).parents[1]
CONFIGS = sorted(ROOT.glob('configs/*.py'))
# Facts that the data would give; every other shape is in the config.
ARGUMENTS = {
  'vit_folder': 'path=photos',
  'finetune': 'weights=weights,path=photos',
  'transformer_multi30k': 'text',
  'rnn_multi30k': 'text',
  'rnn_attention_multi30k': 'text',
}
# What weights would decide.
WEIGHTS = {
  'finetune': {
    'model.name': 'vit',
    'model.variant': 'B/16',
    'task.mean': (0.5,),
    'task.std': (0.5,),
  }
}


def images(num_classes, height, width, channels):
  """Facts, a batch of four, and the shape of its logits."""
  batch = dict(image=((4, height, width, channels), 'uint8'), label=((4,), 'int32'))
  return dict(num_classes=num_classes), batch, (4, num_classes)


def sentences(vocab_size, length):
  batch = dict(tokens=((4, length), 'int32'), targets=((4, length), 'int32'))
  return dict(vocab_size=vocab_size), batch, (4, length, vocab_size)


DATA = {
  'vit_digits': images(10, 8, 8, 1),
  'vit_fashion_mnist': images(10, 28, 28, 1),
  'vit_cifar10': images(10, 32, 32, 3),
  'cifar10_small': images(10, 32, 32, 3),
  'vit_folder': images(7, 128, 128, 3),
  'finetune': images(7, 224, 224, 3),
  'vit_s16_imagenet': images(1000, 224, 224, 3),
  'deit3_s16_imagenet': images(1000, 224, 224, 3),
  'swin_t_imagenet': images(1000, 224, 224, 3),
  'tnt_s_imagenet': images(1000, 224, 224, 3),
  'resnet50_imagenet': images(1000, 224, 224, 3),
  'deit_s_imagenet': images(1000, 224, 224, 3),
  'resnet_cifar10': images(10, 32, 32, 3),
  'seq2seq_reverse': sentences(14, 21),
  'transformer_multi30k': sentences(4000, 64),
  'rnn_multi30k': sentences(4000, 64),
  'transformer_wmt14': sentences(37_000, 128),
  'rnn_attention_multi30k': sentences(4000, 64),
  'resnet_fashion_mnist': images(10, 28, 28, 1),
  'swin_fashion_mnist': images(10, 28, 28, 1),
  'tnt_fashion_mnist': images(10, 28, 28, 1),
}
# DeiT III has a class token without a position; big_vision's S/16 has neither, and fixed positions.
PARAMETERS = {
  'vit_s16_imagenet': 21_974_632,
  'deit3_s16_imagenet': 22_059_496,
  'deit_s_imagenet': 22_050_664,
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
  facts, batch, logits = DATA[path.stem]
  task = experiment.make_task(config, facts)
  batch = batch | {'mask': ((4,), 'bool')}
  shapes = {name: jax.ShapeDtypeStruct(*spec) for name, spec in batch.items()}
  variables = jax.eval_shape(task.init, jax.random.key(0), shapes)
  loss = jax.eval_shape(task.losses['model'], variables, shapes, jax.random.key(0))
  assert loss.value.shape == ()
  assert jax.eval_shape(task.predict['logits'], variables, shapes).shape == logits
  if path.stem in PARAMETERS:
    leaves = jax.tree.leaves(variables['model']['params'])
    assert sum(leaf.size for leaf in leaves) == PARAMETERS[path.stem]


@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: path.stem)
def test_a_config_lasts_a_number_of_steps(path):
  config = load(path, ARGUMENTS.get(path.stem, ''))
  options = dict(batch_size=config.batch_size, num_examples=1_000_000)
  total = duration.steps(config.duration, **options)
  specs = [config.optim.get('warmup', '1%'), config.checkpoint.every, config.log_every]
  specs += [spec.every for spec in config.evaluators.values()]
  assert all(duration.steps(text, **options, total=total) for text in specs)


@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: path.stem)
def test_a_config_says_command_hardware_and_number(path):
  text = ast.get_docstring(ast.parse(path.read_text()))
  assert len(text.partition('\n')[0]) <= 80
  assert f'--config=configs/{path.name}' in text
  assert re.search(r'^  hardware ', text, re.M)
  reached = re.search(r'^  time .*\n  reached ', text, re.M)
  published = re.search(r'^  published .* (%|BLEU).*; not run here$', text, re.M)
  assert reached or published


@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: path.stem)
def test_a_config_refuses_an_unknown_argument(path):
  with pytest.raises(UserError, match='unknown config argument'):
    load(path, 'bogus=1')


@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: path.stem)
def test_smoke_learns(path, tmp_path):
  config = load(path, 'smoke')
  result = train(config, str(tmp_path / 'run'), devices=jax.devices()[:1])
  accuracy = next(iter(result['metrics'][name] for name in result['metrics'] if 'accuracy' in name))
  assert set(config) == set(config_lib.base())
  assert accuracy > 0.3  # chance is 0.1
