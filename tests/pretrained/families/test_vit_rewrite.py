"""A ViT that timm or Hugging Face cannot say is written as one that they can and that equals it."""

import _helpers.torchvision_shim  # noqa: F401  isort: skip
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
import transformers
from _helpers import parity, round_trips
from safetensors.torch import load_file

from vitlab import pretrained, registry
from vitlab.errors import UserError

BASE = dict(name='vit', variant='mu/8', num_classes=3, mlp='gelu', depth=2, num_heads=4)
FOLDER = dict(pool='gap', position_embedding='sincos_2d')  # configs/vit_folder.py
TOKENS = dict(class_token=True, num_registers=2)

CASES = {
  'timm': {
    'fixed positions': FOLDER,
    'fixed positions and tokens': FOLDER | TOKENS | dict(pool='gap_norm'),
    'fixed positions, distilled': dict(position_embedding='sincos_2d', distillation_token=True),
    'positions of patches, distilled': dict(
      position_embedding='learned_patches', distillation_token=True
    ),
    'no positions, distilled': dict(position_embedding='none', distillation_token=True),
    'epsilon of Hugging Face': dict(norm_epsilon=1e-12),
    'large epsilon': dict(norm_epsilon=0.1, num_registers=2, layer_scale=0.5),
    'large epsilon, queries and keys': dict(norm_epsilon=0.1, qk_norm=True, norm='rmsnorm'),
    'large epsilon, no positions': dict(norm_epsilon=0.1, position_embedding='none', pool='gap'),
    'gated': dict(mlp='swiglu', mlp_dim=56, **FOLDER),
    'gated with factors': dict(mlp='swiglu', mlp_dim=40, layer_scale=0.1),
    'stacked blocks': dict(scan=True, norm_epsilon=0.1, **FOLDER),
  },
  'huggingface': {
    'fixed positions': dict(position_embedding='sincos_2d'),
    'fixed positions, distilled': dict(position_embedding='sincos_2d', distillation_token=True),
    'positions of patches': dict(position_embedding='learned_patches'),
    'no positions': dict(position_embedding='none'),
    'mean': dict(FOLDER, class_token=True),
    'registers': dict(TOKENS),
    'registers and mean': FOLDER | TOKENS,
    'registers, features': TOKENS | dict(num_classes=None, mlp='gelu_tanh'),
    'factors': dict(layer_scale=0.1, norm_epsilon=0.1),
    'gated': dict(mlp='swiglu', mlp_dim=88, qkv_bias=False),
    'both pools': dict(pool='cls_gap', position_embedding='learned_patches'),
    'stacked blocks': dict(scan=True, num_registers=1, norm_epsilon=0.1),
  },
}


def ours(words, image):
  """A model of ours with random float64 parameters, and its logits."""
  model = registry.make('models', words | dict(dtype='float64'))
  random = np.random.default_rng(0)
  params = jax.tree.map(
    lambda leaf: random.normal(size=leaf.shape) * 0.3, parity.abstract(model, image)
  )
  logits, _ = jax.jit(model.apply)({'params': params}, jnp.asarray(image))
  return {'params': params}, logits


def theirs(folder, format):
  """What timm or transformers makes of a folder, in float64."""
  if format == 'timm':
    model = round_trips.theirs(folder, format).double()
    model.load_state_dict(load_file(folder / 'model.safetensors'))
    return model.eval()
  config = transformers.AutoConfig.from_pretrained(folder)
  kind = getattr(transformers, config.architectures[0])
  return kind.from_pretrained(folder, dtype=torch.float64).eval()


def about(words, size=(32, 32)):
  return pretrained.About(words, pretrained.Preprocessing(size, 'squash', 1.0))


def outputs(model, image):
  with torch.no_grad():
    result = model(torch.tensor(image.transpose(0, 3, 1, 2)))
  if isinstance(result, torch.Tensor):
    return result.numpy()
  return (result.logits if 'logits' in result else result.pooler_output).numpy()


