"""Every word of a preprocessor_config.json gives the pixels of its class, or is refused by name."""

import _helpers.pipelines as pipelines  # isort: skip
import itertools
import json

import numpy as np
import pytest
import transformers
from _helpers.pictures import kinds
from transformers import AutoImageProcessor

from vitlab.data.pictures import preprocess
from vitlab.errors import UserError
from vitlab.pretrained.preprocessing import INCEPTION, Preprocessing
from vitlab.pretrained.processors import from_huggingface, to_huggingface

KINDS = kinds()
DEFAULT = Preprocessing((32, 32), 'squash', 1.0, 'bilinear', **INCEPTION)
# What such a file says of a small model.
SIZE, CROP = dict(height=40, width=40), dict(height=32, width=32)
EDGE = dict(shortest_edge=40)
FILES = {
  'ViTImageProcessor': dict(size=SIZE),
  'DeiTImageProcessor': dict(size=SIZE, crop_size=CROP),
  'ConvNextImageProcessor': dict(size=EDGE, crop_pct=0.875),
  'BitImageProcessor': dict(size=EDGE, crop_size=CROP),
  'CLIPImageProcessor': dict(size=EDGE, crop_size=CROP),
}
# What may stand in the place of any word.
VALUES = [None, 0, 1, 3, 40, -5, 0.5, 1.5, 1e-9, True, False, '', '40', [], [0.5], [40, 48]]
VALUES += [[0.4, 0.5, 0.6], [1, 2, 3, 4], [[40, 40]], ['a'], {}, {'height': 40}, EDGE, SIZE, CROP]
VALUES += [{'height': 40, 'width': 48}, {'longest_edge': 40}, EDGE | {'longest_edge': 60}]
VALUES += [{'shortest_edge': None}, {'size': SIZE}, {'height': '40', 'width': 40}, float('nan')]
WORDS = ['do_resize', 'size', 'resample', 'do_center_crop', 'crop_size', 'crop_pct', 'do_rescale']
WORDS += ['rescale_factor', 'do_normalize', 'image_mean', 'image_std', 'do_convert_rgb']
WORDS += ['do_reduce_labels', 'do_pad', 'unheard_of']


def ours(config, picture, **words):
  found = from_huggingface(config, DEFAULT, **words)
  image = preprocess(picture, **found.image()).astype(np.float32) / 255
  return (image - np.float32(found.mean)) / np.float32(found.std)


def theirs(config, picture):
  return pipelines.by_huggingface(
    picture, getattr(transformers, config['image_processor_type']).from_dict(config)
  )


@pytest.mark.filterwarnings('ignore')
@pytest.mark.parametrize('word', WORDS)
@pytest.mark.parametrize('kind', FILES)
def test_any_value_of_any_word_is_equal_or_refused(kind, word):
  accepted = 0
  usual = dict(image_processor_type=kind, **FILES[kind])
  without = {key: value for key, value in usual.items() if key != word}
  for config in [without] + [usual | {word: value} for value in VALUES]:
    try:
      found = ours(config, KINDS['rgb'])
    except UserError as error:
      assert word in str(error) and 'preprocessor_config.json' in str(error)
      assert str(error).count('\n') == 0
      continue
    accepted += 1
    scale = max(1, np.abs(found).max())
    np.testing.assert_allclose(found, theirs(config, KINDS['rgb']), atol=2e-6 * scale)
  assert accepted


@pytest.mark.parametrize(('kind', 'picture'), list(itertools.product(FILES, KINDS)))
def test_every_kind_of_picture_up_to_the_floats(kind, picture):
  config = dict(image_processor_type=kind, image_mean=[0.485, 0.456, 0.406], **FILES[kind])
  found = ours(config, KINDS[picture])
  np.testing.assert_allclose(found, theirs(config, KINDS[picture]), atol=1e-6)


def test_a_class_without_words_is_its_defaults():
  for kind in FILES:
    config = dict(image_processor_type=kind)
    np.testing.assert_allclose(
      ours(config, KINDS['rgb']), theirs(config, KINDS['rgb']), atol=1e-6, err_msg=kind
    )


PUBLISHED = {
  'vit': dict(do_normalize=True, do_resize=True, size=224, resample=2),
  'swin': dict(size=224, resample=3, feature_extractor_type='ViTFeatureExtractor'),
  'deit': dict(size=256, crop_size=224, do_center_crop=True, resample=3),
  'resnet': dict(size=224, crop_pct=0.875, resample=3, rescale_factor=0.003921568859368563),
  'dinov2': dict(
    size=dict(shortest_edge=256),
    crop_size=dict(height=224, width=224),
    do_center_crop=True,
    image_processor_type='BitImageProcessor',
    rescale_factor=0.00392156862745098,
  ),
}


