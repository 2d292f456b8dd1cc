import pytest

from vitlab import baselines

SIMPLE = {'test/accuracy': {'nearest_neighbours': 0.8187, 'majority': 0.1}}


def result(accuracy, **more):
  return dict(metrics={'test/accuracy': accuracy}, baselines=SIMPLE) | more


def test_the_line_of_the_report():
  assert baselines.line(result(0.9)) == 'baseline: nearest neighbours 81.87 %, majority 10.00 %'


@pytest.mark.parametrize(
  ('accuracy', 'said'),
  [
    (0.82, ''),
    (0.8187, ''),
    (
      0.7,
      'test/accuracy 70.00 % is below what takes no training: nearest neighbours 81.87 %; '
      'a longer run or another augmentation may help',
    ),
    (
      0.05,
      'test/accuracy 5.00 % is below what takes no training: nearest neighbours 81.87 %, '
      'majority 10.00 %; a longer run or another augmentation may help',
    ),
    (None, ''),
  ],
)
def test_what_a_run_says_of_itself(accuracy, said):
  assert baselines.below(result(accuracy)) == said


@pytest.mark.parametrize(
  'empty', [{}, {'baselines': {}}, {'baselines': SIMPLE}, result(0.5, baselines=None)]
)
def test_results_that_know_nothing_of_it(empty):
  assert baselines.below(empty) == ''
  assert bool(baselines.line(empty)) == bool(empty.get('baselines'))
