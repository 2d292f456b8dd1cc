"""Whatever Pillow opens becomes uint8 [h w c] of one size, or is refused by name of its defect."""

import io

import numpy as np
import pytest
from _helpers.pictures import encoded, noise, smooth
from PIL import Image

from vitlab.data.pictures import ImageError, image_facts, preprocess
from vitlab.errors import UserError

PICTURE = noise(6, 5, 3)


def same(picture, channels=3, size=(6, 5), **keywords):
  return preprocess(picture, image_size=size, channels=channels, **keywords)


@pytest.mark.parametrize('resize', ['squash', 'crop', 'pad'])
def test_right_sized_pictures_pass_unchanged(tmp_path, resize):
  path = tmp_path / 'picture.png'
  path.write_bytes(encoded(PICTURE))
  for picture in (PICTURE, encoded(PICTURE), Image.fromarray(PICTURE), path, str(path)):
    np.testing.assert_array_equal(same(picture, resize=resize), PICTURE)


def test_grey_pictures():
  grey = noise(6, 5)
  for picture in (grey, grey[..., None], encoded(grey)):
    np.testing.assert_array_equal(same(picture, channels=1), grey[..., None])
    np.testing.assert_array_equal(same(picture), np.repeat(grey[..., None], 3, axis=2))


def test_colour_to_grey_is_luma():
  grey = same(PICTURE, channels=1)[..., 0]
  luma = PICTURE @ [0.299, 0.587, 0.114]  # ITU-R BT.601
  assert np.abs(grey - luma).max() <= 1


def test_transparent_pixels_lie_on_white():
  alpha = noise(6, 5, 1, seed=1)
  rgba = np.concatenate([PICTURE, alpha], axis=2)
  weight = alpha / 255
  expected = PICTURE * weight + 255 * (1 - weight)
  for picture in (rgba, encoded(rgba), encoded(rgba, 'WEBP', lossless=True, exact=True)):
    assert np.abs(same(picture) - expected).max() <= 1
  grey_alpha = Image.merge('LA', [Image.fromarray(PICTURE[..., 0]), Image.fromarray(alpha[..., 0])])
  expected = PICTURE[..., :1] * weight + 255 * (1 - weight)
  assert np.abs(same(encoded(grey_alpha), channels=1) - expected).max() <= 1


def test_palettes_with_and_without_transparency():
  indices = np.arange(30, dtype=np.uint8).reshape(6, 5) % 3
  palette = Image.fromarray(indices, 'P')
  palette.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90])
  colours = np.array([[10, 20, 30], [40, 50, 60], [70, 80, 90]], np.uint8)
  np.testing.assert_array_equal(same(encoded(palette)), colours[indices])
  np.testing.assert_array_equal(same(encoded(palette, 'GIF')), colours[indices])
  colours[1] = 255
  np.testing.assert_array_equal(same(encoded(palette, transparency=1)), colours[indices])


@pytest.mark.parametrize('kind', ['PNG', 'TIFF'])
def test_sixteen_bits_keep_their_upper_half(kind):
  grey = noise(6, 5, high=2**16, dtype=np.uint16)
  np.testing.assert_array_equal(
    same(encoded(grey, kind), channels=1)[..., 0], (grey // 257).astype(np.uint8)
  )


def test_one_bit():
  bits = noise(6, 5, high=2) * np.uint8(255)
  picture = encoded(Image.fromarray(bits).convert('1'))
  np.testing.assert_array_equal(same(picture, channels=1)[..., 0], bits)


def test_cmyk_jpeg():
  picture = smooth(24, 24)
  cmyk = encoded(Image.fromarray(picture).convert('CMYK'), 'JPEG', quality=100)
  difference = np.abs(same(cmyk, size=(24, 24)).astype(int) - picture)
  assert np.median(difference) <= 3


def test_squash_fills_the_size():
  result = preprocess(smooth(40, 20), image_size=(10, 30))
  assert np.abs(result.astype(int) - smooth(10, 30)).max() <= 25


def test_crop_keeps_the_middle_of_the_longer_side():
  picture = np.zeros((30, 90, 3), np.uint8)
  picture[:, 30:60] = 200
  assert (preprocess(picture, image_size=30, resize='crop') == 200).all()
  assert (preprocess(picture.swapaxes(0, 1), image_size=30, resize='crop') == 200).all()
  assert (preprocess(picture, image_size=10, resize='crop')[:, 2:-2] == 200).all()


def test_crop_fraction_of_a_squashed_picture_is_its_middle():
  picture = noise(40, 80)
  expected = preprocess(picture[5:35, 10:70], image_size=(15, 20), resize='squash')
  result = preprocess(picture, image_size=(15, 20), resize='squash', crop_fraction=0.75)
  inside = slice(2, -2)  # the filter reaches over the edge of the middle
  np.testing.assert_array_equal(result[inside, inside], expected[inside, inside])


@pytest.mark.parametrize('name', ['bicubic', 'bilinear', 'lanczos', 'box', 'hamming', 'nearest'])
def test_interpolation_is_pillow_s(name):
  picture = np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8)
  expected = Image.fromarray(picture).resize((7, 7), Image.Resampling[name.upper()])
  result = preprocess(picture, image_size=7, interpolation=name)
  np.testing.assert_array_equal(result, np.asarray(expected))