@pytest.mark.parametrize('model_type', PUBLISHED)
def test_files_of_published_models(model_type, tmp_path):
  config = PUBLISHED[model_type] | dict(image_mean=[0.485, 0.456, 0.406], image_std=[0.2] * 3)
  (tmp_path / 'preprocessor_config.json').write_text(json.dumps(config))
  (tmp_path / 'config.json').write_text(json.dumps(dict(model_type=model_type)))
  processor = AutoImageProcessor.from_pretrained(tmp_path, use_fast=False)
  found = ours(config, KINDS['rgb'], model_type=model_type)
  expected = pipelines.by_huggingface(KINDS['rgb'], processor)
  np.testing.assert_allclose(found, expected, atol=2e-6)


def test_fast_processors_are_a_grey_level_away():
  means = dict(image_mean=[0.0] * 3, image_std=[1.0] * 3)
  for kind, words in FILES.items():
    config = dict(image_processor_type=f'{kind}Fast', **words, **means)
    found, expected = ours(config, KINDS['rgb']), theirs(config, KINDS['rgb'])
    assert 255 * np.abs(found - expected).max() < 1.01


@pytest.mark.parametrize(
  ('config', 'words'),
  [
    (dict(image_processor_type='LevitImageProcessor'), 'unknown image_processor_type'),
    (dict(image_processor_type=3), 'image_processor_type=3'),
    (dict(size=224), 'image_processor_type=None: expected one of .*ViTImageProcessor'),
    (dict(image_processor_type='ViTImageProcessor', do_center_crop=True), 'do_center_crop=True'),
    (dict(image_processor_type='CLIPImageProcessor', do_center_crop=False), 'size=None'),
  ],
)
def test_what_no_class_does_is_refused(config, words):
  with pytest.raises(UserError, match=words):
    from_huggingface(config, DEFAULT)


OURS = {
  'squash': Preprocessing((32, 48), 'squash', 1.0, 'bicubic', library='huggingface'),
  'squash then crop': Preprocessing((32, 32), 'squash', 32 / 37, library='huggingface'),
  'crop': Preprocessing((32, 32), 'crop', 32 / 37, 'bilinear', library='huggingface'),
  'timm crop': Preprocessing((32, 32), 'crop', 0.9, library='timm'),
  'timm border': Preprocessing((32, 48), 'pad', 0.9, library='timm', fill=(124, 116, 104)),
  'timm squash': Preprocessing((32, 48), 'squash', 0.9, library='timm'),
  'timm squash and even cut': Preprocessing((32, 32), 'squash', 0.8, library='timm'),
}


@pytest.mark.parametrize('name', OURS)
def test_what_is_written_prepares_the_same_pixels(name, tmp_path, caplog):
  config = to_huggingface(OURS[name])
  (tmp_path / 'preprocessor_config.json').write_text(json.dumps(config))
  processor = AutoImageProcessor.from_pretrained(tmp_path, use_fast=False)
  again = from_huggingface(config, DEFAULT)
  for kind, picture in KINDS.items():
    if kind == 'exif' and OURS[name].library == 'timm':
      continue  # the pipelines of Hugging Face turn it all the same
    expected = preprocess(picture, **OURS[name].image())
    np.testing.assert_array_equal(preprocess(picture, **again.image()), expected)
    image = (expected.astype(np.float32) / 255 - np.float32(again.mean)) / np.float32(again.std)
    np.testing.assert_allclose(pipelines.by_huggingface(picture, processor), image, atol=1e-6)
  assert not [line for line in caplog.messages if 'slightly other' in line]


def test_what_hugging_face_does_not_do():
  pad = Preprocessing((32, 32), 'pad', 1.0)
  with pytest.raises(UserError, match='do not pad'):
    to_huggingface(pad)
  with pytest.raises(UserError, match='crop squares'):
    to_huggingface(Preprocessing((32, 48), 'crop'))


def test_an_export_that_is_not_exact_says_so(caplog):
  to_huggingface(Preprocessing((32, 32), 'crop', 0.9))
  assert 'slightly other pictures' in caplog.messages[0] and 'of vitlab' in caplog.messages[0]
