"""A folder of opus-mt translates by itself, to the sentence as Hugging Face's pipeline does."""

import json

import pytest
import sacrebleu
from _helpers import marian, runs, text
from transformers import MarianTokenizer

from vitlab.errors import UserError
from vitlab.predict import evaluation, trained, translation
from vitlab.train import init_from

LINES = text.sentences(300)
ASKED = [*text.sentences(40, seed=7)[0], '>>xx<< a dog', 'žörk dog', ' two  spaces', '']


def theirs(folder, oracle, lines):
  tokenizer = MarianTokenizer.from_pretrained(folder)
  said = oracle.generate(**tokenizer(lines, return_tensors='pt', padding=True))
  return tokenizer.batch_decode(said, skip_special_tokens=True)


def ours(folder, lines, search=''):
  overrides = [f'--config.task.search={search}'] if search else []
  found = translation.translate(trained.load(str(folder), overrides), lines)
  return [one.found[0][0] if one.found else '' for one in found]


@pytest.fixture(scope='module')
def said(tmp_path_factory):
  """How to stop -> the folder, what they say and what we say."""
  found = {}
  for stop in (True, False, 'never'):
    folder = tmp_path_factory.mktemp(str(stop))
    options = dict(num_beams=4, max_length=24, length_penalty=2.0, early_stopping=stop)
    oracle = marian.opus(folder, LINES, end=6.0, **options)
    found[stop] = folder, theirs(folder, oracle, ASKED[:-1]), ours(folder, ASKED)
  return found


@pytest.mark.parametrize('stop', [True, False, 'never'])
def test_every_sentence_is_that_of_hugging_face(stop, said):
  _, wanted, found = said[stop]
  assert found == [*wanted, ''], 'an empty line has no translation here'
  assert len(set(found)) > 15


def test_it_matters_when_a_search_stops(said):
  once, default, never = (said[stop][2] for stop in (True, False, 'never'))
  assert once != default != never


def test_another_search_may_be_asked_for(said, capsys):
  folder, _, found = said[False]
  model = trained.load(str(folder), ['--config.task.search=beam,beams=2'])
  translation.write(model, ASKED, nbest=2)
  assert len(capsys.readouterr().out.splitlines()) == 2 * len(ASKED[:-1])
  assert ours(folder, ASKED, 'greedy') != found


def test_what_its_files_want_and_is_not_done(said, tmp_path):
  marian.opus(tmp_path, LINES, num_beams=2, repetition_penalty=1.3)
  with pytest.raises(UserError, match=r'wants repetition_penalty=1.3.*\n.*--search=') as error:
    trained.load(str(tmp_path))
  assert str(tmp_path) in str(error.value)
  assert all(ours(tmp_path, ASKED[:3], 'greedy'))


def test_a_folder_without_its_models_says_which(tmp_path):
  marian.opus(tmp_path, LINES)
  for name in ('source.spm', 'target.spm'):
    (tmp_path / name).unlink()
  with pytest.raises(UserError, match=r'put its source.spm and target.spm there'):
    ours(tmp_path, ASKED)


def test_many_beams_make_small_batches(said):
  model = trained.load(str(said[True][0]))
  assert translation._batch_size(model) == 64
  model.config.unlock()
  model.config.task.max_tokens = 511
  assert translation._batch_size(model) == 2**15 // (511 * 4)
  assert json.dumps(model.config.task.search.to_dict())


def test_it_is_evaluated_on_text_that_is_read_with_its_vocabulary(said, tmp_path, capsys):
  """The two scores are sacrebleu's of what it says and of the lines of the file."""
  folder = str(said[False][0])
  path = text.write(tmp_path, train=100, val=20)
  config = runs.config(
    data=text.spec(path, tokenizer=folder, lengths=(64, 128)),
    model=dict(name='transformer', vocab_size=None),
    task=dict(name='translation'),
    evaluators=dict(test=dict(name='sequences', split='val', every='50%', tokenizer=None)),
    checkpoint__best='test/bleu',
    init_from=folder,
  )
  metrics = evaluation.evaluate(folder, init_from.resolve(config, folder)[0])
  source, target = text.sentences(20, 1)
  model = trained.load(folder, ['--config.task.search=greedy', '--config.task.max_tokens=0'])
  found = [one.found[0][0] for one in translation.translate(model, source)]
  assert metrics['test/chrf'] == sacrebleu.corpus_chrf(found, [target]).score > 0
  assert 'tok:13a' in capsys.readouterr().out
