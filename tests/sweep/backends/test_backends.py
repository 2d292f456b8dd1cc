"""Back-ends by name."""

import pytest

from vitlab.errors import UserError
from vitlab.sweep import backends


@pytest.mark.parametrize(
  'text, says',
  [
    ('lokal', 'did you mean local'),
    ('local,gpus=2', "unknown option of back-end local 'gpus'"),
    ('tpu,name=a', '--backend=tpu needs zone'),
    ('tpu,name,zone=b', 'name needs a value'),
    ('tpu,name=a,zone=b,slots=3', 'option'),
  ],
)
def test_what_there_is_not_is_named(text, says, tmp_path):
  with pytest.raises(UserError) as caught:
    backends.make(text, tmp_path, 0, 1)
  assert says in str(caught.value)


def test_a_backend_starts_trials_or_prints_them(tmp_path):
  for text in ('local', 'slurm,cluster=local'):
    assert isinstance(backends.make(text, tmp_path, 0, 1), backends.Runner)
  for text in ('commands', 'tpu,name=a,zone=b'):
    assert isinstance(backends.make(text, tmp_path, 0, 1), backends.Printer)
