"""A tiny training that one process, or several real ones on loopback, can run.

`launch` starts the launcher in each process. `run` starts this file; each process executes `_main`:
  1. restores what is there, trains to step 4, saves steps 2 and 4;
  2. a part of step 4 that only process 1 reads is damaged; restores, trains to step 6;
  3. trains on until somebody sends SIGTERM to any process, saves and ends.
"""

import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import NamedSharding, PartitionSpec

from vitlab.hosts import cluster
from vitlab.train.initial import Start
from vitlab.workdir import fingerprint
from vitlab.workdir.checkpoint import Checkpoints

_ROOT = pathlib.Path(__file__).parents[2]
DEVICES, PROCESSES = 4, 2


def abstract_state(devices):
  """The state's shapes, split over the devices."""
  mesh = jax.sharding.Mesh(np.asarray(devices), ('data',))
  place = [NamedSharding(mesh, PartitionSpec(*axes)) for axes in ((), ('data',))]
  return {
    'step': jax.ShapeDtypeStruct((), jnp.int32, sharding=place[0]),
    # Large enough not to be inlined into the index of the storage.
    'w': jax.ShapeDtypeStruct((48, 512), jnp.float32, sharding=place[1]),
  }


def init(abstract):
  """The state before the first step."""
  state = {'step': jnp.int32(0), 'w': jnp.sin(jnp.arange(24576.0)).reshape(48, 512)}
  return jax.device_put(state, jax.tree.map(lambda a: a.sharding, abstract))


def load(abstract):
  """That state as weights which every process read from a file."""

  class Source:
    def load(self, like):
      w = np.sin(np.arange(24576, dtype=np.float32)).reshape(48, 512)
      return {'step': np.int32(0), 'w': w}

  return Start(lambda loaded: loaded, {'model': abstract}, {'model': Source()})()['model']


def train(abstract, state, steps, checkpoints=None):
  """Trains to `steps`, saving every second step; the state and the loss of each step."""
  shardings = jax.tree.map(lambda a: a.sharding, abstract)

  def step(state, x):
    loss = lambda w: jnp.mean((jnp.tanh(x @ w) - 0.5) ** 2)  # noqa: E731
    value, gradient = jax.value_and_grad(loss)(state['w'])
    return {'step': state['step'] + 1, 'w': state['w'] - 0.1 * gradient}, value

  step = jax.jit(step, out_shardings=(shardings, None), donate_argnums=0)
  losses = []
  for number in range(int(state['step']), steps):
    x = np.random.default_rng(number).normal(size=(8, 48)).astype(np.float32)
    rows = 8 // jax.process_count()
    local = x[jax.process_index() * rows :][:rows]
    state, loss = step(
      state, jax.make_array_from_process_local_data(shardings['w'], local, x.shape)
    )
    losses.append(float(loss))
    if checkpoints and (number + 1) % 2 == 0:
      checkpoints.save(number + 1, state, {})
  return state, losses


def start(commands, environ=None):
  """Starts a process for each command, with one more argument: host:port,processes,id."""
  with socket.socket() as probe:
    probe.bind(('127.0.0.1', 0))
    address = f'127.0.0.1:{probe.getsockname()[1]}'
  devices = {'JAX_PLATFORMS': 'cpu', 'JAX_NUM_CPU_DEVICES': str(DEVICES // PROCESSES)}
  return [
    subprocess.Popen(
      [*command[:-1], f'{command[-1]}{address},{len(commands)},{process}'],
      cwd=_ROOT,
      env=os.environ | devices | {'PYTHONPATH': str(_ROOT)} | (environ[process] if environ else {}),
      stdout=subprocess.PIPE,
      stderr=subprocess.PIPE,
      text=True,
    )
    for process, command in enumerate(commands)
  ]


def launch(arguments, environ=None, scripts=('launch.py', 'launch.py'), timeout=100):
  """Runs the launcher with the arguments of each process; exit codes, complaints and seconds."""
  began = time.perf_counter()
  commands = [[sys.executable, script, *own] for script, own in zip(scripts, arguments)]
  children = start([[*command, '--cluster='] for command in commands], environ)
  try:
    complaints = [child.communicate(timeout=timeout)[1] for child in children]
  finally:
    for child in children:
      child.kill()
  return [child.returncode for child in children], complaints, time.perf_counter() - began


def run(directory):
  """Starts the processes on the checkpoints of a directory; what each found, as dicts."""
  children = start([[sys.executable, __file__, str(directory), '']] * PROCESSES)
  try:
    for child in children:
      # Gloo prints to the same stream.
      assert 'ready\n' in iter(child.stdout.readline, ''), child.communicate(timeout=60)[1]
    children[1].send_signal(signal.SIGTERM)
    outputs = [child.communicate(timeout=60) for child in children]
  finally:
    for child in children:
      child.kill()
  for child, (_, errors) in zip(children, outputs):
    assert child.returncode == 0, errors
  return [json.loads(output.splitlines()[-1]) for output, _ in outputs]


def _main(directory, place):
  cluster.initialize(place)
  abstract = abstract_state(jax.devices())
  found = {'restored': [], 'losses': [], 'loaded': fingerprint.fingerprint(load(abstract))}

  def stage(steps):
    checkpoints = Checkpoints(directory, keep=9)
    restored = checkpoints.restore(abstract)
    state, losses = train(abstract, restored.state, steps, checkpoints)
    checkpoints.close()
    found['restored'].append(restored.step)
    found['losses'].append(losses)
    return state

  stage(4)
  if jax.process_index() == 0:
    for path in pathlib.Path(directory, '4', 'state', 'ocdbt.process_1').rglob('*'):
      if path.is_file():
        path.write_bytes(path.read_bytes()[:50])
  multihost_utils.sync_global_devices('damaged')
  state = stage(6)
  found['fingerprint'] = fingerprint.fingerprint(state)
  print('ready', flush=True)
  number = 6
  while not multihost_utils.reached_preemption_sync_point(number):
    state, _ = train(abstract, state, number := number + 1)
  checkpoints = Checkpoints(directory, keep=9)
  checkpoints.save(number, state, {})
  checkpoints.close()
  print(json.dumps(found | {'stopped': number}), flush=True)


if __name__ == '__main__':
  _main(*sys.argv[1:])
