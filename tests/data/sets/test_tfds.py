"""Prepared TFDS sets are read without TensorFlow; everything else is one clear message, at once."""

import io
import json
import pathlib
import pickle
import time

import numpy as np
import pytest
import tensorflow_datasets
from _helpers.pictures import encoded, noise

from vitlab.data import identity, pipeline
from vitlab.data.pictures import preprocess
from vitlab.data.sets import tfds
from vitlab.errors import UserError


class TinyPets(tensorflow_datasets.core.GeneratorBasedBuilder):
  """Ten pictures of three classes, one unlabelled split, one picture that does not decode."""

  VERSION = tensorflow_datasets.core.Version('1.0.0')
  BUILDER_CONFIGS = []

  def _info(self):
    features = tensorflow_datasets.features
    return tensorflow_datasets.core.DatasetInfo(
      builder=self,
      features=features.FeaturesDict(
        dict(
          image=features.Image(shape=(None, None, 3), encoding_format='png'),
          label=features.ClassLabel(names=['ant', 'bee', 'cow']),
          weight=np.float32,
        )
      ),
    )

  def _split_generators(self, manager):
    return {split: self._generate_examples(split) for split in ('train', 'unlabelled', 'broken')}

  def _generate_examples(self, split):
    for number in range(10):
      picture = encoded(noise(7, 9, 3, seed=number))
      if split == 'broken' and number == 4:
        picture = picture[:80]
      label = -1 if split == 'unlabelled' else number % 3
      yield number, dict(image=io.BytesIO(picture), label=label, weight=1.0)


@pytest.fixture(scope='module')
def prepared(tmp_path_factory):
  root = tmp_path_factory.mktemp('tfds')
  builder = TinyPets(data_dir=root, file_format='array_record')
  builder.download_and_prepare()
  return pathlib.Path(root)


def make(root, dataset='tiny_pets', **keywords):
  return tfds.make(dataset, data_dir=str(root), **{'image_size': (7, 9), **keywords})


def number_of(image):
  return next(i for i in range(10) if np.array_equal(noise(7, 9, 3, seed=i), image))


@pytest.mark.parametrize('dataset', ['tiny_pets', 'tiny_pets:1.0.0'])
def test_reads_what_was_prepared(prepared, dataset):
  data = make(prepared, dataset)
  assert data.facts['class_names'] == ['ant', 'bee', 'cow'] and data.facts['num_classes'] == 3
  source = data.splits['train']
  examples = [source[i] for i in range(len(source))]
  numbers = [number_of(example['image']) for example in examples]
  assert sorted(numbers) == list(range(10))
  assert [int(example['label']) for example in examples] == [number % 3 for number in numbers]


def test_a_split_is_known_by_what_its_preparation_noted(prepared):
  found, again = identity.of(make(prepared)), identity.of(make(prepared, in_memory=True))
  assert found == again and found['class_names'] == ['ant', 'bee', 'cow']
  digests = {split: one['digest'] for split, one in found['splits'].items()}
  assert len(set(digests.values())) == 3 and set(digests) == {'train', 'unlabelled', 'broken'}


def test_resizes_on_reading(prepared):
  example = make(prepared, image_size=4, channels=1, resize='squash').splits['train'][0]
  assert example['image'].shape == (4, 4, 1)


def test_pictures_are_prepared_as_published_weights_want_them(prepared):
  whole = make(prepared, image_size=(7, 9), resize='squash').splits['train'][0]['image']
  words = dict(image_size=(4, 4), resize='pad', library='timm', fill=(1, 2, 3))
  data = make(prepared, **words)
  assert words.items() <= data.facts['image'].items()
  np.testing.assert_array_equal(data.splits['train'][0]['image'], preprocess(whole, **words))


def test_pickles_and_trains_in_workers(prepared):
  source = make(prepared).splits['train']
  np.testing.assert_array_equal(pickle.loads(pickle.dumps(source))[3]['image'], source[3]['image'])
  taken = []
  for workers in (0, 1):
    batches = pipeline.train_batches(source, batch_size=5, seed=0, workers=workers)
    taken.append([next(batches)['image'].tobytes() for _ in range(3)])
    batches.close()
  assert taken[0] == taken[1]


