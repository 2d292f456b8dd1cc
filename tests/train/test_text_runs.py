"""Runs whose batches have several shapes: compiled once each, continued exactly, one vocabulary."""

import functools
import json
import pathlib

import jax
import pytest
import sacrebleu
from _helpers import runs, text

from vitlab.errors import UserError
from vitlab.hosts import preemption
from vitlab.hosts.preemption import Preempted
from vitlab.predict import evaluation, trained, translation
from vitlab.train import run as engine
from vitlab.train import setup

train = functools.partial(engine.train, devices=jax.devices()[:1])


def config(path, **overrides):
  words = dict(
    data=text.spec(path, lengths=(24, 64)),
    model=dict(name='rnn_seq2seq', vocab_size=None, width=8, attention='scaled_multiplicative'),
    task=dict(name='translation'),
    evaluators=dict(test=dict(name='sequences', split='val', every='50%', tokenizer=None)),
    checkpoint__best='test/bleu',
    duration='16 steps',
    log_every='1 steps',
  )
  return runs.config(**words | overrides)


@pytest.fixture(scope='module')
def whole(tmp_path_factory):
  """A run, and what it compiled."""
  folder = tmp_path_factory.mktemp('whole')
  path, built = text.write(folder / 'text', train=200, val=20), []
  build = setup.build
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(setup, 'build', lambda *args, **kw: built.append(build(*args, **kw)) or built[0])
    train(config(path), str(folder / 'run'))
  return folder, path, built[0]


def test_every_shape_is_compiled_once(whole):
  """16 steps in random order, of two lengths."""
  _, _, built = whole
  assert built.train_step._cache_size() == 2
  assert built.predict('scores')._cache_size() <= 2


def test_it_is_evaluated_as_text(whole):
  folder, _, _ = whole
  rows = runs.rows(folder / 'run')
  assert {'test/bleu', 'test/chrf', 'test/perplexity'} <= set(rows[-1])
  assert all(0 < row['train/padding'] < 1 for row in rows)
  facts = json.loads((folder / 'run' / 'facts.json').read_text())
  assert facts['languages'] == ['en', 'xx'] and facts['vocab_size'] == len(facts['vocabulary'])


def test_a_stopped_run_continues_to_the_same_end(whole, tmp_path, monkeypatch):
  folder, path, _ = whole
  monkeypatch.setattr(preemption.StopSignal, 'at_step', lambda self, now: now >= 7)
  with pytest.raises(Preempted):
    train(config(path), str(tmp_path / 'run'))
  monkeypatch.undo()
  train(config(path), str(tmp_path / 'run'))
  assert runs.rows(tmp_path / 'run') == runs.rows(folder / 'run')
  assert runs.result(tmp_path / 'run') == runs.result(folder / 'run')


def test_a_vocabulary_from_another_run_is_refused(whole, tmp_path):
  folder, path, _ = whole
  run, other = str(folder / 'run'), text.write(tmp_path / 'other', val=20, train=200)
  with pytest.raises(UserError, match=r'(?s)vocabulary .* is not the one that .*data\.tokenizer='):
    evaluation.evaluate(run, config(other))
  with pytest.raises(UserError, match=r"(?s)vocabulary .* is not the one that .*head='new'"):
    train(config(other, init_from=run), str(tmp_path / 'started'))
  fitting = config(other, data=text.spec(other, lengths=(24, 64), tokenizer=run))
  assert 'test/bleu' in evaluation.evaluate(run, fitting)


def test_text_that_changed_is_refused(tmp_path, monkeypatch):
  path = text.write(tmp_path / 'text', train=200, val=20)
  monkeypatch.setattr(preemption.StopSignal, 'at_step', lambda self, now: now >= 2)
  with pytest.raises(Preempted):
    train(config(path), str(tmp_path / 'run'))
  text.write(tmp_path / 'text', val=20, train=200)
  with pytest.raises(UserError, match='vocabulary'):
    train(config(path), str(tmp_path / 'run'))


def test_what_eval_says_is_what_sacrebleu_says_of_two_files(tmp_path, capsys):
  """One is what predict prints, the other lies in the data set; both have letters never seen."""
  path = pathlib.Path(text.write(tmp_path / 'text', train=200, val=20))
  for language in ('en', 'xx'):
    file = path / f'val.{language}'
    file.write_text(file.read_text().replace('dog', 'žörk').replace('DOG', 'ŽÖRK'))
  evaluators = dict(test=dict(name='sequences', split='val[2:]', every='100%', tokenizer=None))
  evaluators['test']['tokenize'] = 'char'
  spec = text.spec(str(path), tokenizer='char', lengths=(48, 96))
  words = dict(data=spec, duration='4 steps', evaluators=evaluators)
  train(config(str(path), **words), str(tmp_path / 'run'))
  assert capsys.readouterr().out.count('tok:char') == 1
  metrics = evaluation.evaluate(str(tmp_path / 'run'), config(str(path), **words))
  assert capsys.readouterr().out.count('tok:char') == 1
  source, target = ((path / f'val.{x}').read_text().splitlines()[2:] for x in ('en', 'xx'))
  translation.write(trained.load(str(tmp_path / 'run')), source)
  said = capsys.readouterr().out.splitlines()
  assert metrics['test/chrf'] == sacrebleu.corpus_chrf(said, [target]).score > 0
  assert metrics['test/bleu'] == sacrebleu.corpus_bleu(said, [target], tokenize='char').score


def test_a_tokenizer_that_is_not_there_leaves_no_workdir(tmp_path):
  path = text.write(tmp_path / 'text', train=200, val=20)
  with pytest.raises(UserError, match='unknown tokenize of BLEU'):
    train(config(path, evaluators__test__tokenize='13b'), str(tmp_path / 'run'))
  assert not (tmp_path / 'run').exists()
