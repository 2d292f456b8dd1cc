"""TPE and pruning: they help, they survive kills, and the journal holds every trial once."""

import math
import statistics

import optuna
import pytest
from _helpers import sweeps

from vitlab.sweep import trial
from vitlab.sweep.search import draw
from vitlab.sweep.tuner import JOURNAL, Tuner, trim

BUDGET = 30
SPACES = (
  "{'optim.learning_rate': log_uniform(1e-5, 1), 'optim.weight_decay': uniform(0, 1),"
  " 'optim.name': choice('adamw', 'lion')}"
)


def define(tmp_path, more, trials=BUDGET):
  return sweeps.define(sweeps.write(tmp_path, f'return search({SPACES}, {trials}, {more})'))


def objective(point):
  """The accuracy of nobody's model: a hill over the learning rate and the weight decay."""
  rate, decay = math.log10(point['optim.learning_rate']), point['optim.weight_decay']
  hill = math.exp(-((rate + 3) ** 2)) * math.exp(-10 * (decay - 0.3) ** 2)
  return hill * (1 if point['optim.name'] == 'lion' else 0.8)


def tried(definition, folder, number, point, value=None, state=trial.FINISHED):
  """A trial that has ended so."""
  one = trial.make(definition, folder, number, point)
  one.state = state
  if value is not None:
    one.result = dict(metrics={'test/accuracy': value}, steps=1, seconds=1.0)
  return one


def search(definition, folder, numbers):
  folder.mkdir(exist_ok=True)
  tuner = Tuner(definition, folder)
  points = []
  for number in numbers:
    points.append(tuner.ask(number))
    tuner.tell(tried(definition, folder, number, points[-1], objective(points[-1])))
  return points


def test_tpe_beats_random_search(tmp_path, monkeypatch):
  """The best of 30 trials, mean of 20 seeds."""
  monkeypatch.setattr('os.fsync', lambda file: None)  # half of the time, and not the question here
  best = {'tpe': [], 'random': []}
  for seed in range(20):
    definition = define(tmp_path, f"method='tpe', seed={seed}")
    points = search(definition, tmp_path / str(seed), range(BUDGET))
    best['tpe'].append(max(map(objective, points)))
    points = [draw(definition.search.spaces, seed, number) for number in range(BUDGET)]
    best['random'].append(max(map(objective, points)))
  wins = sum(a > b for a, b in zip(best['tpe'], best['random']))
  print({name: statistics.mean(values) for name, values in best.items()}, wins)
  assert statistics.mean(best['tpe']) > statistics.mean(best['random'])
  assert wins >= 14  # by chance: 6 %


def test_a_search_killed_anywhere_asks_for_the_same_points(tmp_path):
  definition = define(tmp_path, "method='tpe'", 16)
  expected = search(definition, tmp_path / 'undisturbed', range(16))
  folder = tmp_path / 'killed'
  assert search(definition, folder, range(12)) == expected[:12]
  Tuner(definition, folder).ask(12)  # killed before it was told
  with open(folder / JOURNAL, 'ab') as file:
    file.write(b'{"op_code": 5, "wor')  # killed while it was written
  (folder / f'{JOURNAL}.lock').symlink_to('nowhere')
  again = Tuner(definition, folder)
  assert again.asked == 13
  assert [again.ask(number) for number in range(13)] == expected[:13]
  assert search(definition, folder, range(12, 16)) == expected[12:]
  journal = optuna.storages.journal
  backend = journal.JournalFileBackend(str(folder / JOURNAL))
  study = optuna.load_study(study_name='sweep', storage=journal.JournalStorage(backend))
  assert [t.number for t in study.trials] == list(range(16))
  assert {t.state.name for t in study.trials} == {'COMPLETE'}


def test_only_the_torn_line_is_cut_off(tmp_path):
  path = tmp_path / 'journal'
  trim(path)  # nothing there
  for text, whole in (('a\nb\nc', 'a\nb\n'), ('a\n', 'a\n'), ('a', ''), ('', '')):
    path.write_text(text)
    trim(path)
    assert path.read_text() == whole


def test_what_is_told_twice_counts_once_and_failures_are_told(tmp_path):
  definition = define(tmp_path, "method='tpe'", 4)
  tuner = Tuner(definition, tmp_path)
  for number, (value, state) in enumerate(
    [(0.5, trial.FINISHED), (None, trial.FAILED), (None, trial.PRUNED), (None, trial.FINISHED)]
  ):
    point = tuner.ask(number)
    for _ in range(2):
      one = tried(definition, tmp_path, number, point, value, state)
      one.result = one.result or dict(metrics={}, steps=1, seconds=1.0)
      tuner.tell(one)
  assert [t.state.name for t in tuner._trials()] == ['COMPLETE', 'FAIL', 'PRUNED', 'FAIL']


@pytest.mark.parametrize('pruner', ['asha', 'hyperband'])
@pytest.mark.parametrize('goal', ['max', 'min'])
def test_hopeless_trials_are_recognised(pruner, goal, tmp_path):
  definition = define(tmp_path, f"method='random', pruner='{pruner}', goal='{goal}'", 12)
  tuner, sign, steps = Tuner(definition, tmp_path), 1 if goal == 'max' else -1, 9
  ended = {}
  for number in range(12):
    point = tuner.ask(number)
    assert point == definition.points[number]
    one = tried(definition, tmp_path, number, point, state=trial.RUNNING)
    quality = 0.9 if number < 4 else 0.1
    for step in range(1, steps + 1):
      one.rows = [*one.rows, {'step': step, 'test/accuracy': sign * quality * step}]
      if tuner.is_hopeless(one):
        one.state = trial.PRUNED
        break
      assert not tuner.is_hopeless(one)  # nothing new
    else:
      one.state = trial.FINISHED
      one.result = dict(metrics={'test/accuracy': sign * quality * steps}, steps=9, seconds=1.0)
    tuner.tell(one)
    ended[number] = (one.state, len(one.rows))
  assert any(ended[n][0] == trial.FINISHED for n in range(4))
  pruned = [n for n in range(4, 12) if ended[n][0] == trial.PRUNED]
  assert all(ended[n][1] < steps for n in pruned)
  assert len(pruned) >= (6 if pruner == 'asha' else 2)  # hyperband lets a share of them alone


def test_a_sweep_stops_hopeless_trials_and_goes_on_after_a_stop(tmp_path):
  spaces = "{'optim.learning_rate': choice(*[1e-3] * 3, *[3e-7] * 3)}"
  body = f"return search({spaces}, 10, method='tpe', pruner='asha', seed=1)"
  file, folder = sweeps.write(tmp_path, body), tmp_path / 'sweep'
  stub = dict(steps=12, seconds=0.03)
  process = sweeps.start(file, folder, stub)
  while not (folder / 'trial_003' / 'metrics.jsonl').exists():
    assert process.poll() is None, process.communicate()
  process.kill()
  process.communicate()
  assert sweeps.run(file, folder, stub) == 0
  rows = sweeps.rows(folder)
  assert [row['trial'] for row in rows] == list(range(10))
  assert {row['state'] for row in rows} == {'finished', 'pruned'}
  for row in rows:
    if row['state'] == 'pruned':
      assert row['steps'] < 12 and row['value'] is None and row['metrics']
  hopeless = [row['state'] for row in rows if row['point']['optim.learning_rate'] < 1e-4]
  assert 'pruned' in hopeless
