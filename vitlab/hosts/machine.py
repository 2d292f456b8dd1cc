"""What must be settled on this machine before JAX starts: memory, devices, compile cache.

Imports no JAX; `prepare` is the first thing the launcher does.
"""

import ctypes
import gc
import glob
import hashlib
import importlib.util
import logging
import os
import pathlib
import platform
import sys
from collections.abc import Iterator, Mapping

from vitlab.errors import UserError, unknown

_log = logging.getLogger(__name__)

# Platform name of JAX -> (device files, packages one of which is needed, what to install).
_ACCELERATORS = {
  'cuda': (
    ('/dev/nvidia[0-9]*', '/dev/dxg'),
    ('jax_cuda12_plugin', 'jax_cuda13_plugin'),
    'jax[cuda13]',
  ),
  'rocm': (('/dev/kfd',), ('jax_rocm60_plugin', 'jax_rocm7_plugin'), 'jax[rocm]'),
  'tpu': (('/dev/accel*', '/dev/vfio/[0-9]*'), ('libtpu',), 'jax[tpu]'),
}
_ALIASES = {'gpu': 'cuda'}

# <malloc.h> of glibc.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
_KEPT = 256 * 2**20  # bytes of the largest block that is kept

_OBJECTS = 200_000  # more than have gone, between two searches for garbage; Python's own: 700


def prepare(*, compile_cache: str = '', allocator: bool = True, devices: int = 0) -> None:
  """Settles everything, in the order it must be done.

  Args:
    compile_cache: folder of compiled programs; '' is the default folder, 'off' uses none.
    allocator: whether to tune the C allocator where programs will run on the CPU.
    devices: how many CPU devices to simulate; 0 uses the devices there are.

  Raises:
    UserError: JAX_PLATFORMS names something that does not exist or is not here.
  """
  gc.set_threshold(_OBJECTS)  # imports and tracing make what stays: looking through it is in vain
  if devices:
    simulate_devices(devices)
  check_platforms(os.environ)
  if allocator and runs_on_cpu(os.environ):
    tune_allocator()
  use_compile_cache(compile_cache)


def check_platforms(environ: Mapping[str, str]) -> None:
  """Refuses a JAX_PLATFORMS that JAX would refuse with a bare AssertionError, or much later.

  Raises:
    UserError: names the platform and what is missing: the device or the package.
  """
  possible = ['cpu', *_ACCELERATORS, *_ALIASES]
  for name in filter(None, environ.get('JAX_PLATFORMS', '').split(',')):
    if name not in possible:
      raise unknown('platform in JAX_PLATFORMS', name, possible)
    name = _ALIASES.get(name, name)
    if name == 'cpu':
      continue
    _, packages, install = _ACCELERATORS[name]
    if not _has_device(name):
      raise UserError(
        f'JAX_PLATFORMS={environ["JAX_PLATFORMS"]}, but this machine has no {name} device\n'
        'unset it to use what is there, or set JAX_PLATFORMS=cpu'
      )
    if not any(importlib.util.find_spec(package) for package in packages):
      raise UserError(
        f'JAX_PLATFORMS={environ["JAX_PLATFORMS"]}, but JAX is installed without {name}\n'
        f'pip install -U "{install}", or set JAX_PLATFORMS=cpu'
      )


def runs_on_cpu(environ: Mapping[str, str]) -> bool:
  """Whether JAX will compute on the CPU, as far as can be told without starting it."""
  first = environ.get('JAX_PLATFORMS', '').split(',')[0]
  return first == 'cpu' or (not first and not any(map(_has_device, _ACCELERATORS)))


def tune_allocator() -> bool:
  """Makes glibc keep the memory of temporaries instead of returning it after every step.

  XLA on the CPU allocates and frees the temporaries of a program at every call; glibc maps and
  unmaps them, and the kernel clears every page again: half the time of the train step of a small
  ViT. The price is a larger resident size: an aligned block seldom fits into the gap that one of
  its size has left, so that a heap holds several of them. Blocks of more than `_KEPT` bytes are
  therefore mapped and returned: they would be held four times, and be cleared almost as often.

  Returns:
    Whether there is a glibc to tune.
  """
  if platform.libc_ver()[0] != 'glibc':
    return False
  mallopt = ctypes.CDLL(None).mallopt
  values = {_M_MMAP_THRESHOLD: _KEPT, _M_TRIM_THRESHOLD: 2**31 - 1, _M_ARENA_MAX: 1}
  accepted = [mallopt(parameter, value) for parameter, value in values.items()]
  return all(accepted)


def ask_for_huge_pages(setting: str = '/sys/kernel/mm/transparent_hugepage/enabled') -> None:
  """Starts the process anew, as it was started, with an allocator that asks for pages of 2 MB.

  The large blocks that `tune_allocator` has returned after every step are then cleared in 500
  times fewer faults: a Faster R-CNN on two cores learns from 18 images a second instead of 15. Only
  the environment can tell glibc so, and before the process begins. Does nothing where programs run
  elsewhere, where huge pages come unasked or not at all, and where GLIBC_TUNABLES says otherwise.

  Args:
    setting: The file in which Linux says who gets huge pages.
  """
  said, name = os.environ.get('GLIBC_TUNABLES', ''), 'glibc.malloc.hugetlb'
  libc, version = platform.libc_ver()
  if libc != 'glibc' or tuple(map(int, version.split('.'))) < (2, 35) or not sys.executable:
    return
  if name in said or not runs_on_cpu(os.environ):
    return
  try:
    if '[madvise]' not in pathlib.Path(setting).read_text():
      return
  except OSError:
    return
  environ = os.environ | {'GLIBC_TUNABLES': ':'.join(filter(None, [said, f'{name}=1']))}
  os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], environ)


