"""Masks are filled as transformers fills them, and one clear line for a line that has none."""

import _helpers.torchvision_shim  # noqa: F401  isort: skip
import numpy as np
import pytest
from _helpers import berts, text
from _helpers.lines import lines_in, rows_of

import launch
from vitlab.cli import command_line
from vitlab.errors import UserError
from vitlab.predict import Options, masked_lm, trained

LINES = text.sentences(60)[0]
PIECES = berts.vocabulary(LINES)


@pytest.fixture(autouse=True)
def quiet(monkeypatch):
  """Leaves the devices and the compile cache of this process alone."""
  monkeypatch.setattr(command_line.machine, 'prepare', lambda **_: None)


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
  folder = tmp_path_factory.mktemp('guesser')
  berts.publish(folder, 'pretraining', PIECES, max_position_embeddings=24)
  return folder


@pytest.fixture(scope='module')
def model(folder):
  return trained.load(str(folder))


def test_a_folder_says_what_transformers_does(folder, tmp_path, capsys):
  texts = ['the [MASK] runs', '[MASK]', 'The dog [MASK] over the [MASK].']
  output, paths = tmp_path / 'out.jsonl', lines_in(tmp_path, *texts)
  flags = ['--mode=predict', f'--workdir={folder}']
  assert launch.main([*flags, f'--output={output}', '--nbest=5', *paths]) == 0
  shown = [line.split('\t') for line in capsys.readouterr().out.splitlines()]
  assert [(row[0], row[1]) for row in shown[::5]] == [(*'11',), (*'21',), (*'31',), (*'32',)]
  theirs = berts.pipeline('fill-mask', folder, top_k=5)
  for line, row in zip(texts, rows_of(output), strict=True):
    wanted = theirs(line)
    wanted = wanted if isinstance(wanted[0], list) else [wanted]
    assert row['text'] == line and len(row['masks']) == len(wanted) == line.count('[MASK]')
    for mine, one in zip(row['masks'], wanted, strict=True):
      pieces = [PIECES[x['token']] for x in one]
      assert [x['piece'] for x in mine] == pieces
      probabilities = [x['probability'] for x in mine]
      np.testing.assert_allclose(probabilities, [x['score'] for x in one], atol=1e-5)
  assert shown[0][3] == rows_of(output)[0]['masks'][0][0]['piece']
  assert launch.main([*flags, *paths]) == 0
  printed = capsys.readouterr().out.splitlines()
  assert printed == [row['filled'] for row in rows_of(output)]
  assert not any('[MASK]' in line for line in printed)


def test_a_piece_that_goes_on_with_a_word_touches_it():
  mask, line = '<mask>', 'Run[MASK], <mask> run [MASK] !'
  assert masked_lm.written(line, mask, ['##s', 'I', '##ning']) == 'Runs, I running !'
  assert masked_lm.written('a <mask>', mask, ['Ġdog']) == 'a dog'
  assert masked_lm.word('▁') == '▁' and masked_lm.word('▁a') == 'a'


def test_what_cannot_be_filled_is_named_and_the_rest_goes_on(model, tmp_path, capsys):
  paths = lines_in(tmp_path, 'the dog', '', '[MASK] ' * 23, 'a [MASK]')
  masked_lm.run(model, paths, Options(output=str(tmp_path / 'out')))
  shown = capsys.readouterr()
  assert shown.err.splitlines() == [
    'line 1: no [MASK]: put it where a word is to be guessed',
    'line 2: no [MASK]: put it where a word is to be guessed',
    'line 3: 25 tokens, more than the 24 that the model reads: shorten it',
  ]
  assert [bool(line) for line in shown.out.split('\n')[:-1]] == [False, False, False, True]
  assert ['error' in row for row in rows_of(tmp_path / 'out')] == [True, True, True, False]


def test_a_run_that_read_pieces_of_text_is_given_no_edges(model):
  filler, special = masked_lm.Filler(model), masked_lm.Filler(model).vocabulary.special
  tokens = filler.read('the [MASK]').tolist()
  assert (tokens[0], tokens[-1]) == (special.cls, special.sep)
  for data, edges in [(dict(), 0), (dict(order='passages'), 2), (dict(pack='line'), 2)]:
    config = model.config.copy_and_resolve_references().unlock()
    config.data = dict(name='text', **data)
    found = masked_lm.Filler(model._replace(config=config)).read('the [MASK]').tolist()
    assert len(found) == len(tokens) - 2 + edges


def test_weights_that_guess_no_words(tmp_path):
  berts.publish(tmp_path, 'bare', PIECES)
  with pytest.raises(UserError, match='guess no words .*\nfine-tune them'):
    trained.load(str(tmp_path))
  berts.publish(tmp_path, 'masked', PIECES)
  for name in ('vocab.txt', 'tokenizer.json', 'tokenizer_config.json', 'special_tokens_map.json'):
    (tmp_path / name).unlink()
  with pytest.raises(UserError, match='no vocabulary with a token that hides others'):
    trained.load(str(tmp_path))
