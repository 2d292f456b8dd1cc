"""Weights with all that travels with them: folders of others and runs of ours, in and out."""

import inspect
import re

import jax
import numpy as np
import pytest
from _helpers import parity, runs

from vitlab import pretrained, registry, workdir
from vitlab.data import pictures as pictures_lib
from vitlab.errors import UserError
from vitlab.train import weights as lib
from vitlab.train.run import train
from vitlab.workdir import model as model_lib

WAYS = 'dropout|drop_path|scan|remat|backward|memory|through_vectors'


@pytest.fixture(scope='module')
def run(tmp_path_factory):
  """A workdir of two steps whose ViT timm can hold."""
  folder = str(tmp_path_factory.mktemp('runs') / 'digits')
  config = runs.config(duration='2 steps', model__mlp='gelu', model__dropout_rate=0.0)
  config.evaluators = {}
  config.checkpoint.best = ''
  train(config, folder, devices=jax.devices()[:1])
  return folder


def test_what_a_run_does_to_pictures_is_what_preprocess_does(run):
  defaults = inspect.signature(pictures_lib.preprocess).parameters
  config = workdir.stored_config(run)
  _, facts, _ = model_lib.load(run, config)
  pictures = lib.about(config, facts).preprocessing.image()
  assert pictures.pop('image_size') == (8, 8) and pictures.pop('channels') == 1
  assert pictures == {name: defaults[name].default for name in pictures}


@pytest.mark.parametrize(
  'counts', [dict(name='transformer', vocab_size=2), dict(name='bert', vocab_size=2, num_classes=3)]
)
def test_other_words_are_refused_and_a_new_head_is_advised_where_it_helps(counts):
  words, head = dict(embedding=np.zeros((2, 4))), dict(kernel=np.zeros((4, 3)))
  params = dict(token_embedding=words, head=head)
  about = pretrained.About(counts, None, ('ant', 'bee', 'cat'), ('a', 'b'))
  weights = lib.Weights('weights', about, lambda like, **_: dict(params=params), frozenset(), {})
  facts = dict(vocabulary=['b', 'a'], class_names=['cat', 'bee', 'ant'])
  with pytest.raises(UserError, match='the same tokens would mean other words') as error:
    weights.load(dict(params=params), facts)
  assert ("head='new'" in str(error.value)) == ('num_classes' not in counts)
  loaded = weights.load(dict(params=params), facts | dict(vocabulary=['a', 'b']))['params']
  assert loaded['token_embedding'] is words


@pytest.mark.parametrize('name', registry.names('models'))
def test_how_a_model_is_trained_is_no_other_model(name):
  words = set(registry.keywords('models', name))
  ways = {word for word in words if re.search(WAYS, word)}
  assert ways | words & {'dtype'} <= lib.TRAINING


def test_a_run_is_weights_to_start_from(run):
  found = lib.find(run)
  assert 'dropout_rate' not in found.about.spec and found.about.spec['num_classes'] == 10
  assert found.describe()['step'] == 2
  _, _, variables = model_lib.load(run, workdir.stored_config(run))
  like = jax.eval_shape(lambda: variables['model'])
  assert parity.error(found.load(like), variables['model']) == 0
  assert 'head' not in found._replace(head='new').load(like)['params']


@pytest.mark.parametrize('head', ['class_head', 'region_class_head'])
def test_what_is_no_class_stays_where_it_is(head):
  """DETR's 'no object' behind the classes, Faster R-CNN's background before them."""
  params = {head: {'bias': np.arange(4.0)}}
  about = lib.About(dict(name='detr', num_classes=3), None, ('a', 'b', 'c'))
  source = lib.Weights('x', about, lambda like, **_: {'params': params}, frozenset(), {})
  loaded = source.load({'params': params}, dict(class_names=['c', 'a', 'b'], num_classes=3))
  expected = [2, 0, 1, 3] if head == 'class_head' else [0, 3, 1, 2]
  assert loaded['params'][head]['bias'].tolist() == expected
