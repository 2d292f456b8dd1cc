"""Translation sets of TFDS are read without TensorFlow, their text as it is."""

import pytest
import tensorflow_datasets
from _helpers import text

from vitlab.data import tokenizers
from vitlab.data.sets import tfds_parallel
from vitlab.errors import UserError


class TinyTranslate(tensorflow_datasets.core.GeneratorBasedBuilder):
  """Two languages, a hundred sentences to learn from and ten to be tested with."""

  VERSION = tensorflow_datasets.core.Version('1.0.0')
  BUILDER_CONFIGS = []

  def _info(self):
    features = tensorflow_datasets.features.Translation(languages=('en', 'xx'))
    return tensorflow_datasets.core.DatasetInfo(builder=self, features=features)

  def _split_generators(self, manager):
    return {split: self._generate_examples(count) for split, count in SIZES.items()}

  def _generate_examples(self, count):
    for number, (english, other) in enumerate(zip(*text.sentences(count))):
      yield number, dict(en=english, xx=other)


SIZES = dict(train=100, test=10)


@pytest.fixture(scope='module')
def root(tmp_path_factory):
  root = tmp_path_factory.mktemp('tfds')
  TinyTranslate(data_dir=root, file_format='array_record').download_and_prepare()
  return str(root)


def make(root, **words):
  words = dict(source='en', target='xx', vocab_size=310, lengths=(16, 64)) | words
  return tfds_parallel.make('tiny_translate', data_dir=root, **words)


def test_reads_what_was_prepared(root):
  dataset = make(root)
  vocabulary = tokenizers.from_text(dataset.facts['tokenizer'])
  for split, count in SIZES.items():
    rows = map(dataset.splits[split].__getitem__, range(count))
    said = [tuple(vocabulary.decode(row[key]) for key in ('tokens', 'targets')) for row in rows]
    assert sorted(said) == sorted(zip(*text.sentences(count)))
  assert dataset.facts['languages'] == ['en', 'xx']


def test_languages_that_are_not_there(root):
  with pytest.raises(UserError, match=r"no language 'fr': it has en, xx"):
    make(root, target='fr')


def test_what_is_not_prepared_is_named(tmp_path):
  with pytest.raises(UserError, match='not prepared'):
    make(str(tmp_path))
