"""Lines in, the same lines with a tag behind each word out: those of transformers."""

import _helpers.torchvision_shim  # noqa: F401  isort: skip
import numpy as np
import pytest
import torch
import transformers
from _helpers import berts, text, xlnets
from _helpers.lines import lines_in, rows_of

import launch
from vitlab.cli import command_line
from vitlab.data.vocabularies import exported, pieces
from vitlab.errors import UserError
from vitlab.predict import Options, stablehlo, token_classification, trained
from vitlab.predict import folder as folder_lib

LINES = text.sentences(60)[0]
PIECES = berts.vocabulary(LINES)
NAMES = ['O', 'B-PER', 'I-PER']


@pytest.fixture(autouse=True)
def quiet(monkeypatch):
  """Leaves the devices and the compile cache of this process alone."""
  monkeypatch.setattr(command_line.machine, 'prepare', lambda **_: None)


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
  folder = tmp_path_factory.mktemp('tagger')
  words = dict(max_position_embeddings=32, id2label=dict(enumerate(NAMES)))
  module = berts.publish(folder, 'tokens', PIECES, **words).eval()
  with torch.no_grad():  # that all tags occur
    module.classifier.bias -= module(torch.arange(30)[None]).logits[0].median(0).values
  module.save_pretrained(folder)
  return folder


@pytest.fixture(scope='module')
def model(folder):
  return trained.load(str(folder))


def theirs(folder, words):
  """The tag and its probability of each word's first token."""
  module = transformers.AutoModelForTokenClassification.from_pretrained(folder).eval()
  tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
  given = tokenizer(words, is_split_into_words=True, return_tensors='pt')
  with torch.no_grad():
    rows = module(**given).logits.softmax(-1)[0].numpy()
  numbers = given.word_ids()
  rows = rows[[numbers.index(i) for i in range(len(words))]]
  return [NAMES[i] for i in rows.argmax(1)], rows.max(1)


def test_an_xlnet_tags_as_transformers_does(tmp_path):
  vocabulary = pieces.Pieces(pieces.train(LINES, pieces.XLNET, 45, len(LINES)))
  names = dict(enumerate(NAMES))
  module = xlnets.make('tokens', vocab_size=len(vocabulary), id2label=names).float()
  module.save_pretrained(tmp_path)
  for name, content in exported.files(vocabulary.text).items():
    (tmp_path / name).write_bytes(content)
  lines = ['the dog runs', *LINES[:3]]
  tagger = token_classification.Tagger(trained.load(str(tmp_path)))
  for line, found in zip(lines, tagger(lines), strict=True):
    tags, probabilities = theirs(tmp_path, line.split())
    assert list(found.tags) == tags
    np.testing.assert_allclose(found.probabilities, probabilities, atol=1e-4)


def test_a_folder_says_what_transformers_does(folder, model, tmp_path, capsys):
  assert model.kind == 'token_classification'
  lines, output = [line for line in LINES[:8] if len(line) < 60], tmp_path / 'out.jsonl'
  flags = ['--mode=predict', f'--workdir={folder}', f'--output={output}']
  assert launch.main([*flags, *lines_in(tmp_path, *lines)]) == 0
  shown, found = capsys.readouterr().out.splitlines(), rows_of(output)
  assert len(shown) == len(found) == len(lines) > 3
  for line, out, row in zip(lines, shown, found):
    tags, probabilities = theirs(folder, line.split())
    assert (row['words'], row['tags']) == (line.split(), tags)
    np.testing.assert_allclose(row['probabilities'], probabilities, atol=1e-5)
    assert out == ' '.join(f'{word}/{tag}' for word, tag in zip(line.split(), tags))
  assert len({tag for row in found for tag in row['tags']}) > 1


def test_a_line_that_is_too_long_is_read_in_parts(folder, model):
  words = ('dog ' * 30 + 'cat ' * 30 + 'wall ' * 7).split()
  (line,) = token_classification.Tagger(model)([' '.join(words)])
  assert line.words == words and not line.error
  tokenizer, parts = transformers.AutoTokenizer.from_pretrained(folder), [[]]
  for word in words:
    if len(tokenizer([*parts[-1], word], is_split_into_words=True)['input_ids']) > 32:
      parts.append([])
    parts[-1].append(word)
  assert len(parts) > 2
  assert line.tags == [tag for part in parts for tag in theirs(folder, part)[0]]


def test_a_line_without_words_is_named_and_the_rest_goes_on(model, tmp_path, capsys, monkeypatch):
  monkeypatch.setattr(token_classification, 'BATCH_SIZE', 2)
  paths, output = lines_in(tmp_path, '', 'the dog', ' ', 'a\x0bcat', 'dog'), tmp_path / 'out'
  token_classification.run(model, paths, Options(str(output)))
  shown = capsys.readouterr()
  said = 'an empty line: give it a text'
  assert shown.err.splitlines() == [f'line 1: {said}', f'line 3: {said}']
  lines = shown.out.split('\n')
  assert [len(line.split()) for line in lines] == [0, 2, 0, 2, 1, 0]
  assert ['error' in row for row in rows_of(output)] == [True, False, True, False, False]
  with pytest.raises(UserError, match='--nbest=3'):
    token_classification.run(model, paths, Options(nbest=3))


def test_it_goes_out_to_transformers_and_as_a_program(folder, model, tmp_path):
  folder_lib.export(model, 'huggingface', str(tmp_path / 'theirs'))
  words = LINES[1].split()
  assert theirs(tmp_path / 'theirs', words)[0] == theirs(folder, words)[0]
  config = transformers.AutoConfig.from_pretrained(tmp_path / 'theirs')
  assert config.architectures == ['BertForTokenClassification']
  assert config.id2label == dict(enumerate(NAMES))
  program, path = token_classification.exported(model), tmp_path / 'model.stablehlo'
  stablehlo.save(path, program.function, program.example, program.facts)
  loaded, rows = stablehlo.load(path), np.zeros((1, 2, 32), np.int32)
  tokens = transformers.AutoTokenizer.from_pretrained(folder)(words, is_split_into_words=True)
  rows[0, :, : len(tokens['input_ids'])] = tokens['input_ids'], tokens['attention_mask']
  firsts = [tokens.word_ids().index(i) for i in range(len(words))]
  found = np.asarray(loaded(rows))[0, firsts].argmax(1)
  assert [NAMES[i] for i in found] == theirs(folder, words)[0]
  assert loaded.facts['class_names'] == NAMES
