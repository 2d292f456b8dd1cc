"""Whatever the files of a workdir have become: one line, or what can still be read of them."""

import shutil

import jax
import pytest
from _helpers import runs

from vitlab import workdir
from vitlab.errors import UserError
from vitlab.predict import trained
from vitlab.train.run import train
from vitlab.workdir.checkpoint import Checkpoints

CONFIG = dict(duration='2 steps', checkpoint__every='1 steps', checkpoint__best='', ema_decay=0.0)
NO_OBJECT = ['[1]', '3', 'null', '"text"', '', '{"metrics": {"test/acc', '\0\0\0']


def _train(folder):
  return train(runs.config(**CONFIG), str(folder), devices=jax.devices()[:1])


@pytest.fixture(scope='module')
def finished(tmp_path_factory):
  folder = tmp_path_factory.mktemp('runs') / 'run'
  _train(folder)
  return folder


@pytest.fixture
def folder(finished, tmp_path):
  return shutil.copytree(finished, tmp_path / 'run')


@pytest.mark.parametrize(
  'name',
  ['config.json', 'facts.json', 'result.json', 'metrics.jsonl', 'events.jsonl', '.lock']
  + ['report.html', 'checkpoints', 'details'],
)
def test_a_file_for_a_folder_or_a_folder_for_a_file_is_named_before_anything_runs(folder, name):
  place = folder / name
  if place.is_dir():
    shutil.rmtree(place)
    place.write_text('')
  else:
    place.unlink(missing_ok=True)
    place.mkdir()
  with pytest.raises(UserError, match=f'{name} must not be a') as error:
    _train(folder)
  assert '\n' not in str(error.value)


STRAY = ['.tmp', '.tmp_3', '_3', 'tmp_2', '02', '2_3', '²', '2.old', 'notes']


def test_what_lies_beside_the_checkpoints_is_none_of_them(folder):
  """One folder of each name: readers and writers see the steps, and leave the rest alone."""
  for name in STRAY:
    (folder / 'checkpoints' / name).mkdir()
  (folder / 'checkpoints' / '3').write_text('')
  assert Checkpoints(folder / 'checkpoints', read_only=True).steps() == [1, 2]
  assert trained.load(str(folder)).step == 2
  (folder / 'result.json').unlink()
  assert _train(folder)['steps'] == 2
  assert {path.name for path in (folder / 'checkpoints').iterdir()} == {*STRAY, '1', '2', '3'}


def test_checkpoints_that_are_a_file_are_named_by_readers_too(folder):
  shutil.rmtree(folder / 'checkpoints')
  (folder / 'checkpoints').write_text('')
  for read in (lambda: trained.load(str(folder)), lambda: Checkpoints(folder / 'checkpoints')):
    with pytest.raises(UserError, match='checkpoints is a file, not a folder'):
      read()


@pytest.mark.parametrize('text', [*NO_OBJECT, '{}', '{"metrics": {}}'])
def test_a_run_whose_result_is_damaged_writes_it_again(folder, text):
  before = runs.result(folder)
  (folder / 'result.json').write_text(text)
  _train(folder)
  assert runs.result(folder) == before


@pytest.mark.parametrize('text', NO_OBJECT)
def test_facts_that_are_damaged_are_read_from_the_checkpoint(folder, text):
  expected = workdir.read_json(folder / 'facts.json')
  (folder / 'facts.json').write_text(text)
  of_data = {key: value for key, value in expected.items() if key != 'splits'}
  assert trained.load(str(folder)).facts == of_data
  (folder / 'result.json').unlink()
  _train(folder)
  assert workdir.read_json(folder / 'facts.json') == expected


@pytest.mark.parametrize('text', [*NO_OBJECT, '{}'])
def test_a_damaged_record_of_the_first_weights_is_as_none(folder, text):
  (folder / 'init_from.json').write_text(text)
  assert _train(folder)['steps'] == 2