def test_a_picture_that_does_not_decode_is_masked_and_named(prepared, caplog):
  source = make(prepared).splits['broken']
  (batch,) = pipeline.eval_batches(source, batch_size=10, max_corrupt=0.1)
  assert batch['mask'].sum() == 9
  assert any('tiny_pets/1.0.0 broken record' in r.getMessage() for r in caplog.records)


def test_in_memory_is_the_same_data(prepared):
  lazy, loaded = (make(prepared, in_memory=flag) for flag in (False, True))
  left, right = lazy.splits['train'], loaded.splits['train']
  for number in range(10):
    np.testing.assert_array_equal(left[number]['image'], right[number]['image'])
    assert left[number]['label'] == right[number]['label']


def test_unlabelled_splits_are_refused(prepared):
  source = make(prepared).splits['unlabelled']
  with pytest.raises(UserError, match=r'unlabelled record 0 has the label -1, possible are 0 to 2'):
    pipeline.eval_batches(source, batch_size=5)


def test_damaged_shards_are_refused(prepared, tmp_path):
  copy = tmp_path / 'tiny_pets' / '1.0.0'
  copy.mkdir(parents=True)
  for file in (prepared / 'tiny_pets' / '1.0.0').iterdir():
    content = bytearray(file.read_bytes())
    if '-train.' in file.name:
      content[len(content) // 2] ^= 1
    (copy / file.name).write_bytes(content)
  source = make(tmp_path).splits['train']
  with pytest.raises(UserError, match='train record .* is damaged'):
    for number in range(10):
      source[number]


@pytest.mark.parametrize('dataset', ['mnist', 'tiny_petz', 'tiny_pets:2.0.0', 'tiny_pets/other'])
def test_what_is_not_prepared_is_named_at_once(prepared, dataset):
  start = time.monotonic()
  with pytest.raises(UserError) as caught:
    make(prepared, dataset)
  assert time.monotonic() - start < 1
  message = str(caught.value)
  assert message.count('\n') < 3
  for part in (
    f'{dataset!r} is not prepared in {prepared} (there: tiny_pets)',
    'array_record',
    'TFDS_DATA_DIR',
  ):
    assert part in message


def test_the_folder_comes_from_the_environment(prepared, monkeypatch):
  monkeypatch.setenv('TFDS_DATA_DIR', str(prepared))
  assert len(tfds.make('tiny_pets', image_size=4).splits['train']) == 10


@pytest.mark.parametrize('given', ['tfrecord', 'parquet', None])
def test_formats_without_random_access_are_refused(prepared, tmp_path, given):
  copy = tmp_path / 'tiny_pets' / '1.0.0'
  copy.mkdir(parents=True)
  info = json.loads((prepared / 'tiny_pets' / '1.0.0' / 'dataset_info.json').read_text())
  info['fileFormat'] = given
  if given is None:
    del info['fileFormat']
  (copy / 'dataset_info.json').write_text(json.dumps(info))
  with pytest.raises(UserError, match=f'is prepared as {given or "tfrecord"}, which has no random'):
    make(tmp_path)


@pytest.mark.parametrize('key', ['image_key', 'label_key'])
@pytest.mark.parametrize('given', ['weight', 'picture'])
def test_features_of_another_kind_are_refused(prepared, key, given):
  with pytest.raises(UserError, match=rf"'{given}' is no .*image \(Image\), label \(ClassLabel\)"):
    make(prepared, **{key: given})


@pytest.mark.parametrize(
  ('dataset', 'classes', 'first'),
  [('mnist', 10, '0'), ('cifar100', 100, 'apple'), ('imagenet2012', 1000, 'n01440764')],
)
def test_facts_of_catalogue_sets(dataset, classes, first):
  with tensorflow_datasets.testing.mock_data(num_examples=3):
    builder = tensorflow_datasets.builder(dataset)
    data = tfds.from_builder(builder, dict(image_size=(8, 8)), 'image', 'label')
  assert data.facts['num_classes'] == classes == len(data.facts['class_names'])
