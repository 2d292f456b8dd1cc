"""Lines of gcloud: the trial arrives in the shell of the hosts as it is."""

import shlex

from _helpers import sweeps

from vitlab.sweep import trial
from vitlab.sweep.backends import tpu


def test_a_line_starts_the_trial_on_every_host(tmp_path):
  definition = sweeps.define(sweeps.write(tmp_path, "add({'optim.name': 'a b'})"))
  one = trial.make(definition, tmp_path, 0, definition.points[0])
  (line,) = tpu.make('pod', 'us-central2-b', 'my code').text([one]).splitlines()
  *start, command = shlex.split(line)
  assert ' '.join(start) == ('gcloud compute tpus tpu-vm ssh pod --zone=us-central2-b --worker=all')
  assert command == f"--command=cd 'my code' && {one.shown_command}"
