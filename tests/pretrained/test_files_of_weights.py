"""Files of weights: what is read, and what is refused with a way out."""

import json
import shutil

import jax.numpy as jnp
import numpy as np
import pytest
from _helpers import published

from vitlab.errors import UserError
from vitlab.pretrained.files import read_files, write_safetensors


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
  return published.save_huggingface(tmp_path_factory.mktemp('huggingface'))


def test_a_folder_a_file_in_it_and_a_folder_in_parts_say_the_same(folder, tmp_path):
  parts = published.save_huggingface(tmp_path / 'parts', max_shard_size='20KB')
  assert len(list(parts.glob('*.safetensors'))) > 1
  whole = read_files(str(folder))
  assert whole.config['model_type'] == 'vit'
  assert whole.processor['image_mean'] == [0.5, 0.5, 0.5]
  for other in (read_files(str(folder / 'model.safetensors')), read_files(str(parts))):
    assert other.config == whole.config
    assert other.tensors.keys() == whole.tensors.keys()
    for name, array in whole.tensors.items():
      np.testing.assert_array_equal(other.tensors[name], array)
  assert [len(digest) for digest in whole.sha256.values()] == [64]


def test_number_types_stay_what_they_are(tmp_path):
  arrays = {'half': jnp.ones(2, jnp.bfloat16), 'double': np.full(3, 1 / 3)}
  write_safetensors(tmp_path / 'x.safetensors', {k: np.asarray(v) for k, v in arrays.items()})
  found = read_files(str(tmp_path / 'x.safetensors')).tensors
  assert found['half'].dtype == jnp.bfloat16
  np.testing.assert_array_equal(found['double'], arrays['double'])


@pytest.mark.parametrize('kind', ['safetensors', 'npz'])
def test_arrays_that_do_not_lie_in_order_keep_their_numbers(kind, tmp_path):
  grid = np.arange(24.0).reshape(2, 3, 4)
  views = dict(t=grid[0].T, moved=grid.transpose(2, 0, 1), step=grid[:, ::-2], scalar=np.float32(2))
  views['fortran'] = np.asfortranarray(grid)
  path = tmp_path / f'x.{kind}'
  write_safetensors(path, views) if kind == 'safetensors' else np.savez(path, **views)
  found = read_files(str(path)).tensors
  assert found.keys() == views.keys()
  for name, view in views.items():
    np.testing.assert_array_equal(found[name], view, strict=True)


def test_a_file_with_a_name_of_its_own_has_nothing_beside_it(folder, tmp_path):
  shutil.copy(folder / 'model.safetensors', tmp_path / 'best.safetensors')
  shutil.copy(folder / 'config.json', tmp_path)
  assert read_files(str(tmp_path / 'best.safetensors')).config == {}


def test_files_of_macos_are_no_weights(folder, tmp_path):
  shutil.copy(folder / 'model.safetensors', tmp_path / 'best.safetensors')
  (tmp_path / '._best.safetensors').write_bytes(b'rubbish')
  assert set(read_files(str(tmp_path)).tensors) == set(read_files(str(folder)).tensors)


def cut_short(path):
  path.write_bytes(path.read_bytes()[:1000])


def spoil(tmp_path, folder, what):
  """A path that cannot be read."""
  shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
  weights = tmp_path / 'model.safetensors'
  if what == 'truncated':
    cut_short(weights)
  elif what == 'no_weights':
    weights.unlink()
  elif what == 'pickle':
    weights.rename(tmp_path / 'pytorch_model.bin')
  elif what == 'pickle_file':
    return str(weights.rename(tmp_path / 'model.pt'))
  elif what == 'two':
    weights.rename(tmp_path / 'a.safetensors')
    shutil.copy(tmp_path / 'a.safetensors', tmp_path / 'b.safetensors')
  elif what == 'lost_part':
    index = {'weight_map': {'a': 'model-00001-of-00002.safetensors'}}
    (tmp_path / 'model.safetensors.index.json').write_text(json.dumps(index))
  elif what == 'json':
    (tmp_path / 'config.json').write_text('{')
  elif what == 'text':
    (tmp_path / 'notes.txt').write_text('hello')
    return str(tmp_path / 'notes.txt')
  elif what == 'npz':
    np.savez(tmp_path / 'x.npz', a=np.ones(999))
    cut_short(tmp_path / 'x.npz')
    return str(tmp_path / 'x.npz')
  elif what == 'objects':
    np.savez(tmp_path / 'x.npz', a=np.array([{}], object))
    return str(tmp_path / 'x.npz')
  elif what == 'nothing':
    return str(tmp_path / 'nowhere')
  return str(tmp_path)


SPOILED = {
  'truncated': 'damaged or cut short',
  'no_weights': 'no weights in',
  'pickle': r"pytorch_model.bin' is a pickle.*\nwhere you trust it",
  'pickle_file': r"model.pt' is a pickle",
  'two': 'several files of weights: a.safetensors, b.safetensors',
  'lost_part': 'lacks model-00001-of-00002.safetensors',
  'json': 'config.json.* cannot be read as JSON',
  'text': 'is no file of weights: give a .safetensors or .npz file',
  'npz': 'damaged or cut short',
  'objects': 'damaged or cut short',
  'nothing': 'no weights at',
}


@pytest.mark.parametrize('what', SPOILED)
def test_what_cannot_be_read_is_refused(what, folder, tmp_path):
  with pytest.raises(UserError, match=SPOILED[what]) as info:
    read_files(spoil(tmp_path, folder, what))
  assert len(str(info.value).splitlines()) <= 3
