"""No number stands alone: what it was measured with and the floor are beside it."""

import pytest
from _helpers import gan_runs
from _helpers.html_pages import Page

from vitlab.report.gan import distances


@pytest.fixture(scope='module')
def run():
  return gan_runs.run()


def test_every_number_stands_beside_what_it_depends_on(run):
  (one,) = distances.measured([run])
  cells = dict(distances._cells(one))
  assert cells['Fréchet distance'] == '<b>2</b>' and cells['KID'] == '<b>0.375</b>'
  assert cells['Fréchet distance, real against real'] == '0.25'
  assert cells['KID, real against real'] == '0.125'
  assert cells['encoder'] == 'resnet &lt;1&gt;' and cells['features'] == '30'
  assert (cells['pictures'], cells['split'], cells['resize']) == ('20', 'test', 'bicubic')
  assert cells['real against real: splits'] == 'two halves of test, 10 each'
  assert (
    f'{float(run.details["test"]["real_recall"]):.2%}'[:4] in cells['recall, real against real']
  )
  section = distances.distances([run])
  assert 'warning: 10 examples say little of the covariance of 30 features' in section.body


def test_classes_that_are_not_recognised_say_what_they_are_taken_for(run):
  body = Page(distances.recognised(run, ['cat', 'dog', gan_runs.EVIL, '1']).html()).text
  # Numbers 18 and 19, of classes 2 and 3, are taken for class 0.
  assert (
    'cat100.0 %–' in body and f'{gan_runs.EVIL}80.0 %cat (1)' in body and '180.0 %cat (1)' in body
  )
