import pytest

from vitlab.errors import UserError
from vitlab.train.duration import steps

RUN = dict(batch_size=128, num_examples=1437, total=2000)


@pytest.mark.parametrize(
  'duration, expected',
  [
    ('500 steps', 500),
    ('1 step', 1),
    ('1e3 steps', 1000),
    ('40 epochs', round(40 * 1437 / 128)),
    ('0.5 epochs', round(0.5 * 1437 / 128)),
    ('1e6 examples', round(1e6 / 128)),
    ('10%', 200),
    (' 2.5 % ', 50),
    ('1 examples', 1),  # positive: at least one step
    ('0.001%', 1),
    ('11 epochs, at least 2000 steps', 2000),  # of 123 steps
    ('11 epochs, at least 100 steps', round(11 * 1437 / 128)),
    ('1 epochs, at least 5%, at least 1e6 examples', round(1e6 / 128)),
    ('0 steps', 0),
    ('0%', 0),
  ],
)
def test_units(duration, expected):
  assert steps(duration, **RUN) == expected


@pytest.mark.parametrize(
  'duration',
  [
    '500',
    'ten steps',
    '-1 epochs',
    'nan steps',
    'inf steps',
    '1e400 steps',
    '11 epochs, at least',
    '11 epochs, at least 2000',
    '11 epochs at least 2000 steps',
    '1.2.3 steps',
    '',
    500,
  ],
)
def test_what_is_no_duration_is_refused_with_examples(duration):
  with pytest.raises(UserError, match='500 steps.*40 epochs.*1e6 examples.*10%'):
    steps(duration, **RUN)


def test_units_without_a_meaning_are_refused():
  with pytest.raises(UserError, match='no epochs'):
    steps('1 epochs', batch_size=8, num_examples=None, total=10)
  with pytest.raises(UserError, match='% needs a run'):
    steps('10%', batch_size=8, num_examples=100)
