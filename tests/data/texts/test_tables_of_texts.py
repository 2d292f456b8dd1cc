"""Tables as GLUE and others write them, and what is missing in them."""

import csv
import io
import json

import pytest

from vitlab.data.texts import tables
from vitlab.data.texts.tables import Columns
from vitlab.errors import UserError

ROWS = [('a "quoted, text"', 'the\u2028other', '1'), ("'tis", 'x,y', '0')]


def tsv(header, order, end='\n'):
  lines = ['\t'.join(header)] * bool(header) + ['\t'.join(row[i] for i in order) for row in ROWS]
  return ''.join(line + end for line in lines)


def read(content, kind='tsv', **columns):
  found = tables.read('x', kind, content, Columns(**columns))
  return list(zip(found.texts, found.pairs or [''] * len(found.texts), found.labels))


SINGLE = [(text, '', label) for text, _, label in ROWS]


@pytest.mark.parametrize(
  'header, order, pair',
  [
    (['sentence', 'label'], [0, 2], False),
    (['label', 'content'], [2, 0], False),
    (['index', 'sentence1', 'sentence2', 'label'], [2, 0, 1, 2], True),
    (['question', 'sentence', 'label'], [0, 1, 2], True),
    (['Quality', '#1 ID', '#2 ID', '#1 String', '#2 String'], [2, 2, 2, 0, 1], True),
    (['id', 'qid1', 'qid2', 'question1', 'question2', 'is_duplicate'], [2, 2, 2, 0, 1, 2], True),
    (['gold_label', 'premise', 'hypothesis'], [2, 0, 1], True),
  ],
)
@pytest.mark.parametrize('end', ['\n', '\r\n'])
def test_columns_are_found_by_their_usual_names(header, order, pair, end):
  assert read(tsv(header, order, end)) == (ROWS if pair else SINGLE)


def test_columns_by_name_and_position():
  content = tsv(['b', 'c', 'a'], [1, 2, 0])
  assert read(content, text='a', pair='b', label='c') == ROWS
  assert read(tsv([], [1, 2, 0]), text='2', label='1') == SINGLE  # CoLA has no header
  assert read(tsv(['label', 'sentence'], [2, 0]), text='1', label='0') == SINGLE


def test_quotes_are_of_csv_and_not_of_tsv():
  out = io.StringIO()
  csv.writer(out).writerows([('text', 'label'), ('a "b"\n, c', '1'), ('d', '0')])
  assert read(out.getvalue(), 'csv') == [('a "b"\n, c', '', '1'), ('d', '', '0')]
  assert read('text\tlabel\n"a\t1\n') == [('"a', '', '1')]
  assert read('text\tlabel\n"a\tb"\t1\n', quotes=True) == [('a\tb', '', '1')]


def test_lines_of_json():
  rows = [dict(sentence=text, label=int(label), other=None) for text, _, label in ROWS]
  assert read('\n\n'.join(map(json.dumps, rows)), 'jsonl') == SINGLE


def test_places_are_lines_of_the_file():
  found = tables.read('x', 'csv', 'text,label\n\n"a\nb",1\nc,0\n', Columns())
  assert found.places == ['line 4', 'line 5']


def test_without_labels_there_is_nothing():
  assert tables.read('x', 'tsv', 'index\tsentence\n0\ta\n', Columns()) is None


@pytest.mark.parametrize(
  'content, kind, columns, message',
  [
    ('', 'tsv', {}, 'x is empty'),
    ('\n \n', 'tsv', {}, 'x is empty'),
    ('text\tlabel\n', 'tsv', {}, 'has a header and no lines'),
    ('a\tb\n', 'tsv', {}, 'no column that is known to hold the text; the columns are a, b'),
    ('text\tlabel\nx\t1\n', 'tsv', dict(text='txt'), "no column data.text='txt'; .* text, label"),
    ('text\tlabel\nx\t1\n', 'tsv', dict(label='y'), "no column data.label='y'"),
    ('text\tlabel\nx\t1\ny\n', 'tsv', {}, 'line 3 has no column 1; it has 1 columns'),
    ('x\t1\n', 'tsv', dict(text='0', label='7'), 'line 1 has no column 7'),
    ('x\t1\n', 'tsv', dict(label='1'), 'both by position or both by name'),
    ('{"text": "a", "label": 1}\n{"text": "a"}', 'jsonl', {}, "line 2 has no column 'label'"),
    ('{"text"', 'jsonl', {}, 'line 1 is no JSON'),
    ('[1]', 'json', {}, 'line 1 is no JSON object'),
    ('text,label\n"a,1\n', 'csv', {}, 'cannot be read: unexpected end of data\n.*data.quotes'),
  ],
)
def test_what_is_missing_is_named(content, kind, columns, message):
  with pytest.raises(UserError, match=message) as error:
    read(content, kind, **columns)
  assert str(error.value).count('\n') < 3
