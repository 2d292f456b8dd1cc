"""Runs with a memory: it is carried, saved and restored, and belongs to training alone."""

import functools
import itertools
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from _helpers import runs, two_processes

from vitlab.cli import config_file
from vitlab.hosts import preemption
from vitlab.hosts.preemption import Preempted
from vitlab.ops.search import make_search
from vitlab.predict import evaluation, language_model, trained
from vitlab.predict import folder as folder_lib
from vitlab.predict.continuation import Continuation
from vitlab.train import run as engine
from vitlab.train import setup
from vitlab.workdir.checkpoint import Checkpoints

train = functools.partial(engine.train, devices=jax.devices()[:1])
# The training text has 94 rows: those of a batch begin it again within 30 steps.
TEXT = dict(name='text', path='sonnets:', fractions=(0.01, 0.01, 0.98), context=10, order='lanes')


def config(**overrides):
  words = dict(
    data=TEXT | dict(eval_context=40),
    model=dict(name='transformer_xl', variant='mu', vocab_size=None, context=10, memory_length=15),
    task=dict(name='language_model', max_tokens=12),
    evaluators=dict(val=dict(name='perplexity', split='val', sizes=None, every='10 steps')),
    checkpoint__best='val/perplexity',
    checkpoint__best_mode='min',
    batch_size=8,
    duration='30 steps',
  )
  return runs.config(**words | overrides)


@pytest.fixture(scope='module')
def whole(tmp_path_factory):
  """A run without a stop."""
  folder = tmp_path_factory.mktemp('whole') / 'run'
  train(config(), str(folder))
  return folder


def arrays(folder):
  checkpoints = Checkpoints(folder / 'checkpoints', read_only=True)
  return checkpoints.restore_arrays(('variables',), checkpoints.steps()[-1]).state['variables']


def test_a_run_that_was_stopped_ends_in_the_same_bits(whole, tmp_path, monkeypatch):
  """Between two checkpoints, with a memory that is not the one of any start."""
  monkeypatch.setattr(preemption.StopSignal, 'at_step', lambda self, now: now >= 13)
  with pytest.raises(Preempted):
    train(config(), str(tmp_path / 'run'))
  monkeypatch.undo()
  stopped = arrays(tmp_path / 'run')['model']['memory']
  assert np.abs(stopped['inputs']).max() > 0
  assert sorted(set(stopped['length'].tolist())) == [10, 15]  # one has just begun the text again
  train(config(), str(tmp_path / 'run'))
  assert runs.rows(tmp_path / 'run') == runs.rows(whole)
  assert runs.result(tmp_path / 'run') == runs.result(whole)
  jax.tree.map(np.testing.assert_array_equal, arrays(tmp_path / 'run'), arrays(whole))


def evaluated(folder, **words):
  model = {f'model__{name}': value for name, value in words.items()}
  return evaluation.evaluate(str(folder), config(**model))['val/bits_per_character']


def test_it_is_evaluated_with_a_memory_of_any_length(whole):
  """And one that is long enough gives what one pass over all of a row gives."""
  result = json.loads((whole / 'result.json').read_text())['metrics']
  assert evaluated(whole) == pytest.approx(result['val/bits_per_character'], rel=1e-5)
  long = evaluated(whole, eval_memory_length=40)
  assert long == pytest.approx(evaluated(whole, context=40), rel=1e-5)
  found = [evaluated(whole, eval_memory_length=n) for n in (0, 5)] + [evaluated(whole), long]
  assert len({round(x, 5) for x in found}) == 4
  assert evaluated(whole, memory_length=0, eval_memory_length=15) == pytest.approx(found[2])


def test_predictions_weights_and_new_starts_know_no_memory(whole, tmp_path):
  model = trained.load(str(whole), average=2)
  assert set(model.variables['model']) == {'params'}
  (said,) = list(language_model.Author(model).say(np.array([3, 1, 2]), 1))[-1]
  assert len(said.tokens) == 12  # past the segment, which is 10
  text = 'as it remembers a prompt that is longer'
  prompt = language_model.Author(model).read(text)
  assert len(prompt) == len(text)
  folder = folder_lib.export(trained.load(str(whole)), 'huggingface', str(tmp_path / 'out'))
  first = dict(name='transformer_xl', variant='mu', vocab_size=None, context=10)
  for start in (str(whole), folder):
    again = config(init_from=start, batch_size=4, model=first, duration='2 steps')
    made = train(again, str(tmp_path / str(start is folder)))
    assert made['metrics']['train/loss'] < 4.0


@pytest.mark.parametrize('length', [15, 0])
def test_past_the_segment_it_goes_on_with_its_memory_and_not_from_the_last_half(whole, length):
  run = trained.load(str(whole))
  model = setup.make_model(config(model__eval_memory_length=length), run.facts)
  size, random = run.facts['vocab_size'], np.random.default_rng(0)
  parameters = jax.tree.map(  # after so few steps it would say one letter again and again
    lambda x: x + random.normal(0, 0.3, x.shape).astype(np.float32), run.variables['model']
  )
  go_on = Continuation(model, parameters, make_search(dict(name='greedy')), 10, size)
  said = [int(token[0]) for token, _ in itertools.islice(go_on(np.array([3]), 1), 25)]
  step = jax.jit(functools.partial(model.apply, method='step'))
  state, token, wanted = model.apply(parameters, 1, 10, method='start'), 3, []
  for _ in said:
    logits, state = step(parameters, state, jnp.array([[token]]))
    token = int(logits[0, -1].argmax())
    wanted.append(token)
  assert said[:10] == wanted[:10] and (said == wanted) == bool(length)


SMALL = ['--config.model.width=16', '--config.model.depth=1']


@pytest.mark.parametrize(
  ('config', 'more'),
  [
    ('transformer_xl_text:smoke', SMALL),
    ('xlnet_text:smoke,memory=16', ['--config.evaluators.val_at_once.every=100%', *SMALL]),
  ],
)
def test_two_processes_do_what_one_does(config, more, tmp_path):
  name, _, smoke = config.partition(':')
  arguments = [
    f'--config=configs/{name}.py:{smoke}',
    '--config.duration=4 steps',
    '--config.log_every=1 steps',
    '--config.evaluators.val.every=100%',
    '--config.checkpoint.every=100%',
    *more,
    f'--workdir={tmp_path / "two"}',
  ]
  codes, complaints, _ = two_processes.launch([arguments, arguments])
  assert codes == [0, 0], complaints
  alone = config_file.load(f'configs/{name}.py:{smoke}')
  config_file.override(alone, arguments[1:-1])
  engine.train(alone, str(tmp_path / 'one'), devices=jax.devices()[:4])
  for one, two in zip(runs.rows(tmp_path / 'one'), runs.rows(tmp_path / 'two'), strict=True):
    assert one.keys() == two.keys()
    for name, value in one.items():
      assert two[name] == pytest.approx(value, rel=1e-4, abs=1e-6), name
