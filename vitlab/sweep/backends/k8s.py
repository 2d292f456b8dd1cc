"""A Kubernetes manifest: one Indexed Job, in which every index is a trial.

  python launch.py --mode=sweep --config=... --workdir=/sweeps/first --slots=4 \\
    --backend=k8s,image=registry/vitlab,claim=disk,gpus=1 | kubectl apply -f -

The claim, which all pods share, is mounted where the folder of the sweep lies. A preempted pod is
replaced and its trial continued, a mistake (exit code 2) is not tried again. It needs Kubernetes
1.33, or 1.29 with the gate of backoffLimitPerIndex.

https://kubernetes.io/docs/concepts/workloads/controllers/job/
"""

import pathlib
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import yaml

from vitlab.errors import UserError
from vitlab.sweep.trial import Trial

MISTAKE, PREEMPTED = 2, 75  # exit codes


class Kubernetes(NamedTuple):
  """See above.

  Attributes:
    folder: Of the sweep: an absolute path.
    image: With launch.py and all it needs in its working directory.
    claim: A PersistentVolumeClaim that many pods may write.
    gpus: Of each pod; 0 asks for none.
    slots: How many pods at once; 0 is all.
    retries: How often a trial that fails is tried again.
  """

  folder: pathlib.Path
  image: str
  claim: str
  gpus: int
  slots: int
  retries: int

  def text(self, trials: Sequence[Trial]) -> str:
    return yaml.safe_dump(self.manifest(trials), sort_keys=False, width=1000) if trials else ''

  def manifest(self, trials: Sequence[Trial]) -> dict[str, Any]:
    """The Job."""
    name = re.sub(r'[^a-z0-9]+', '-', self.folder.name.lower()).strip('-')[:50] or 'sweep'
    rules = [_on(MISTAKE, 'FailIndex'), _on(PREEMPTED, 'Ignore'), _ON_DISRUPTION]
    spec = dict(
      completionMode='Indexed',
      completions=len(trials),
      parallelism=min(self.slots or len(trials), len(trials)),
      backoffLimitPerIndex=self.retries,
      podFailurePolicy=dict(rules=rules),
      template=dict(spec=self._pod(trials)),
    )
    return dict(apiVersion='batch/v1', kind='Job', metadata=dict(name=name), spec=spec)

  def _pod(self, trials: Sequence[Trial]) -> dict[str, Any]:
    """What runs at every index: the trial with that place in the list."""
    cases = [f'{index}) exec {trial.shown_command} ;;' for index, trial in enumerate(trials)]
    script = '\n'.join(['case "$JOB_COMPLETION_INDEX" in', *cases, 'esac\n'])
    container = dict(
      name='trial',
      image=self.image,
      command=['sh', '-c', script],
      volumeMounts=[dict(name='sweep', mountPath=str(self.folder))],
    )
    if self.gpus:
      container['resources'] = dict(limits={'nvidia.com/gpu': self.gpus})
    return dict(
      restartPolicy='Never',
      terminationGracePeriodSeconds=120,  # to save
      containers=[container],
      volumes=[dict(name='sweep', persistentVolumeClaim=dict(claimName=self.claim))],
    )


def make(
  folder: pathlib.Path, slots: int, retries: int, image: str, claim: str, gpus: str = '0'
) -> Kubernetes:
  """Raises: UserError: a path or a number is none."""
  if not folder.is_absolute():
    raise UserError(
      f'--backend=k8s needs an absolute --workdir, the same in all pods, not {folder}'
    )
  if not gpus.isdigit():
    raise UserError(f'--backend=k8s,gpus={gpus}: expected a number')
  return Kubernetes(folder, image, claim, int(gpus), slots, retries)


_ON_DISRUPTION: Mapping[str, Any] = dict(
  action='Ignore', onPodConditions=[dict(type='DisruptionTarget', status='True')]
)


def _on(code: int, action: str) -> dict[str, Any]:
  return dict(action=action, onExitCodes=dict(operator='In', values=[code]))
