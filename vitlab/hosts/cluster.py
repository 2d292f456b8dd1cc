"""Many processes that act as one: how they find each other.

Under Cloud TPU, SLURM and Open MPI they do so by themselves; anywhere else each is told by the flag
`host:port,processes,id`. A process that dies takes the others down within the heartbeat (JAX ends
them): start all of them again and the run goes on from its newest checkpoint, as
`vitlab.hosts.supervisor` does.
"""

import glob
import hashlib
import importlib.util
import logging
import os
import re
import socket
from collections.abc import Mapping
from typing import Any, NamedTuple

from vitlab.errors import UserError

_log = logging.getLogger(__name__)

_START = 120  # seconds to wait for all processes at the start, beside those of the heartbeat
_SHUTDOWN = 600  # seconds to wait for all at the end: process 0 writes the report alone


class Cluster(NamedTuple):
  """This process's place among `processes` others; device ids None means all that it sees."""

  address: str
  processes: int
  process_id: int
  local_device_ids: tuple[int, ...] | None = None


def initialize(spec: str = 'auto', heartbeat: int = 60) -> None:
  """Connects the processes of this run; does nothing when there is only one.

  Must come before anything else of JAX.

  Args:
    spec: 'auto' (what the surroundings say), 'off', or 'host:port,processes,id', the same for all
      processes but for the id 0, 1, ...; host is that of process 0.
    heartbeat: seconds of silence until a process counts as dead and the others end.

  Raises:
    UserError: a spec that makes no sense, a port in use, processes that do not find each other.
  """
  if spec == 'off':
    return
  if spec == 'auto' and on_cloud_tpu():
    _connect(heartbeat)
    return
  cluster = detect(os.environ) if spec == 'auto' else parse(spec)
  if cluster is None or cluster.processes == 1:
    return
  if cluster.process_id == 0:
    _check_port(cluster.address)
  # Said before, because JAX ends a process that waits in vain without asking us.
  _log.warning(
    'process %d of %d: waiting up to %d s for the others at %s',
    cluster.process_id,
    cluster.processes,
    _START + heartbeat,
    cluster.address,
  )
  _connect(
    heartbeat,
    coordinator_address=cluster.address,
    num_processes=cluster.processes,
    process_id=cluster.process_id,
    local_device_ids=cluster.local_device_ids,
    # Its detection would give every process a single GPU, also where it has the node to itself.
    cluster_detection_method='deactivate',
  )


def is_alone(spec: str) -> bool:
  """Whether a spec, as `initialize` takes it, means one process; a Cloud TPU may have others.

  Raises:
    UserError: a spec that makes no sense.
  """
  if spec == 'off':
    return True
  if spec == 'auto' and on_cloud_tpu():
    return False
  cluster = detect(os.environ) if spec == 'auto' else parse(spec)
  return cluster is None or cluster.processes == 1


def parse(spec: str) -> Cluster:
  """Reads 'host:port,processes,id'.

  Raises:
    UserError: says which part is wrong.
  """
  match = re.fullmatch(r'(?P<address>[^,]+:\d+),(?P<processes>\d+),(?P<id>\d+)', spec)
  if not match:
    raise UserError(
      f"cluster {spec!r}: possible are 'auto', 'off' and 'host:port,processes,id'\n"
      "for example '10.0.0.1:9811,4,0' in the first of four processes"
    )
  processes, process_id = int(match['processes']), int(match['id'])
  if process_id >= processes:
    raise UserError(
      f'cluster {spec!r}: the id {process_id} is not below the number of processes {processes}\n'
      'the ids are 0, 1, ...; each process has its own'
    )
  if not 0 < int(match['address'].rpartition(':')[2]) < 65536:
    raise UserError(f'cluster {spec!r}: a port is a number from 1 to 65535')
  return Cluster(match['address'], processes, process_id)


def detect(environ: Mapping[str, str]) -> Cluster | None:
  """What SLURM or Open MPI have put into the environment; None where there is one process.

  Raises:
    UserError: Open MPI on several hosts does not say which is the first.
  """
  return _slurm(environ) or _open_mpi(environ)


def on_cloud_tpu() -> bool:
  """Whether this is a Cloud TPU host, whose processes JAX connects by itself."""
  platforms = os.environ.get('JAX_PLATFORMS', '')
  wanted = not platforms or 'tpu' in platforms.split(',')
  chips = glob.glob('/dev/accel*') + glob.glob('/dev/vfio/[0-9]*')
  return bool(wanted and chips and importlib.util.find_spec('libtpu'))


