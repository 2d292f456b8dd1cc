"""From somebody's BERT to a tagger of one's own words, and back out."""

import _helpers.torchvision_shim  # noqa: F401  isort: skip
import jax
import numpy as np
import pytest
from _helpers import berts, runs, text

from vitlab.predict import evaluation, token_classification, trained
from vitlab.train import init_from
from vitlab.train import run as engine

ONE = jax.devices()[:1]
LINES = text.sentences(120, longest=6)[0]
TAGS = {'dog': 'B-ANIMAL', 'cat': 'B-ANIMAL', 'wall': 'B-THING'}


def conll(lines, tags=TAGS):
  texts = (
    [f'{word} {tags.get(word.strip(".!"), "O")}\n' for word in line.split()] for line in lines
  )
  return ''.join(''.join(rows) + '\n' for rows in texts)


@pytest.fixture(scope='module')
def root(tmp_path_factory):
  """Words with tags, a BERT without a head, and a tagger that was made of it."""
  root = tmp_path_factory.mktemp('tags')
  words = dict(max_position_embeddings=32, hidden_dropout_prob=0.0)
  berts.publish(root / 'bare', 'bare', berts.vocabulary(LINES), **words)
  (root / 'data').mkdir()
  (root / 'data' / 'train.conll').write_text(conll(LINES[:90]))
  (root / 'data' / 'test.conll').write_text(conll(LINES[90:]))
  engine.train(config(root), str(root / 'run'), devices=ONE)
  return root


def config(root, path='data'):
  found = runs.config(
    data=dict(
      name='labelled_tokens',
      path=str(root / path),
      tokenizer=str(root / 'bare'),
      max_length=24,
      cache=str(root / 'cache'),
    ),
    model=dict(name='bert', vocab_size=None, num_classes=None, head='tokens', dropout_rate=0.0),
    task=dict(name='token_classification', num_classes=None),
    evaluators=dict(test=dict(name='entities', class_names=None, every='100%')),
    duration='200 steps',
    batch_size=16,
    ema_decay=0.0,
    log_every='20 steps',
    optim__learning_rate=3e-3,
    checkpoint__every='100%',
    checkpoint__best='test/f1',
  )
  found.init_from = dict(path=str(root / 'bare'), head='new')
  return found


def test_it_learns_and_tags_lines_as_it_was_taught(root, tmp_path):
  result = runs.result(root / 'run')['metrics']
  assert result['test/f1'] > 0.95 and result['test/accuracy'] > 0.95
  model = trained.load(str(root / 'run'))
  tag = token_classification.Tagger(model)
  for line in tag(LINES[90:100]):
    assert list(line.tags) == [TAGS.get(word.strip('.!'), 'O') for word in line.words]


def test_tags_in_another_order_are_the_same_by_their_names(root):
  """Of a file without things: what the run calls 2 is 1 here."""
  (root / 'few').mkdir()
  tags = {word: tag for word, tag in TAGS.items() if tag != 'B-THING'}
  lines = [line for line in LINES if 'wall' not in line]
  for split in ('train', 'test'):
    (root / 'few' / f'{split}.conll').write_text(conll(lines, tags))
  filled, _ = init_from.resolve(config(root, 'few'), str(root / 'run'))
  found = evaluation.evaluate(str(root / 'run'), filled)
  assert found['test/accuracy'] > 0.95 and np.isfinite(found['test/loss'])
