"""Entities as seqeval 1.2.2 counts them: what stands here of them is what it said."""

import numpy as np
import pytest

from vitlab.errors import UserError
from vitlab.evaluators import entities

# Tags of a text -> (kind, first word, the one behind the last); the odd ones as conlleval has them.
FOUND = {
  'O B-PER I-PER O': [('PER', 1, 3)],
  'I-PER I-PER O I-LOC': [('PER', 0, 2), ('LOC', 3, 4)],
  'B-PER B-PER I-LOC I-LOC': [('PER', 0, 1), ('PER', 1, 2), ('LOC', 2, 4)],
  'B-PER I-PER E-PER S-LOC': [('PER', 0, 3), ('LOC', 3, 4)],
  'E-PER E-PER O E-PER I-PER': [('PER', 0, 1), ('PER', 1, 2), ('PER', 3, 4), ('PER', 4, 5)],
  'S-LOC I-LOC E-LOC': [('LOC', 0, 1), ('LOC', 1, 3)],
  'B I I O B': [('', 0, 3), ('', 4, 5)],
  'I-A I-B B-B I-A': [('A', 0, 1), ('B', 1, 2), ('B', 2, 3), ('A', 3, 4)],
  'O O': [],
  'B-A-1 I-A-2': [('A-1', 0, 1), ('A-2', 1, 2)],
  'I-A E-A I-A E-A': [('A', 0, 2), ('A', 2, 4)],
}
TRUE = ['O B-PER I-PER O B-LOC', 'B-PER O I-LOC I-LOC O', 'O O O', 'B-MISC I-MISC B-MISC']
SAID = ['O B-PER I-PER B-LOC I-LOC', 'B-PER I-PER I-LOC I-LOC O', 'B-PER B-PER O']
SAID += ['B-MISC I-MISC I-MISC']
NAMES = sorted({tag for line in TRUE + SAID for tag in line.split()})


@pytest.mark.parametrize('tags', FOUND)
def test_entities_are_those_of_seqeval(tags):
  assert list(entities.entities(tags.split())) == FOUND[tags]


def predictions(true=TRUE, said=SAID, names=NAMES):
  """Two batches, of which rows begin with a token of no word and end with padding."""

  def rows(lines):
    found = np.zeros((len(lines), 7), int)
    for row, line in zip(found, lines):
      row[1 : 1 + len(line.split())] = [names.index(tag) for tag in line.split()]
    return found

  def predict(name, split):
    assert (name, split) == ('scores', 'val')
    counted = np.array([[0 < i <= len(line.split()) for i in range(7)] for line in true])
    found = dict(tag=rows(true), guess=rows(said), nll=np.where(counted, 0.5, 9), counted=counted)
    for part in (slice(0, 3), slice(3, None)):
      yield {key: x[part] for key, x in found.items()}, {}

  return predict


def test_numbers_are_those_of_seqeval():
  found, details = entities.make(NAMES, 'val')(predictions())
  wanted = dict(precision=2 / 7, recall=1 / 3, f1=0.30769230769230765, accuracy=0.625, loss=0.5)
  assert found == pytest.approx(wanted)
  assert details['kinds'].tolist() == ['LOC', 'MISC', 'PER']
  assert details['kind_true'].tolist() == [2, 2, 2]
  assert details['kind_said'].tolist() == [2, 1, 4]
  assert details['kind_right'].tolist() == [1, 0, 1]


def test_without_entities_nothing_is_divided_by_zero():
  lines = ['O O', 'O']
  found, _ = entities.make(['O', 'B-A'], 'val')(predictions(lines, lines, ['O', 'B-A']))
  assert found == dict(precision=0, recall=0, f1=0, accuracy=1, loss=0.5)


def test_tags_of_another_kind_have_an_accuracy():
  names = ['NOUN', 'VERB', 'O']
  found, details = entities.make(names, 'val')(predictions(['NOUN VERB'], ['NOUN NOUN'], names))
  assert found == dict(accuracy=0.5, loss=0.5) and not details


def test_a_split_without_words_is_refused():
  with pytest.raises(UserError, match="no word of the split 'val' has a tag"):
    entities.make(NAMES, 'val')(lambda *_: iter(()))
