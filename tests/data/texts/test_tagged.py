"""Words with tags: as they are written, and as tokens of which the first stands for a word."""

import _helpers.torchvision_shim  # noqa: F401  isort: skip
import json

import numpy as np
import pytest
import transformers

from vitlab.data.texts import tagged
from vitlab.data.vocabularies import exported, learned, plain
from vitlab.errors import UserError

CONLL = (
  '-DOCSTART- -X- -X- O\n\nAda NNP B-NP B-PER\nLovelace NNP I-NP I-PER\n# SYM O O\n\n\n'
  'in\tIN\tB-PP\tO\nNew York\tNNP\tB-NP\tB-LOC\n'
)
TEXTS = [['Ada', 'Lovelace', '#'], ['in', 'New York']]
TAGS = [['B-PER', 'I-PER', 'O'], ['O', 'B-LOC']]
WORDPIECE = learned.wordpiece(lambda: ['ada lovelace in new york', 'ada in love'] * 9, 40)
BYTE_BPE = learned.byte_bpe(lambda: ['ada lovelace in new york', 'ada in love'] * 9, 290)


def test_a_word_a_line_and_blank_lines_between_texts():
  found = tagged.columns('x', CONLL)
  assert (found.words, found.tags) == (TEXTS, TAGS)
  assert found.places == ['the text before line 6', 'the text before line 10']
  assert tagged.columns('x', CONLL.replace('\n', '\r\n'), '0', '1').tags[1] == ['IN', 'NNP']


def test_a_text_a_line_of_json():
  rows = [dict(zip(('words', 'ner_tags'), row)) for row in zip(TEXTS, [[1, 2, 0], [0, 3]])]
  found = tagged.lines('x', '\n'.join(map(json.dumps, rows)))
  assert (found.words, found.tags) == (TEXTS, [['1', '2', '0'], ['0', '3']])
  content = json.dumps(dict(w=['a'], t=['O'], tokens=[], tags=[]))
  assert tagged.lines('x', content, 'w', 't').words == [['a']]


@pytest.mark.parametrize(
  'read, content, options, says',
  [
    (tagged.columns, 'Ada O\nLovelace\n', {}, 'x: line 2 has 1 columns: expected a word and its'),
    (tagged.columns, 'Ada O\n', dict(tag='2'), 'x: line 1 has 2 columns'),
    (tagged.columns, 'Ada O\n', dict(tag='ner'), "data.tag='ner'"),
    (tagged.lines, '{"tokens": ["a"]}', {}, "'tags': possible are tokens"),
    (tagged.lines, '\n{"tokens": ["a"], "tags": []}', {}, 'line 2 has 1 words and 0 tags'),
    (tagged.lines, '{', {}, 'line 1 is no JSON object'),
    (tagged.lines, '[1]', {}, 'line 1 is no JSON object'),
    (tagged.lines, '{"tokens": 3, "tags": 3}', {}, 'line 1 is no JSON object'),
  ],
)
def test_what_is_no_text_with_tags_is_named(read, content, options, says):
  with pytest.raises(UserError, match=says):
    read('x', content, **options)


@pytest.mark.parametrize('vocabulary', [WORDPIECE, BYTE_BPE], ids=['wordpiece', 'byte_bpe'])
def test_the_first_token_of_a_word_has_its_tag_as_in_transformers(vocabulary, tmp_path):
  for file, content in exported.files(vocabulary.text, around=True).items():
    (tmp_path / file).write_bytes(content)
  theirs = transformers.AutoTokenizer.from_pretrained(str(tmp_path), local_files_only=True)
  words, classes = ['ada', 'lovelace,', 'Xy', 'new'], [3, 1, 4, 2]
  (pieces,) = tagged.pieces(vocabulary, [words])
  assert len(pieces[1]) > 1
  tokens, found = tagged.row(vocabulary, pieces, classes, 64)
  # A tokenizer of bytes that adds no space takes words to be parts of one.
  given = words if vocabulary is WORDPIECE else [words[0], *(f' {word}' for word in words[1:])]
  wanted = theirs(given, is_split_into_words=True)
  assert tokens.tolist() == wanted['input_ids']
  before, firsts = None, []
  for word in wanted.word_ids():
    firsts.append(tagged.NONE if word in (None, before) else classes[word])
    before = word
  assert found.tolist() == firsts


