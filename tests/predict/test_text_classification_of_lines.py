"""Lines in, classes out: those of transformers, and one clear line for what is no text."""

import _helpers.torchvision_shim  # noqa: F401  isort: skip
import numpy as np
import pytest
from _helpers import berts, text
from _helpers.lines import lines_in, rows_of

import launch
from vitlab.cli import command_line
from vitlab.errors import UserError
from vitlab.predict import Options, stablehlo, text_classification, trained

LINES = text.sentences(60)[0]
PIECES = berts.vocabulary(LINES)
NAMES = ['good', 'bad', 'so so']


@pytest.fixture(autouse=True)
def quiet(monkeypatch):
  """Leaves the devices and the compile cache of this process alone."""
  monkeypatch.setattr(command_line.machine, 'prepare', lambda **_: None)


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
  folder = tmp_path_factory.mktemp('classifier')
  words = dict(max_position_embeddings=32, id2label=dict(enumerate(NAMES)))
  berts.publish(folder, 'texts', PIECES, **words)
  return folder


@pytest.fixture(scope='module')
def model(folder):
  return trained.load(str(folder))


def test_a_folder_says_what_transformers_does(folder, tmp_path, capsys):
  texts, output = [*LINES[:6], 'dog', f'{LINES[7]}\t{LINES[8]}'], tmp_path / 'out.jsonl'
  flags = ['--mode=predict', f'--workdir={folder}', f'--output={output}']
  assert launch.main([*flags, *lines_in(tmp_path, *texts)]) == 0
  head, *shown = capsys.readouterr().out.splitlines()
  assert head.split() == ['text', 'class', 'probability', 'runner-up'] and len(shown) == 8
  theirs = berts.pipeline('text-classification', folder, top_k=None)
  given = [dict(zip(('text', 'text_pair'), line.split('\t'))) for line in texts]
  for line, row, wanted in zip(given, rows_of(output), theirs(given), strict=True):
    assert row['text'] == line['text'] and row.get('pair') == line.get('text_pair')
    assert [one['class'] for one in row['top']] == [one['label'] for one in wanted]
    found = [one['probability'] for one in row['top']]
    np.testing.assert_allclose(found, [one['score'] for one in wanted], atol=1e-5)
    assert row['class'] == wanted[0]['label']
  assert len({round(row['probability'], 3) for row in rows_of(output)}) > 4
  assert f'{LINES[7]} | {LINES[8]}'[:40] in shown[7]


def test_a_long_text_loses_its_end_as_in_training_and_it_is_said_once(
  folder, model, tmp_path, caplog
):
  long = ' '.join(LINES[:9])
  found = list(text_classification.label(model, ['dog', long, long]))
  assert len(caplog.records) == 1
  assert '2 of 3 lines are longer than the 32 tokens' in caplog.text and 'line 2' in caplog.text
  options = dict(top_k=None, truncation=True, max_length=32)
  (wanted,) = berts.pipeline('text-classification', folder, **options)(long)
  assert found[1].top[0][0] == wanted[0]['label']
  assert found[1].top[0][1] == pytest.approx(wanted[0]['score'], abs=1e-5)


def test_what_is_no_text_is_named_and_the_rest_goes_on(model, tmp_path, capsys, monkeypatch):
  monkeypatch.setattr(text_classification, 'BATCH_SIZE', 2)
  output = tmp_path / 'out'
  paths = lines_in(tmp_path, '', '  ', 'a\tb\tc', 'dog\t', '\tdog', 'the dog')
  text_classification.run(model, paths, Options(str(output)))
  shown = capsys.readouterr()
  assert shown.err.splitlines() == [
    'line 1: an empty line: give it a text',
    'line 2: an empty line: give it a text',
    'line 3: 2 tabs: give one text, or two with one tab between them',
    'line 4: one side of the tab is empty: give two texts, or one without a tab',
    'line 5: one side of the tab is empty: give two texts, or one without a tab',
  ]
  assert len(shown.out.splitlines()) == 2
  assert ['error' in row for row in rows_of(output)] == [True] * 5 + [False]
  (alone,) = text_classification.label(model, ['the dog'])
  assert rows_of(output)[5]['probability'] == pytest.approx(alone.top[0][1], abs=1e-5)
  with pytest.raises(UserError, match='none of 1 lines could be read'):
    text_classification.run(model, lines_in(tmp_path, ''))
  with pytest.raises(UserError, match='--nbest=3'):
    text_classification.run(model, paths, Options(nbest=3))


def test_it_is_exported_with_its_classes_and_its_vocabulary(model, tmp_path):
  program, path = text_classification.exported(model), tmp_path / 'model.stablehlo'
  stablehlo.save(path, program.function, program.example, program.facts)
  loaded = stablehlo.load(path)
  assert loaded.facts['class_names'] == NAMES
  tokens, segments = text_classification.Reader(model)(1, f'{LINES[0]}\tdog')
  rows = np.zeros((1, 2, 32), np.int32)
  rows[0, 0, : len(tokens)], rows[0, 1, : len(tokens)] = tokens, segments
  (wanted,) = text_classification.label(model, [f'{LINES[0]}\tdog'])
  found = dict(zip(NAMES, loaded(rows)[0].tolist()))
  assert found == pytest.approx(dict(wanted.top), abs=1e-5)
  assert loaded.facts['tokenizer'] == model.facts['tokenizer']


def test_weights_that_say_too_little(folder, tmp_path):
  berts.publish(tmp_path, 'texts', PIECES, num_labels=1)
  with pytest.raises(UserError, match='one number a text and no classes'):
    trained.load(str(tmp_path))
  berts.publish(tmp_path, 'texts', PIECES[:40], num_labels=2)
  for name in ('vocab.txt', 'tokenizer.json'):
    (tmp_path / name).write_bytes((folder / name).read_bytes())
  with pytest.raises(UserError, match=f'has {len(PIECES)} tokens, its weights 40'):
    trained.load(str(tmp_path))
  for file in tmp_path.glob('*'):
    if file.name not in ('config.json', 'model.safetensors'):
      file.unlink()
  with pytest.raises(UserError, match='put the tokenizer.json of these weights'):
    text_classification.run(trained.load(str(tmp_path)), lines_in(tmp_path, 'dog'))
