"""What is done to pictures in timm's words and in ours: equal to timm, or refused by name."""

import _helpers.pipelines as pipelines  # isort: skip
import copy

import jax.numpy as jnp
import numpy as np
import pytest
from _helpers.pictures import kinds
from timm.models._hub import _parse_model_cfg
from timm.models._pretrained import PretrainedCfg

from vitlab.data.pictures import preprocess
from vitlab.errors import UserError
from vitlab.ops.color import normalize
from vitlab.pretrained.preprocessing import Preprocessing, from_timm, image_size_of, to_timm

KINDS = kinds()
DEFAULT = Preprocessing()
USUAL = dict(
  input_size=[3, 32, 32],
  interpolation='bilinear',
  crop_pct=0.9,
  crop_mode='center',
  mean=[0.5, 0.4, 0.3],
  std=[0.1, 0.2, 0.3],
)
VALUES = [None, 0, 1, 2, 32, -1, 0.5, 1.25, True, '', 'center', 'squash', 'border', 'bicubic']
VALUES += ['lanczos', 'random', '0.9', [], [0.5], [3, 32], [3, 32, 48], [1, 32, 32], [3, 224, 224]]
VALUES += [
  [0.4, 0.5, 0.6],
  [0, 0, 0],
  [1, 2, 3, 4],
  ['a', 'b', 'c'],
  [[3, 32, 32]],
  {},
  {'mean': 1},
]
VALUES += [[3, '32', 32], [3, 32.0, 32], [0.5, None, 0.5], float('nan'), [3, 0, 0]]


def config(**words):
  return dict(architecture='vit_base_patch16_224', pretrained_cfg=words)


def ours(config, picture):
  found = from_timm(config, DEFAULT)
  image = preprocess(picture, **found.image()).astype(np.float32) / 255
  return normalize(jnp.asarray(image), found.mean, found.std)


def theirs(config, picture):
  """As `timm.create_model('local-dir:FOLDER')` reads config.json."""
  cfg, _, _ = _parse_model_cfg(copy.deepcopy(config), dict(file='weights', source='local-dir'))
  return pipelines.by_timm(picture, PretrainedCfg(**cfg).to_dict())


@pytest.mark.filterwarnings('ignore')
@pytest.mark.parametrize('mode', ['center', 'border'])
@pytest.mark.parametrize('word', [*USUAL, 'test_input_size', 'license', 'fixed_input_size'])
def test_any_value_of_any_word_is_equal_or_refused(word, mode):
  accepted = 0
  usual = USUAL | dict(crop_mode=mode)
  without = {key: value for key, value in usual.items() if key != word}
  for words in [without] + [usual | {word: value} for value in VALUES]:
    try:
      found = ours(config(**words), KINDS['rgb'])
    except UserError as error:
      assert (word in str(error) or 'have 1 channels' in str(error)) and str(error).count('\n') == 0
      continue
    accepted += 1
    if mode == 'border' and isinstance(words.get('mean'), int | float) and words['mean']:
      continue  # timm paints no border in one number; ours is grey
    np.testing.assert_allclose(found, theirs(config(**words), KINDS['rgb']), 1e-6, 5e-6)
  assert accepted


@pytest.mark.parametrize('picture', KINDS)
@pytest.mark.parametrize('crop_pct', [0.875, 0.9, 0.95, 1.0])
@pytest.mark.parametrize('mode', ['center', 'squash', 'border'])
def test_every_kind_of_picture_up_to_the_floats(picture, mode, crop_pct):
  cfg = config(**USUAL | dict(crop_mode=mode, crop_pct=crop_pct, interpolation='bicubic'))
  found = ours(cfg, KINDS[picture])
  np.testing.assert_allclose(found, theirs(cfg, KINDS[picture]), atol=5e-6)


FORMS = {
  'nothing': config(),
  'old': dict(architecture='vit_base_patch16_224', num_classes=5, **USUAL),
  'model_args': config(**USUAL) | dict(model_args=dict(img_size=48)),
  'fixed': config(**USUAL, fixed_input_size=True) | dict(model_args=dict(img_size=[48, 64])),
  'channels': config(**USUAL | dict(mean=[0.5], std=[0.2])) | dict(model_args=dict(in_chans=1)),
}


@pytest.mark.parametrize('form', FORMS)
def test_forms_of_the_file(form):
  found = ours(FORMS[form], KINDS['rgb'])
  np.testing.assert_allclose(found, theirs(FORMS[form], KINDS['rgb']), atol=2e-6)


def test_no_words_at_all_are_refused():
  with pytest.raises(UserError, match='pretrained_cfg=None'):
    from_timm(dict(architecture='vit', pretrained_cfg=None), DEFAULT)


WRITTEN = {
  'crop': Preprocessing((32, 32), 'crop', 0.9, 'bilinear', library='timm'),
  'wide': Preprocessing((32, 48), 'crop', 0.875, library='timm'),
  'pad': Preprocessing((32, 32), 'pad', 0.95, library='timm', fill=(124, 116, 104)),
  'squash': Preprocessing((32, 48), 'squash', 1.0),
  'huggingface': Preprocessing((32, 32), 'squash', 32 / 37, library='huggingface'),
  'huggingface 49': Preprocessing((32, 32), 'squash', 32 / 49, library='huggingface'),
}


@pytest.mark.parametrize('name', WRITTEN)
def test_what_is_written_prepares_the_same_pixels(name, caplog):
  written = config(**to_timm(WRITTEN[name]))
  expected = preprocess(KINDS['rgb'], **WRITTEN[name].image()).astype(np.float32) / 255
  expected = (expected - np.float32(DEFAULT.mean)) / np.float32(DEFAULT.std)
  np.testing.assert_allclose(theirs(written, KINDS['rgb']), expected, atol=1e-6)
  np.testing.assert_allclose(ours(written, KINDS['rgb']), expected, atol=1e-6)
  assert not caplog.messages


@pytest.mark.parametrize(
  'ours',
  [
    Preprocessing((32, 32), 'crop', 1.0),
    Preprocessing((32, 32), 'pad', 1.0),
    Preprocessing((32, 32), 'squash', 0.9),
    Preprocessing((32, 32), 'crop', 0.9, library='huggingface'),
    Preprocessing((32, 32), 'squash', 32 / 39, library='huggingface'),
    Preprocessing((32, 32), 'pad', 1.0, library='timm'),
  ],
  ids=['crop', 'pad', 'squash', 'huggingface', 'uneven', 'black'],
)
def test_an_export_that_is_not_exact_says_so(ours, caplog):
  to_timm(ours)
  assert 'slightly other pictures' in caplog.messages[0]


def test_the_image_size_stands_in_many_places():
  assert image_size_of({'image_size': 224}) == (224, 224)
  assert image_size_of({'model_args': {'img_size': [96, 128]}}) == (96, 128)
  assert image_size_of({'pretrained_cfg': {'input_size': [3, 384, 384]}}) == (384, 384)
  assert image_size_of({'architecture': 'vit_base_patch16_240.x'}) == (240, 240)
  assert image_size_of({}) is None
  for wrong in (None, {'height': 224}, '224', [224], [224.0, 224]):
    with pytest.raises(UserError, match='config.json: image_size='):
      image_size_of({'image_size': wrong})


def test_the_words_of_a_data_set():
  assert Preprocessing((224, 224), 'crop', 0.875, 'bilinear').image() == dict(
    image_size=(224, 224),
    channels=3,
    resize='crop',
    crop_fraction=0.875,
    interpolation='bilinear',
    library='vitlab',
    fill=(0,),
  )
