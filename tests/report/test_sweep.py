"""The page of a sweep: in every state well-formed and self-contained, with the numbers in it."""

import json
import statistics

import pytest
from _helpers import sweep_folders
from _helpers.html_pages import Page

from vitlab.errors import UserError
from vitlab.report import sweep as sweep_lib


def read(folder):
  output = sweep_lib.write(folder)
  assert output == folder / 'sweep.html'
  assert not list(folder.glob('*.tmp'))
  source = output.read_text(encoding='utf-8')
  assert "default-src 'none'" in source
  page = Page(source)
  assert {f'#{name}' for name in page.ids} <= set(page.links)
  return page


def grid(folder, count=12):
  return sweep_folders.write(folder, [sweep_folders.trial(i) for i in range(count)])


def test_the_page_of_a_grid(tmp_path):
  page = read(grid(tmp_path / 'widths'))
  assert set(page.figures) == {'sweep', 'parallel', 'scatter', 'learning'}
  assert page.ids == ['parallel-coordinates', 'parameters', 'seeds', 'learning-curves', 'trials']
  for words in (
    'widths',
    '12 trials of configs/vit_digits.py:smoke over learning_rate, width and seed',
    '91.00 % is the best test accuracy, in trial 11',
    'finished12',
    '12 min 18 s',
    '--config.optim.learning_rate=0.01 --config.model.width=96 --config.seed=1',
  ):
    assert words in page.text
  assert 'not finished' not in page.text and 'Not in this report' not in page.text


def test_the_figures_share_one_account_of_the_trials(tmp_path):
  (data,) = read(grid(tmp_path / 'grid')).figures['sweep']
  assert [axis['name'] for axis in data['axes']] == [
    'learning_rate',
    'width',
    'seed',
    'test accuracy',
  ]
  assert [axis['log'] for axis in data['axes']] == [True, False, False, False]
  best, worst = data['trials'][0], data['trials'][-1]
  assert best['at'] == [1e-2, 96, 1, 0.91]
  assert best['texts'] == ['0.01', '96', '1']
  assert (best['trial'], best['rank'], best['said']) == (11, 1, '91.00 %')
  assert (worst['trial'], worst['rank'], worst['said']) == (0, 0, '80.00 %')
  assert best['report'] == 'trial_011/report.html'


def test_equal_values_have_equal_ranks(tmp_path):
  rows = [sweep_folders.trial(i, value=value) for i, value in enumerate((0.5, 0.5, 0.25))]
  (data,) = read(sweep_folders.write(tmp_path / 'sweep', rows)).figures['sweep']
  assert [trial['rank'] for trial in data['trials']] == [1, 1, 0]


def test_means_and_spreads_over_the_seeds(tmp_path):
  rows = [sweep_folders.trial(i) for i in range(12)]
  rows[0]['value'], rows[1]['value'] = 0.95, 0.99
  page = read(sweep_folders.write(tmp_path / 'sweep', rows))
  (data,) = page.figures['sweep']
  assert len(data['means']) == 6
  assert data['means'][0] == {'at': [1e-4, 48, None], 'mean': statistics.fmean([0.95, 0.99])}
  assert '0.000148297.00 %± 2.83 %95.00 %99.00 %' in page.text


def test_seeds_alone_have_one_mean(tmp_path):
  rows = [sweep_folders.trial(i, {'seed': i}) for i in range(3)]
  page = read(sweep_folders.write(tmp_path / 'sweep', rows, keys=['seed']))
  assert 'all381.00 %± 1.00 %80.00 %82.00 %' in page.text


def test_every_trial_has_a_row(tmp_path):
  page = read(grid(tmp_path / 'grid'))
  assert '11finished0.0196191.00 %5601 min 2 s1report' in page.text
  assert [link for link in page.links if link.endswith('.html')] == [
    f'trial_{i:03}/report.html' for i in reversed(range(12))
  ]


def test_keys_in_which_no_trials_differ_are_not_shown(tmp_path):
  page = read(grid(tmp_path / 'grid', count=2))
  assert 'over seed.' in page.text and 'width' not in page.text.partition('Trials')[2]


def test_curves_of_all_metrics_that_of_the_sweep_first(tmp_path):
  rows = [sweep_folders.trial(i) for i in range(2)] + [sweep_folders.without_value(2, 'waiting')]
  folder = sweep_folders.write(tmp_path / 'sweep', rows, metric='train/loss', goal='min')
  with open(folder / 'trial_000' / 'metrics.jsonl', 'a') as file:
    file.write('{"step": 90, "train/loss": NaN}\n')
  (charts,) = read(folder).figures['learning']
  assert [chart['metric'] for chart in charts][:2] == ['train loss', 'test accuracy']
  assert not any('time' in chart['metric'] for chart in charts)
  diverged, other = charts[0]['series']
  assert (diverged['trial'], other['trial']) == (0, 1)
  assert (diverged['steps'][-1], diverged['values'][-1]) == (90, None)
  assert other['steps'] == list(range(10, 81, 10))


