"""Finding the other processes: what flags and surroundings mean, and two real processes."""

import contextlib
import socket

import jax
import numpy as np
import pytest
from _helpers import two_processes

from vitlab.errors import UserError
from vitlab.hosts import cluster
from vitlab.workdir import fingerprint
from vitlab.workdir.checkpoint import Checkpoints


def test_reads_a_spec():
  assert cluster.parse('10.0.0.1:9811,4,3') == cluster.Cluster('10.0.0.1:9811', 4, 3)
  assert cluster.parse('[::1]:9811,2,0').address == '[::1]:9811'


@pytest.mark.parametrize(
  'spec, reason',
  [
    ('on', "possible are 'auto', 'off' and 'host:port,processes,id'"),
    ('host,4,0', 'possible are'),
    ('host:1,4', 'possible are'),
    ('host:1,4,-1', 'possible are'),
    ('host:1,4,4', 'the id 4 is not below the number of processes 4'),
    ('host:70000,2,0', 'a port is a number from 1 to 65535'),
  ],
)
def test_a_spec_without_sense_is_refused(spec, reason):
  with pytest.raises(UserError) as error:
    cluster.initialize(spec)
  assert reason in str(error.value)
  assert str(error.value).count('\n') < 3


_SLURM = {
  'SLURM_JOB_ID': '77',
  'SLURM_STEP_ID': '0',
  'SLURM_STEP_NODELIST': 'gpu[03-04,9]-ib,login2',
  'SLURM_NTASKS': '8',
  'SLURM_STEP_TASKS_PER_NODE': '2(x3),1(x2)',
  'SLURM_PROCID': '5',
  'SLURM_LOCALID': '1',
  'SLURM_NODEID': '2',
}


def test_slurm_tells_the_place():
  found = cluster.detect(_SLURM)
  assert found.address.startswith('gpu03-ib:')
  assert 1024 < int(found.address.split(':')[1]) < 65536
  assert found[1:] == (8, 5, (1,))


@pytest.mark.parametrize(
  'change, devices',
  [
    ({'SLURM_NODEID': '3', 'SLURM_LOCALID': '0'}, None),  # alone on its node: every GPU is its own
    ({'CUDA_VISIBLE_DEVICES': '0'}, None),  # SLURM has given each task its own GPU
    ({'CUDA_VISIBLE_DEVICES': '0,1'}, (1,)),
  ],
)
def test_processes_of_a_node_share_its_gpus(change, devices):
  assert cluster.detect(_SLURM | change).local_device_ids == devices


def test_all_tasks_of_a_step_compute_the_same_address():
  other = _SLURM | {'SLURM_PROCID': '0', 'SLURM_LOCALID': '0', 'SLURM_NODEID': '0'}
  assert cluster.detect(_SLURM).address == cluster.detect(other).address
  assert cluster.detect(_SLURM).address != cluster.detect(_SLURM | {'SLURM_STEP_ID': '1'}).address


@pytest.mark.parametrize(
  'environ',
  [
    {},
    {'SLURM_JOB_ID': '77', 'SLURM_NTASKS': '8', 'SLURM_PROCID': '0'},  # a batch script, no srun
    _SLURM | {'SLURM_STEP_NUM_TASKS': '1'},
    {'OMPI_COMM_WORLD_SIZE': '1', 'OMPI_COMM_WORLD_RANK': '0'},
  ],
)
def test_one_process_is_no_cluster(environ):
  assert cluster.detect(environ) is None


_OPEN_MPI = {
  'OMPI_COMM_WORLD_SIZE': '4',
  'OMPI_COMM_WORLD_RANK': '3',
  'OMPI_COMM_WORLD_LOCAL_RANK': '1',
  'OMPI_COMM_WORLD_LOCAL_SIZE': '2',
  'PMIX_NAMESPACE': 'prterun-host-1@1',
}


@pytest.mark.parametrize(
  'change, host',
  [
    ({'OMPI_MCA_orte_hnp_uri': '1531576320.0;tcp://10.96.0.1,10.148.0.1:34911'}, '10.96.0.1'),
    ({'JAX_COORDINATOR_ADDRESS': 'first:99'}, 'first'),
    ({'OMPI_COMM_WORLD_LOCAL_SIZE': '4'}, '127.0.0.1'),
  ],
)
def test_open_mpi_tells_the_place(change, host):
  found = cluster.detect(_OPEN_MPI | change)
  assert found.address.rpartition(':')[0] == host
  assert found[1:] == (4, 3, (1,))


def test_open_mpi_on_hosts_without_an_address_is_refused():
  with pytest.raises(UserError, match='JAX_COORDINATOR_ADDRESS'):
    cluster.detect(_OPEN_MPI)


def test_a_port_in_use_is_refused():
  with socket.socket() as other:
    other.bind(('', 0))
    other.listen()
    port = other.getsockname()[1]
    with pytest.raises(UserError, match=f'port {port} .*in use'):
      cluster.initialize(f'127.0.0.1:{port},2,0')


@pytest.fixture(scope='module')
def pair(tmp_path_factory):
  """What two real processes found that went on from step 1 of a single one; the checkpoints."""
  directory = tmp_path_factory.mktemp('pair')
  abstract = two_processes.abstract_state(jax.devices()[: two_processes.DEVICES])
  state, _ = two_processes.train(abstract, two_processes.init(abstract), 1)
  with contextlib.closing(Checkpoints(directory)) as checkpoints:
    checkpoints.save(1, state, {})
  return two_processes.run(directory), directory


def test_two_processes_restore_what_one_saved_and_agree_with_it(pair):
  results, _ = pair
  abstract = two_processes.abstract_state(jax.devices()[: two_processes.DEVICES])
  state, losses = two_processes.train(abstract, two_processes.init(abstract), 6)
  for result in results:
    assert result['restored'][0] == 1
    np.testing.assert_allclose(result['losses'][0], losses[1:4], rtol=1e-6)
    np.testing.assert_allclose(result['losses'][1], losses[2:6], rtol=1e-6)


def test_two_processes_lay_out_weights_that_each_has_read(pair):
  results, _ = pair
  abstract = two_processes.abstract_state(jax.devices()[:1])
  expected = fingerprint.fingerprint(two_processes.load(abstract))
  assert [result['loaded'] for result in results] == [expected] * 2


def test_one_process_restores_what_two_saved(pair):
  results, directory = pair
  abstract = two_processes.abstract_state(jax.devices()[:3])
  restored = Checkpoints(directory, read_only=True).restore(abstract, step=6)
  assert [r['fingerprint'] for r in results] == [fingerprint.fingerprint(restored.state)] * 2


def test_two_processes_agree_on_damage_that_only_one_sees(pair):
  results, directory = pair
  assert [r['restored'] for r in results] == [[1, 2], [1, 2]]
  assert [p.name for p in (directory / 'damaged').iterdir()] == ['4']
  assert {2, 4, 6} < set(Checkpoints(directory, read_only=True).steps())


def test_a_signal_to_one_process_stops_both_at_the_same_step(pair):
  results, directory = pair
  assert results[0]['stopped'] == results[1]['stopped'] >= 6
  assert Checkpoints(directory, read_only=True).latest() == results[0]['stopped']
