"""Files of word vectors by word2vec's program, gensim and GloVe; damage is named."""

import gzip
import struct

import numpy as np
import pytest
from gensim.models import KeyedVectors

from vitlab.errors import UserError
from vitlab.pretrained import word_vectors
from vitlab.pretrained.word_vectors import read, write

WORDS = ['apple', 'banana', 'é', 'a\u2028b', 'x\x85y']
VECTORS = np.array(
  [[0.1, 1e-8], [123456789, -2.5], [1, 2], [3e38, -0.0], [10.25, 32]], np.float32
)  # the last two begin with bytes that look like a newline and a space


def place(tmp_path, content, name='vectors.txt'):
  path = tmp_path / name
  path.write_bytes(content)
  return path


def row(word, *numbers, end=b''):
  return word.encode() + b' ' + struct.pack(f'<{len(numbers)}f', *numbers) + end


@pytest.mark.parametrize('format', list(word_vectors.FORMATS))
def test_gensim_reads_what_is_written_and_so_do_we(tmp_path, format):
  words = ['apple', 'banana', 'é']
  path = write(tmp_path / 'new', words, VECTORS[:3], format)
  theirs = KeyedVectors.load_word2vec_format(
    path, binary=format == 'word2vec_binary', no_header=format == 'glove'
  )
  assert theirs.index_to_key == words
  np.testing.assert_array_equal(theirs.vectors, VECTORS[:3])
  found = read(path)
  assert found.words == words
  np.testing.assert_array_equal(found.vectors, VECTORS[:3])


@pytest.mark.parametrize('binary', [False, True])
def test_files_are_those_of_gensim_to_the_byte(tmp_path, binary):
  theirs = KeyedVectors(2)
  theirs.add_vectors(['apple', 'é'], VECTORS[:2])
  theirs.save_word2vec_format(tmp_path / 'theirs', binary=binary)
  format = 'word2vec_binary' if binary else 'word2vec'
  path = write(tmp_path / 'ours.bin', ['apple', 'é'], VECTORS[:2], format)
  assert path.read_bytes() == (tmp_path / 'theirs').read_bytes()


def test_words_may_hold_what_unicode_takes_for_an_end_of_line(tmp_path):
  lines = [f'{word} ' + ' '.join(map(str, v)) for word, v in zip(WORDS, VECTORS)]
  glove, program = '\n'.join(lines), '5 2\n' + ''.join(f'{line} \n' for line in lines)
  for text in (glove, program):
    found = read(place(tmp_path, text.encode()))
    assert found.words == WORDS
    np.testing.assert_array_equal(found.vectors, VECTORS)


@pytest.mark.parametrize('end', [b'', b'\n'])
def test_binary_rows_end_with_a_newline_or_nothing(tmp_path, end):
  content = b'5 2\n' + b''.join(row(w, *v, end=end) for w, v in zip(WORDS, VECTORS))
  for data, name in [(content, 'v.bin'), (gzip.compress(content), 'v.bin.gz')]:
    path = place(tmp_path, data, name)
    assert word_vectors.is_one(path)
    found = read(path)
    assert found.words == WORDS
    np.testing.assert_array_equal(found.vectors, VECTORS)


def test_a_word_that_the_program_has_cut_is_read(tmp_path):
  content = b'2 1\n' + 'é'.encode()[:1] + row('', 1.0) + row('b', 2.0)
  assert read(place(tmp_path, content, 'v.bin')).words == ['\ufffd', 'b']


def test_glove_has_words_with_spaces_and_tabs_are_read(tmp_path):
  found = read(place(tmp_path, b'the 1 2\n. . . 3\t4\n'))
  assert found.words == ['the', '. . .'] and found.vectors.tolist() == [[1, 2], [3, 4]]


def test_of_a_word_that_comes_twice_the_first_counts_and_it_is_named(tmp_path, caplog):
  found = read(place(tmp_path, b'4 1\nx 1\nx 2\ny 3\nz 4\n'))
  assert found.words == ['x', 'y', 'z'] and found.vectors.ravel().tolist() == [1, 3, 4]
  assert "'x'" in caplog.text


@pytest.mark.parametrize(
  'content, message',
  [
    (b'3 2\na 1 2\nb 1 2\n', 'cut short: it says 3 words, and holds 2'),
    (b'2 2\na 1 2\nb 1 2\nc 1 2\n', 'says 2 words, and holds 3'),
    (b'2 3\na 1 2\nb 1 2\n', 'line 2 is no word with 3 numbers'),
    (b'2 2\na 1 2\nb 1\n', 'line 3 is no word with 2 numbers'),
    (b'2 2\na 1 2\nb 1 two\n', 'line 3 is no word'),
    (b'a 1e400 1\nb 1 2\n', "'a' is not finite"),
    (b'a nan 1\nb 1 2\n', "'a' is not finite"),
    (b'this is no file of vectors\n', 'expected "words numbers"'),
    (b'', 'expected "words numbers"'),
    (b'0 5\n', 'it is empty'),
    (b'2 0\na\nb\n', 'it is empty'),
    (b'3 2\n' + row('a', 1, 2) + row('b', 1, 2), 'cut short: it says 3 words, and holds 2'),
    (b'2 2\n' + row('a', 1, 2) + row('b', 1, 2)[:-3], 'says 2 words, and holds 1'),
    (b'1 2\n' + row('a', 1, 2) + row('b', 1, 2), 'holds more'),
  ],
)
def test_damage_is_one_clear_error(tmp_path, content, message):
  with pytest.raises(UserError, match=message) as refused:
    read(place(tmp_path, content))
  assert len(str(refused.value).splitlines()) <= 2


@pytest.mark.parametrize('word', ['new york', '', 'a\nb'])
def test_words_that_no_reader_would_find_again_are_not_written(tmp_path, word):
  with pytest.raises(UserError, match='cannot be written'):
    write(tmp_path / 'v.txt', [word], VECTORS[:1], 'word2vec')


def test_what_is_no_file_of_vectors_is_not_taken_for_one(tmp_path):
  assert not word_vectors.is_one(place(tmp_path, b'\x80\x02}q', 'pytorch_model.bin'))
  assert not word_vectors.is_one(tmp_path)
  assert not word_vectors.is_one(tmp_path / 'nowhere.txt')
