"""Numbers as a reader wants them, and nothing of a run unescaped."""

import math

import pytest
from _helpers.html_pages import Page

from vitlab.report import markup

HOSTILE = '<script>alert("&")</script>'


@pytest.mark.parametrize(
  ('value', 'text'),
  [
    (0, '0'),
    (-0.0, '0'),
    (1234567, '1,234,567'),
    (12345.678, '12,346'),
    (0.123456, '0.1235'),
    (6.92e-08, '6.92e-08'),
    (math.nan, 'NaN'),
    (None, 'NaN'),
    (-math.inf, '−∞'),
    (True, 'True'),
    ('x', 'x'),
  ],
)
def test_number(value, text):
  assert markup.number(value) == text


def test_score_is_a_percentage_where_the_metric_is_a_fraction():
  assert markup.score('test/accuracy', 0.98765) == '98.77 %'
  assert markup.score('test/top5_accuracy', 1) == '100.00 %'
  assert markup.score('test/loss', 0.98765) == '0.9877'
  assert markup.score('test/accuracy', math.nan) == 'NaN'
  assert markup.score('test/average_precision', 41.5) == '41.5'


@pytest.mark.parametrize(
  ('seconds', 'text'),
  [(9.312, '9.31 s'), (59.96, '60 s'), (74.2, '1 min 14 s'), (3 * 3600 + 725, '3 h 12 min')],
)
def test_duration(seconds, text):
  assert markup.duration(seconds) == text


@pytest.mark.parametrize(
  ('value', 'text'),
  [('', "''"), (None, 'None'), (True, 'true'), ([], '()'), ([0.5, 'a'], '(0.5, a)'), (0.1, '0.1')],
)
def test_plain(value, text):
  assert markup.plain(value) == text


@pytest.mark.parametrize(
  'html',
  [
    markup.tiles([(HOSTILE, HOSTILE)]),
    markup.pairs({HOSTILE: HOSTILE}),
    markup.table(['', 'x'], [[markup.breakable(HOSTILE), markup.bar(0.5, HOSTILE)]], HOSTILE),
  ],
)
def test_what_comes_from_a_run_is_escaped(html):
  page = Page(html)
  assert 'script' not in page.tags
  assert page.text.count(HOSTILE) == 2


def test_the_data_of_a_figure_cannot_end_its_script():
  page = Page(markup.figure('curves', {'name': HOSTILE, 'value': None}))
  assert page.figures == {'curves': [{'name': HOSTILE, 'value': None}]}


def test_a_section_can_be_linked_to():
  section = markup.Section('Confusion (test)', 'note', '<p>body</p>')
  page = Page(section.html())
  assert page.ids == [section.anchor] == ['confusion-test-']
  assert page.text == 'Confusion (test)notebody'


@pytest.mark.parametrize(('share', 'width'), [(0.25, '25.0'), (None, '0.0'), (1.5, '100.0')])
def test_a_bar_stays_inside_its_track(share, width):
  assert f'width:{width}%' in markup.bar(share, '')


def test_what_would_not_be_seen_is_written_out():
  assert markup.escape('<a>\t\n\x1b\udcff\u202e&') == r'&lt;a&gt;\t\n\x1b\udcff\u202e&amp;'
  assert markup.breakable('a/b\nc') == r'a/<wbr>b\nc'
