"""Inception's weights come in and go out; `test_inception` holds to theirs what they compute."""

import _helpers.torchvision_shim  # noqa: F401  isort: skip
import jax
import numpy as np
import pytest
import timm
import torch
from safetensors.numpy import save_file
from torchvision.models.inception import inception_v3

from vitlab import pretrained, registry
from vitlab.errors import UserError
from vitlab.pretrained import export_tensors, find_format, keys

FORMAT = find_format('inception', 'timm')
IMAGE = jax.ShapeDtypeStruct((1, 75, 75, 3), np.float32)


def shapes_of(make, **words):
  with torch.device('meta'):
    return {name: tuple(x.shape) for name, x in make(**words).state_dict().items()}


def torchvision(**words):
  return shapes_of(inception_v3, init_weights=False, **words)


def like(spec):
  model = registry.make('models', spec)
  return jax.eval_shape(model.init, jax.random.key(0), IMAGE)


@pytest.mark.parametrize(
  ('words', 'variant'),
  [
    (dict(num_classes=1008, aux_logits=False), 'fid'),
    (dict(num_classes=1000, aux_logits=False), 'v3'),
    (dict(num_classes=5, aux_logits=True), 'v3'),
  ],
)
def test_which_of_the_two_it_is_stands_in_the_classes(words, variant):
  spec = FORMAT.spec({}, torchvision(**words))
  assert spec == dict(name='inception', variant=variant, num_classes=words['num_classes'])


def test_a_file_of_fid_comes_in_and_goes_out_with_its_bits(tmp_path):
  """As the note in the family makes it; with the counters that a newer torch writes."""
  shapes = torchvision(num_classes=1008, aux_logits=False)
  draws = np.random.default_rng(0)
  tensors = {n: draws.standard_normal(s, np.float32) for n, s in shapes.items() if s}
  counters = {n: np.array(7) for n, s in shapes.items() if not s}
  assert all(name.endswith('num_batches_tracked') for name in counters)
  save_file(tensors | counters, tmp_path / 'inception_fid.safetensors')
  weights = pretrained.read(str(tmp_path / 'inception_fid.safetensors'))
  assert weights.about.spec == dict(name='inception', variant='fid', num_classes=1008)
  seen = weights.about.preprocessing
  assert (seen.image_size, seen.resize, seen.interpolation) == ((299, 299), 'squash', 'bicubic')
  # Of the levels 0, 127, 128, 255, as torch-fidelity has them; pytorch-fid -1, -0.0039, 0.0039, 1.
  levels = (np.array([0, 127, 128, 255]) / 255 - seen.mean[0]) / seen.std[0]
  np.testing.assert_allclose(levels, [-1, -0.0078125, 0, 0.9921875], atol=1e-12)

  spec = weights.about.spec
  back = export_tensors(weights.load(like(spec)), 'inception', 'timm', spec)
  assert back.keys() == tensors.keys()
  assert all((back[name] == tensor).all() for name, tensor in tensors.items())


def test_torchvision_s_pictures_are_cut_and_squeezed_to_1():
  seen = FORMAT.preprocessing({}, torchvision(num_classes=1000))
  assert (seen.image_size, seen.resize, seen.interpolation) == ((299, 299), 'crop', 'bilinear')
  assert seen.whole() == (342, 342) == seen._replace(library='timm').whole()
  assert seen.mean == seen.std == (0.5,) * 3


def test_ours_are_timm_s_tensors():
  spec = dict(name='inception', variant='v3', num_classes=7)
  zeros = jax.tree.map(lambda leaf: np.broadcast_to(np.float32(0), leaf.shape), like(spec))
  tensors = export_tensors(zeros, 'inception', 'timm', spec)
  theirs = shapes_of(lambda: timm.create_model('inception_v3', num_classes=7))
  assert {n: x.shape for n, x in tensors.items()} == {n: s for n, s in theirs.items() if s}
  config = FORMAT.config(spec, (299, 299))
  assert config['architecture'] == 'inception_v3' and config['num_classes'] == 7


@pytest.mark.parametrize(
  ('words', 'named'),
  [
    (dict(variant='fid', num_classes=1008), 'variant, num_classes'),
    (dict(num_classes=1008), 'num_classes'),
    (dict(num_classes=None), 'num_classes'),
    (dict(num_classes=5, norm_epsilon=1e-5), 'norm_epsilon'),
  ],
)
def test_what_timm_cannot_say_is_refused(words, named):
  with pytest.raises(UserError, match=f'cannot say this {named}'):
    FORMAT.config(dict(name='inception') | words, (299, 299))


@pytest.mark.parametrize(
  'argument', [dict(global_pool='avgmax'), dict(norm_eps=1e-5), dict(act_layer='silu')], ids=str
)
def test_timm_s_relatives_are_refused(argument):
  config = dict(architecture='inception_v3', model_args=argument)
  with pytest.raises(UserError, match=next(iter(argument))):
    keys.check(config, FORMAT.keys)
  keys.check(config | dict(model_args=dict(aux_logits=True, norm_eps=1e-3)), FORMAT.keys)


def test_a_network_without_classifier_is_refused(tmp_path):
  """Which of the two it is, nothing else says."""
  shapes = torchvision(num_classes=1008, aux_logits=False)
  none = {n: np.zeros(s, np.float32) for n, s in shapes.items() if s and len(s) < 2}
  none |= {'Mixed_5b.branch5x5_1.conv.weight': np.zeros((48, 192, 1, 1), np.float32)}
  del none['fc.bias']
  save_file(none, tmp_path / 'w.safetensors')
  with pytest.raises(UserError, match='fc.weight'):
    pretrained.read(str(tmp_path / 'w.safetensors'))
