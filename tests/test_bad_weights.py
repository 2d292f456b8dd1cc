"""What people get wrong with weights: each is answered as `test_bad_inputs` says."""

import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from _helpers.refusal import refused
from _helpers.specs import SENTENCES, tree_of
from PIL import Image

from vitlab import pretrained, registry
from vitlab.cli import command_line

DIGITS = '--config=configs/vit_digits.py:smoke'
REVERSE = '--config={tmp}/reverse.py'  # which leaves its model to the weights
REVERSE_PY = """
from vitlab.config import base


def get_config():
  config = base()
  config.duration, config.batch_size = '1 epochs', 32
  config.data = dict(name='reverse', train=64, test=32)
  config.model = dict(vocab_size=None)
  config.task = dict(name='translation')
  config.optim = dict(name='sgd', learning_rate=1e-3)
  return config
"""

# Given -> named. {tmp} is the folder of `world`.
ARGUMENTS = {
  'weights missing': ([DIGITS, '--config.init_from={tmp}/nowhere'], 'no weights at'),
  'weights damaged': ([DIGITS, '--config.init_from={tmp}/broken.npz'], 'damaged or cut short'),
  'weights cut short': ([DIGITS, '--config.init_from={tmp}/short'], 'cut short'),
  'weights in a pickle': ([DIGITS, '--config.init_from={tmp}/pickle'], 'is a pickle'),
  'weights of nobody': ([DIGITS, '--config.init_from={tmp}/pictures.npz'], 'neither a config.json'),
  'weights of a stranger': ([DIGITS, '--config.init_from={tmp}/convnext'], "says 'convnext_tiny'"),
  'weights of another model': (
    [DIGITS, '--config.init_from={tmp}/vit'],
    'config.model contradicts the weights',
  ),
  'pickle to predict': (['--mode=predict', '--workdir={tmp}/pickle', '{tmp}/one.png'], 'a pickle'),
  'tensors left over': (
    ['--mode=predict', '--workdir={tmp}/left', '{tmp}/one.png'],
    'missing: head.bias',
  ),
  'vectors with a wrong header': (
    ['--mode=predict', '--workdir={tmp}/vectors.txt', '{tmp}/words'],
    'says 3 words, and holds 1',
  ),
  'no words in a text': (
    ['--config=configs/word2vec_text.py:{tmp}/words'],
    '0 occur 5 times',
  ),
  'no text for words': (['--config=configs/word2vec_text.py'], 'give a text'),
  'weights to train in': ([DIGITS, '--workdir={tmp}/vit'], 'holds weights of somebody, not a run'),
  'weights to evaluate as another model': (
    ['--mode=eval', DIGITS, '--config.model.depth=9', '--workdir={tmp}/vit'],
    'config.model contradicts the weights',
  ),
  'features of no weights': (
    ['--config=configs/features.py:path={tmp}', '--workdir={tmp}/run'],
    '--mode=eval --workdir=WEIGHTS',
  ),
  'weights of sentences for pictures': (
    [DIGITS, '--config.init_from={tmp}/marian'],
    'the weights in',
  ),
  'weights of other words': (
    [REVERSE, '--config.init_from={tmp}/marian'],
    'have 9 words, the model 14',
  ),
  'weights of words that nobody knows': (
    [REVERSE, '--config.init_from={tmp}/wordless'],
    'no vocab.json says which token is <unk>',
  ),
  'weights of sentences to label pictures': (
    ['--mode=predict', '--workdir={tmp}/marian', '{tmp}/one.png'],
    'is not UTF-8',
  ),
  'sentences in a format of pictures': (
    ['--mode=export', '--workdir={tmp}/marian', '--format=timm'],
    'huggingface',
  ),
  'format of nobody': (['--mode=export', '--workdir={tmp}/vit', '--format=onnx'], 'huggingface'),
  'format that cannot hold it': (
    ['--mode=export', '--workdir={tmp}/gap', '--format=huggingface'],
    'cannot say this pool',
  ),
}


@pytest.fixture(scope='module')
def world(tmp_path_factory):
  """Weights as timm keeps them, and some that are wrong in all the ways of the table."""
  tmp = tmp_path_factory.mktemp('world')
  (tmp / 'broken.npz').write_bytes(b'no archive')
  np.savez(tmp / 'pictures.npz', train_image=np.zeros(3))
  Image.new('RGB', (8, 8)).save(tmp / 'one.png')
  for name, words in dict(vit={}, gap=dict(pool='gap', class_token=False)).items():
    spec = dict(name='vit', variant='mu/4', num_classes=3, mlp='gelu') | words
    module = registry.make('models', spec)
    like = jax.eval_shape(module.init, jax.random.key(0), jnp.zeros((1, 8, 8, 3)))
    zeros = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), like)
    about = pretrained.About(spec, pretrained.Preprocessing((8, 8), 'squash', 1.0))
    pretrained.write(tmp / name, zeros, about, 'timm')
  spec = SENTENCES['transformer'] | dict(norm_epsilon=1e-5)
  pretrained.write(tmp / 'marian', tree_of(spec, ()), pretrained.About(spec, None), 'huggingface')
  shutil.copytree(tmp / 'marian', tmp / 'wordless')
  config = (tmp / 'marian' / 'config.json').read_text().replace('unk_token_id', '_unknown')
  (tmp / 'wordless' / 'config.json').write_text(config)
  (tmp / 'reverse.py').write_text(REVERSE_PY)
  whole = (tmp / 'vit' / 'model.safetensors').read_bytes()
  for name in ('short', 'pickle', 'convnext', 'left'):
    shutil.copytree(tmp / 'vit', tmp / name)
  (tmp / 'short' / 'model.safetensors').write_bytes(whole[:5000])
  (tmp / 'pickle' / 'model.safetensors').rename(tmp / 'pickle' / 'pytorch_model.bin')
  (tmp / 'convnext' / 'config.json').write_text('{"architecture": "convnext_tiny"}')
  (tmp / 'left' / 'model.safetensors').write_bytes(whole.replace(b'"head.bias"', b'"haed.bias"'))
  (tmp / 'vectors.txt').write_text('3 2\na 1 2\n')
  (tmp / 'words').write_text('dog\n')
  return tmp


@pytest.mark.parametrize('arguments, named', ARGUMENTS.values(), ids=ARGUMENTS)
def test_a_wrong_command_line(arguments, named, world, tmp_path, capsys, monkeypatch):
  monkeypatch.setattr(command_line.machine, 'prepare', lambda **_: None)
  arguments = [text.replace('{tmp}', str(world)) for text in arguments]
  workdir = tmp_path / 'run'
  if '--workdir' not in str(arguments):
    arguments.append(f'--workdir={workdir}')
  refused(capsys, arguments, named, workdir)
