"""Runs that learn word vectors: stopped and continued, on one device and on eight."""

import functools

import jax
import numpy as np
import pytest
from _helpers import runs

from vitlab import workdir
from vitlab.hosts import preemption
from vitlab.hosts.preemption import Preempted
from vitlab.predict import embedding, trained
from vitlab.train import run as engine

train = functools.partial(engine.train, devices=jax.devices()[:1])


@pytest.fixture(scope='module')
def text(tmp_path_factory):
  path = tmp_path_factory.mktemp('text') / 'text.txt'
  words = np.random.default_rng(0).zipf(1.4, 4_000) % 40
  path.write_text('\n'.join(' '.join(f'w{w}' for w in line) for line in np.split(words, 100)))
  return str(path)


def config(text, **overrides):
  words = dict(
    data=dict(name='word_windows', path=text, row=100, window=2, min_count=1, subsample=1e-2),
    model=dict(name='word2vec', vocab_size=None, width=8),
    task=dict(name='embedding', counts=None, window=None, shared=8),
    optim=dict(name='adagrad', learning_rate=0.3, initial_accumulator_value=1e-6),
    evaluators={},
    checkpoint__best='',
    duration='8 steps',
    batch_size=8,
    log_every='1 steps',
  )
  return runs.config(**words | overrides)


@pytest.fixture(scope='module')
def whole(text, tmp_path_factory):
  folder = tmp_path_factory.mktemp('whole') / 'run'
  train(config(text), str(folder))
  return folder


def losses(folder):
  return [row['train/loss'] for row in runs.rows(folder)]


def test_a_stopped_run_continues_to_the_same_end(whole, text, tmp_path, monkeypatch):
  monkeypatch.setattr(preemption.StopSignal, 'at_step', lambda self, now: now >= 3)
  with pytest.raises(Preempted):
    train(config(text), str(tmp_path / 'run'))
  monkeypatch.undo()
  train(config(text), str(tmp_path / 'run'))
  assert losses(tmp_path / 'run') == losses(whole)
  np.testing.assert_array_equal(*(vectors(folder) for folder in (tmp_path / 'run', whole)))


def test_eight_devices_do_what_one_does(whole, text, tmp_path):
  train(config(text, mesh__fsdp=2), str(tmp_path / 'run'), devices=jax.devices())
  np.testing.assert_allclose(losses(tmp_path / 'run'), losses(whole), rtol=1e-4)
  np.testing.assert_allclose(*(vectors(f) for f in (tmp_path / 'run', whole)), atol=1e-4)


def test_it_learns_and_keeps_words_with_their_counts(whole):
  facts = workdir.read_json(whole / 'facts.json')
  assert facts['vocabulary'][0] and sum(facts['counts']) == 4_000 and facts['window'] == 2
  assert losses(whole)[-1] < losses(whole)[0]


def vectors(folder):
  return embedding.vectors(trained.load(str(folder)))
