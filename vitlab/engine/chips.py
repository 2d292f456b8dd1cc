"""What chips can do: peak rates, memory and bandwidth of one JAX device, from their data sheets.

Rates are dense (without structured sparsity) and what JAX uses by default: float32 matmuls run as
TF32 on NVIDIA GPUs and as one bfloat16 pass on TPUs. Units: FLOP/s, bytes, bytes/s.
"""

import os
import re
from typing import NamedTuple

from vitlab.errors import UserError, unknown


class Chip(NamedTuple):
  """One device as JAX counts them.

  Attributes:
    bfloat16: FLOP/s of large bfloat16 matmuls.
    float32: FLOP/s of large float32 matmuls at JAX's default precision.
    memory: Bytes of device memory.
    bandwidth: Bytes/s between the device and its memory.
    source: Where the numbers come from.
  """

  bfloat16: float
  float32: float
  memory: float
  bandwidth: float
  source: str


CHIPS = {
  'a100': Chip(312e12, 156e12, 80e9, 2.039e12, 'NVIDIA A100 80GB SXM data sheet, 2021'),
  'h100': Chip(989.4e12, 494.7e12, 80e9, 3.35e12, 'NVIDIA H100 SXM5 data sheet, 2023'),
  'h200': Chip(989.4e12, 494.7e12, 141e9, 4.8e12, 'NVIDIA H200 SXM data sheet, 2024'),
  'b200': Chip(2250e12, 1125e12, 180e9, 8e12, 'NVIDIA DGX B200 data sheet, an eighth, 2024'),
  'l4': Chip(121e12, 60e12, 24e9, 0.3e12, 'NVIDIA L4 data sheet, 2023'),
  'rtx4090': Chip(165.2e12, 82.6e12, 24e9, 1.008e12, 'NVIDIA Ada architecture white paper, 2022'),
  # A v3 chip is two devices of JAX.
  'v3': Chip(61.5e12, 61.5e12, 16e9, 0.45e12, 'cloud.google.com/tpu/docs/v3, half a chip'),
  'v4': Chip(275e12, 275e12, 32 * 2**30, 1.2e12, 'cloud.google.com/tpu/docs/v4'),
  'v5e': Chip(197e12, 197e12, 16e9, 0.819e12, 'cloud.google.com/tpu/docs/v5e'),
  'v5p': Chip(459e12, 459e12, 95e9, 2.765e12, 'cloud.google.com/tpu/docs/v5p'),
  'v6e': Chip(918e12, 918e12, 32e9, 1.6e12, 'cloud.google.com/tpu/docs/v6e'),
}
# Words in jax.Device.device_kind; the first that is found counts.
_KINDS = {
  'tpu v6 lite': 'v6e',
  'tpu v5 lite': 'v5e',
  'tpu v5': 'v5p',
  'tpu v4': 'v4',
  'tpu v3': 'v3',
  'h100': 'h100',
  'h200': 'h200',
  'b200': 'b200',
  'a100': 'a100',
  'l4': 'l4',
  '4090': 'rtx4090',
  'cpu': 'cpu',
}
MAX_DEVICES = 4096  # simulated devices cost host memory and compile time


def parse_topology(text: str) -> tuple[str, int]:
  """'h100:8' -> ('h100', 8); a bare name is one device, '' is this machine: ('', 0).

  Raises:
    UserError: an unknown chip, or not a number of devices.
  """
  if not text:
    return '', 0
  name, colon, count = text.lower().partition(':')
  if name != 'cpu' and name not in CHIPS:
    raise unknown('chip in --topology', name, ['cpu', *CHIPS])
  if not colon:
    return name, 1
  if not count.isdigit() or not 1 <= int(count) <= MAX_DEVICES:
    raise UserError(f'--topology={text}: expected {name}:<devices>, 1 to {MAX_DEVICES} of them')
  return name, int(count)


def name_of(kind: str) -> str:
  """The name in the table of a `jax.Device.device_kind`, or 'cpu'.

  Raises:
    UserError: a chip that the table does not have.
  """
  kind = kind.lower()
  for word, name in _KINDS.items():
    if re.search(rf'\b{word}\b', kind):
      return name
  possible = ', '.join(CHIPS)
  raise UserError(f'no data sheet of {kind!r}: name a near one, --topology=<{possible}>:<devices>')


def find(name: str, devices: int) -> Chip:
  """A chip of the table; for 'cpu', a share of this machine, whose matmul rate is measured."""
  if name in CHIPS:
    return CHIPS[name]
  matmul, copy = _measure()
  memory = os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES')
  source = f'measured just now, a {devices}th of this machine' if devices > 1 else 'measured now'
  return Chip(matmul / devices, matmul / devices, memory / devices, copy / devices, source)


def _measure(size: int = 1024) -> tuple[float, float]:
  """FLOP/s of a float32 matmul and bytes/s of a copy, best of a few on all cores."""
  import time

  import jax
  import jax.numpy as jnp

  def best(function, *arguments: jax.Array) -> float:
    compiled = jax.jit(function)
    compiled(*arguments).block_until_ready()
    seconds = []
    for _ in range(5):
      start = time.perf_counter()
      compiled(*arguments).block_until_ready()
      seconds.append(time.perf_counter() - start)
    return min(seconds)

  x = jnp.ones((size, size), jnp.float32)
  long = jnp.ones(2**24, jnp.float32)
  return 2 * size**3 / best(jnp.matmul, x, x), 2 * long.nbytes / best(lambda a: a + 1, long)
