"""Names and sentences from anywhere stay on one line."""

import json
import sys

import pytest

from vitlab.lines import aligned, json_line, one_line, visible

NASTY = 'a\tb\nc\r\x0b\x0c\x1b[31m\x85\u2028\u2029\x7f'


@pytest.mark.parametrize(
  'text', ['a cat', 'über', '<b>猫</b>', 'नमस्ते', '👩\u200d🔬', 'C:\\new', 'می\u200cخواهم']
)
def test_what_can_be_seen_stays(text):
  assert visible(text) == one_line(text) == text


def test_what_breaks_a_line_becomes_visible():
  found = visible(NASTY + '\u202eexe.png\udcff')
  assert found.startswith(r'a\tb\nc\r\x0b\x0c\x1b[31m\x85\u2028\u2029\x7f\u202eexe.png\udcff')
  assert found.isascii() and found.isprintable()


def test_what_breaks_a_line_of_text_becomes_a_space():
  assert one_line(NASTY) == 'a b c    [31m    '


@pytest.mark.parametrize('function', [visible, one_line])
def test_no_character_ends_a_line(function):
  everything = ''.join(map(chr, range(sys.maxunicode + 1)))
  assert len(function(everything).splitlines()) == 1


def test_a_line_of_json_is_one_line_and_says_everything():
  found = json_line({NASTY: ['über', NASTY + '\udcff\u202e']})
  assert len(found.splitlines()) == 1 and found[-1] == '\n' and 'über' in found
  assert json.loads(found) == {NASTY: ['über', NASTY + '\udcff\u202e']}


def test_a_table_is_aligned():
  rows = [('file', 'n', 'of'), ('a\tb', '10', ''), ('c', '9', 'cats')]
  assert aligned(rows, right=(1,)).split('\n') == [
    'file   n  of',
    'a\\tb  10',
    'c      9  cats',
  ]
