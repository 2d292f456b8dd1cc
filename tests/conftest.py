"""Every test sees 8 simulated devices, checked shapes and a persistent compilation cache."""

import os
import pathlib

os.environ.setdefault('JAX_PLATFORMS', 'cpu')
os.environ.setdefault('HF_HUB_OFFLINE', '1')
os.environ.setdefault('TORCHDYNAMO_DISABLE', '1')

import jax
import pytest
from jaxtyping import install_import_hook

jax.config.update('jax_num_cpu_devices', 8)
jax.config.update(
  'jax_compilation_cache_dir', str(pathlib.Path(__file__).parents[1] / '.jax_cache')
)
jax.config.update('jax_persistent_cache_min_compile_time_secs', 0.5)

install_import_hook('vitlab', 'beartype.beartype')


@pytest.fixture
def x64():
  """Float64 on our side of a parity test."""
  with jax.enable_x64(True):
    yield
