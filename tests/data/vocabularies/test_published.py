"""Token for token what transformers says, on text that was made to be misread."""

import json

import numpy as np
import pytest
import tokenizers
from tokenizers import models, normalizers, pre_tokenizers, trainers

from vitlab.data.vocabularies import Special, learned, published
from vitlab.errors import UserError

TEXT = [
  "The dog runs and the cat sleeps, don't they? It cost 1,000.5 in a well-known shop. " * 3,
  'ünï cödé été 漢字 カナ 한국어 aaaa a×b €5 a~b \u2028 İstanbul ab cd xy pq',
] * 5
NASTY = [
  *('', ' ', '   x', '\n\n', 'x  ', '  \n x', ' the  dog', '\ta\r\nb\x0bc', '\x00\x07 \x85y \x1c'),
  *('a\u00a0b', 'ab\u200bcd x\u0085y p\ufffdq', '\u2028a\u2029', '\ue000 soft\u00adhyphen \u2060'),
  *("don't DON'T we'll", '1² 3', 'a~b 1,000.5 €5 a×b', "$ + < = > ^ ` | ~ '' “x” …"),
  *('hello<|endoftext|>world', '[MASK] and [SEP] [mask] [ MASK ]', '<unk> x</w>'),
  *('İstanbul ß ẞ ﬁ Å 𝒳 ⅷ ㍿ ｱ', '한국어 漢字x カナ かな漢', '🙂👍🏽', 'cafe\u0301 caf\u00e9'),
  *('a' * 100, 'a' * 101, 'dog ' * 50),
]


def write_bpe(folder, vocabulary):
  """vocab.json and merges.txt of a byte-pair model of the Rust library."""
  model = json.loads(vocabulary)['model']
  (folder / 'vocab.json').write_text(json.dumps(model['vocab']))
  merges = ''.join(' '.join(pair) + '\n' for pair in model['merges'])
  (folder / 'merges.txt').write_text('#version: 0.2\n' + merges)
  return folder


@pytest.fixture(scope='module')
def bert(tmp_path_factory):
  folder = tmp_path_factory.mktemp('bert')
  pieces = learned.wordpiece(lambda: TEXT, 130).pieces + ['İ', 'The', '##A']
  (folder / 'vocab.txt').write_text(''.join(piece + '\n' for piece in pieces))
  return folder


@pytest.fixture(scope='module')
def gpt2(tmp_path_factory):
  return write_bpe(tmp_path_factory.mktemp('gpt2'), learned.byte_bpe(lambda: TEXT, 330).definition)


@pytest.fixture(scope='module')
def gpt1(tmp_path_factory):
  model = tokenizers.Tokenizer(models.BPE(unk_token='<unk>', end_of_word_suffix='</w>'))
  model.normalizer = normalizers.BertNormalizer(lowercase=True)
  model.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
  words = dict(special_tokens=['<unk>'], end_of_word_suffix='</w>', show_progress=False)
  model.train_from_iterator(TEXT, trainers.BpeTrainer(vocab_size=150, **words))
  return write_bpe(tmp_path_factory.mktemp('gpt1'), model.to_str())


def check_equal(ours, theirs):
  assert len(ours) == len(theirs)
  for line, tokens in zip(NASTY, ours.encode(NASTY)):
    wanted = theirs.encode(line, add_special_tokens=False)
    assert tokens.dtype == np.int32 and tokens.tolist() == wanted, repr(line)


@pytest.mark.parametrize('fast', [False, True])
@pytest.mark.parametrize('config', [None, dict(do_lower_case=False), dict(strip_accents=False)])
def test_wordpiece_is_that_of_transformers(tmp_path, bert, config, fast):
  from transformers import BertTokenizer, BertTokenizerFast

  (tmp_path / 'vocab.txt').write_bytes((bert / 'vocab.txt').read_bytes())
  if config is not None:
    (tmp_path / 'tokenizer_config.json').write_text(json.dumps(config))
  theirs = (BertTokenizerFast if fast else BertTokenizer).from_pretrained(str(tmp_path))
  ours = published.load(tmp_path)
  check_equal(ours, theirs)
  assert ours.special == Special(
    **{role: getattr(theirs, f'{role}_token_id') for role in ('pad', 'unk', 'cls', 'sep', 'mask')}
  )
  assert published.load(tmp_path / 'vocab.txt').text == ours.text


@pytest.mark.parametrize('name', ['GPT2Tokenizer', 'GPT2TokenizerFast'])
def test_byte_pairs_are_those_of_transformers(gpt2, name):
  import transformers

  theirs = getattr(transformers, name).from_pretrained(str(gpt2))
  ours = published.load(gpt2)
  check_equal(ours, theirs)
  end = theirs.eos_token_id
  assert ours.special == Special(bos=end, eos=end)
  for line, tokens in zip(NASTY, ours.encode(NASTY)):
    assert ours.decode(tokens) == line.replace('<|endoftext|>', '')
  assert ours.decode(ours.encode(['é'])[0][:1]) in ('\ufffd', 'é')
  assert published.load(gpt2 / 'merges.txt').text == ours.text


@pytest.mark.parametrize('name', ['OpenAIGPTTokenizer', 'OpenAIGPTTokenizerFast'])
def test_pieces_that_end_words_are_those_of_gpt_1(gpt1, name):
  import transformers

  theirs = getattr(transformers, name).from_pretrained(str(gpt1))
  ours = published.load(gpt1)
  check_equal(ours, theirs)
  assert ours.special == Special(unk=theirs.unk_token_id)
  assert ours.decode(ours.encode(['The dog runs.'])[0]) == 'the dog runs .'


