"""The parts of a page about a detector."""

import re

import numpy as np
import pytest
from _helpers import detected
from _helpers.html_pages import Page

from vitlab.report import drawers, page
from vitlab.report import run as run_lib
from vitlab.report.detection import compared, figures, parts
from vitlab.report.run import Run

TITLES = [
  'Boxes',
  'Precision and recall',
  'Classes',
  'Confusion',
  'Queries',
  'Suppression',
  'Matching',
]


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
  return detected.write(tmp_path_factory.mktemp('runs') / 'run')


@pytest.fixture(scope='module')
def run(folder):
  return run_lib.read([folder])[0]


@pytest.fixture(scope='module')
def pictures(run):
  return detected.pictures(figures.arrays(run))


def by_title(sections):
  return {section.title: section for section in sections}


def test_the_page_holds_all_parts_and_what_draws_them(folder, run, pictures):
  text = page.build([run], [pictures])
  whole = Page(text)
  assert {'boxes', 'precision', 'confusion', 'queries'} <= set(whole.figures)
  assert all(f'function {name}(' in text for name in whole.figures)
  assert drawers.find([run]).SCRIPTS and len(whole.ids) == len(set(whole.ids))


def test_parts_of_a_run(run, pictures):
  found = by_title(parts(run, pictures))
  assert list(found) == TITLES and all(section.body for section in found.values())
  details = figures.arrays(run)
  for key in ('right', 'missed'):
    assert str(details[f'picture_{key}'].sum()) in found['Boxes'].note
  assert Page(found['Classes'].body).tags.count('tr') == 11
  (data,) = Page(found['Confusion'].body).figures['confusion']
  assert data['names'][-1] == 'background' and len(data['counts']) == 11
  (data,) = Page(found['Precision and recall'].body).figures['precision']
  assert 'the 8 of 10 with most objects' in data['panels'][0]['title']


def test_suppression_counts_what_is_sure_enough(run, pictures):
  score = figures.threshold(figures.arrays(run))
  section = by_title(parts(run, pictures))['Suppression']
  pairs = [(s, k) for one in pictures.seen for _, s, _, k in zip(*one.candidates)]
  sure = [kept for s, kept in pairs if s >= score]
  gone = len(sure) - sum(sure)
  assert f'would remove {gone} of {len(sure)} candidates' in section.note
  assert section.body.count('class="lost"') == gone
  assert section.body.count('class="said"') == sum(sure)
  stay = map(int, re.findall(r'(\d+) stay', section.body))
  assert sum(stay) == sum(sure)


def test_matching_is_shown_where_a_loss_matches(run, pictures):
  (data,) = Page(by_title(parts(run, pictures))['Matching'].body).figures['curves']
  (chart,) = data['charts']
  assert (chart['metric'], chart['series'][0]['values']) == ('rematched', [0.6, 0.25])
  rows = [{'step': 4, 'train/loss': 1.0}]
  assert not by_title(parts(run._replace(rows=rows), pictures))['Matching'].body


def test_what_a_run_does_not_have_is_said(run, pictures):
  nothing = Run('run', {'task': {'name': 'detection'}}, [], {}, {}, {})
  assert all(one.note and not one.body for one in parts(nothing, None))
  without = [one._replace(look=None) for one in pictures.seen]
  found = by_title(parts(run, pictures._replace(seen=without)))
  assert not found['Queries'].body and 'no object queries' in found['Queries'].note
  assert found['Suppression'].body
  found = by_title(parts(run, None))
  assert [title for title in TITLES if found[title].body] == [*TITLES[:4], 'Matching']


def test_a_faultless_run_has_no_worst_pictures(run):
  details = dict(figures.arrays(run)) | dict(worst_index=np.zeros(0, int))
  faultless = run._replace(details=dict(test=details))
  (first, *_) = parts(faultless, None)
  assert not first.body and first.note == 'the model makes no mistake'


def test_a_model_that_finds_nothing_right_has_no_best_score(run, pictures):
  assert 'where F1 is best' in by_title(parts(run, pictures))['Boxes'].note
  details = dict(figures.arrays(run)) | dict(score=np.array(np.inf))
  found = by_title(parts(run._replace(details=dict(test=details)), pictures))
  assert 'From a score of 0.50 on, ' in found['Boxes'].note and 'F1' not in found['Boxes'].note
  seen = [
    one._replace(candidates=one.candidates._replace(scores=one.candidates.scores * 0))
    for one in pictures.seen
  ]
  section = by_title(parts(run, pictures._replace(seen=seen)))['Suppression']
  assert not section.body and 'no candidate' in section.note


def test_names_of_classes_are_text(run, pictures):
  names = [f'<b>{i}</b>' for i in range(10)]
  changed = run._replace(facts=dict(run.facts) | dict(class_names=names))
  for section in parts(changed, pictures):
    assert '<b>1</b>' not in section.body.replace('\\u003c', '<i>')
    Page(section.html())


def test_runs_are_compared_by_their_mean_curves(run, tmp_path):
  other = run_lib.read([detected.write(tmp_path / 'other', seed=3)])[0]
  (section,) = compared([run, other])
  (data,) = Page(section.body).figures['precision']
  lines = data['panels'][0]['lines']
  assert [(line['name'], line['run']) for line in lines] == [('run', 0), ('other', 1)]
  assert lines[0]['points'] != lines[1]['points']
  nothing = Run('run', {'task': {'name': 'detection'}}, [], {}, {}, {})
  assert not compared([nothing])[0].body