def trim_allocator() -> None:
  """Returns what is free to the kernel, such as what compilers have used."""
  if platform.libc_ver()[0] == 'glibc':
    ctypes.CDLL(None).malloc_trim(0)


def resident_memory() -> int:
  """Bytes that this process has in memory, after `trim_allocator`; 0 where Linux does not say."""
  trim_allocator()
  try:
    pages = int(pathlib.Path('/proc/self/statm').read_text().split()[1])
  except OSError:
    return 0
  return pages * os.sysconf('SC_PAGE_SIZE')


def memory_limit(root: str | os.PathLike[str] = '/') -> int:
  """Bytes that this process can have: the machine's memory, or less where a control group says so.

  Containers and batch systems limit groups of processes. A group lies in others, and the smallest
  limit of them counts; Linux keeps them as files, of version 2 or 1, or of both.

  Args:
    root: of the file system, where tests have one of their own.
  """
  limits = [os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES')]
  mounted = pathlib.Path(root, 'sys/fs/cgroup')
  for folder, name in _control_groups(pathlib.Path(root, 'proc/self/cgroup')):
    # In a container the folder may be named as the host sees it, where only the root can be seen.
    for path in [folder, *folder.parents]:
      text = _read(mounted / path / name)
      limits += [int(text)] if text.isdigit() else []  # not 'max'
  return min(limits)


def _control_groups(listed: pathlib.Path) -> Iterator[tuple[pathlib.Path, str]]:
  """The groups of a process that limit memory: folder, name of the file with the limit."""
  for line in _read(listed).splitlines():
    _, controllers, folder = line.split(':', 2)  # '4:memory:/docker/a1' or '0::/user.slice'
    folder = folder.lstrip('/')
    if not controllers:
      yield pathlib.Path(folder), 'memory.max'
    elif 'memory' in controllers.split(','):
      yield pathlib.Path('memory', folder), 'memory.limit_in_bytes'


def _read(path: pathlib.Path) -> str:
  try:
    return path.read_text().strip()
  except OSError:
    return ''


def use_compile_cache(folder: str = '') -> pathlib.Path | None:
  """Lets JAX keep compiled programs between runs: a restart takes a fraction of the time.

  The user's own JAX_COMPILATION_CACHE_DIR wins over the default folder. Every kind of CPU has its
  own sub-folder: a home shared by different machines must not hand one the code of another.

  Args:
    folder: where; '' is $XDG_CACHE_HOME/vitlab or ~/.cache/vitlab, 'off' uses none.

  Returns:
    The folder in use, or None.
  """
  if folder == 'off':
    _configure('jax_enable_compilation_cache', 'false')
    return None
  if not folder and (own := os.environ.get('JAX_COMPILATION_CACHE_DIR')):
    return pathlib.Path(own)
  path = pathlib.Path(folder).expanduser() if folder else _cache_home() / 'vitlab'
  path = path.absolute() / 'programs' / _cpu_kind()
  try:
    path.mkdir(parents=True, exist_ok=True)
    if not os.access(path, os.W_OK):
      raise PermissionError(f'{path} is not writable')
  except OSError as error:
    _log.warning('no compile cache, every start compiles again: %s', error)
    return None
  _configure('jax_compilation_cache_dir', str(path))
  _configure('jax_persistent_cache_min_compile_time_secs', '0.2')
  return path


def simulate_devices(count: int) -> None:
  """Makes JAX show `count` devices on the CPU, to try a mesh without the hardware.

  Raises:
    UserError: not a positive number, or JAX has already started.
  """
  if count < 1:
    raise UserError(f'cannot simulate {count} devices: at least 1')
  if 'jax' in sys.modules:
    raise UserError('devices can only be simulated before JAX is imported: set it first')
  os.environ['JAX_PLATFORMS'] = 'cpu'
  os.environ['JAX_NUM_CPU_DEVICES'] = str(count)


def _has_device(name: str) -> bool:
  return any(glob.glob(pattern) for pattern in _ACCELERATORS[name][0])


def _configure(option: str, value: str) -> None:
  """Sets an option of JAX: in the environment, which JAX reads once, when it is imported."""
  os.environ[option.upper()] = value
  if 'jax' in sys.modules:
    config = sys.modules['jax'].config
    kind = type(getattr(config, option))
    config.update(
      option, value == 'true' if kind is bool else kind(value) if kind is float else value
    )


def _cache_home() -> pathlib.Path:
  return pathlib.Path(os.environ.get('XDG_CACHE_HOME') or pathlib.Path.home() / '.cache')


def _cpu_kind() -> str:
  """A short name for what this CPU can do; compiled programs depend on it."""
  try:
    lines = pathlib.Path('/proc/cpuinfo').read_text().splitlines()
    features = next(line for line in lines if line.startswith(('flags', 'Features')))
  except (OSError, StopIteration):
    features = platform.processor()
  return f'{platform.machine()}-{hashlib.sha256(features.encode()).hexdigest()[:8]}'
