"""From somebody's BERT, or a run of ours, to a classifier of one's own texts, and back out."""

import pathlib

import _helpers.torchvision_shim  # noqa: F401  isort: skip
import jax
import numpy as np
import pytest
from _helpers import berts, runs, text
from safetensors.numpy import load_file

from vitlab.cli import config_file
from vitlab.errors import UserError
from vitlab.names import flatten
from vitlab.predict import folder as folder_lib
from vitlab.predict import masked_lm, text_classification, trained
from vitlab.train import init_from, setup
from vitlab.train import run as engine

ONE = jax.devices()[:1]
LINES = text.sentences(60)[0]
PIECES = berts.vocabulary(LINES)
LABELS = ['bad', 'good', 'so so']  # in the order of the data, which is that of the alphabet
CONFIG = pathlib.Path(__file__).parents[2] / 'configs' / 'bert_classify.py'
WORDS = 'embeddings.word_embeddings.weight'


@pytest.fixture(scope='module')
def root(tmp_path_factory):
  """A table of labelled texts, and folders of BERTs with one vocabulary: `pretraining`, ..."""
  root = tmp_path_factory.mktemp('berts')
  rows = [f'{line}\t{LABELS[i % 3]}\n' for i, line in enumerate(LINES)]
  (root / 'x.tsv').write_text('sentence\tlabel\n' + ''.join(rows))
  for kind in ('pretraining', 'masked', 'bare', 'texts'):
    words = dict(max_position_embeddings=32)
    if kind == 'texts':
      words |= dict(id2label=dict(enumerate(reversed(LABELS))))
    berts.publish(root / kind, kind, PIECES, **words)
  return root


def config(root, weights, length=24, **overrides):
  """The config that ships, with as little to do as can be."""
  found = config_file.load(f'{CONFIG}:weights={weights},path={root / "x.tsv"},length={length}')
  with found.unlocked():
    found.data.cache = str(root / 'cache')
    found.duration, found.log_every, found.batch_size = '3 steps', '1 steps', 8
    found.evaluators.test.every = '3 steps'
    for key, value in overrides.items():
      found[key] = value
  return found


def started(config):
  """The parameters of a run before its first step, and what makes them."""
  filled, sources = init_from.resolve(config)
  made = setup.build(filled, devices=ONE, sources=sources)
  return flatten(made.init().variables['model']['params']), made


@pytest.mark.parametrize('kind', ['pretraining', 'masked', 'bare'])
def test_a_new_head_is_put_on_what_somebody_has_trained(kind, root):
  params, made = started(config(root, root / kind))
  theirs = load_file(root / kind / 'model.safetensors')
  theirs = {name.removeprefix('bert.'): array for name, array in theirs.items()}
  np.testing.assert_array_equal(params['token_embedding/embedding'], theirs[WORDS])
  for number in range(2):
    name = f'encoder.layer.{number}.intermediate.dense.weight'
    np.testing.assert_array_equal(params[f'encoder/block_{number}/mlp/up/kernel'], theirs[name].T)
  pooler = np.asarray(params['pooler/kernel'])
  assert (kind == 'masked') == ('pooler.dense.weight' not in theirs)
  if kind == 'masked':
    assert 0.001 < pooler.std() < 0.05  # 0.02 when made, 0.3 in the files
  else:
    np.testing.assert_array_equal(pooler, theirs['pooler.dense.weight'].T)
  assert params['head/kernel'].shape == (16, 3) and np.std(params['head/kernel']) < 0.05
  assert not any('head/transform' in name or 'next' in name for name in params)
  assert made.dataset.facts['class_names'] == LABELS


def test_a_head_is_kept_with_its_classes_by_name(root):
  kept = dict(path=str(root / 'texts'), head='keep')
  params, _ = started(config(root, root / 'texts', init_from=kept))
  theirs = load_file(root / 'texts' / 'model.safetensors')
  np.testing.assert_array_equal(params['head/kernel'], theirs['classifier.weight'][::-1].T)
  np.testing.assert_array_equal(params['head/bias'], theirs['classifier.bias'][::-1])


@pytest.fixture(scope='module')
def guesser(root):
  """A run that guesses words of a text, and classes of it from its weights."""
  (root / 'book.txt').write_text('\n'.join(LINES * 3))
  data = dict(name='text', path=str(root / 'book.txt'), tokenizer='wordpiece', vocab_size=70)
  data |= dict(context=23, words=True, cache=str(root / 'cache'))
  model = dict(name='bert', vocab_size=None, variant='mu', max_length=24, pooler=False)
  settings = runs.config(
    data=data,
    model=model,
    task=dict(name='masked_lm', vocab_size=None, special=None),
    evaluators=dict(val=dict(name='masked_tokens', split='val', every='2 steps')),
    checkpoint__best='val/masked_accuracy',
    duration='2 steps',
    batch_size=8,
    ema_decay=0.0,
  )
  engine.train(settings, str(root / 'guesser'), devices=ONE)
  return root / 'guesser'


@pytest.fixture(scope='module')
def classifier(root, guesser):
  """A run that starts from that run."""
  folder = str(root / 'classifier')
  engine.train(config(root, guesser), folder, devices=ONE)
  return trained.load(folder)


def test_a_run_of_guesses_is_a_start_as_well(root, guesser):
  before = trained.load(str(guesser))
  params, made = started(config(root, guesser))
  theirs = flatten(before.variables['model']['params'])
  shared = [name for name in params if name.startswith(('encoder/', 'token_', 'segment_'))]
  assert len(shared) > 20
  for name in shared:
    np.testing.assert_array_equal(params[name], theirs[name])
  assert made.dataset.facts['tokenizer'] == before.facts['tokenizer']
  (best,) = masked_lm.Filler(before).fill(np.array([before.facts['special']['mask']]), 3)
  assert len(best) == 3 and best[0].probability >= best[1].probability


def test_it_is_evaluated_and_leaves_as_a_folder_that_transformers_reads(
  classifier, tmp_path, caplog
):
  row = runs.rows(classifier.workdir)[-1]
  assert {'test/accuracy', 'test/f1', 'test/matthews'} <= set(row)
  folder = folder_lib.export(classifier, 'huggingface', str(tmp_path / 'out'))
  theirs = berts.pipeline('text-classification', folder, top_k=None)
  mine, back = (
    list(text_classification.label(model, LINES[:5]))
    for model in (classifier, trained.load(folder))
  )
  for one, again, wanted in zip(mine, back, theirs(LINES[:5]), strict=True):
    assert dict(one.top) == pytest.approx(dict(again.top), abs=1e-6)
    wanted = {said['label']: said['score'] for said in wanted}
    assert dict(one.top) == pytest.approx(wanted, abs=1e-5) and set(wanted) == set(LABELS)


def test_another_vocabulary_is_refused_with_both_sizes(root):
  other = config(root, root / 'masked')
  with other.unlocked():
    other.data.tokenizer, other.data.vocab_size = 'wordpiece', 50
  sizes = rf'\(50 tokens\) is not the one that .* \({len(PIECES)} tokens\)'
  with pytest.raises(UserError, match=sizes):
    started(other)


def test_texts_longer_than_the_positions_are_refused_before_training(root):
  with pytest.raises(UserError) as error:
    started(config(root, root / 'masked', length=40))
  first = str(error.value).splitlines()[0]
  assert '32' in first and '40' in first
