"""Prompts in, texts out: what Hugging Face says, as it grows, and one clear line for bad ones."""

import io

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from _helpers import gpts, runs, text
from _helpers.lines import lines_in, rows_of
from transformers import PreTrainedTokenizerFast

import launch
from vitlab.cli import command_line
from vitlab.data.vocabularies import learned, plain
from vitlab.errors import UserError
from vitlab.predict import Options, language_model, stablehlo, trained
from vitlab.train import setup

LINES = text.sentences(200)[0]
CHARACTERS = plain.characters(['\n abcdefghijklmnopqrstuvwxyz'])
CONTEXT = 16


@pytest.fixture(autouse=True)
def quiet(monkeypatch):
  """Leaves the devices and the compile cache of this process alone."""
  monkeypatch.setattr(command_line.machine, 'prepare', lambda **_: None)


def of_characters(vocabulary=CHARACTERS, **task):
  """A model with random weights, as `trained.load` gives one."""
  facts = dict(vocab_size=len(vocabulary), context=CONTEXT, tokenizer=vocabulary.text)
  model = dict(name='gpt', variant='mu', vocab_size=None, context=None)
  task = dict(name='language_model', max_tokens=20) | task
  config = runs.config(model=model, task=task)
  made = setup.make_task(config, facts)
  variables = jax.jit(made.init)(jax.random.key(0), dict(tokens=jnp.ones((1, 4), jnp.int32)))
  variables = jax.tree.map(lambda x: 5 * x, variables)  # surer of what it says
  return trained.Trained('runs/it', 0, config, facts, made, variables)


@pytest.fixture(scope='module')
def model():
  return of_characters()


@pytest.fixture(scope='module')
def published(tmp_path_factory):
  """A folder as of GPT-2 with the vocabulary of a text, and its model."""
  folder = tmp_path_factory.mktemp('gpt2')
  vocabulary = learned.byte_bpe(lambda: LINES, 270)
  end = vocabulary.special.end
  words = dict(vocab_size=len(vocabulary), n_positions=32, bos_token_id=end, eos_token_id=end)
  oracle = gpts.make('gpt2', **words).float()
  oracle.save_pretrained(folder)
  (folder / 'tokenizer.json').write_text(vocabulary._tokenizer.to_str())
  return folder, oracle


def test_a_published_folder_says_what_hugging_face_does(published, tmp_path, capsys):
  folder, oracle = published
  prompts = ['the dog', 'a small', 'žörk', LINES[3][:12]]
  theirs = PreTrainedTokenizerFast(tokenizer_file=str(folder / 'tokenizer.json'))
  wanted = []
  for prompt in prompts:
    given = torch.tensor([theirs(prompt)['input_ids']])
    found = oracle.generate(given, max_new_tokens=9, do_sample=False)
    wanted.append(theirs.decode(found[0, given.shape[1] :], skip_special_tokens=True))
  flags = ['--search=greedy', '--config.task.max_tokens=9', f'--output={tmp_path / "out.jsonl"}']
  paths = lines_in(tmp_path, *prompts)
  assert launch.main(['--mode=predict', f'--workdir={folder}', *flags, *paths]) == 0
  rows = rows_of(tmp_path / 'out.jsonl')
  assert [row['found'][0]['text'] for row in rows] == wanted
  assert [row['prompt'] for row in rows] == prompts
  assert len(capsys.readouterr().out.splitlines()) == len(prompts)


def test_a_vocabulary_that_does_not_fit_or_is_not_there(published, tmp_path):
  folder, _ = published
  for name in ('config.json', 'model.safetensors'):
    (tmp_path / name).write_bytes((folder / name).read_bytes())
  with pytest.raises(UserError, match='put the tokenizer.json of these weights'):
    language_model.run(trained.load(str(tmp_path)), lines_in(tmp_path, 'a'))
  larger = learned.byte_bpe(lambda: LINES, 275)
  (tmp_path / 'tokenizer.json').write_text(larger._tokenizer.to_str())
  with pytest.raises(UserError, match='vocabulary has 275 tokens, its weights 270'):
    trained.load(str(tmp_path))


def test_one_prompt_is_printed_as_it_grows(model, tmp_path, monkeypatch):
  shown = io.StringIO()
  parts = []
  monkeypatch.setattr(shown, 'write', lambda text: parts.append(text) or len(text), raising=False)
  monkeypatch.setattr('sys.stdout', shown)
  language_model.run(model, lines_in(tmp_path, 'abc'), Options(output=str(tmp_path / 'out')))
  (row,) = rows_of(tmp_path / 'out')
  assert ''.join(parts) == 'abc' + row['found'][0]['text'] + '\n'
  assert len(row['found'][0]['text']) == 20 and len(parts) > 20