def test_the_curves_of_hundreds_of_trials_are_thinned(tmp_path):
  points = [{'optim.learning_rate': 10 ** -(i / 100)} for i in range(400)]
  rows = [sweep_folders.trial(i, point) for i, point in enumerate(points)]
  folder = sweep_folders.write(tmp_path / 'sweep', rows, curves=False)
  steps = (f'{{"step": {step}, "train/loss": {1 / (step + 1)}}}\n' for step in range(2000))
  (folder / 'trial_399').mkdir()
  (folder / 'trial_399' / 'metrics.jsonl').write_text(''.join(steps))
  (charts,) = read(folder).figures['learning']
  (series,) = charts[0]['series']
  assert 100 < len(series['steps']) <= sweep_lib.POINTS // 400 + 1
  assert (series['steps'][0], series['steps'][-1]) == (0, 1999)


@pytest.mark.parametrize('state', ['waiting', 'running', 'failed', 'pruned'])
def test_a_page_without_a_value(tmp_path, state):
  error = 'ValueError: the loss is not finite' if state == 'failed' else None
  rows = [sweep_folders.without_value(i, state, error=error) for i in range(2)]
  page = read(sweep_folders.write(tmp_path / 'sweep', rows))
  assert 'no trial has a test accuracy yet' in page.text
  assert f'{state}2' in page.text
  assert page.text.count('ValueError: the loss is not finite') == 2 * (state == 'failed')
  assert ('not finished' in page.text) == (state in ('waiting', 'running'))
  drawn = {'sweep'} if state == 'waiting' else {'sweep', 'learning'}
  assert set(page.figures) == drawn
  for part in ('Parallel coordinates: no trial has a value', 'Seeds: no trial has finished'):
    assert part in page.text


def test_all_states_together(tmp_path):
  rows = [
    sweep_folders.trial(0),
    sweep_folders.trial(1, state='pruned', steps=120),
    sweep_folders.without_value(2, 'failed', error='out of memory', attempts=3),
    sweep_folders.without_value(3, 'running'),
    sweep_folders.without_value(4, 'waiting', attempts=0),
  ]
  page = read(sweep_folders.write(tmp_path / 'sweep', rows))
  assert '80.00 % is the best test accuracy, in trial 0' in page.text
  for state in ('finished', 'pruned', 'failed', 'running', 'waiting'):
    assert f'{state}1' in page.text  # its tile
  (data,) = page.figures['sweep']
  assert [trial['trial'] for trial in data['trials']] == [1, 0, 2, 3, 4]
  assert [trial['rank'] for trial in data['trials']] == [1, 0, None, None, None]
  assert 'out of memory' in page.text


def test_a_single_trial(tmp_path):
  page = read(grid(tmp_path / 'one', count=1))
  assert '1 trial of' in page.text and '80.00 %' in page.text
  assert set(page.figures) == {'sweep', 'parallel', 'scatter', 'learning'}


@pytest.mark.parametrize('lines', [None, '', 'torn {'])
def test_a_sweep_that_has_not_begun(tmp_path, lines):
  folder = grid(tmp_path / 'sweep', count=0)
  (folder / 'results.jsonl').unlink()
  if lines is not None:
    (folder / 'results.jsonl').write_text(lines)
  page = read(folder)
  assert '0 trials of configs/vit_digits.py:smoke' in page.text
  assert 'Trials: results.jsonl has no lines' in page.text


def test_points_of_all_kinds(tmp_path):
  values = [0.1, 1e-7, 'adamw', '', True, None, [1, 'a']]
  rows = [sweep_folders.trial(i, {'x.value': value}) for i, value in enumerate(values)]
  rows.append(sweep_folders.trial(7, {}))
  page = read(sweep_folders.write(tmp_path / 'sweep', rows))
  (data,) = page.figures['sweep']
  texts = ['–', '(1, a)', 'None', 'true', "''", 'adamw', '1e-07', '0.1']
  assert [trial['texts'] for trial in data['trials']] == [[text] for text in texts]


def test_nothing_breaks_out_of_the_page(tmp_path):
  hostile = '</script><script>alert(1)</script>"\'><img src=x>$title'
  point = {hostile: hostile, 'seed': 0}
  changes = {'command': hostile, 'error': hostile, 'workdir': 'javascript:alert(1)'}
  rows = [
    sweep_folders.trial(0, point, **changes),
    sweep_folders.trial(1, point | {'seed': 1}, state=hostile),
  ]
  rows.append(sweep_folders.trial(2, {hostile: 1}))
  folder = sweep_folders.write(tmp_path / 'a<b>&"$title', rows, config=hostile, metric=hostile)
  (folder / rows[0]['workdir'] / 'metrics.jsonl').write_text(json.dumps({'step': 1, hostile: 1}))
  page = read(folder)
  assert page.tags.count('script') == 5 and 'img' not in page.tags
  assert page.text.count(hostile) >= 5
  links = [link for link in page.links if link.endswith('.html')]
  assert links == ['trial_002/report.html', 'javascript%3Aalert%281%29/report.html']
  assert hostile in [axis['name'] for axis in page.figures['sweep'][0]['axes']]


def test_every_figure_has_its_function(tmp_path):
  figures = read(grid(tmp_path / 'grid')).figures
  page = (tmp_path / 'grid' / 'sweep.html').read_text()
  for kind in figures:
    assert f'function {kind}(figure' in page


def test_no_sweep(tmp_path):
  with pytest.raises(UserError, match='no sweep in .*absent'):
    sweep_lib.write(tmp_path / 'absent')
  assert not list(tmp_path.iterdir())
