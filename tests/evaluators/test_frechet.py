"""What the evaluator of samples reads, says and warns of; its numbers: `test_sample_numbers`."""

import numpy as np
import pytest

from vitlab.errors import UserError
from vitlab.evaluators import Absent, frechet, splits_of
from vitlab.evaluators._sample_numbers import Gaussian, frechet_distance, precision_recall

WORDS = dict(encoder='resnet of digits', resize='bicubic to 32 x 32')


def rows(size, seed, d=6):
  draws = np.random.default_rng(seed)
  return (draws.normal(size=(size, d)) * np.linspace(0.5, 2, d)).astype(np.float32)


SPLITS = {'test': rows(60, 0), 'train': rows(90, 1), 'tiny': rows(7, 2)}
SAMPLES = rows(60, 3) + 0.5
LABEL = np.arange(60) % 3
LOGITS = np.eye(3)[np.where(np.arange(60) < 12, 2, LABEL)]  # 12 are taken for a 2: 8 are wrong


def predictions(splits=SPLITS, samples=SAMPLES, logits=LOGITS, batch=7, order=None):
  def run(name, split):
    features = splits[split]
    if name == 'sample_features':
      features = samples[: len(features)]
    elif name == 'sample_logits':
      if logits is None:
        raise Absent('unknown predict function of the task')
      features = logits
    else:
      assert name == 'features'
    index = np.arange(len(features)) if order is None else order[order < len(features)]
    for i in range(0, len(index), batch):
      part = index[i : i + batch]
      yield features[part], dict(index=part, label=LABEL[part % 60])

  return run


def distance(a, b):
  return frechet_distance(Gaussian.of(a), Gaussian.of(b))


def test_metrics_and_what_stands_beside_them():
  metrics, details = frechet.make(**WORDS)(predictions())
  assert metrics['frechet'] == distance(SPLITS['test'], SAMPLES)
  precision, recall = precision_recall(SPLITS['test'], SAMPLES)
  assert (metrics['precision'], metrics['recall']) == (precision, recall)
  assert 0 < metrics['frechet_floor'] < metrics['frechet'] / 2
  assert metrics['kid_floor'] < metrics['kid'] / 2
  assert metrics['recognised'] == 52 / 60
  assert details['recognised_by_class'].tolist() == [16 / 20, 16 / 20, 1]
  assert details['recognised_confusion'].tolist() == [[16, 0, 4], [0, 16, 4], [0, 0, 20]]
  said = dict(WORDS, split='test', count=60, floor='test and train', floor_count=60, width=6)
  assert {name: details[name] for name in said} == said
  assert (details['kid_subsets'], details['kid_subset_size'], details['kid_std']) == (1, 60, 0)
  (signature,) = details['signatures']
  assert signature == (
    'frechet|encoder:resnet of digits|width:6|n:60|split:test|floor:test and train, 60 each|'
    'resize:bicubic to 32 x 32|k:3|kid:1 x 60'
  )
  # As the details are stored: arrays of numbers and strings.
  assert all(np.asarray(value).dtype.kind in 'fiU' for value in details.values())


def same(a, b):
  assert a.metrics == b.metrics
  for name, value in a.details.items():
    np.testing.assert_array_equal(b.details[name], value)


def test_order_and_batches_change_no_bit():
  """Whatever rows come first; KID with subsets of 20 draws the same examples."""
  evaluate = frechet.make(subset_size=20, subsets=5, k=2)
  expected = evaluate(predictions())
  order = np.random.default_rng(5).permutation(90)
  for batch in (1, 60, 90):
    same(expected, evaluate(predictions(batch=batch)))
    same(expected, evaluate(predictions(batch=batch, order=order)))
  assert expected.details['kid_subsets'] == 5 and expected.details['kid_std'] > 0


def test_the_floor_is_of_disjoint_halves_where_one_split_is_named(monkeypatch):
  """Not of the split and itself, whose distance is 0; and of the same ones at every step."""
  compared = []
  monkeypatch.setattr(frechet, 'precision_recall', lambda *sets: compared.append(sets) or (1, 1))
  evaluate = frechet.make(floor_split='test')
  metrics, details = evaluate(predictions())
  left, right = compared[1][:2]
  assert len(left) == len(right) == details['floor_count'] == 30
  assert details['floor'] == 'two halves of test'
  both = {row.tobytes() for row in np.concatenate([left, right])}
  assert both == {row.tobytes() for row in SPLITS['test']}
  assert metrics['frechet_floor'] == distance(left, right) > 0.1
  assert evaluate(predictions()).metrics == metrics