def test_bytes_are_printed_when_they_are_characters(tmp_path, capsys, monkeypatch):
  model = of_characters(plain.Bytes())
  tokens = np.frombuffer('ž→a'.encode(), np.uint8)

  def go_on(self, prompt, samples):
    assert samples == 1 and list(prompt) == [ord('x')]
    return ((np.array([token]), np.array([-1.0])) for token in tokens)

  monkeypatch.setattr(language_model.Continuation, '__call__', go_on)
  language_model.run(model, lines_in(tmp_path, 'x'))
  assert capsys.readouterr().out == 'xž→a\n'


def test_an_empty_prompt_needs_a_token_that_texts_begin_with(model):
  author = language_model.Author(model)
  assert author.read('').tolist() == [CHARACTERS.pieces.index('\n')]
  author.vocabulary = learned.byte_bpe(lambda: LINES, 260)
  assert author.read('').tolist() == [author.vocabulary.special.bos]
  author.vocabulary = plain.characters(['abc'])
  with pytest.raises(UserError, match='an empty prompt, and no token that texts begin with'):
    author.read('')


def test_samples_have_number_and_score(model, tmp_path, capsys):
  paths = lines_in(tmp_path, 'abc', 'de')
  language_model.run(model, paths, Options(nbest=3, output=str(tmp_path / 'out')))
  shown = [line.split('\t') for line in capsys.readouterr().out.split('\n')[:-1]]
  assert [row[0] for row in shown] == [*'111222']
  found = [(row['prompt'], one) for row in rows_of(tmp_path / 'out') for one in row['found']]
  for (_, score, said), (prompt, one) in zip(shown, found, strict=True):
    assert said == (prompt + one['text']).replace('\n', ' ')
    assert float(score) == pytest.approx(one['score'], abs=1e-4)
  assert len({one['text'] for _, one in found}) == 6
  language_model.run(of_characters(search=dict(name='greedy')), paths, Options(nbest=3))
  assert len(capsys.readouterr().out.splitlines()) == 2


def test_what_cannot_be_continued_is_named_and_the_rest_is(model, tmp_path, capsys):
  paths = lines_in(tmp_path, 'abc', 'a' * 17, 'a1', '', 'a' * 16)
  language_model.run(model, paths, Options(output=str(tmp_path / 'out')))
  shown = capsys.readouterr()
  lines, errors = shown.out.split('\n')[:-1], shown.err.splitlines()
  assert len(lines) == 5 and [bool(line) for line in lines] == [True, False, False, True, True]
  assert errors[0] == ('line 2: 17 tokens, more than the 16 that the model reads: shorten it')
  assert errors[1].startswith("line 3: the character '1'") and len(errors) == 2
  rows = rows_of(tmp_path / 'out')
  assert ['error' in row for row in rows] == [False, True, True, False, False]


def test_a_text_ends_where_the_model_says_so(tmp_path, monkeypatch):
  vocabulary = learned.byte_bpe(lambda: LINES, 280)
  model, end = of_characters(vocabulary), vocabulary.special.end
  said = np.array([[70, 71, end, 72], [73, end, 74, 75]])

  def go_on(self, prompt, samples):
    return ((row, np.array([-1.0, -2.0])) for row in said.T)

  monkeypatch.setattr(language_model.Continuation, '__call__', go_on)
  *_, last = language_model.Author(model).say(np.array([66]), 2)
  assert [(one.tokens, one.score, one.ended) for one in last] == [
    ((70, 71), -3.0, True),
    ((73,), -4.0, True),
  ]


def test_it_is_exported_with_its_vocabulary(model, tmp_path):
  program = language_model.exported(model)
  path = tmp_path / 'model.stablehlo'
  stablehlo.save(path, program.function, program.example, program.facts)
  loaded = stablehlo.load(path)
  tokens = np.arange(2 * CONTEXT, dtype=np.int32).reshape(2, CONTEXT) % 27
  batch = dict(tokens=jnp.pad(tokens, ((0, 0), (0, 1))))
  wanted = model.task.predict['logits'](model.variables, batch)
  np.testing.assert_allclose(loaded(tokens), wanted, atol=1e-4)
  assert loaded.facts['tokenizer'] == CHARACTERS.text and loaded.facts['context'] == CONTEXT
