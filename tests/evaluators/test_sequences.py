"""Numbers of sentences, counted by hand."""

import io

import numpy as np
import pytest
import sacrebleu
import sentencepiece
from _helpers import text

from vitlab.data import tokenizers
from vitlab.data.sets import parallel
from vitlab.errors import UserError
from vitlab.evaluators import _text_scores, sequences

TOKENS = np.array([[4, 5, 2, 0], [6, 2, 0, 0], [7, 8, 2, 0]])
TARGETS = np.array([[5, 4, 2, 0], [6, 2, 0, 0], [8, 7, 2, 0]])
# Right; right but for what comes after; cut off before its end; wider than the targets.
SAID = np.array([[5, 4, 2, 0, 0], [6, 9, 2, 0, 0], [8, 7, 2, 0, 0]])
SCORES = dict(loss=[0.6, 0.2, 1.0], right=[2.0, 2.0, 3.0], tokens=[3.0, 2.0, 3.0])


def predictions(name, split):
  assert split == 'test'
  for rows in (slice(0, 2), slice(2, 3)):
    batch = dict(tokens=TOKENS[rows], targets=TARGETS[rows], index=np.arange(3)[rows])
    if name == 'scores':
      yield {key: np.array(value, np.float32)[rows] for key, value in SCORES.items()}, batch
    elif name == 'cross_attention':
      yield [np.full((len(batch['index']), 2, 4, 4), layer / 4) for layer in (1, 2, 3)], batch
    else:
      assert name == 'decoded'
      said = np.stack([SAID, np.full_like(SAID, 9)], axis=1)[rows]  # the best, and another
      yield dict(tokens=said, score=np.array([[-1.0, -2.0]] * 3)[rows]), batch


def test_counts_tokens_and_whole_sentences():
  metrics, details = sequences.make()(predictions)
  assert metrics['accuracy'] == pytest.approx(2 / 3)
  assert metrics['token_accuracy'] == pytest.approx(7 / 8)
  assert metrics['loss'] == pytest.approx(1.8 / 8)
  assert metrics['perplexity'] == pytest.approx(np.exp(1.8 / 8))
  assert details['length'].tolist() == [1, 2]
  assert details['length_accuracy'].tolist() == [0, 1]
  assert details['length_count'].tolist() == [1, 2]
  np.testing.assert_array_equal(details['examples_decoded'], SAID[:, :3])
  np.testing.assert_array_equal(details['examples_index'], [0, 1, 2])


def test_text_is_compared_as_text():
  lines = text.sentences(60)[0]
  vocabulary = tokenizers.train(lines, 'char', 200)
  rows = vocabulary.encode(lines)
  width = max(map(len, rows))
  targets = np.stack([np.pad(row, (0, width - len(row))) for row in rows])
  said = targets.copy()
  said[0, :4] = targets[1, :4]
  said[7] = said[8]
  texts = [vocabulary.decode(row) for row in said]
  batch = dict(tokens=targets, targets=targets, index=np.arange(60))
  outputs = dict(
    decoded=dict(tokens=said[:, None]), scores={k: np.ones(60, np.float32) for k in SCORES}
  )
  evaluate = sequences.make(tokenizer=vocabulary.text)
  metrics, details = evaluate(lambda name, split: iter([(outputs[name], batch)]))
  assert metrics['bleu'] == pytest.approx(sacrebleu.corpus_bleu(texts, [lines]).score)
  assert metrics['chrf'] == pytest.approx(sacrebleu.corpus_chrf(texts, [lines]).score)
  assert details['signatures'].shape == (2,)
  length = np.array([len(row) - 1 for row in rows])
  wanted = _text_scores.by_length(texts, lines, length)
  for name, column in zip(('bleu_length', 'length_bleu', 'bleu_count'), wanted):
    np.testing.assert_array_equal(details[name], column)


@pytest.mark.parametrize('count', [1, 2, 3])
def test_attention_of_the_first_examples_is_kept(count):
  _, details = sequences.make(attention=count)(predictions)
  assert details['attention'].shape == (count, 3, 2, 4, 4)
  np.testing.assert_array_equal(details['attention'][0, :, 0, 0, 0], [0.25, 0.5, 0.75])
  assert 'attention' not in sequences.make()(predictions).details


def test_an_empty_split_is_refused():
  with pytest.raises(UserError, match="split 'test' has no examples"):
    sequences.make()(lambda name, split: iter(()))


def write(folder, train, test):
  """Files of a corpus; source and target of the test set."""
  for split, sides in dict(train=train, test=test).items():
    for language, lines in zip(('en', 'xx'), sides):
      (folder / f'{split}.{language}').write_text(''.join(line + '\n' for line in lines))


