"""What chips can do: peak rates, memory, bandwidth and links of one JAX device, from data sheets.

Rates are dense (without structured sparsity) and what JAX uses by default: float32 matmuls run as
TF32 on NVIDIA GPUs and as one bfloat16 pass on TPUs. Links are counted in one direction: half of
what data sheets of NVLink and PCIe call their bandwidth. Units: FLOP/s, bytes, bytes/s.
"""

import re
from typing import NamedTuple

from vitlab.errors import UserError, unknown
from vitlab.hosts import machine


class Links(NamedTuple):
  """How devices are joined.

  Attributes:
    speed: Bytes/s that a device sends to others of its domain while it receives as many; of a torus
      over all its links, of which a collective along one axis of it has only some.
    domain: How many devices are so joined: those of a host (NVLink, PCIe) or of a TPU pod (ICI).
    network: Bytes/s that a device sends beyond: its share of the host's network cards.
    source: Where the numbers come from.
  """

  speed: float
  domain: int
  network: float
  source: str


class Chip(NamedTuple):
  """One device as JAX counts them.

  Attributes:
    bfloat16: FLOP/s of large bfloat16 matmuls.
    float32: FLOP/s of large float32 matmuls at JAX's default precision.
    memory: Bytes of device memory.
    bandwidth: Bytes/s between the device and its memory.
    source: Where the numbers come from.
    links: Between devices.
  """

  bfloat16: float
  float32: float
  memory: float
  bandwidth: float
  source: str
  links: Links


def _nvlink(speed: float, network: float, host: str) -> Links:
  """Eight GPUs on an NVSwitch, with a network card each."""
  return Links(speed, 8, network, f'NVLink and the network cards of a {host}, data sheet')


def _pcie(speed: float) -> Links:
  return Links(speed, 8, 12.5e9 / 8, 'PCIe 4.0 x16; 8 a host with a 100 Gb/s network, assumed')


def _ici(speed: float, devices: int, network: float, source: str) -> Links:
  return Links(speed, devices, network, f'ICI of a pod, {source}')


_DOCS = 'cloud.google.com/tpu/docs'
_V4 = 'arXiv:2304.01433, table 4; network assumed'
CHIPS = {
  'a100': Chip(
    *(312e12, 156e12, 80e9, 2.039e12, 'NVIDIA A100 80GB SXM data sheet, 2021'),
    _nvlink(300e9, 25e9, 'DGX A100'),
  ),
  'h100': Chip(
    *(989.4e12, 494.7e12, 80e9, 3.35e12, 'NVIDIA H100 SXM5 data sheet, 2023'),
    _nvlink(450e9, 50e9, 'DGX H100'),
  ),
  'h200': Chip(
    *(989.4e12, 494.7e12, 141e9, 4.8e12, 'NVIDIA H200 SXM data sheet, 2024'),
    _nvlink(450e9, 50e9, 'DGX H200'),
  ),
  'b200': Chip(
    *(2250e12, 1125e12, 180e9, 8e12, 'NVIDIA DGX B200 data sheet, an eighth, 2024'),
    _nvlink(900e9, 50e9, 'DGX B200'),
  ),
  'l4': Chip(121e12, 60e12, 24e9, 0.3e12, 'NVIDIA L4 data sheet, 2023', _pcie(32e9)),
  'rtx4090': Chip(
    *(165.2e12, 82.6e12, 24e9, 1.008e12, 'NVIDIA Ada architecture white paper, 2022'),
    _pcie(32e9),
  ),
  # A v3 chip is two devices of JAX.
  'v3': Chip(
    *(61.5e12, 61.5e12, 16e9, 0.45e12, f'{_DOCS}/v3, half a chip'),
    _ici(140e9, 2048, 1.6e9, _V4),
  ),
  'v4': Chip(*(275e12, 275e12, 32 * 2**30, 1.2e12, f'{_DOCS}/v4'), _ici(300e9, 4096, 6.25e9, _V4)),
  'v5e': Chip(
    *(197e12, 197e12, 16e9, 0.819e12, f'{_DOCS}/v5e'), _ici(200e9, 256, 3.125e9, f'{_DOCS}/v5e')
  ),
  'v5p': Chip(
    *(459e12, 459e12, 95e9, 2.765e12, f'{_DOCS}/v5p'), _ici(600e9, 8960, 6.25e9, f'{_DOCS}/v5p')
  ),
  'v6e': Chip(
    *(918e12, 918e12, 32e9, 1.6e12, f'{_DOCS}/v6e'), _ici(400e9, 256, 12.5e9, f'{_DOCS}/v6e')
  ),
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
  source = f'measured just now, a {devices}th of this machine' if devices > 1 else 'measured now'
  copy /= devices
  links = Links(copy, devices, copy, 'copies in the memory of this machine')
  memory = machine.memory_limit() / devices
  return Chip(matmul / devices, matmul / devices, memory, copy, source, links)


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
