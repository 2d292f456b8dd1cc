"""What is done to pictures, in the words of timm, of Hugging Face and ours."""

import pytest

from vitlab.errors import UserError
from vitlab.pretrained._preprocessing import (
  INCEPTION,
  Preprocessing,
  from_huggingface,
  from_timm,
  image_size_of,
  to_huggingface,
  to_timm,
)

CROP = Preprocessing((224, 224), 'crop', 0.875, 'bilinear')
OURS = {
  'crop': CROP,
  'squash': Preprocessing((96, 128), 'squash', 1.0, 'bicubic', **INCEPTION),
  'squash_then_crop': Preprocessing((224, 224), 'squash', 0.875, 'bicubic'),
}


@pytest.mark.parametrize('name', OURS)
def test_there_and_back(name):
  ours = OURS[name]
  assert from_timm(to_timm(ours), Preprocessing()) == ours
  assert from_huggingface(to_huggingface(ours), Preprocessing()) == ours


def test_timm_pads_and_hugging_face_does_not():
  ours = CROP._replace(resize='pad', crop_fraction=1.0)
  assert from_timm(to_timm(ours), CROP) == ours
  with pytest.raises(UserError, match='do not pad'):
    to_huggingface(ours)
  with pytest.raises(UserError, match='crop squares'):
    to_huggingface(CROP._replace(image_size=(224, 96)))


def test_what_files_do_not_say_is_the_default():
  assert from_huggingface({}, CROP) == CROP
  assert from_timm({'mean': [0.5, 0.5, 0.5]}, CROP) == CROP._replace(mean=(0.5, 0.5, 0.5))


def processor(**words):
  means = dict(image_mean=[0.485, 0.456, 0.406], image_std=[0.229, 0.224, 0.225], resample=3)
  return means | words


def test_processors_of_published_models():
  deit = processor(
    size=dict(height=256, width=256), do_center_crop=True, crop_size=dict(height=224, width=224)
  )
  assert from_huggingface(deit, CROP) == Preprocessing((224, 224), 'squash', 0.875, 'bicubic')
  resnet = processor(size=dict(shortest_edge=224), crop_pct=0.875, resample=3)
  assert from_huggingface(resnet, CROP) == Preprocessing((224, 224), 'crop', 0.875, 'bicubic')
  large = processor(size=dict(shortest_edge=384), crop_pct=0.875)
  assert from_huggingface(large, CROP) == Preprocessing((384, 384), 'squash', 1.0, 'bicubic')
  plain = from_huggingface(processor(size=224, do_normalize=False, resample=2), CROP)
  assert plain[:4] == ((224, 224), 'squash', 1.0, 'bilinear')
  assert (plain.mean, plain.std) == ((0.0,) * 3, (1.0,) * 3)


def test_other_rescaling_is_refused():
  with pytest.raises(UserError, match='rescales'):
    from_huggingface(processor(do_rescale=False), CROP)


def test_the_image_size_stands_in_many_places():
  assert image_size_of({'image_size': 224}) == (224, 224)
  assert image_size_of({'model_args': {'img_size': [96, 128]}}) == (96, 128)
  assert image_size_of({'pretrained_cfg': {'input_size': [3, 384, 384]}}) == (384, 384)
  assert image_size_of({'architecture': 'vit_base_patch16_240.x'}) == (240, 240)
  assert image_size_of({}) is None


def test_the_words_of_a_data_set():
  assert CROP.image() == dict(
    image_size=(224, 224), channels=3, resize='crop', crop_fraction=0.875, interpolation='bilinear'
  )