@pytest.mark.parametrize('name', ['bert', 'gpt2', 'gpt1'])
def test_a_whole_tokenizer_is_the_same_as_its_parts(request, tmp_path, name):
  parts = published.load(request.getfixturevalue(name))
  (tmp_path / 'tokenizer.json').write_text(parts.definition)
  whole = published.load(tmp_path)
  assert whole.pieces == parts.pieces and whole.special == parts.special
  for a, b in zip(whole.encode(NASTY), parts.encode(NASTY)):
    np.testing.assert_array_equal(a, b)


def test_a_tokenizer_json_from_transformers(tmp_path, gpt2, bert):
  from transformers import AutoTokenizer, BertTokenizerFast, GPT2TokenizerFast

  for kind, folder in ((GPT2TokenizerFast, gpt2), (BertTokenizerFast, bert)):
    place = tmp_path / kind.__name__
    kind.from_pretrained(str(folder)).save_pretrained(str(place))
    for extra in place.glob('[vm]*'):
      extra.unlink()
    check_equal(published.load(place), AutoTokenizer.from_pretrained(str(place)))


def test_the_config_beside_it_decides_about_capitals(tmp_path, bert):
  definition = json.loads(published.load(bert).definition)
  definition['normalizer']['lowercase'] = False
  (tmp_path / 'tokenizer.json').write_text(json.dumps(definition))
  alone = published.load(tmp_path).encode(['The'])[0]
  assert [published.load(tmp_path).pieces[t] for t in alone] == ['The']
  (tmp_path / 'tokenizer_config.json').write_text(json.dumps(dict(do_lower_case=True)))
  lower = published.load(tmp_path)
  assert lower.decode(lower.encode(['The'])[0]) == 'the'


def test_nothing_is_cut_off_or_added(tmp_path, bert):
  """Sentence embeddings bring a limit of 128 tokens, and padding, in their tokenizer.json."""
  definition = json.loads(published.load(bert).definition)
  definition['truncation'] = dict(
    direction='Right', max_length=4, strategy='LongestFirst', stride=0
  )
  definition['padding'] = dict(
    strategy=dict(Fixed=9), direction='Right', pad_to_multiple_of=None, pad_id=0, pad_type_id=0,
    pad_token='[PAD]',
  )  # fmt: skip
  (tmp_path / 'tokenizer.json').write_text(json.dumps(definition))
  one, long = published.load(tmp_path).encode(['dog', 'dog ' * 50])
  assert len(one) < 4 and len(long) == 50 * len(one)


def test_tokens_that_were_added_later_have_their_numbers(tmp_path, gpt2):
  from transformers import GPT2TokenizerFast

  theirs = GPT2TokenizerFast.from_pretrained(str(gpt2))
  theirs.add_special_tokens(dict(pad_token='[PAD]', additional_special_tokens=['<x>']))
  theirs.add_tokens(['wellknown'])
  theirs.save_pretrained(str(tmp_path))
  for gone in ((), ('tokenizer.json',)):
    for name in gone:
      (tmp_path / name).unlink()
    ours = published.load(tmp_path)
    assert len(ours) == len(theirs) and ours.special.pad == theirs.pad_token_id
    for line in ('a<x>wellknown[PAD]', ' [PAD] <x>'):
      assert ours.encode([line])[0].tolist() == theirs.encode(line)


def test_of_a_piece_twice_the_last_counts_and_that_is_said(tmp_path, caplog):
  pieces = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]', 'foo', 'bar', 'foo', '']
  (tmp_path / 'vocab.txt').write_text('\n'.join(pieces) + '\n')
  vocabulary = published.load(tmp_path)
  assert vocabulary.encode(['foo bar'])[0].tolist() == [7, 6]
  assert len(vocabulary) == 9 and vocabulary.pieces[5] == ''
  assert "'foo' stands in line 5 and 7" in caplog.text


def test_lower_case_of_a_vocabulary_with_capitals_is_said(bert, caplog):
  published.load(bert)
  assert 'lower-cased, although' in caplog.text


def test_a_vocabulary_is_a_fact(bert, gpt2):
  for folder in (bert, gpt2):
    vocabulary = published.load(folder)
    known = json.loads(vocabulary.text)
    again = published.Published(json.dumps(known['tokenizer']), known['special'])
    assert again.text == vocabulary.text and again.special == vocabulary.special
    assert [t.tolist() for t in again.encode(NASTY)] == [
      t.tolist() for t in vocabulary.encode(NASTY)
    ]


@pytest.mark.parametrize(
  'files, message',
  [
    ({'tokenizer.json': '{"x": 1}'}, 'cannot read this tokenizer.json'),
    ({'tokenizer.json': 'no json'}, 'no vocabulary that can be read'),
    ({'vocab.txt': 'a\nb\n'}, r'it has no \[UNK\]'),
    ({'vocab.json': '{"a": 0}'}, 'no vocabulary that can be read'),
    ({'vocab.json': '{"a": 0}', 'merges.txt': 'a b\n'}, 'does not belong to vocab.json'),
    ({'vocab.json': '{"a": 0}', 'merges.txt': 'a b c\n'}, 'no pair of pieces'),
  ],
)
def test_what_is_damaged_is_named(tmp_path, files, message):
  for name, content in files.items():
    (tmp_path / name).write_text(content)
  with pytest.raises(UserError, match=message) as error:
    published.load(tmp_path)
  assert str(error.value).count('\n') < 3
