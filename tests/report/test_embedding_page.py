"""The parts of a page about word vectors."""

import numpy as np
from _helpers.html_pages import Page

from vitlab.report import comparison, embedding, page, sections
from vitlab.report.run import Run

CONFIG = {'task': {'name': 'embedding'}}
DETAILS = dict(
  sections=np.array(['capitals', 'gram1-adjective', 'empty']),
  section_count=np.array([4, 2, 0]),
  section_add=np.array([1, 2, 0]),
  section_multiply=np.array([2, 2, 0]),
)


def make_run(name='vectors', **details):
  return Run(name, CONFIG, [], {}, {}, details)


def test_the_plane_is_that_in_which_directions_differ_most():
  rng = np.random.default_rng(0)
  wanted = rng.normal(size=(50, 2))
  vectors = np.concatenate([wanted, rng.normal(size=(50, 3)) * 0.05 + 3], axis=1)
  places, share = embedding.plane(vectors)
  assert 0.9 < share <= 1
  found = np.linalg.lstsq(wanted, places, rcond=None)[0]
  assert np.abs(wanted @ found - places).mean() < 0.3 * np.abs(places).mean()
  longer = vectors * rng.uniform(1, 9, (50, 1))
  np.testing.assert_allclose(np.abs(embedding.plane(longer)[0]), np.abs(places), atol=1e-9)


def test_one_word_has_a_place():
  places, _ = embedding.plane(np.ones((1, 4)))
  assert places.tolist() == [[0, 0]]


def test_a_page_has_the_map_and_the_analogies():
  seen = embedding.Map(['the', '</script><b>'], np.array([[0.5, 1], [-1, 0.25]]), 0.31)
  read = Page(page.build([make_run(analogies=DETAILS)], [seen]))
  assert read.figures['words'] == [
    dict(words=['the', '</script><b>'], x=[0.5, -1.0], y=[1.0, 0.25])
  ]
  assert '31 % of the variance' in read.text
  assert 'capitals425.0 %' in read.text.replace(' ', '').replace('25.0%', '25.0 %')
  assert 'gram1-adjective' in read.text


def test_what_is_not_there_says_so():
  titles = {part.title: part for part in sections.one(make_run())}
  for title in ('Map of the words', 'Analogies'):
    assert not titles[title].body and titles[title].note


def test_runs_are_compared_by_section():
  runs = [
    make_run('a', analogies=DETAILS),
    make_run('b', analogies=DETAILS | dict(section_add=np.array([4, 0, 0]))),
  ]
  parts = {part.title: part for part in comparison.several(runs)}
  assert '100.0 %' in parts['Analogies'].body and '25.0 %' in parts['Analogies'].body
