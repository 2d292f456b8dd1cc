"""YOLOX's weights come in and go out: what they compute is held to theirs in `test_yolo_parity`."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from _helpers import yolox
from safetensors.numpy import load_file, save_file

from vitlab import pretrained, registry
from vitlab.errors import UserError
from vitlab.pretrained import export_tensors, find_format, import_tensors

IMAGE, SIZE = jax.ShapeDtypeStruct((1, 64, 64, 3), jnp.float32), jnp.array([[64, 64]])


def like(spec):
  model = registry.make('models', spec)
  return jax.eval_shape(model.init, jax.random.key(0), IMAGE, SIZE)


def spec_of(case, config={}):  # noqa: B006 - not changed
  return find_format('yolo', 'yolox').spec(config, yolox.shapes(case))


SAID = {
  'csp': dict(variant='s', width=8, depths=(1, 3, 3, 1)),
  'depthwise': dict(variant='nano', width=8, depths=(1, 3, 3, 1)),
  'darknet': dict(variant='darknet53', width=4, depths=(1, 1, 2, 2, 1)),
  'darknet53': dict(variant='darknet53'),
}


@pytest.mark.parametrize('case', SAID)
def test_the_model_is_found_in_the_tensors(case):
  """And every one of theirs is a parameter of ours, of its shape."""
  spec = spec_of(case)
  classes = 80 if case == 'darknet53' else 3
  assert spec == dict(name='yolo', num_classes=classes, norm_epsilon=1e-3, **SAID[case])
  zeros = jax.tree.map(lambda leaf: np.broadcast_to(np.float32(0), leaf.shape), like(spec))
  tensors = export_tensors(zeros, 'yolo', 'yolox', spec)
  assert {name: tensor.shape for name, tensor in tensors.items()} == yolox.shapes(case)


def test_there_and_back_with_config_and_bits(tmp_path):
  """From a file as the note in the family says, in a wrapper, with counters that nobody needs."""
  theirs = yolox.reference.weights(yolox.shapes('csp'))
  theirs = {name: tensor.astype(np.float32) for name, tensor in theirs.items()}
  extra = {'backbone.backbone.stem.conv.bn.num_batches_tracked': np.array(7)}
  save_file({f'module.{n}': x for n, x in (theirs | extra).items()}, tmp_path / 'yolox.safetensors')
  weights = pretrained.read(str(tmp_path / 'yolox.safetensors'))
  assert (weights.family, weights.format) == ('yolo', 'yolox')
  seen = weights.about.preprocessing
  assert (seen.image_size, seen.resize, seen.fill) == ((416, 416), 'fit', (114,))
  np.testing.assert_allclose([*seen.mean, *seen.std], [0, 1 / 255])
  assert weights.about.keywords()['fill'] == (114,)
  variables = weights.load(like(weights.about.spec))

  about = weights.about._replace(
    class_names=('a', 'b', 'c'), preprocessing=seen._replace(image_size=(320, 416), mean=(0.5,))
  )
  pretrained.write(tmp_path / 'ours', variables, about, 'yolox')
  written = load_file(tmp_path / 'ours' / 'model.safetensors')
  assert set(written) == set(theirs)
  assert all((written[name] == tensor).all() for name, tensor in theirs.items())
  assert pretrained.read(str(tmp_path / 'ours')).about == about


def test_the_first_kernel_sees_blue_first(x64):
  """Of every pixel, and of no two pixels together."""
  kernel = np.arange(12.0).reshape(1, 12, 1, 1) + np.zeros((2, 12, 3, 3))
  shapes = {'body': {'stem': {'conv': {'conv': {'kernel': np.zeros((3, 3, 12, 2))}}}}}
  name = 'backbone.backbone.stem.conv.conv.weight'
  ours = import_tensors({name: kernel}, {'params': shapes}, 'yolo', 'yolox')
  (ours,) = jax.tree.leaves(ours)
  assert ours[0, 0, :, 0].tolist() == [2, 1, 0, 5, 4, 3, 8, 7, 6, 11, 10, 9]


@pytest.mark.parametrize(
  ('words', 'named'),
  [
    (dict(depths=(1, 1, 1, 1)), 'depths'),
    (dict(norm_epsilon=1e-5), 'norm_epsilon'),
  ],
)
def test_what_they_cannot_say_is_refused(words, named):
  spec = dict(name='yolo', variant='s', num_classes=3) | words
  with pytest.raises(UserError, match=named):
    find_format('yolo', 'yolox').config(spec, (640, 640))


def test_grey_pictures_cannot_be_theirs():
  kernel = {'body': {'stem': {'conv': {'conv': {'kernel': np.zeros((3, 3, 4, 2))}}}}}
  with pytest.raises(UserError, match='3 colours'):
    export_tensors({'params': kernel}, 'yolo', 'yolox', dict(name='yolo'))
