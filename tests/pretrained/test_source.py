"""A path is enough: what the weights are, what they compute, what was done to their pictures."""

import json
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from _helpers import parity, published, round_trips
from timm.models.vision_transformer import VisionTransformer

from vitlab import pretrained, registry
from vitlab.errors import UserError
from vitlab.models import vit
from vitlab.pretrained.files import write_safetensors
from vitlab.pretrained.preprocessing import INCEPTION, Preprocessing


@pytest.fixture(scope='module')
def timm_folder(tmp_path_factory):
  return published.save_timm(tmp_path_factory.mktemp('timm'))


@pytest.fixture(scope='module')
def huggingface_folder(tmp_path_factory):
  return published.save_huggingface(tmp_path_factory.mktemp('huggingface'))


def test_a_folder_of_timm_says_everything(timm_folder):
  weights = pretrained.read(str(timm_folder))
  assert (weights.family, weights.format) == ('vit', 'timm')
  spec = dict(variant='mu', patch_size=8, width=16, depth=2, num_heads=2, mlp_dim=64)
  spec |= dict(name='vit', num_classes=5, mlp='gelu', norm_epsilon=1e-6, pool='cls')
  assert spec.items() <= weights.about.spec.items()
  assert weights.about.class_names == published.CLASSES
  assert weights.about.preprocessing == Preprocessing(
    (32, 32), 'crop', 0.9, **INCEPTION, library='timm'
  )
  assert weights.sha256.keys() == {'model.safetensors'}


def test_a_folder_of_huggingface_says_everything(huggingface_folder):
  weights = pretrained.read(str(huggingface_folder))
  assert (weights.family, weights.format) == ('vit', 'huggingface')
  assert weights.about.spec['norm_epsilon'] == 1e-12
  assert weights.about.class_names == published.CLASSES
  squashed = Preprocessing((32, 32), 'squash', 1.0, 'bilinear', **INCEPTION, library='huggingface')
  assert weights.about.preprocessing == squashed


def test_augreg_is_known_by_its_names_and_has_tanh_gelu(tmp_path):
  model = vit.make('mu/8', 5, width=16, num_heads=2, mlp_dim=64)
  variables = model.init(jax.random.key(0), jnp.asarray(published.pictures()))
  tensors = pretrained.export_tensors(variables, 'vit', 'augreg', {})
  np.savez(tmp_path / 'weights.npz', **tensors)
  weights = pretrained.read(str(tmp_path / 'weights.npz'))
  assert (weights.format, weights.about.spec['mlp']) == ('augreg', 'gelu_tanh')
  assert weights.about.preprocessing.mean == (0.5, 0.5, 0.5)
  again, _ = round_trips.ours(weights, published.pictures())
  assert parity.error(again, variables) == 0
  tensors['pre_logits/kernel'] = np.ones((16, 16))
  np.savez(tmp_path / 'weights.npz', **tensors)
  weights = pretrained.read(str(tmp_path / 'weights.npz'))
  with pytest.raises(UserError, match=r'weights\.npz: .*unused: pre_logits/kernel'):
    weights.load(variables)
  assert 'head' not in weights.load(variables, head='new')['params']


def test_a_bare_file_is_known_by_its_names(huggingface_folder, timm_folder, tmp_path):
  shutil.copy(huggingface_folder / 'model.safetensors', tmp_path / 'x.safetensors')
  with pytest.raises(UserError, match='x.safetensors: Hugging Face weights say their number of'):
    pretrained.read(str(tmp_path / 'x.safetensors'))
  shutil.copy(timm_folder / 'model.safetensors', tmp_path / 'y.safetensors')
  with pytest.raises(UserError, match='how many heads a ViT of width 16'):
    pretrained.read(str(tmp_path / 'y.safetensors'))


def test_heads_are_kept_or_replaced_by_an_option(timm_folder):
  weights = pretrained.read(str(timm_folder))
  model = registry.make('models', {**weights.about.spec, 'num_classes': 7})
  like = round_trips.like(model, published.pictures())
  with pytest.raises(UserError, match=r'misshapen: .*head\.weight \(5, 16\), needed \(7, 16\)'):
    weights.load(like)
  params = weights.load(like, head='new')['params']
  assert params.keys() == like['params'].keys() - {'head'}
  with pytest.raises(UserError, match="head='replace': 'keep'"):
    weights.load(like, head='replace')


def test_positions_are_resampled_to_the_model(timm_folder):
  weights = pretrained.read(str(timm_folder))
  model = registry.make('models', weights.about.spec)
  like = round_trips.like(model, np.zeros((1, 24, 48, 3), np.float32))
  grid = weights.load(like)['params']['position_embedding']['grid']
  assert grid.shape == (3, 6, 16)


def test_parts_may_stay_fresh(timm_folder):
  weights = pretrained.read(str(timm_folder))
  like = round_trips.like(registry.make('models', weights.about.spec), published.pictures())
  params = weights.load(like, fresh='params/(norm|encoder/block_1)/')['params']
  assert params.keys() == like['params'].keys() - {'norm'}
  assert params['encoder'].keys() == {'block_0'}


