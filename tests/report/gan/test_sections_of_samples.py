"""The page of a generator: what it has, what it says where it has it not, and that it is HTML."""

import pytest
from _helpers import gan_runs, gans
from _helpers.html_pages import Page

from vitlab.report import comparison, page, sections
from vitlab.report.gan import collected
from vitlab.report.run import Run


@pytest.fixture(scope='module')
def run():
  return gan_runs.run()


@pytest.fixture(scope='module')
def seen():
  model = gans.shared()._replace(facts=gans.FACTS | gan_runs.FACTS)
  drawn = collected.of_run(model)
  earlier = dict.fromkeys((300, 600), drawn.samples[:, :2])
  near = [collected.Near(drawn.samples[0, 0], gan_runs.EVIL, [drawn.samples[0, 1]], [0.5])]
  return drawn._replace(earlier=earlier, near=near, searched='all 7 training pictures')


def test_a_page_has_everything_and_loads_nothing(run, seen):
  found = Page(page.build([run], [seen]))
  for title in ('Samples', 'Samples over training', 'Interpolations', 'Nearest real pictures'):
    assert title in found.text
  for title in ('Where the generator looks', 'Losses of both players', 'Distances', 'Recognised'):
    assert title in found.text
  assert 'Singular values' in found.text and gan_runs.EVIL in found.text
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


def test_what_is_not_there_says_so():
  empty = sections.one(Run('game', gan_runs.CONFIG, [], {}, {}, {}))
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
