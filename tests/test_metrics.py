import pytest

from vitlab import metrics


@pytest.mark.parametrize(
  'name, value, text',
  [
    ('test/accuracy', 0.98765, '98.77 %'),
    ('test/top5_accuracy', 1, '100.00 %'),
    ('test/precision', 0.5, '50.00 %'),
    ('time/data_wait', 0.25, '25.00 %'),
    ('train/padding', 0.1, '10.00 %'),
    ('samples/recognised', 0.5, '50.00 %'),
    ('test/ap', 0.415, '41.50 %'),
    ('test/ap_small', 0.2, '20.00 %'),
    ('test/ar100', 0.5, '50.00 %'),
    ('test/ap50_voc2007', 0.5, '50.00 %'),
    ('coco/average_precision', 41.5, None),
    ('test/apples', 0.5, None),
    ('test/loss', 0.5, None),
    ('train/grad_norm', 0.5, None),
    ('probe/loss', 0.5, None),  # the name of an evaluator says nothing
  ],
)
def test_shares_are_read_in_percent(name, value, text):
  assert metrics.percent(name, value) == text


def test_of_which_less_is_better():
  small = (
    'test/loss',
    'test/perplexity',
    'test/ece',
    'fid/frechet',
    'fid/kid_floor',
    'train/generator_loss',
    'seconds',
  )
  assert all(map(metrics.smaller_is_better, small))
  large = ('test/accuracy', 'samples/recognised', 'coco/ap_small', 'examples_per_second')
  assert not any(map(metrics.smaller_is_better, large))


def test_ordered_puts_first_what_matters_most():
  names = ['time/data_wait', 'train/loss', 'train/grad_norm', 'test/ece', 'test/loss', 'train/loss']
  names += ['train/accuracy', 'test/accuracy']
  assert metrics.ordered(names) == [
    'test/accuracy',
    'train/accuracy',
    'test/loss',
    'train/loss',
    'test/ece',
    'train/grad_norm',
    'time/data_wait',
  ]


@pytest.mark.parametrize(
  'names, leading',
  [
    (
      ['train/accuracy', 'test/accuracy', 'val/accuracy', 'test/loss'],
      ['test/accuracy', 'val/accuracy'],
    ),
    (['test/loss', 'train/accuracy'], ['test/loss']),
    (['test/accuracy', 'test/bleu'], ['test/bleu']),
    (['train/loss', 'time/seconds'], ['train/loss']),
    (['test/novel_score', 'train/loss'], ['test/novel_score']),
    ([], []),
  ],
)
def test_a_run_is_quoted_by_what_was_held_out(names, leading):
  assert metrics.leading(names) == leading