def test_names_of_strangers_are_renamed(timm_folder, tmp_path):
  weights = pretrained.read(str(timm_folder))
  odd = {f'module.net.{name}': array for name, array in weights.tensors.items()}
  odd['module.loss.weight'] = np.ones(3)
  shutil.copytree(timm_folder, tmp_path, dirs_exist_ok=True)
  write_safetensors(tmp_path / 'model.safetensors', odd)
  renamed = pretrained.read(str(tmp_path), {r'^module\.net\.': '', r'^module\..*': ''})
  assert renamed.tensors.keys() == weights.tensors.keys()
  with pytest.raises(UserError, match="gives two tensors the name 'x'"):
    pretrained.read(str(tmp_path), {r'^module\..*': 'x'})


def with_config(folder, tmp_path, **words):
  shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
  config = json.loads((tmp_path / 'config.json').read_text())
  (tmp_path / 'config.json').write_text(json.dumps(config | words))
  return str(tmp_path)


def test_families_that_vitlab_does_not_have_are_named(timm_folder, huggingface_folder, tmp_path):
  with pytest.raises(UserError, match=r"says 'convnext_tiny'.*\nit reads .*vit"):
    pretrained.read(with_config(timm_folder, tmp_path / 'a', architecture='convnext_tiny'))
  with pytest.raises(UserError, match="says 'vit_mae'"):
    pretrained.read(with_config(huggingface_folder, tmp_path / 'b', model_type='vit_mae'))


def test_tensors_of_nobody_are_shown(tmp_path):
  tensors = {'conv.weight': np.ones(2), 'linear.weight': np.ones(2)}
  write_safetensors(tmp_path / 'x.safetensors', tensors)
  with pytest.raises(
    UserError, match='neither a config.json nor the names .*: conv.weight, linear'
  ):
    pretrained.read(str(tmp_path / 'x.safetensors'))


def test_another_model_s_tensors_under_a_config_are_an_error(timm_folder, tmp_path):
  shutil.copytree(timm_folder, tmp_path, dirs_exist_ok=True)
  write_safetensors(tmp_path / 'model.safetensors', {'a': np.ones(2)})
  with pytest.raises(UserError, match="timm weights of a vit without 'patch_embed.proj.weight'"):
    pretrained.read(str(tmp_path))


def test_labels_that_do_not_fit_the_logits_are_left_out(timm_folder, tmp_path):
  path = with_config(timm_folder, tmp_path, label_names=['ant', 'bee'])
  assert pretrained.read(path).about.class_names == ()


def test_what_travels_with_a_model_of_ours_is_all_that_its_data_know():
  spec = dict(name='novel', vocab_size=3, num_classes=2)
  facts = dict(class_names=['good', 'bad'], vocabulary=['a', 'b', 'c'], num_classes=2, vocab_size=3)
  both = pretrained.About.of(spec, facts, dict(name='novel'))
  assert (
    both.facts() == both.describe() == {key: facts[key] for key in ('class_names', 'vocabulary')}
  )
  assert both.image_size is None and both.keywords() == {}
  neither = pretrained.About.of(dict(name='novel'), dict(length=4), {})
  assert neither.describe() == neither.facts() == {}
  seen = pretrained.About.of(spec, dict(image=dict(image_size=[8, 6])), dict(mean=[0.25]))
  assert (seen.image_size, seen.keywords()['mean'], seen.keywords()['std']) == (
    (8, 6),
    (0.25,),
    (0.5,),
  )
  assert seen.describe() == dict(preprocessing=seen.keywords())


@pytest.mark.parametrize(
  ('grid', 'said'),
  [
    ((4, 9), '6×6'),  # 36 patches and a class token
    ((3, 5), '4×4'),  # 15 and a class token: as many as a square without one
    ((4, 3), ''),  # 12: no square
  ],
)
def test_a_grid_that_no_shape_tells_is_said_and_a_config_settles_it(grid, said, tmp_path, caplog):
  size = [4 * n for n in grid]
  options = dict(img_size=size, patch_size=4, embed_dim=192, depth=1, num_classes=3)
  module = parity.perturb(VisionTransformer(**options, num_heads=3))
  tensors = {name: tensor.float().numpy() for name, tensor in module.state_dict().items()}
  write_safetensors(tmp_path / 'alone.safetensors', tensors)
  weights = pretrained.read(str(tmp_path / 'alone.safetensors'))
  lines = [line for line in caplog.messages if 'square' in line]
  assert len(lines) == bool(said) and all(f'{said} patches' in line for line in lines)
  image = parity.image((2, *size, 3))
  if grid == (4, 9):
    like = round_trips.like(round_trips.model(weights), image)
    with pytest.raises(UserError, match=r'36 patches, the model has 4×9\n.*config\.json'):
      weights.load(like)
  write_safetensors(tmp_path / 'model.safetensors', tensors)
  (tmp_path / 'config.json').write_text(json.dumps(dict(model_args=dict(img_size=size))))
  caplog.clear()
  weights = pretrained.read(str(tmp_path / 'model.safetensors'))
  assert not [line for line in caplog.messages if 'square' in line]
  expected = module(torch.tensor(image.transpose(0, 3, 1, 2))).detach().numpy()
  np.testing.assert_allclose(round_trips.ours(weights, image)[1], expected, 1e-4, 1e-4)
