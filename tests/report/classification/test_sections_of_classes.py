"""The parts of a page that a classifier of images has."""

import numpy as np
import pytest
from _helpers import workdirs
from _helpers.html_pages import Page

from vitlab.report import markup, sections
from vitlab.report import run as run_lib
from vitlab.report.classification.pictures import Pictures


@pytest.fixture(scope='module')
def run(tmp_path_factory):
  return run_lib.read([workdirs.write(tmp_path_factory.mktemp('runs') / 'digits')])[0]


def part(run, title, pictures=None):
  return next(one for one in sections.one(run, pictures) if one.title == title)


def test_a_large_confusion_matrix_is_its_most_confused_pairs(run):
  names = [f'kind {i}' for i in range(1000)]
  details = workdirs.details(1000, 4000)
  large = run._replace(details={'test': details}, facts={'class_names': names})
  page = Page(part(large, 'Confusion').body)
  assert 'confusion' not in page.figures
  t, p = np.argwhere(details['confusion'] * (1 - np.eye(1000)))[0]
  assert f'kind {t} → kind {p}' in page.text
  assert 'weakest of 1,000' in part(large, 'Classes').note


def test_parts_of_two_evaluators_are_told_apart(run):
  both = run._replace(details={'test': run.details['test'], 'valid': run.details['test']})
  titles = [one.title for one in sections.one(both, None)]
  assert {'Confusion (test)', 'Confusion (valid)'} <= set(titles)


def test_mistakes_show_both_classes_and_the_confidence(run):
  pictures = workdirs.pictures()
  text = Page(part(run, 'Mistakes', pictures).body).text
  for one in pictures.mistakes:
    assert f'class {one.label} → class {one.predicted}{100 * one.confidence:.1f} %' in text


@pytest.mark.parametrize(
  ('pictures', 'reason'), [(None, 'no images were collected'), (Pictures(), 'the model made none')]
)
def test_no_mistakes_have_a_reason(run, pictures, reason):
  assert part(run, 'Mistakes', pictures) == markup.Section('Mistakes', reason, '')
