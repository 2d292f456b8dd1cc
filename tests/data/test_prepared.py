"""Where a prepared TFDS set is found."""

import pytest

from vitlab.data.sets import tfds
from vitlab.errors import UserError


def make(root, dataset, **keywords):
  return tfds.make(dataset, data_dir=str(root), image_size=(7, 9), **keywords)


def test_the_newest_version_and_the_only_config_are_found(tmp_path):
  for folder in ('a/1.9.0', 'a/1.10.0', 'b/small/1.0.0', 'c/one/1.0.0', 'c/two/1.0.0'):
    (tmp_path / folder).mkdir(parents=True)
    (tmp_path / folder / 'dataset_info.json').write_text('{"fileFormat": "parquet"}')
  for dataset, folder in (('a', 'a/1.10.0'), ('a:1.9.0', 'a/1.9.0'), ('b', 'b/small/1.0.0')):
    with pytest.raises(UserError, match=f'{folder} is prepared as parquet'):
      make(tmp_path, dataset)
  with pytest.raises(UserError, match='c/one, c/two'):
    make(tmp_path, 'c')


def test_downloading_needs_tensorflow(tmp_path, monkeypatch):
  monkeypatch.setattr('importlib.util.find_spec', lambda name: None)
  with pytest.raises(UserError, match='install tensorflow'):
    make(tmp_path, 'mnist', download=True)
