"""Prepared TFDS sets with boxes, of the features of COCO and of Pascal VOC, without TensorFlow."""

import io
import pickle

import numpy as np
import pytest
import tensorflow_datasets
from _helpers.pictures import encoded, noise, smooth
from PIL import Image

from vitlab.data import box_sets
from vitlab.data.sets import tfds_detection
from vitlab.errors import UserError

SIZE = dict(image_size=(20, 40))


def turned():
  """20 x 40 pixels that lie on their side; TensorFlow, which prepared the boxes, leaves them so."""
  exif = Image.Exif()
  exif[0x0112] = 6
  return encoded(smooth(20, 40), exif=exif)


class Boxes(tensorflow_datasets.core.GeneratorBasedBuilder):
  """Three pictures, boxes as fractions y1, x1, y2, x2; a test split without any."""

  VERSION = tensorflow_datasets.core.Version('1.0.0')
  BUILDER_CONFIGS = []
  FLAGS = ()

  def _info(self):
    features = tensorflow_datasets.features
    objects = dict(bbox=features.BBoxFeature(), label=features.ClassLabel(names=['ant', 'bee']))
    objects |= dict.fromkeys(self.FLAGS, np.bool_)
    about = dict(image=features.Image(encoding_format='png'), objects=features.Sequence(objects))
    if 'is_crowd' in self.FLAGS:
      about['image/id'] = np.int64
      about['objects'] = features.Sequence(objects | dict(area=np.int64))
    return tensorflow_datasets.core.DatasetInfo(builder=self, features=features.FeaturesDict(about))

  def _split_generators(self, manager):
    return {split: self._generate_examples(split) for split in ('train', 'validation', 'test')}

  def _generate_examples(self, split):
    box = tensorflow_datasets.features.BBox
    for number in range(3):
      picture = turned() if number == 2 else encoded(noise(20, 40, 3, seed=number))
      rows = [
        dict(bbox=box(0.1, 0.25, 0.5, 1.0), label=1),
        dict(bbox=box(0.0, 0.0, 1.0, 1.0), label=0),
      ]
      flags = [dict.fromkeys(self.FLAGS, number == 1 and row == 1) for row in range(2)]
      rows = [row | flag for row, flag in zip(rows, flags)] if split != 'test' else []
      example = dict(image=io.BytesIO(picture), objects=rows)
      if 'is_crowd' in self.FLAGS:
        example['image/id'] = 100 + number
        example['objects'] = [row | dict(area=77) for row in rows]
      yield number, example


class TinyCoco(Boxes):
  FLAGS = ('is_crowd',)


class TinyVoc(Boxes):
  FLAGS = ('is_difficult', 'is_truncated')


class NoBoxes(tensorflow_datasets.core.GeneratorBasedBuilder):
  """Pictures with nothing but labels."""

  VERSION = tensorflow_datasets.core.Version('1.0.0')
  BUILDER_CONFIGS = []

  def _info(self):
    features = tensorflow_datasets.features
    about = dict(image=features.Image(encoding_format='png'), label=np.int64)
    return tensorflow_datasets.core.DatasetInfo(builder=self, features=features.FeaturesDict(about))

  def _split_generators(self, manager):
    return {'train': self._generate_examples()}

  def _generate_examples(self):
    yield 0, dict(image=io.BytesIO(encoded(noise(4, 4, 3))), label=1)


@pytest.fixture(scope='module')
def prepared(tmp_path_factory):
  root = tmp_path_factory.mktemp('tfds')
  for builder in (TinyCoco, TinyVoc, NoBoxes):
    builder(data_dir=root, file_format='array_record').download_and_prepare()
  return str(root)


def by_image(source):
  """Number of the picture -> its row and truth: records are in an order of their own."""
  found = {}
  for i in range(len(source)):
    image = source[i]['image']
    number = next((n for n in range(2) if np.array_equal(noise(20, 40, 3, seed=n), image)), 2)
    found[number] = source[i], source.truth(i)
  return found


def test_a_set_like_coco(prepared, caplog):
  box_sets._say.cache_clear()
  dataset = tfds_detection.make('tiny_coco', data_dir=prepared, **SIZE)
  assert sorted(dataset.splits) == ['train', 'validation']  # nobody can be measured on 'test'
  found = by_image(pickle.loads(pickle.dumps(dataset.splits['train'])))
  row, truth = found[0]
  np.testing.assert_allclose(truth.boxes, [[10, 2, 40, 10], [0, 0, 40, 20]], rtol=1e-6)
  assert truth.image_id == 100 and truth.area.tolist() == [77, 77]
  assert truth.classes.tolist() == [1, 0] and row['classes'].tolist() == [1, 0, -1, -1]
  row, truth = found[1]
  assert truth.crowd.tolist() == [False, True] and row['classes'].tolist() == [1, -1, -1, -1]
  np.testing.assert_array_equal(found[2][0]['image'], smooth(20, 40))
  assert dataset.facts['class_names'] == ['ant', 'bee'] and dataset.facts['max_objects'] == 4
  assert "records of 'test' without boxes, left out: 3" in caplog.text
  assert 'crowd regions, not learned from: 2' in caplog.text


def test_a_set_like_voc_whose_boxes_hold_their_corners(prepared):
  dataset = tfds_detection.make('tiny_voc', data_dir=prepared, **SIZE)
  row, truth = by_image(dataset.splits['train'])[1]
  np.testing.assert_allclose(truth.boxes, [[9, 1, 40, 10], [-1, -1, 40, 20]], rtol=1e-6)
  assert truth.difficult.tolist() == [False, True]
  np.testing.assert_allclose(row['boxes'][1], [0, 0, 40, 20], rtol=1e-6)


@pytest.mark.parametrize(
  ('name', 'words'),
  [('no_boxes', 'expected the features image and objects'), ('coco/2017', 'is not prepared')],
)
def test_what_is_refused(prepared, name, words):
  with pytest.raises(UserError, match=words) as error:
    tfds_detection.make(name, data_dir=prepared)
  assert len(str(error.value).splitlines()) <= 3
