"""The page of one run, part by part."""

import pytest
from _helpers import workdirs
from _helpers.html_pages import Page

from vitlab import workdir
from vitlab.report import markup, sections
from vitlab.report import run as run_lib
from vitlab.report.run import Run

TASK = {'task': {'name': 'classification'}}
EMPTY = Run('empty', {}, [], {}, {}, {})


@pytest.fixture(scope='module')
def run(tmp_path_factory):
  return run_lib.read([workdirs.write(tmp_path_factory.mktemp('runs') / 'digits')])[0]


def part(run, title, pictures=None):
  return next(one for one in sections.one(run, pictures) if one.title == title)


def test_a_full_run_has_every_part(run):
  parts = sections.one(run, workdirs.pictures(window=2))
  assert [one.title for one in parts] == [
    'Results',
    'Curves',
    'Confusion',
    'Classes',
    'Calibration',
    'Mistakes',
    'Evidence',
    'Attention',
    'Attention distance',
    'Windows',
    'Position bias',
    'Config',
    'Provenance',
  ]
  assert all(one.body and one.note for one in parts)


def test_an_empty_run_has_no_part_and_a_reason_for_each():
  parts = sections.one(EMPTY, None)
  assert not any(one.body for one in parts)
  assert all(one.note for one in parts)


def test_summary_says_what_was_reached_in_which_time(run):
  text = Page(sections.summary(run)).text
  accuracy = 100 * run.result['metrics']['test/accuracy']
  assert f'vit on digits: {accuracy:.2f} % test accuracy after 560 steps in 1 min 14 s.' in text
  for shown in ('941.5', '9.31 s', '1.3 %', 'goodput88 %', '672,778'):
    assert shown in text
  assert 'not finished' not in text


def test_the_metric_of_the_best_checkpoint_stands_for_the_run(run):
  config = run.config | {'checkpoint': {'best': 'test/ece'}}
  assert 'test ece after' in sections.summary(run._replace(config=config))


def test_summary_of_a_run_that_goes_on(run):
  text = Page(sections.summary(run._replace(result={}, rows=run.rows[:5]))).text
  assert 'after 50 steps' in text and 'not finished' in text
  assert 'nothing measured yet' in sections.summary(EMPTY)


def test_results_are_the_last_and_the_best_values(run):
  text = Page(part(run, 'Results').body).text
  for key, value in run.result['metrics'].items():
    if not key.startswith('time/'):
      assert markup.score(key, value) in text
  best = min((row['test/loss'], -row['step']) for row in run.rows if 'test/loss' in row)
  assert f'{markup.number(best[0])} at {-best[1]}' in text


def test_of_equally_good_steps_the_latest_is_the_best():
  rows = [{'step': step, 'test/accuracy': x} for step, x in enumerate([0.5, 0.9, None, 0.9])]
  text = Page(part(EMPTY._replace(rows=rows), 'Results').body).text
  assert '90.00 % at 3' in text


def test_a_metric_that_is_not_finite_is_shown_as_that():
  rows = [{'step': 1, 'test/loss': None}]
  assert 'NaN' in Page(part(EMPTY._replace(rows=rows), 'Results').body).text
  assert 'NaN' in sections.summary(EMPTY._replace(rows=rows))


def test_every_key_of_the_config_is_there(run):
  text = Page(part(run, 'Config').body).text
  for key, value in workdir.flatten(run.config).items():
    assert f'{key.rpartition(".")[2]}{markup.plain(value)}' in text or key.count('.') > 1


def test_provenance_is_everything_but_the_metrics(run):
  text = Page(part(run, 'Provenance').body).text
  for words in ('seed7', 'commitd9d1c17e02f6a44f', 'versions.jax0.10.2', 'device1 x cpu'):
    assert words in text
  assert 'test/loss' not in text


def test_class_names_are_escaped(run):
  names = ['<script>', '<b>&', *(f'"{i}"' for i in range(8))]
  hostile = run._replace(name='<i>', facts={'class_names': names}, config={'<u>': '<u>', **TASK})
  page = Page(''.join(one.html() for one in sections.one(hostile, workdirs.pictures())))
  assert page.tags.count('script') == len(page.figures) == 5
  assert not {'u', 'script>'} & set(page.tags)
  assert '<script>' in page.text and '<u>' in page.text
