"""The parts of a page about language models."""

import math

import numpy as np
import pytest
from _helpers.html_pages import Page

from vitlab.ops.head_roles import ROLES
from vitlab.report import comparison, page, sections
from vitlab.report.language_model.collected import Baselines, Places, Seen
from vitlab.report.language_model.heads import Roles, Text
from vitlab.report.run import Run

CONFIG = {'task': {'name': 'language_model'}}
LOSS = math.log(2) * 3
METRICS = {
  'val/loss': LOSS,
  'val/perplexity': 8.0,
  'val/bits_per_token': 3.0,
  'val/bits_per_character': 1.5,
}
SHARE = np.zeros((2, len(ROLES), 3))
SHARE[1, 0, 2] = 0.83
SEEN = Seen(
  'val',
  Baselines(math.log(32), math.log(16), 64),
  Places(np.array([1, 2, 4, 6]), np.array([3.0, 2.5, 2.0, np.nan]), np.array([9, 9, 18, 18])),
  Roles(SHARE, np.full(len(ROLES), 0.25), 70),
  Text(['a', '</script><b>', '\n'], np.full((2, 3, 3, 3), 7, np.uint8)),
  ['once <i>\n upon', 'a\x1b[31m time'],
)


def make_run(name='gpt', metrics=METRICS, tokenizer='t'):
  return Run(name, CONFIG, [], {'metrics': metrics}, {'tokenizer': tokenizer}, {})


def part(title, run=None, seen=SEEN):
  return next(one for one in sections.one(run or make_run(), seen) if one.title == title)


def test_a_page_has_all_parts_and_trusts_no_text():
  text = page.build([make_run()], [SEEN])
  read = Page(text)
  titles = ['Loss and baselines', 'Loss by context', 'Heads', 'Token by token', 'Samples']
  assert all(f'<h2>{title}</h2>' in text for title in titles)
  assert '<i>\n' not in text and '\x1b' not in text and 'once <i>\n upon' in read.text
  assert 'function glances(' in text and 'function places(' in text
  (figure,) = read.figures['glances']
  assert figure['pieces'] == ['a', '</script><b>', '\n']


def test_counting_stands_beside_the_model_in_all_units():
  table = part('Loss and baselines').body
  body = table.partition('<tbody>')[2].partition('</tbody>')[0]
  rows = [Page(f'{row}</tr>').text for row in body.split('</tr>')[:-1]]
  assert len(rows) == 4
  for row, bits in zip(rows, (3, 4, 5, 6)):  # per token, and half as many per character
    assert row.endswith(f'{2**bits}{bits}{f"{bits / 2:g}"}')
  assert 'per byte' not in table


def test_the_loss_over_the_steps_stands_above_level_lines():
  rows = [{'step': 4, 'train/loss': 5.0}, {'step': 9, 'train/loss': 3.0, 'val/loss': 2.5}]
  found = part('Loss and baselines', make_run()._replace(rows=rows)).body
  ((chart,),) = [one['charts'] for one in Page(found).figures['curves']]
  series = {one['evaluator']: (one['steps'], one['values']) for one in chart['series']}
  assert series['train'] == ([4, 9], [5.0, 3.0]) and series['val'] == ([9], [2.5])
  assert series['bigram'] == ([4, 9], [pytest.approx(math.log(16), rel=1e-5)] * 2)
  assert series['unigram'][0] == [4, 9] and series['unigram'][1] > series['bigram'][1]


def test_without_a_text_there_is_the_loss_alone():
  found = part('Loss and baselines', seen=None)
  assert 'this model' in found.body and 'bigram' not in found.body and 'No text' in found.note


def test_the_loss_by_place_with_lines_for_counting():
  (figure,) = Page(part('Loss by context').body).figures['places']
  points = [[1, 1, 3.0, 9], [2, 2, 2.5, 9], [3, 4, 2.0, 18], [5, 6, None, 18]]
  assert figure['models'] == [dict(run=0, name='', points=points)]
  assert [line['name'] for line in figure['lines']] == ['unigram', 'bigram']
  assert figure['lines'][1]['value'] == pytest.approx(math.log(16), rel=1e-5)


def test_heads_are_named_where_they_stand_out():
  body = part('Heads').body
  assert body.count('83 %') == 2  # the most of its kind, and its own cell
  assert 'layer 2, head 3' in body and body.count('–') == 5
  (figure,) = Page(part('Token by token').body).figures['glances']
  assert figure['start'] == [1, 2] and figure['names'] == [['', '', ''], ['', '', 'previous 83 %']]


def test_what_is_not_there_says_so():
  empty = make_run(metrics={})
  for title in ('Loss and baselines', 'Loss by context', 'Heads', 'Token by token', 'Samples'):
    found = part(title, empty, None)
    assert not found.body and found.note


def test_several_runs_are_beside_each_other():
  runs = [make_run('a'), make_run('b', METRICS | {'val/bits_per_byte': 1.25}), make_run('c', {})]
  parts = {one.title: one for one in comparison.several(runs, [SEEN, Seen(), Seen()])}
  table = Page(parts['Loss and baselines'].body).text
  assert (
    table.count('2.079') == 2
    and '1.25' in table
    and 'c' not in parts['Loss and baselines'].body[-40:]
  )
  (figure,) = Page(parts['Loss by context'].body).figures['places']
  assert [model['name'] for model in figure['models']] == ['a']


def test_losses_of_other_tokens_are_in_no_one_chart():
  runs = [make_run('a'), make_run('b', tokenizer='other')]
  parts = {one.title: one for one in comparison.several(runs, [SEEN, SEEN])}
  assert not parts['Loss by context'].body
  assert 'differ' in parts['Loss by context'].note
