"""One gcloud line a trial: it starts the trial on every host of a Cloud TPU.

  python launch.py --mode=sweep --config=... --backend=tpu,name=my-pod,zone=us-central2-b | sh

https://cloud.google.com/sdk/gcloud/reference/compute/tpus/tpu-vm/ssh
"""

import shlex
from collections.abc import Sequence
from typing import NamedTuple

from vitlab.sweep.trial import Trial


class Tpu(NamedTuple):
  """See above.

  Attributes:
    name: Of the TPU.
    zone: Where it is.
    code: The folder with launch.py on its hosts.
  """

  name: str
  zone: str
  code: str

  def text(self, trials: Sequence[Trial]) -> str:
    start = ['gcloud', 'compute', 'tpus', 'tpu-vm', 'ssh', self.name]
    start += [f'--zone={self.zone}', '--worker=all']
    lines = []
    for trial in trials:
      command = f'cd {shlex.quote(self.code)} && {trial.shown_command}'
      lines.append(f'{shlex.join(start)} --command={shlex.quote(command)}\n')
    return ''.join(lines)


def make(name: str, zone: str, code: str = 'vitlab') -> Tpu:
  return Tpu(name, zone, code)