def _connect(heartbeat: int, **arguments: Any) -> None:
  import jax  # not above: whether there are others is known without it

  try:
    jax.distributed.initialize(
      # One that was started again early waits for those that have not yet noticed.
      initialization_timeout=_START + heartbeat,
      heartbeat_timeout_seconds=heartbeat,
      shutdown_timeout_seconds=_SHUTDOWN,
      **arguments,
    )
  except (RuntimeError, ValueError) as error:
    reason = (str(error).strip().splitlines() or [''])[0][:160]
    raise UserError(
      f'the processes did not find each other: {reason}\n'
      "give the address in each process by --cluster='host:port,processes,id', or --cluster=off"
    ) from error


def _check_port(address: str) -> None:
  port = int(address.rpartition(':')[2])
  with socket.socket(socket.AF_INET6 if socket.has_ipv6 else socket.AF_INET) as probe:
    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
      probe.bind(('', port))
    except OSError as error:
      raise UserError(
        f'port {port} of {address} cannot be used by process 0: {error.strerror}\n'
        'give another port to all processes, or end what uses it'
      ) from error


def _port(name: str) -> int:
  """A port that all processes of one job compute alike, in the range of private ports."""
  return 61440 + int(hashlib.sha256(name.encode()).hexdigest(), 16) % 4096


def _slurm(environ: Mapping[str, str]) -> Cluster | None:
  # Only inside a step (srun): a batch script sees the variables of the job, but is one process.
  if 'SLURM_STEP_NODELIST' not in environ or 'SLURM_PROCID' not in environ:
    return None
  processes = int(environ.get('SLURM_STEP_NUM_TASKS') or environ.get('SLURM_NTASKS', '1'))
  if processes == 1:
    return None
  hosts = re.match(r'([^,\[]+)(?:\[([^\],-]+)[^\]]*\]([^,]*))?', environ['SLURM_STEP_NODELIST'])
  host = ''.join(filter(None, hosts.groups()))  # 'n[01-03,7]-ib,m2' is n01-ib
  port = _port(f'{environ.get("SLURM_JOB_ID")}.{environ.get("SLURM_STEP_ID")}')
  counts: list[int] = []  # '2(x3),1' is 2, 2, 2, 1
  for count, times in re.findall(
    r'(\d+)(?:\(x(\d+)\))?', environ.get('SLURM_STEP_TASKS_PER_NODE', '')
  ):
    counts += [int(count)] * int(times or 1)
  node = int(environ.get('SLURM_NODEID', '0'))
  neighbours = counts[node] if node < len(counts) else 1
  devices = _share(environ, neighbours, int(environ.get('SLURM_LOCALID', '0')))
  return Cluster(f'{host}:{port}', processes, int(environ['SLURM_PROCID']), devices)


def _open_mpi(environ: Mapping[str, str]) -> Cluster | None:
  processes = int(environ.get('OMPI_COMM_WORLD_SIZE', '1'))
  if processes == 1:
    return None
  neighbours = int(environ.get('OMPI_COMM_WORLD_LOCAL_SIZE', '1'))
  uri = re.search(r'tcp6?://\[?([^,:\]]+)', environ.get('OMPI_MCA_orte_hnp_uri', ''))
  job = environ.get('PMIX_NAMESPACE') or environ.get('OMPI_MCA_ess_base_jobid', '')
  if given := environ.get('JAX_COORDINATOR_ADDRESS'):
    address = given
  elif neighbours == processes:
    address = f'127.0.0.1:{_port(job)}'
  elif uri:
    address = f'{uri[1]}:{_port(job)}'
  else:
    raise UserError(
      f'Open MPI started {processes} processes on several hosts without saying which is the first\n'
      'export JAX_COORDINATOR_ADDRESS=host:port, host being that of rank 0 (mpirun -x)'
    )
  rank = int(environ['OMPI_COMM_WORLD_RANK'])
  local_rank = int(environ.get('OMPI_COMM_WORLD_LOCAL_RANK', '0'))
  return Cluster(address, processes, rank, _share(environ, neighbours, local_rank))


def _share(environ: Mapping[str, str], neighbours: int, local_id: int) -> tuple[int, ...] | None:
  """One GPU for each process of a host, unless it is alone or has been given its own."""
  visible = environ.get('CUDA_VISIBLE_DEVICES') or environ.get('ROCR_VISIBLE_DEVICES') or ''
  if neighbours == 1 or len(visible.split(',')) < neighbours and visible:
    return None
  return (local_id,)