def evaluated(dataset, said, **words):
  """Of a model that says these lines."""
  split = dataset.splits['test']
  vocabulary = tokenizers.of(dataset.facts)
  rows = [split[i] for i in range(len(split))]
  batch = {key: padded([row[key] for row in rows]) for key in ('tokens', 'targets')}
  batch |= dict(index=np.arange(len(split)), text=[split.text(i) for i in range(len(split))])
  scores = {key: np.ones(len(split), np.float32) for key in SCORES}
  outputs = dict(decoded=dict(tokens=padded(vocabulary.encode(said))[:, None]), scores=scores)
  evaluate = sequences.make(tokenizer=vocabulary.text, **words)
  return evaluate(lambda name, split: iter([(outputs[name], batch)]))


def padded(rows):
  width = max(map(len, rows))
  return np.stack([np.pad(row, (0, width - len(row))) for row in rows])


def own_model(path, lines):
  """Somebody's sentencepiece model, which normalises: ﬁ -> fi, accents together, one space."""
  model = io.BytesIO()
  sentencepiece.SentencePieceTrainer.train(
    sentence_iterator=iter(lines),
    model_writer=model,
    vocab_size=60,
    hard_vocab_limit=False,
    character_coverage=0.98,
    normalization_rule_name='nmt_nfkc_cf',
    pad_id=0,
    bos_id=1,
    eos_id=2,
    unk_id=3,
    minloglevel=2,
  )
  path.write_bytes(model.getvalue())
  return str(path)


@pytest.mark.parametrize('kind', ['char', 'own'])
def test_references_are_the_lines_of_the_file(kind, tmp_path):
  """Not their tokens put together: of letters that the vocabulary does not have nothing is left."""
  train, test = text.sentences(200), text.sentences(40, seed=1)
  changes = {'dog': 'ﬁnch Žörk', ' cat': '  ÇAT', 'WALL': 'ŁÓDŹ'}
  for old, new in changes.items():
    test = [[line.replace(old, new) for line in side] for side in test]
  write(tmp_path, train, test)
  tokenizer = kind if kind == 'char' else own_model(tmp_path / 'own.model', train[1])
  words = dict(tokenizer=tokenizer, vocab_size=200, lengths=(64, 128))
  dataset = parallel.make(str(tmp_path), 'en', 'xx', **words)
  vocabulary = tokenizers.of(dataset.facts)
  said = [test[1][1], *test[1][1:]]
  printed = [vocabulary.decode(row) for row in vocabulary.encode(said)]
  assert printed != said
  metrics, details = evaluated(dataset, said)
  assert metrics['bleu'] == sacrebleu.corpus_bleu(printed, [test[1]]).score
  assert metrics['chrf'] == sacrebleu.corpus_chrf(printed, [test[1]]).score
  put_together = [vocabulary.decode(row) for row in vocabulary.encode(test[1])]
  assert metrics['bleu'] < sacrebleu.corpus_bleu(printed, [put_together]).score - 5
  assert details['examples_text'][:, :2].tolist() == [list(pair) for pair in zip(*test)][:32]
  assert details['examples_text'][:, 2].tolist() == printed[:32]
  count = np.array([len(row) - 1 for row in vocabulary.encode(test[0])])
  wanted = _text_scores.by_length(printed, test[1], count)
  np.testing.assert_array_equal(details['length_bleu'], wanted[1])


def test_bleu_is_tokenized_as_it_is_told(tmp_path):
  chinese = ['今天天气很好，我们去公园散步吧。', '他昨天买了一本新书。', '我喜欢喝茶。'] * 4
  english = ['the weather is good', 'he bought a book', 'i like tea'] * 4
  write(tmp_path, (english, chinese), (english, chinese))
  dataset = parallel.make(str(tmp_path), 'en', 'xx', tokenizer='char', vocab_size=200)
  said = [line.replace('散步', '走走') for line in chinese]
  vocabulary = tokenizers.of(dataset.facts)
  printed = [vocabulary.decode(row) for row in vocabulary.encode(said)]
  metrics, details = evaluated(dataset, said, tokenize='zh')
  assert metrics['bleu'] == sacrebleu.corpus_bleu(printed, [chinese], tokenize='zh').score > 70
  assert 'tok:zh' in details['signatures'][0]
  metrics, details = evaluated(dataset, said)
  assert metrics['bleu'] < 70 and 'tok:13a' in details['signatures'][0]


def test_a_tokenizer_that_is_not_there_is_refused_at_once():
  with pytest.raises(UserError, match='unknown tokenize of BLEU'):
    sequences.make(tokenize='chinese')


def test_line_ends_that_are_said_are_scored_as_they_are_printed(tmp_path):
  train = text.sentences(300)
  write(tmp_path, train, [['a dog runs on'], ['the dog and the cat runs']])
  dataset = parallel.make(str(tmp_path), 'en', 'xx', vocab_size=310)
  _, details = evaluated(dataset, ['the dog\nand-\nthe\u2028cat runs'])
  assert details['examples_text'][0, 2] == 'the dog and- the cat runs'
