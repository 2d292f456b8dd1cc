"""Where a result comes from: code, libraries, devices."""

import collections
import functools
import importlib.metadata
import pathlib
import platform
import subprocess
from collections.abc import Sequence

import jax

_LIBRARIES = ('jax', 'jaxlib', 'flax', 'optax', 'orbax-checkpoint', 'grain', 'numpy')


@functools.cache  # reads files; every checkpoint names them
def versions() -> dict[str, str]:
  """Python and the libraries that decide the bits of a result."""
  return {'python': platform.python_version()} | {
    name: importlib.metadata.version(name) for name in _LIBRARIES
  }


def commit() -> str | None:
  """The git commit of this code, with '-dirty' if files differ from it; None without git."""
  command = ['git', 'describe', '--always', '--dirty', '--abbrev=40', '--exclude=*']
  try:
    run = subprocess.run(
      command, cwd=pathlib.Path(__file__).parent, capture_output=True, text=True, timeout=10
    )
  except (OSError, subprocess.TimeoutExpired):
    return None
  return run.stdout.strip() or None


def device(devices: Sequence[jax.Device]) -> str:
  """Devices in words: '8 x NVIDIA H100 80GB HBM3', '1 x cpu'."""
  kinds = collections.Counter(d.device_kind for d in devices)
  return ', '.join(f'{count} x {kind}' for kind, count in kinds.items())
