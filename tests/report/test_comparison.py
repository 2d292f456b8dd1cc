"""Several runs side by side."""

import pytest
from _helpers import workdirs
from _helpers.html_pages import Page

from vitlab.report import comparison, markup
from vitlab.report import run as run_lib
from vitlab.report.run import Run


@pytest.fixture(scope='module')
def runs(tmp_path_factory):
  root = tmp_path_factory.mktemp('runs')
  lion = {'optim': {'name': 'lion', 'learning_rate': 3e-4}}
  folders = [
    workdirs.write(root / 'adamw'),
    workdirs.write(root / 'lion', seed=1, changes=lion),
    root / 'begun',
  ]
  folders[2].mkdir()
  return run_lib.read(folders)


def part(runs, title, pictures=()):
  return next(one for one in comparison.several(runs, pictures) if one.title == title)


def test_results_of_all_runs_stand_in_one_table(runs):
  page = Page(part(runs, 'Results').body)
  for run in runs[:2]:
    for key, value in run.result['metrics'].items():
      assert key.startswith('time/') or markup.score(key, value) in page.text
  assert page.text.count('1 min 14 s') == 2
  assert 'begun–' in page.text


def test_the_best_of_a_held_out_column_is_bold():
  rows = [{'test/accuracy': 0.9, 'test/loss': 0.5, 'train/loss': 0.1, 'test/top5_accuracy': 1.0}]
  rows += [{'test/accuracy': 0.8, 'test/loss': 0.4, 'train/loss': 0.2, 'test/top5_accuracy': 1.0}]
  runs = [Run(str(i), {}, [{'step': 1} | row], {}, {}, {}) for i, row in enumerate(rows)]
  body = part(runs, 'Results').body
  assert '<b>90.00 %</b>' in body and '<b>0.4</b>' in body
  assert body.count('<b>') == 2


def test_curves_tell_the_runs_apart(runs):
  (data,) = Page(part(runs, 'Curves').body).figures['curves']
  assert data['runs'] == ['adamw', 'lion', 'begun']
  loss = next(chart for chart in data['charts'] if chart['metric'] == 'loss')
  assert [(s['run'], s['evaluator']) for s in loss['series']] == [
    (0, 'test'),
    (0, 'train'),
    (1, 'test'),
    (1, 'train'),
  ]


def test_differences_are_the_keys_that_differ_and_no_others(runs):
  section = part(runs[:2], 'Differences')
  text = Page(section.body).text
  for words in ('optim.nameadamwlion', 'optim.learning_rate0.0020.0003', 'optim.b20.999–'):
    assert words in text
  assert 'batch_size' not in text
  assert section.note.startswith('4 of ')


def test_equal_configs_have_no_differences(runs):
  assert not part([runs[0], runs[0]], 'Differences').body


def test_provenance_of_each_run(runs):
  text = Page(part(runs, 'Provenance').body).text
  assert 'fingerprint9f3c1a7be2d04c559f3c1a7be2d04c55–' in text


def test_the_same_images_stand_side_by_side(runs):
  pictures = [workdirs.pictures(count=2), workdirs.pictures(count=2, depth=0)]
  page = Page(part(runs[:2], 'The same images', pictures).body)
  assert page.text.count('rollout') == 2  # the second model has no attention
  assert page.text.count('saliency') == page.text.count('occlusion') == 4
  assert page.text.count('class 0 → class 1') == 2
  assert page.tags.count('img') == 2 * (1 + 3 + 2)
  (models,) = Page(part(runs[:2], 'Attention distance', pictures).body).figures['distance']
  assert [(model['run'], model['name']) for model in models] == [(0, 'adamw')]


def test_without_pictures_of_all_runs_none_are_compared(runs):
  for pictures in ((), [workdirs.pictures(count=1), workdirs.pictures(count=0)]):
    assert not part(runs[:2], 'The same images', pictures).body


def test_names_are_escaped():
  runs = [Run(f'<b>{i}', {'<i>': i}, [], {}, {}, {}) for i in range(2)]
  html = comparison.summary(runs) + ''.join(one.html() for one in comparison.several(runs))
  page = Page(html)
  assert not {'b', 'i>'} & set(page.tags)
  assert '<b>1' in page.text and '<i>' in page.text