def test_crop_fraction_keeps_a_part_of_both_sides():
  picture = np.zeros((40, 40, 3), np.uint8)
  picture[10:30, 10:30] = 200
  result = preprocess(picture, image_size=20, resize='crop', crop_fraction=0.5)
  assert (result == 200).all()


def test_pad_keeps_everything_in_the_middle_of_black():
  picture = np.full((10, 30, 3), 200, np.uint8)
  result = preprocess(picture, image_size=(30, 30), resize='pad')
  assert (result[10:20] == 200).all() and not result[:10].any() and not result[20:].any()
  half = preprocess(picture, image_size=15, resize='pad')
  assert (half[5:10] == 200).all() and half.sum() == 200 * 5 * 15 * 3


def test_pad_takes_a_colour():
  picture = np.full((10, 30, 3), 200, np.uint8)
  result = preprocess(picture, image_size=30, resize='pad', fill=(1, 2, 3))
  assert (result[10:20] == 200).all() and (result[:10] == [1, 2, 3]).all()
  grey = preprocess(picture, image_size=30, resize='pad', fill=(9,), channels=1)
  assert (grey[20:] == 9).all()


def test_facts_say_what_is_unusual():
  usual = dict(image_size=4, channels=3, resize='crop', crop_fraction=1.0, interpolation='box')
  expected = usual | dict(image_size=(4, 4))
  assert image_facts(**usual, library='vitlab', fill=[0]) == expected
  theirs = dict(library='timm', fill=(1, 2, 3))
  assert image_facts(**usual, **theirs) == expected | theirs


def test_reduced_decoding_of_large_jpegs_is_close_to_the_full_one():
  picture = smooth(320, 400)
  reduced = preprocess(encoded(picture, 'JPEG', quality=95), image_size=20)
  full = preprocess(picture, image_size=20)
  assert np.abs(reduced.astype(int) - full).max() <= 4


@pytest.mark.parametrize('resize', ['squash', 'crop', 'pad'])
@pytest.mark.parametrize('shape', [(1, 1), (1, 3000), (3000, 1)])
def test_extreme_shapes(resize, shape):
  picture = np.full((*shape, 3), 77, np.uint8)
  result = preprocess(picture, image_size=(8, 6), resize=resize)
  assert result.shape == (8, 6, 3) and result.max() == 77


def test_a_given_pil_image_is_not_changed():
  image = Image.open(io.BytesIO(encoded(smooth(64, 64), 'JPEG')))
  preprocess(image, image_size=4)
  assert image.size == (64, 64)


JPEG = encoded(smooth(64, 64), 'JPEG')


@pytest.mark.parametrize(
  ('picture', 'words'),
  [
    (b'', 'zero bytes'),
    (b'not a picture', 'not an image'),
    (JPEG[: len(JPEG) // 2], 'cannot be decoded: .*runcated'),
    (JPEG[:30], 'not an image|cannot be decoded'),
    (encoded(noise(64, 64, 3))[:-900], 'cannot be decoded'),
    (encoded(np.zeros((6, 5), np.float32), 'TIFF'), 'mode F have no defined 8-bit range'),
    (encoded(np.zeros((6, 5), np.int32), 'TIFF'), 'mode I have no defined 8-bit range'),
    (np.zeros((6, 5, 3), np.float32), 'array of float32: expected uint8'),
    (np.zeros((6, 5, 2), np.uint8), r'shape \(6, 5, 2\): expected'),
    (np.zeros((0, 5, 3), np.uint8), r'shape \(0, 5, 3\): expected'),
    ('nowhere/picture.png', 'cannot read nowhere/picture.png: No such file'),
    ('.', 'cannot read .*directory'),
  ],
)
def test_refuses_the_picture(picture, words):
  with pytest.raises(ImageError, match=words):
    same(picture)


@pytest.mark.filterwarnings('ignore::UserWarning:PIL')
@pytest.mark.parametrize('kind', ['JPEG', 'PNG', 'GIF', 'TIFF', 'BMP', 'WEBP'])
def test_any_truncation_is_an_image_error_or_a_picture(kind):
  content = encoded(smooth(24, 20), kind)
  for length in range(0, len(content), max(1, len(content) // 40)):
    try:
      result = same(content[:length])
    except ImageError:
      continue
    assert result.shape == (6, 5, 3)


@pytest.mark.parametrize(
  ('keywords', 'words'),
  [
    (dict(image_size=0), 'image_size=0'),
    (dict(image_size=(4, 4, 3)), 'image_size'),
    (dict(image_size=4, channels=4), 'channels=4: possible are 1'),
    (dict(image_size=4, resize='stretch'), "resize='stretch': possible are squash, crop, pad, fit"),
    (dict(image_size=4, crop_fraction=0.0), 'crop_fraction=0.0'),
    (dict(image_size=4, library='tim'), "unknown library 'tim': did you mean timm"),
    (
      dict(image_size=4, fill=(0, 300, 0)),
      r'fill=\(0, 300, 0\): expected one number from 0 to 255',
    ),
    (dict(image_size=4, interpolation='cubic'), "interpolation='cubic': possible are bicubic, "),
  ],
)
def test_refuses_arguments(keywords, words):
  with pytest.raises(UserError, match=words):
    preprocess(PICTURE, **keywords)