def test_the_floor_has_as_many_examples_as_the_samples():
  """More of them would be nearer to each other by their number alone."""
  _, details = frechet.make()(predictions())
  assert details['floor_count'] == details['count'] == 60
  _, details = frechet.make(floor_split='tiny')(predictions())
  assert details['floor_count'] == 7 and 'floor:test and tiny, 7 each' in details['signatures'][0]


def test_the_floor_is_measured_again_when_features_are_others(monkeypatch):
  """A frozen encoder gives the same ones at every step, and half of the work is done once."""
  compared = []
  monkeypatch.setattr(frechet, 'precision_recall', lambda *sets: compared.append(sets) or (1, 1))
  evaluate = frechet.make()
  first = evaluate(predictions())
  same(first, evaluate(predictions()))
  assert len(compared) == 3
  others = evaluate(predictions(SPLITS | {'train': rows(90, 7)}))
  assert len(compared) == 5
  assert others.metrics['frechet_floor'] != first.metrics['frechet_floor']
  assert others.metrics['frechet'] == first.metrics['frechet']


@pytest.mark.parametrize(('d', 'warns'), [(60, False), (61, True)])
def test_fewer_examples_than_features_are_warned_of(d, warns):
  splits = {'test': rows(60, 0, d), 'train': rows(90, 1, d)}
  _, details = frechet.make()(predictions(splits, rows(60, 2, d)))
  warnings = [line for line in details['signatures'] if line.startswith('warning: ')]
  assert len(warnings) == warns
  assert not warns or f'60 examples say little of the covariance of {d}' in warnings[0]


def test_halves_that_are_smaller_than_the_features_are_warned_of_too():
  splits = {'test': rows(60, 0, 31)}
  _, details = frechet.make(floor_split='test')(predictions(splits, rows(60, 2, 31)))
  assert '30 examples' in details['signatures'][1]


def test_a_generator_that_has_diverged_is_no_reason_to_stop():
  samples, logits = SAMPLES.copy(), LOGITS.copy()
  samples[3, 2], logits[20, 0] = np.inf, np.nan
  # None of the subsets has the bad sample in it.
  evaluate = frechet.make(subsets=1, subset_size=2)
  metrics, details = evaluate(predictions(samples=samples, logits=logits))
  assert all(np.isnan(metrics[name]) for name in ('frechet', 'kid', 'precision', 'recall'))
  assert metrics['frechet_floor'] > 0 and metrics['recognised'] == 51 / 60
  assert details['recognised_by_class'][2] == 19 / 20


def test_a_task_without_logits_of_samples_says_nothing_of_them():
  metrics, details = frechet.make()(predictions(logits=None))
  assert 'recognised' not in metrics and 'recognised_by_class' not in details
  assert set(metrics) == {'frechet', 'kid', 'precision', 'recall', 'frechet_floor', 'kid_floor'}


def test_an_encoder_of_other_classes_is_not_asked_what_it_recognises():
  """FID's Inception has 1008; a sample of class 3 is none of its third."""
  other = frechet.make(num_classes=10)(predictions())
  assert 'recognised' not in other.metrics and 'recognised_confusion' not in other.details
  same(frechet.make()(predictions()), frechet.make(num_classes=3)(predictions()))


def test_features_of_any_shape_are_vectors():
  pictures = {name: x.reshape(-1, 3, 2) for name, x in SPLITS.items()}
  got = frechet.make()(predictions(pictures, SAMPLES.reshape(-1, 3, 2)))
  same(frechet.make()(predictions()), got)


def test_splits_that_are_read():
  assert splits_of(dict(name='frechet')) == ['test', 'train']


@pytest.mark.parametrize(
  ('words', 'message'),
  [
    (dict(k=0), r'frechet\(k=0'),
    (dict(subsets=0), 'subsets=0'),
    (dict(subset_size=1), 'two examples or more'),
  ],
)
def test_words_that_cannot_be(words, message):
  with pytest.raises(UserError, match=message):
    frechet.make(**words)


def test_splits_that_are_too_small():
  with pytest.raises(UserError, match='two halves of tiny are 3'):
    frechet.make(split='tiny', floor_split='tiny')(predictions())
  with pytest.raises(UserError, match='has no examples'):
    frechet.make()(predictions({'test': SPLITS['test'][:0]}))
