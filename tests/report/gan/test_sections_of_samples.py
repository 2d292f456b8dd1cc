"""The page of a generator: what it has, what it says where it has it not, and that it is HTML."""

import numpy as np
import pytest
from _helpers import gans
from _helpers.html_pages import Page

from vitlab.evaluators import frechet
from vitlab.report import comparison, page, sections
from vitlab.report.gan import collected, distances
from vitlab.report.run import Run

CONFIG = {'task': {'name': 'gan'}}
EVIL = '</script><b>'
FACTS = {'class_names': ['cat', 'dog', EVIL, '1']}
ROWS = [
  {'step': 10, 'train/discriminator_loss': 0.5, 'train/generator_loss': 1.5, 'test/frechet': 4.0}
  | {'test/frechet_floor': 0.25, 'test/kid': 0.5, 'test/kid_floor': 0.125},
  {'step': 20, 'train/discriminator_loss': 0.75, 'train/generator_loss': 1.25, 'test/frechet': 2.0}
  | {'test/frechet_floor': 0.25, 'test/kid': 0.375, 'test/kid_floor': 0.125}
  | {'test/precision': 0.5, 'test/recall': 0.25, 'test/recognised': 0.9},
]


@pytest.fixture(scope='module')
def details():
  """Of the evaluator itself, so that no name in it is another here."""
  draws = np.random.default_rng(0)
  rows = dict(features=draws.normal(size=(20, 30)), sample_features=draws.normal(size=(20, 30)))
  rows['sample_logits'] = np.eye(4)[np.r_[np.arange(18) % 4, 0, 0]]
  batch = dict(index=np.arange(20), label=np.arange(20) % 4)

  def predictions(name, split):
    del split
    return [(rows[name], batch)]

  made = frechet.make(encoder='resnet <1>', resize='bicubic', floor_split='test')(predictions)
  return {name: np.asarray(x) for name, x in made.details.items()}


@pytest.fixture(scope='module')
def seen():
  model = gans.shared()._replace(facts=gans.FACTS | FACTS)
  drawn = collected.of_run(model)
  earlier = dict.fromkeys((300, 600), drawn.samples[:, :2])
  near = [collected.Near(drawn.samples[0, 0], EVIL, [drawn.samples[0, 1]], [0.5])]
  return drawn._replace(earlier=earlier, near=near, searched='all 7 training pictures')


@pytest.fixture(scope='module')
def run(details):
  return Run('game', CONFIG, ROWS, {}, FACTS, {'test': details})


def test_a_page_has_everything_and_loads_nothing(run, seen):
  found = Page(page.build([run], [seen]))
  for title in ('Samples', 'Samples over training', 'Interpolations', 'Nearest real pictures'):
    assert title in found.text
  for title in ('Where the generator looks', 'Losses of both players', 'Distances', 'Recognised'):
    assert title in found.text
  assert 'Singular values' in found.text and EVIL in found.text
  assert found.text.strip().endswith('Not in this report:Provenance: result.json is not there')
  assert all(link.startswith(('#', 'data:')) for link in found.links)
  for words in ('step 300', 'all 7 training pictures', 'cat → dog', 'block_0/conv1'):
    assert words in found.text


def test_both_losses_are_in_one_chart(run, seen):
  charts = {
    chart['metric']: chart['series']
    for data in Page(page.build([run], [seen])).figures['curves'][1:]
    for chart in data['charts']
  }
  found = {one['evaluator']: one['values'] for one in charts['loss']}
  assert found == dict(discriminator=[0.5, 0.75], generator=[1.5, 1.25])
  found = {one['evaluator']: (one['steps'], one['values']) for one in charts['Fréchet distance']}
  both = {'samples': ([10, 20], [4.0, 2.0]), 'real against real': ([10, 20], [0.25, 0.25])}
  assert found == both
  assert 'score' not in charts  # nothing of it was logged


def test_every_number_stands_beside_what_it_depends_on(run, details):
  (one,) = distances.measured([run])
  cells = dict(distances._cells(one))
  assert cells['Fréchet distance'] == '<b>2</b>' and cells['KID'] == '<b>0.375</b>'
  assert cells['Fréchet distance, real against real'] == '0.25'
  assert cells['KID, real against real'] == '0.125'
  assert cells['encoder'] == 'resnet &lt;1&gt;' and cells['features'] == '30'
  assert (cells['pictures'], cells['split'], cells['resize']) == ('20', 'test', 'bicubic')
  assert cells['real against real: splits'] == 'two halves of test, 10 each'
  assert f'{float(details["real_recall"]):.2%}'[:4] in cells['recall, real against real']
  section = distances.distances([run])
  assert 'warning: 10 examples say little of the covariance of 30 features' in section.body


def test_classes_that_are_not_recognised_say_what_they_are_taken_for(run):
  body = Page(distances.recognised(run, ['cat', 'dog', EVIL, '1']).html()).text
  # Numbers 18 and 19, of classes 2 and 3, are taken for class 0.
  assert 'cat100.0 %–' in body and f'{EVIL}80.0 %cat (1)' in body and '180.0 %cat (1)' in body


def test_what_is_not_there_says_so():
  empty = sections.one(Run('game', CONFIG, [], {}, {}, {}))
  said = {part.title: part for part in empty}
  for title in ('Samples', 'Interpolations', 'Distances', 'Recognised', 'Singular values'):
    assert not said[title].body and said[title].note


def test_runs_are_compared_by_their_samples_and_distances(run, seen):
  runs = [run, run._replace(name='other')]
  parts = {part.title: part for part in comparison.several(runs, [seen, seen])}
  assert parts['Samples'].body.count('<img') == 2 * 4 * 4
  assert 'game: test' in parts['Distances'].body and 'other: test' in parts['Distances'].body
  fewer = seen._replace(kinds=seen.kinds[:2])
  parts = {part.title: part for part in comparison.several(runs, [seen, fewer])}
  assert not parts['Samples'].body and 'same classes' in parts['Samples'].note
