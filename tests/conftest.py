"""Every test sees 8 simulated devices, checked shapes and a persistent compilation cache."""

import functools
import gc
import os
import pathlib

os.environ.setdefault('JAX_PLATFORMS', 'cpu')
os.environ.setdefault('HF_HUB_OFFLINE', '1')
os.environ.setdefault('TORCHDYNAMO_DISABLE', '1')
# The oracles' matrices are tiny, and every core has a worker already: with two threads on busy
# cores torch took ten times as long.
os.environ.setdefault('OMP_NUM_THREADS', '1')
# Programs run a few times here: what counts is how soon they are there. XLA's emitters of fusions
# take 0.2 s whatever the program, LLVM's optimisations and its threads most of the rest: without
# them a small model is compiled in a tenth of the time. And of eight devices on two busy cores XLA
# would take a late one for lost, and abort the process.
os.environ['XLA_FLAGS'] = (
  os.environ.get('XLA_FLAGS', '')
  + ' --xla_cpu_use_fusion_emitters=false'
  + ' --xla_backend_optimization_level=0'
  + ' --xla_cpu_parallel_codegen_split_count=1'
  + ' --xla_cpu_collective_call_terminate_timeout_seconds=600'
)

import jax
import pytest
from _helpers.real_data import ROOT
from jax._src.interpreters import mlir
from jaxtyping import install_import_hook

jax.config.update('jax_num_cpu_devices', 8)
jax.config.update(
  'jax_compilation_cache_dir', str(pathlib.Path(__file__).parents[1] / '.jax_cache')
)
jax.config.update('jax_persistent_cache_min_compile_time_secs', 0.2)

# Every program, however small, is written down in an MLIR context of its own, of which 4 ms go into
# loading dialects: a quarter of what an operation costs when it runs for the first time.
mlir.make_ir_context = functools.cache(mlir.make_ir_context)

install_import_hook('vitlab', 'beartype.beartype')


@pytest.fixture(autouse=True, scope='session')
def start_sooner():
  """As little optimisation for the state before the first step as for all else."""
  from vitlab.train import initial

  initial.LESS['xla_backend_optimization_level'] = 0


@pytest.fixture(autouse=True, scope='module')
def forget():
  """Drops what a module has traced and compiled: over all of them it is gigabytes."""
  yield
  jax.clear_caches()
  mlir.make_ir_context.cache_clear()


@pytest.fixture
def x64():
  """Float64 on our side of a parity test."""
  with jax.enable_x64(True):
    yield


def pytest_collection_finish(session):
  """What has been imported stays: looking through it again and again is a tenth of the time."""
  gc.collect()
  gc.freeze()
  gc.set_threshold(20_000, 20, 20)


def pytest_collection_modifyitems(config, items):
  """Deselects the tests of the optional data sets where those are absent."""
  if ROOT.is_dir():
    return
  absent = [item for item in items if item.get_closest_marker('data')]
  config.hook.pytest_deselected(items=absent)
  items[:] = [item for item in items if item not in absent]
