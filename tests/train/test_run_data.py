"""A run goes on with the data that it was started on, and says what has changed in others."""

import json
import pathlib
import shutil

import jax
import pytest
from _helpers import photos, runs

from vitlab.errors import UserError
from vitlab.hosts import preemption
from vitlab.train.run import train

ONE = jax.devices()[:1]


def config(path):
  return runs.config(
    data=dict(name='folder', path=str(path), image_size=8),
    batch_size=8,
    duration='4 steps',
    checkpoint__every='1 steps',
  )


@pytest.fixture(scope='module')
def stopped(tmp_path_factory):
  """A folder of pictures, and a run on them that was stopped after two steps."""
  root = tmp_path_factory.mktemp('stopped')
  photos.write(root / 'photos', cat='red', dog='blue')
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(preemption.StopSignal, 'at_step', lambda self, now: now >= 2)
    patch.chdir(root)
    with pytest.raises(preemption.Preempted):
      train(config('photos'), 'run', devices=ONE)
  return root


@pytest.fixture
def here(stopped, tmp_path, monkeypatch):
  """A copy of both, in the current folder."""
  shutil.copytree(stopped, tmp_path / 'here')
  monkeypatch.chdir(tmp_path / 'here')
  return tmp_path / 'here'


def contents(folder):
  return {str(p): p.read_bytes() for p in sorted(folder.rglob('*.json'))}


def rename():
  for split in ('train', 'test'):
    pathlib.Path('photos', split, 'cat').rename(pathlib.Path('photos', split, 'zebra'))


def add():
  for i in (8, 9):
    shutil.copy('photos/train/cat/7.png', f'photos/train/cat/{i}.png')


def swap():
  """As many pictures, one of them with another name."""
  pathlib.Path('photos/train/cat/0.png').rename('photos/train/cat/9.png')


@pytest.mark.parametrize(
  ('change', 'words'),
  [
    (rename, "classes gone: 'cat'; classes new: 'zebra'"),
    (add, 'train: 18 examples were 16'),
    (swap, 'train: its 16 examples are others, or in another order'),
  ],
)
def test_other_data_are_refused_and_nothing_is_overwritten(here, change, words):
  before = contents(here / 'run')
  change()
  with pytest.raises(UserError) as error:
    train(config('photos'), 'run', devices=ONE)
  first, *others = str(error.value).splitlines()
  assert first.startswith(f"workdir 'run' was started on other data: {words}")
  assert len(others) == 2 and others[1].endswith('rm run/facts.json')
  assert contents(here / 'run') == before


def test_the_way_out_is_taken(here):
  add()
  (here / 'run' / 'facts.json').unlink()
  assert train(config('photos'), 'run', devices=ONE)['steps'] == 4
  assert json.loads((here / 'run' / 'facts.json').read_text())['splits']['train']['examples'] == 18


def test_the_same_data_in_a_new_place_go_on(here):
  """Copied, so that every file has another number and another time."""
  shutil.copytree('photos', 'copy')
  shutil.rmtree('photos')
  pathlib.Path('copy').rename('photos')
  assert train(config('photos'), 'run', devices=ONE)['steps'] == 4


def test_a_workdir_of_an_older_version_goes_on_and_learns_what_its_data_are(here):
  facts = json.loads((here / 'run' / 'facts.json').read_text())
  del facts['splits']
  (here / 'run' / 'facts.json').write_text(json.dumps(facts))
  rename()
  with pytest.raises(UserError, match='other data: classes gone'):
    train(config('photos'), 'run', devices=ONE)
  for split in ('train', 'test'):
    pathlib.Path('photos', split, 'zebra').rename(pathlib.Path('photos', split, 'cat'))
  assert train(config('photos'), 'run', devices=ONE)['steps'] == 4
  assert set(json.loads((here / 'run' / 'facts.json').read_text())['splits']) == {'train', 'test'}
