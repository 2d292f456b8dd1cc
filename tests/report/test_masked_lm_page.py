"""The page of a masked language model: rows of text with what was guessed in them."""

import numpy as np
from _helpers.html_pages import Page

from vitlab.data.vocabularies import learned
from vitlab.report import masked_lm, page, sections
from vitlab.report.run import Run

WORDS = learned.wordpiece(lambda: ['the dog runs <b>'] * 9, 60)
CONFIG = {'task': {'name': 'masked_lm'}}


def details(line, *hidden):
  """Of one row, (place, guess) for each hidden token."""
  (tokens,) = WORDS.encode([line])
  place, guess = map(np.array, zip(*hidden, (-1, 0)))
  target = np.where(place < 0, 0, tokens[place])
  nll = np.full(len(place), 0.25)
  row = dict(tokens=np.append(tokens, [-1, -1]), place=place, target=target, guess=guess, nll=nll)
  return {f'guess_{key}': values[None] for key, values in dict(row, index=np.array(0)).items()}


def run(**found):
  return Run('it', CONFIG, [], {}, dict(tokenizer=WORDS.text), found)


def test_a_row_shows_what_was_hidden_and_guessed():
  dog, runs = (WORDS.pieces.index(piece) for piece in ('dog', 'runs'))
  found = details('the dog runs < b', (1, dog), (2, dog))
  (part,) = masked_lm.parts(run(val=found))
  assert part.title == 'Guesses'
  assert '<mark class="right" title="0.25 nats">dog</mark>' in part.body
  wrong = '<mark class="wrong" title="0.25 nats">dog</mark> <span class="soft">(runs)</span>'
  assert wrong in part.body and runs != dog
  read = Page(page.build([run(val=found)], []))
  assert 'the dog dog (runs) < b' in ' '.join(read.text.split())


def test_pieces_of_one_word_touch_and_others_begin_with_a_space():
  pieces = ['un', '##do', 'it', '[SEP]']
  assert masked_lm._row(pieces, np.arange(4), *[np.array([-1])] * 4) == 'undo it [SEP]'
  pieces = ['Ġun', 'do', '▁it', 'Ġ']
  row = masked_lm._row(
    pieces, np.arange(4), np.array([1]), np.array([1]), np.array([2]), np.array([2.0])
  )
  assert row.startswith('un<mark class="wrong" title="2 nats">it</mark> ') and row.endswith(' Ġ')
  assert masked_lm._row([], np.array([7]), *[np.array([-1])] * 4) == '#7'


def test_rows_of_two_evaluators_are_told_apart_and_none_say_so():
  found = details('the dog', (0, 5))
  titles = [part.title for part in sections.one(run(val=found, test=found))]
  assert {'Guesses (val)', 'Guesses (test)'} <= set(titles)
  (part,) = masked_lm.parts(run())
  assert part == masked_lm.Section('Guesses', 'no guesses were stored', '')


def test_rows_lie_apart_where_there_are_many():
  one = details('the dog', (0, 5))
  many = {key: np.repeat(values, 64, axis=0) for key, values in one.items()}
  many['guess_tokens'] = many['guess_tokens'].copy()
  many['guess_tokens'][1:5] = 7  # between the first two that are shown
  (part,) = masked_lm.parts(run(val=many))
  assert part.body.count('<li>') == masked_lm.SHOWN
  assert part.body.count('dog') == masked_lm.SHOWN
