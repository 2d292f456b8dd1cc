"""Bit for bit the pictures of timm and Hugging Face, for every kind of file."""

import _helpers.pipelines as pipelines  # isort: skip
import numpy as np
import pytest
from _helpers.pictures import encoded, kinds, noise
from PIL import Image
from transformers import CLIPImageProcessor, DeiTImageProcessor, ViTImageProcessor

from vitlab.data import bit_depth
from vitlab.data.pictures import ImageError, preprocess

KINDS = kinds()
# These bring theirs back from floats to the pixels: x / 255 - 0 over 1.
RAW = dict(mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))


@pytest.fixture(params=KINDS)
def picture(request):
  return KINDS[request.param]


def pixels(floats):
  return np.round(floats * 255).astype(np.uint8)


@pytest.mark.parametrize('resize', ['crop', 'squash', 'pad'])
@pytest.mark.parametrize('size', [(48, 48), (33, 33), (40, 56), (57, 31)], ids=str)
def test_timm(picture, resize, size):
  mode = {'crop': 'center', 'squash': 'squash', 'pad': 'border'}[resize]
  filters = dict(zip((0.875, 0.9, 0.95, 1.0), ('bicubic', 'bilinear', 'lanczos', 'nearest')))
  for fraction, interpolation in filters.items():
    cfg = dict(input_size=(3, *size), crop_pct=fraction, crop_mode=mode)
    cfg |= dict(interpolation=interpolation, **RAW)
    words = dict(image_size=size, resize=resize, crop_fraction=fraction)
    ours = preprocess(picture, library='timm', interpolation=interpolation, **words)
    np.testing.assert_array_equal(ours, pixels(pipelines.by_timm(picture, cfg)))


def test_timm_in_grey(picture):
  cfg = dict(input_size=(1, 40, 56), crop_mode='border', mean=(0.3,), std=(1.0,))
  words = dict(image_size=(40, 56), channels=1, resize='pad', crop_fraction=0.875, fill=(76,))
  theirs = pipelines.by_timm(picture, cfg) + 0.3
  np.testing.assert_array_equal(preprocess(picture, library='timm', **words), pixels(theirs))


def test_timm_puts_the_mean_around_a_picture():
  mean = (0.485, 0.456, 0.406)
  cfg = dict(input_size=(3, 48, 48), crop_mode='border', crop_pct=1.0, mean=mean, std=RAW['std'])
  ours = preprocess(
    KINDS['elongated'], image_size=48, resize='pad', library='timm', fill=(124, 116, 104)
  )
  theirs = pipelines.by_timm(KINDS['elongated'], cfg) + np.array(mean)
  np.testing.assert_array_equal(ours, pixels(theirs))
  assert tuple(ours[0, 0]) == (124, 116, 104)


@pytest.mark.parametrize('whole', [48, 49, 51, 60])
def test_huggingface_crops_and_squashes(picture, whole):
  means = dict(image_mean=RAW['mean'], image_std=RAW['std'])
  names = enumerate(('nearest', 'lanczos', 'bilinear', 'bicubic', 'box', 'hamming'))
  for resample, interpolation in list(names)[whole % 2 :: 2]:
    crop = dict(crop_size=dict(height=48, width=48), resample=resample, **means)
    words = dict(image_size=48, library='huggingface', interpolation=interpolation)
    for resize, processor in {
      'crop': CLIPImageProcessor(size=dict(shortest_edge=whole), **crop),
      'squash': DeiTImageProcessor(size=dict(height=whole, width=whole), **crop),
    }.items():
      ours = preprocess(picture, resize=resize, crop_fraction=48 / whole, **words)
      theirs = pixels(pipelines.by_huggingface(picture, processor))
      np.testing.assert_array_equal(ours, theirs)


def test_huggingface_squashes_to_any_shape(picture):
  processor = ViTImageProcessor(
    size=dict(height=31, width=57), image_mean=RAW['mean'], image_std=RAW['std']
  )
  words = dict(image_size=(31, 57), library='huggingface', interpolation='bilinear')
  theirs = pixels(pipelines.by_huggingface(picture, processor))
  np.testing.assert_array_equal(preprocess(picture, **words), theirs)


def test_ours_differ_where_they_always_did():
  """What the libraries do is no part of our own way: transparency, EXIF, fractions of a pixel."""
  words = dict(image_size=48, resize='crop', crop_fraction=0.875)
  for kind in ('rgb', 'rgba', 'exif', 'sixteen_bits'):
    theirs = preprocess(KINDS[kind], library='timm', **words)
    assert (preprocess(KINDS[kind], **words) != theirs).any()


def test_a_line_of_pixels_does_not_fill_the_memory():
  line = noise(1, 400_000, 3)
  ours = preprocess(line, image_size=48, resize='crop', library='timm')
  middle = line[:, 400_000 // 2 - 10 : 400_000 // 2 + 10]  # the cut lies within one pixel or two
  cut = np.asarray(Image.fromarray(middle).resize((48 * 20, 48), Image.Resampling.BICUBIC))
  np.testing.assert_array_equal(ours, cut[:, 456:504])


def test_values_that_are_cut_off_are_named_once(monkeypatch, caplog):
  monkeypatch.setattr(bit_depth, '_said', set())
  for name in ('a.png', 'b.png'):
    preprocess(KINDS['sixteen_bits'], image_size=8, library='timm', name=name)
  preprocess(encoded(noise(4, 4).astype(np.uint16)), image_size=8, library='huggingface')
  (line,) = caplog.messages
  assert 'a.png' in line and 'cut off at 255 and not scaled, as timm does' in line


def test_what_pillow_cannot_turn_into_grey_is_refused():
  lab = Image.new('LAB', (4, 4))
  with pytest.raises(ImageError, match='Pillow mode LAB'):
    preprocess(lab, image_size=4, channels=1, library='timm')
