"""Lines in, lines out: in their order, whatever stands beside them."""

import json

import numpy as np
import pytest
from _helpers import text, translators

from vitlab.data import tokenizers
from vitlab.errors import UserError
from vitlab.lines import one_line
from vitlab.predict import translation

BEAM = dict(name='beam', beams=3)


@pytest.fixture(scope='module')
def model():
  return translators.trained(translators.RNN, search=BEAM)


def test_neighbours_change_no_translation(model):
  """Lines of all lengths, more than a batch of them, against each of some alone."""
  lines = text.sentences(70, seed=5)[0]
  together = translation.translate(model, lines)
  assert [one.source for one in together] == lines
  for i in (0, 30, 69):
    (alone,) = translation.translate(model, [lines[i]])
    assert [found[0] for found in alone.found] == [found[0] for found in together[i].found]
    np.testing.assert_allclose(alone.found[0][1], together[i].found[0][1], rtol=1e-5)
  assert len({one.found[0][0] for one in together}) > 1


def test_all_that_were_found_come_the_best_first(model):
  (one,) = translation.translate(model, ['the dog runs'])
  scores = [score for _, score, _ in one.found]
  assert len(scores) == 3 and scores == sorted(scores, reverse=True)
  vocabulary = tokenizers.of(model.facts)
  assert all(vocabulary.decode(tokens) == said for said, _, tokens in one.found)


def test_lines_stay_lines(model, capsys, tmp_path):
  """An empty line and one that is too long leave their place empty."""
  lines = ['a dog', '', 'the wall ' * 800, 'a cat']
  translation.write(model, lines, str(tmp_path / 'out.jsonl'))
  shown = capsys.readouterr()
  said = shown.out.split('\n')[:-1]
  assert len(said) == 4 and said[1] == said[2] == ''
  assert 'line 3:' in shown.err and 'more than 1,024' in shown.err
  rows = [json.loads(line) for line in (tmp_path / 'out.jsonl').read_text().splitlines()]
  assert [row['source'] for row in rows] == lines
  found = [row['found'][0]['text'] if row['found'] else '' for row in rows]
  assert list(map(one_line, found)) == said
  assert ['error' in row for row in rows] == [False, False, True, False]


def test_n_best_have_number_and_score(model, capsys):
  translation.write(model, ['a dog', 'a cat'], nbest=2)
  rows = [line.split('\t') for line in capsys.readouterr().out.splitlines()]
  assert [row[0] for row in rows] == ['1', '1', '2', '2']
  assert float(rows[0][1]) >= float(rows[1][1])


def test_an_output_that_cannot_be_written(model, tmp_path, capsys):
  with pytest.raises(UserError, match='--output='):
    translation.write(model, ['a dog'], str(tmp_path))
  assert not capsys.readouterr().out


def test_a_model_of_images_is_no_translator(model):
  with pytest.raises(UserError, match='holds no translator'):
    translation.translate(model._replace(facts={}), ['a dog'])


def test_pieces_without_their_model_are_refused(model):
  facts = {key: x for key, x in model.facts.items() if key != 'tokenizer'}
  with pytest.raises(UserError, match='pieces of a sentencepiece model'):
    translation.translate(model._replace(facts=facts), ['a dog'])


NASTY = 'one\ntwo\tthree\rfour\u2028five\x85six\x1b[2J'


class Saying:
  """A vocabulary of which every sentence is the same text."""

  def __init__(self, vocabulary, text):
    self._vocabulary, self.pieces, self._text = vocabulary, vocabulary.pieces, text

  def encode(self, lines):
    return self._vocabulary.encode(lines)

  def decode(self, tokens):
    return self._text


@pytest.mark.parametrize('nbest', [1, 2])
def test_what_the_model_says_breaks_no_line(model, monkeypatch, capsys, tmp_path, nbest):
  vocabulary = Saying(tokenizers.of(model.facts), NASTY)
  monkeypatch.setattr(tokenizers, 'of', lambda facts: vocabulary)
  lines = ['a dog', 'a\u2028cat', 'the wall']
  translation.write(model, lines, str(tmp_path / 'out.jsonl'), nbest=nbest)
  said = capsys.readouterr().out.splitlines()
  assert len(said) == 3 * nbest
  assert {line.split('\t')[-1] for line in said} == {'one two three four five six [2J'}
  assert {line.count('\t') for line in said} == {0 if nbest == 1 else 2}
  rows = [json.loads(line) for line in (tmp_path / 'out.jsonl').read_text().splitlines()]
  assert [row['source'] for row in rows] == lines
  assert {one['text'] for row in rows for one in row['found']} == {NASTY}


def test_bytes_that_are_drawn_break_no_line(capsys):
  """Byte pieces are as probable as words: each tenth token is a line end or a tab."""
  model = translators.trained(translators.RNN, search=dict(name='sample', temperature=1.0))
  vocabulary = tokenizers.of(model.facts)
  ends = [vocabulary.pieces.index(piece) for piece in ('<0x0A>', '<0x0D>', '<0x09>')]
  params = model.variables['model']['params']
  bias = params['head']['bias'].at[np.array(ends)].add(5)
  params = {**params, 'head': {**params['head'], 'bias': bias}}
  model = model._replace(variables={'model': {**model.variables['model'], 'params': params}})
  lines = text.sentences(40, seed=5)[0]
  found = translation.translate(model, lines)
  assert sum('\n' in one.found[0][0] for one in found) > 10
  translation.write(model, lines)
  assert len(capsys.readouterr().out.splitlines()) == len(lines)