def test_what_does_not_fit_loses_its_last_words_as_a_whole():
  pieces = [[5], [6, 7, 8], [9]]
  for room, words in ((7, 3), (6, 2), (5, 1), (4, 1), (3, 1)):
    tokens, found = tagged.row(WORDPIECE, pieces, [0, 1, 0], room)
    assert len(tokens) == 2 + sum(map(len, pieces[:words])) <= room
    assert (found != tagged.NONE).sum() == words
    assert (tokens[0], tokens[-1]) == WORDPIECE.special.around
  tokens, found = tagged.row(WORDPIECE, [[6, 7, 8]], [1], 4)  # of a first word the end
  assert tokens.tolist()[1:-1] == [6, 7] and found.tolist() == [-1, 1, -1, -1]


def test_a_word_of_which_nothing_is_left_is_an_unknown_one():
  (pieces,) = tagged.pieces(WORDPIECE, [['ada', '\x00', 'in']])
  assert pieces[1] == [WORDPIECE.special.unk] and len(pieces) == 3
  vocabulary = plain.characters(['ab'])
  with pytest.raises(UserError, match="no token for the word ''"):
    list(tagged.pieces(vocabulary, [['']]))


@pytest.mark.parametrize(
  'tags, names, written, called',
  [
    ('O B-A', (), ['B-A', 'O'], ['B-A', 'O']),
    ('O B-A', ('O', 'B-A', 'B-B'), ['O', 'B-A', 'B-B'], ['O', 'B-A', 'B-B']),
    ('10 2', (), [str(i) for i in range(11)], [str(i) for i in range(11)]),
    ('1 0', ('O', 'B-A', 'B-B'), ['0', '1', '2'], ['O', 'B-A', 'B-B']),
  ],
)
def test_tags_have_numbers_and_names(tags, names, written, called):
  train = tagged.Tagged('x', [['a'] * 2], [tags.split()], ['line 1'])
  assert tagged.tags_of(train, names) == (written, called)


@pytest.mark.parametrize(
  'tags, names, says',
  [
    ('O B-A', ('O', 'B-B'), "the tags 'B-A', 'O' are not those of data.class_names"),
    ('0 3', ('O', 'B-A', 'B-B'), "the tags '0', '3' are not those"),
    ('O O', (), "all words have the tag 'O'"),
  ],
)
def test_names_that_are_not_theirs_are_refused(tags, names, says):
  train = tagged.Tagged('x', [['a'] * 2], [tags.split()], ['line 1'])
  with pytest.raises(UserError, match=says):
    tagged.tags_of(train, names)


def test_a_split_is_kept_as_it_is(tmp_path, caplog):
  split = tagged.Tagged('x', TEXTS * 2, TAGS * 2, ['a', 'b'] * 2)
  tagged.write(
    split, plain.Bytes(), 12, {'O': 0, 'B-PER': 1, 'I-PER': 2, 'B-LOC': 3}, tmp_path / 'a'
  )
  assert '2 of 4 texts are longer than 12 tokens' in caplog.text
  about = dict(splits=['a'], facts=dict(max_length=12))
  (source,) = tagged.opened(tmp_path, about).splits.values()
  assert (
    len(source) == 4 and source.buckets == (12,) and source.lengths.tolist() == [12, 11, 12, 11]
  )
  example = source[1]
  assert bytes(example['tokens'].tolist()) == b'in New York' and (example['segments'] == 1).all()
  np.testing.assert_array_equal(np.flatnonzero(example['classes'] >= 0), [0, 2])
  assert example['classes'][2] == 3 and source.digest() == source.digest()
  with pytest.raises(UserError, match="unknown tag in x, b 'B-LOC'"):
    tagged.write(split, plain.Bytes(), 12, {'O': 0, 'B-PER': 1, 'I-PER': 2}, tmp_path / 'b')
