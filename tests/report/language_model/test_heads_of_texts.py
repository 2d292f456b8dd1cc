"""What the heads of a language model are said to do, and how a text stands on the page."""

import base64

import numpy as np
from _helpers import text

from vitlab.data.vocabularies import learned, plain
from vitlab.ops import head_roles
from vitlab.report.language_model import heads


def test_a_head_is_named_by_what_stands_out():
  share = np.zeros((1, len(head_roles.ROLES), 3))
  share[0, 0] = [0.5, 0.25, 0.2]
  share[0, 4] = [0.6, 0.52, 0.45]
  alike = np.array([0.2, 0, 0, 0, 0.4, 0])
  found = heads.Roles(share, alike, 9)
  # 30 points beyond chance beat 20, though the share is smaller; 5 are no role.
  assert [found.name(0, head) for head in range(3)] == ['previous', 'separator', '']


def test_separators_have_no_letters():
  words = plain.characters([' a,\n9'])
  tokens = words.encode([' a,\n9'])[0]
  assert heads.separators(words, tokens)[tokens].tolist() == [True, False, True, True, False]
  pieces = learned.byte_bpe(lambda: ['a'], 257)
  (halves,) = pieces.encode(['ž'])  # two bytes, neither of which is a letter alone
  assert len(halves) == 2 and not heads.separators(pieces, halves)[halves].any()


def test_pieces_stand_as_in_the_text():
  lines = text.sentences(200)[0]
  words = learned.byte_bpe(lambda: lines, 270)
  said = 'the dog\nüber'
  pieces = heads.written(words, words.encode([said])[0])
  assert ''.join(pieces).startswith('the dog\n') and pieces != list(said)
  assert not any('Ġ' in piece or 'Ċ' in piece for piece in pieces)
  assert heads.written(words, [10**6]) == ['#1000000']
  hidden = plain.characters(['\x1b\u202e'])
  assert heads.written(hidden, hidden.encode(['\x1b\u202e'])[0]) == [r'\x1b', r'\u202e']


def test_weights_are_packed_row_by_row():
  weights = np.arange(2 * 1 * 9, dtype=np.uint8).reshape(2, 1, 3, 3)
  assert list(base64.b64decode(heads.packed(weights))) == [0, 3, 4, 6, 7, 8, 9, 12, 13, 15, 16, 17]
