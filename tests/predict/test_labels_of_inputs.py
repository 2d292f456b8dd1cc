"""What is said of inputs stays a table, and goes into JSON."""

import numpy as np

from vitlab.predict.labels import Label, as_json, table, top


def test_no_name_breaks_the_table():
  names = ['a\tb\x1b[31m.png', 'c\nd.png', 'e\udcff.png']
  said = [Label(name, [('cat\n<b>', 0.75), ('dog\r', 0.25)]) for name in names]
  head, *rows = table(said, 'file').splitlines()
  assert len(rows) == 3 and len({row.index('cat') for row in rows}) == 1
  assert rows[0].startswith(r'a\tb\x1b[31m.png') and r'cat\n<b>' in rows[0]
  assert all(row.isprintable() and row.isascii() for row in rows)


def test_the_most_probable_come_first_and_of_equals_the_first():
  assert top(np.array([0.25, 0.5, 0.25]), 'abc') == [('b', 0.5), ('a', 0.25), ('c', 0.25)]
  assert len(top(np.full(9, 1 / 9), 'abcdefghi')) == 5


def test_json_says_what_was_given_and_why_nothing_is_said():
  row = as_json(Label('x', [('cat', 0.75), ('dog', 0.25)]), dict(file='x'))
  assert list(row) == ['file', 'class', 'probability', 'top']
  assert (row['class'], row['probability']) == ('cat', 0.75) and len(row['top']) == 2
  assert as_json(Label('x', (), 'why'), dict(file='x')) == dict(file='x', error='why')