@pytest.mark.parametrize(
  ('format', 'case'), [(format, case) for format, cases in CASES.items() for case in cases]
)
def test_they_compute_the_same_and_it_comes_back(format, case, tmp_path, x64):
  words, image = BASE | CASES[format][case], parity.image((2, 32, 32, 3))
  tree, expected = ours(words, image)
  pretrained.write(tmp_path, tree, about(words), format)
  np.testing.assert_allclose(outputs(theirs(tmp_path, format), image), expected, atol=1e-9)
  weights = pretrained.read(str(tmp_path))
  model = registry.make('models', weights.about.spec | dict(dtype='float64'))
  again = weights.load({'params': parity.abstract(model, image)})
  logits, _ = jax.jit(model.apply)(again, jnp.asarray(image))
  np.testing.assert_allclose(logits, expected, atol=1e-9)


REFUSED = {
  'no class token': (FOLDER, 'pool'),
  'rotated': (dict(position_embedding='rope_2d'), 'position_embedding'),
  'norm of the mean': (dict(pool='gap_norm', class_token=True), 'pool'),
  'normed queries': (dict(qk_norm=True), 'qk_norm'),
  'features of patches': (dict(pool='gap', class_token=True, num_classes=None), 'pool'),
}


@pytest.mark.parametrize('case', REFUSED)
def test_what_huggingface_cannot_compute_is_refused(case, tmp_path):
  words, named = REFUSED[case]
  words, image = BASE | words, parity.image((1, 32, 32, 3))
  like = parity.abstract(registry.make('models', words), image)
  zeros = jax.tree.map(lambda leaf: np.zeros(leaf.shape, np.float32), like)
  with pytest.raises(UserError, match=f'Hugging Face has no such model: .*{named}'):
    pretrained.write(tmp_path, {'params': zeros}, about(words), 'huggingface')
  assert not list(tmp_path.iterdir())


def test_a_distilled_vit_of_timm_has_no_registers(tmp_path):
  words = BASE | dict(num_registers=1, distillation_token=True)
  like = parity.abstract(registry.make('models', words), parity.image((1, 32, 32, 3)))
  zeros = jax.tree.map(lambda leaf: np.zeros(leaf.shape, np.float32), like)
  with pytest.raises(UserError, match='timm has no such model: it cannot say this num_registers'):
    pretrained.write(tmp_path, {'params': zeros}, about(words), 'timm')


def test_a_dinov2_multiplies_its_width_by_a_whole_number(tmp_path):
  # transformers 4.57.6 takes 1.25 as well; 5.24 refuses to read such a config.json.
  words = BASE | dict(num_registers=1, mlp_dim=40)
  like = parity.abstract(registry.make('models', words), parity.image((1, 32, 32, 3)))
  zeros = jax.tree.map(lambda leaf: np.zeros(leaf.shape, np.float32), like)
  with pytest.raises(UserError, match='cannot say this mlp_dim'):
    pretrained.write(tmp_path, {'params': zeros}, about(words), 'huggingface')


def test_a_dinov2_of_unequal_sides_is_refused(tmp_path):
  words = BASE | dict(num_registers=1)
  like = parity.abstract(registry.make('models', words), parity.image((1, 32, 24, 3)))
  zeros = jax.tree.map(lambda leaf: np.zeros(leaf.shape, np.float32), like)
  with pytest.raises(UserError, match='cannot say this image_size'):
    pretrained.write(tmp_path, {'params': zeros}, about(words, (32, 24)), 'huggingface')


@pytest.mark.parametrize('words', [{}, FOLDER, dict(mlp='swiglu', mlp_dim=40)])
def test_transformers_reads_what_is_written_for_timm(words, tmp_path, x64):
  # It gives the model `num_classes` by itself: with another one among model_args, which timm's own
  # save_for_hf writes there, transformers 4.57.6 and 5.24 fail ("multiple values").
  words, image = BASE | words, parity.image((2, 32, 32, 3))
  tree, expected = ours(words, image)
  known = about(words)._replace(class_names=('a', 'b', 'c'))
  pretrained.write(tmp_path, tree, known, 'timm')
  model = transformers.AutoModelForImageClassification.from_pretrained(tmp_path)
  assert model.config.id2label == {0: 'a', 1: 'b', 2: 'c'}
  got = outputs(model.eval(), image.astype(np.float32))
  np.testing.assert_allclose(got, expected, atol=1e-4)
