"""Tensors below a wrapper, or under several names: found, or the message says how."""

import re
import shutil

import _helpers.torchvision_shim  # noqa: F401  isort: skip
import numpy as np
import pytest
import safetensors.torch
import torch
from _helpers import marian, parity, published, round_trips
from _helpers.specs import tree_of
from transformers import ViTModel

from vitlab import pretrained
from vitlab.errors import UserError
from vitlab.pretrained.files import read_files, write_safetensors


@pytest.fixture(scope='module')
def folders(tmp_path_factory):
  root = tmp_path_factory.mktemp('published')
  published.save_timm(root / 'timm')
  published.save_huggingface(root / 'huggingface')
  ViTModel.from_pretrained(root / 'huggingface').save_pretrained(root / 'bare')
  return root


def copied(folder, tmp_path, tensors):
  """The folder with other tensors."""
  shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
  write_safetensors(tmp_path / 'model.safetensors', tensors)
  return str(tmp_path)


@pytest.mark.parametrize('prefix', ['module.', '_orig_mod.', 'model.', 'model._orig_mod.module.'])
@pytest.mark.parametrize('kind', ['timm', 'huggingface', 'bare'])
def test_what_all_names_begin_with_is_left_out(kind, prefix, folders, tmp_path):
  tensors = read_files(str(folders / kind)).tensors
  path = copied(folders / kind, tmp_path, {prefix + name: x for name, x in tensors.items()})
  image = published.pictures()
  _, expected = round_trips.ours(pretrained.read(str(folders / kind)), image)
  _, found = round_trips.ours(pretrained.read(path), image)
  np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(('first', 'second'), [('model.', 'ema.'), ('student.', 'loss.')])
@pytest.mark.parametrize('beside', [True, False])
def test_where_somebody_has_to_choose_the_error_holds_the_choice(
  first, second, beside, folders, tmp_path
):
  tensors = read_files(str(folders / 'timm')).tensors
  both = {first + name: x for name, x in tensors.items()}
  both |= {second + name: 0 * x for name, x in tensors.items()} if second == 'ema.' else {}
  both |= {f'{second}scale': np.ones(3)}
  path = copied(folders / 'timm', tmp_path, both)
  if not beside:
    (tmp_path / 'config.json').unlink()
  with pytest.raises(UserError, match=r'config\.init_from = dict\(path=') as info:
    pretrained.read(path)
  assert len(str(info.value).splitlines()) <= 3
  options = eval(re.search(r'dict\(.*\)', str(info.value))[0])
  shutil.copy(folders / 'timm' / 'config.json', tmp_path)
  weights = pretrained.read(**options)
  assert weights.tensors.keys() == tensors.keys()
  np.testing.assert_array_equal(weights.tensors['head.weight'], tensors['head.weight'])


def test_a_pattern_that_is_none_is_named(folders):
  with pytest.raises(UserError, match=r"rename: '\(' is no regular expression"):
    pretrained.read(str(folders / 'timm'), {'(': ''})


def test_a_dropped_name_of_a_shared_tensor_is_followed(tmp_path):
  model = torch.nn.ModuleDict(dict(a=torch.nn.Linear(2, 3), b=torch.nn.Linear(2, 3)))
  model['b'].weight = model['a'].weight
  path = tmp_path / 'x.safetensors'
  safetensors.torch.save_model(model, str(path), metadata={'note': 'mine', 'a.bias': 'b.bias'})
  tensors = read_files(str(path)).tensors
  assert tensors.keys() == model.state_dict().keys()
  for name, tensor in model.state_dict().items():  # a.bias is there itself
    np.testing.assert_array_equal(tensors[name], tensor.numpy())


def test_marian_saved_with_save_model_is_read(tmp_path):
  oracle = marian.make()
  marian.save(tmp_path, oracle)
  expected = pretrained.read(str(tmp_path))
  safetensors.torch.save_model(oracle, str(tmp_path / 'model.safetensors'))
  weights = pretrained.read(str(tmp_path))
  like = tree_of(weights.about.spec, ())
  assert parity.error(weights.load(like), expected.load(like)) == 0
