"""Neighbours of words, and king - man + woman, from files that people have."""

import json

import numpy as np
import pytest

from vitlab.errors import UserError
from vitlab.predict import Options, embedding, program, stablehlo, trained
from vitlab.predict import folder as folders

VECTORS = dict(man=[1, 0, 0], woman=[1, 1, 0], king=[1, 0, 1], queen=[1, 1, 1], dog=[-1, 0, 0.1])


@pytest.fixture(scope='module')
def model(tmp_path_factory):
  path = tmp_path_factory.mktemp('vectors') / 'vectors.txt'
  rows = [f'{word} {" ".join(map(str, numbers))}' for word, numbers in VECTORS.items()]
  path.write_text('5 3\n' + '\n'.join(rows))
  return trained.load(str(path))


def answers(model, *lines, count=2):
  return list(embedding.answer(model, lines, count))


def test_king_is_to_man_as_queen_to_woman(model):
  (one,) = answers(model, 'king - man + woman')
  assert one.neighbours[0][0] == 'queen'
  rows = {word: np.array(v) / np.linalg.norm(v) for word, v in VECTORS.items()}
  wanted = rows['king'] - rows['man'] + rows['woman']
  np.testing.assert_allclose(
    one.neighbours[0][1], wanted @ rows['queen'] / np.linalg.norm(wanted), rtol=1e-6
  )


def test_neighbours_come_nearest_first_without_the_word_itself(model):
  (one,) = answers(model, 'Queen', count=10)
  assert [word for word, _ in one.neighbours] == ['woman', 'king', 'man', 'dog']


@pytest.mark.parametrize(
  'line, message',
  [
    ('king - prince + duke', 'not in the vocabulary: prince, duke'),
    ('king man', 'expected a word'),
    ('king -', 'expected a word'),
    ('', 'expected a word'),
  ],
)
def test_a_line_that_cannot_be_answered_is_named(model, line, message):
  (one,) = answers(model, line)
  assert message in one.error and not one.neighbours


def test_lines_and_json(model, tmp_path, capsys):
  text = tmp_path / 'lines.txt'
  text.write_text('dog\nbird\nking - man + woman\n')
  embedding.run(model, [str(text)], Options(str(tmp_path / 'out.jsonl'), nbest=2))
  said = capsys.readouterr()
  lines = said.out.splitlines()
  assert len(lines) == 3 and lines[1] == '' and lines[2].startswith('queen ')
  assert said.err == 'line 2: not in the vocabulary: bird\n'
  found = [json.loads(line) for line in (tmp_path / 'out.jsonl').read_text().splitlines()]
  assert [len(one['neighbours']) for one in found] == [2, 0, 2]
  assert found[1]['error'] == 'not in the vocabulary: bird'
  with pytest.raises(UserError, match='choose another file'):
    embedding.run(model, [str(text)], Options(str(tmp_path)))


def test_exports_are_a_file_of_vectors_and_a_program(model, tmp_path):
  path = folders.export(model, 'word2vec', str(tmp_path / 'new.txt'))
  again = trained.load(path)
  assert again.facts['vocabulary'] == list(VECTORS)
  np.testing.assert_array_equal(embedding.vectors(again), embedding.vectors(model))
  look_up = stablehlo.load(str(program.export(model, str(tmp_path / 'vectors.stablehlo'))))
  np.testing.assert_array_equal(look_up(np.array([3, 0], np.int32)), [[1, 1, 1], [1, 0, 0]])
