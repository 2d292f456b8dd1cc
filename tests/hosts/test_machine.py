"""What is settled before JAX starts: platforms, simulated devices, allocator, compile cache."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

from vitlab.errors import UserError
from vitlab.hosts import machine

_ROOT = pathlib.Path(__file__).parents[2]


def _run(program, **environ):
  """A fresh interpreter that has not imported JAX; returns the JSON it prints."""
  kept = {k: v for k, v in os.environ.items() if not k.startswith(('JAX_', 'XDG_'))}
  done = subprocess.run(
    [sys.executable, '-c', program],
    cwd=_ROOT,
    env=kept | environ,
    capture_output=True,
    text=True,
    check=True,
  )
  return json.loads(done.stdout)


def test_imports_no_jax():
  assert not _run('import json, sys, vitlab.hosts.machine; print(json.dumps("jax" in sys.modules))')


@pytest.mark.parametrize('value', ['', 'cpu', 'cpu,'])
def test_the_cpu_is_always_there(value):
  machine.check_platforms({'JAX_PLATFORMS': value})
  assert machine.runs_on_cpu({'JAX_PLATFORMS': 'cpu'})


@pytest.mark.parametrize('value, name', [('cuda', 'cuda'), ('gpu', 'cuda'), ('tpu,cpu', 'tpu')])
def test_a_platform_without_its_device_is_refused(monkeypatch, value, name):
  monkeypatch.setattr(machine.glob, 'glob', lambda pattern: [])
  with pytest.raises(UserError, match=f'JAX_PLATFORMS={value}, but .* no {name} device'):
    machine.check_platforms({'JAX_PLATFORMS': value})


def test_a_platform_without_its_package_is_refused(monkeypatch):
  monkeypatch.setattr(machine.glob, 'glob', lambda pattern: [pattern])
  monkeypatch.setattr(machine.importlib.util, 'find_spec', lambda name: None)
  with pytest.raises(UserError, match='JAX is installed without cuda'):
    machine.check_platforms({'JAX_PLATFORMS': 'cuda'})
  monkeypatch.setattr(machine.importlib.util, 'find_spec', lambda name: name == 'jax_cuda13_plugin')
  machine.check_platforms({'JAX_PLATFORMS': 'cuda'})


def test_an_unknown_platform_is_refused():
  with pytest.raises(UserError, match="'cdua'.* did you mean cuda"):
    machine.check_platforms({'JAX_PLATFORMS': 'cdua'})


def test_where_an_accelerator_is_the_allocator_stays_as_it_is(monkeypatch):
  monkeypatch.setattr(machine.glob, 'glob', lambda pattern: [pattern])
  assert not machine.runs_on_cpu({})
  assert machine.runs_on_cpu({'JAX_PLATFORMS': 'cpu'})
  assert not machine.runs_on_cpu({'JAX_PLATFORMS': 'cuda,cpu'})


def test_the_tuned_allocator_keeps_memory_that_was_freed():
  faults = _run("""
import json, resource, numpy as np
from vitlab.hosts import machine as host
def faults():
  before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
  for _ in range(8):
    np.ones(16_000_000, np.uint8)
  return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
plain = faults()
assert host.tune_allocator()
faults()
print(json.dumps([plain, faults()]))
""")
  assert faults[1] < faults[0] / 20


@pytest.mark.parametrize(
  ('setting', 'said', 'expected'),
  [
    ('always [madvise] never', '', 'glibc.malloc.hugetlb=1'),
    ('always [madvise] never', 'a.b.c=0', 'a.b.c=0:glibc.malloc.hugetlb=1'),
    ('always [madvise] never', 'glibc.malloc.hugetlb=0', 'glibc.malloc.hugetlb=0'),
    ('[always] madvise never', '', ''),
    ('always madvise [never]', '', ''),
  ],
)
def test_huge_pages_are_asked_for_once_by_the_same_process(setting, said, expected, tmp_path):
  """It begins anew with its arguments, but the number of the process stays."""
  (tmp_path / 'enabled').write_text(setting)
  script = tmp_path / 'script.py'
  script.write_text(f"""
import os, sys
sys.path.insert(0, {str(_ROOT)!r})
from vitlab.hosts import machine
print(os.getpid(), flush=True)
machine.ask_for_huge_pages({str(tmp_path / 'enabled')!r})
print(os.getpid(), [*sys.argv[1:], os.environ.get('GLIBC_TUNABLES', '')])
""")
  environ = {**os.environ, 'JAX_PLATFORMS': 'cpu', 'GLIBC_TUNABLES': said}
  command = [sys.executable, str(script), '--a=b c', 'd']
  done = subprocess.run(command, env=environ, capture_output=True, text=True, check=True)
  *numbers, last = done.stdout.splitlines()
  number, _, rest = last.partition(' ')
  assert rest == str(['--a=b c', 'd', expected])
  assert set(numbers) == {number} and len(numbers) == (1 if expected == said else 2)


@pytest.mark.parametrize(
  'groups, limits, expected',
  [
    ('0::/', {'memory.max': 3_000_000}, 3_000_000),
    ('0::/', {'memory.max': 'max'}, None),
    ('0::/a/b', {'a/memory.max': 2_000_000, 'a/b/memory.max': 'max'}, 2_000_000),
    ('0::/a/b', {'a/memory.max': 2_000_000, 'a/b/memory.max': 4_000_000}, 2_000_000),
    ('0::/of/the/host', {'memory.max': 5_000_000}, 5_000_000),  # a container's own root
    ('5:cpu:/\n4:memory:/a', {'memory/a/memory.limit_in_bytes': 1_000_000}, 1_000_000),
    ('4:hugetlb,memory:/a', {'memory/memory.limit_in_bytes': 1_500_000}, 1_500_000),
    ('4:memory:/a', {'memory/a/memory.limit_in_bytes': 9223372036854771712}, None),  # no limit
    (
      '4:memory:/\n0::/',
      {'memory.max': 'max', 'memory/memory.limit_in_bytes': 7_000_000},
      7_000_000,
    ),
    ('4:cpu:/a', {'memory/a/memory.limit_in_bytes': 1_000_000}, None),  # of others
    ('', {}, None),
  ],
)
def test_the_smallest_limit_of_the_control_groups_counts(tmp_path, groups, limits, expected):
  files = {f'sys/fs/cgroup/{name}': limit for name, limit in limits.items()}
  for name, text in (files | {'proc/self/cgroup': groups}).items():
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f'{text}\n')
  physical = os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES')
  assert machine.memory_limit(tmp_path) == (expected or physical)


def test_prepare_simulates_devices_and_sets_the_cache(tmp_path):
  found = _run(
    f"""
import json
from vitlab.hosts import machine as host
host.prepare(compile_cache={str(tmp_path)!r}, devices=4)
import jax
jax.config.update('jax_persistent_cache_min_compile_time_secs', 0.0)
jax.jit(lambda x: x * 3 + 1)(2.0)
print(json.dumps([jax.device_count(), jax.config.jax_compilation_cache_dir]))
"""
  )
  assert found[0] == 4
  assert found[1].startswith(str(tmp_path))
  assert list(pathlib.Path(found[1]).iterdir())


def test_the_cache_can_be_off_or_where_the_user_says(tmp_path):
  def cache(folder, **environ):
    return _run(
      f"""
import json, os
from vitlab.hosts import machine as host
path = host.use_compile_cache({folder!r})
names = 'JAX_COMPILATION_CACHE_DIR', 'JAX_ENABLE_COMPILATION_CACHE'
print(json.dumps([str(path), *map(os.environ.get, names)]))
""",
      XDG_CACHE_HOME=str(tmp_path),
      **environ,
    )

  default = cache('')
  assert default[0] == default[1]
  assert default[0].startswith(str(tmp_path / 'vitlab'))
  assert cache('off') == ['None', None, 'false']
  own = str(tmp_path / 'own')
  assert cache('', JAX_COMPILATION_CACHE_DIR=own)[:2] == [own, own]
  given = str(tmp_path / 'given')
  assert cache(given, JAX_COMPILATION_CACHE_DIR=own)[1].startswith(given)


def test_the_cache_can_be_set_after_jax_was_imported(tmp_path):
  found = _run(f"""
import json, jax
from vitlab.hosts import machine as host
path = host.use_compile_cache({str(tmp_path)!r})
config = jax.config
print(json.dumps([str(path), config.jax_compilation_cache_dir,
                  config.jax_persistent_cache_min_compile_time_secs]))
host.use_compile_cache('off')
assert not config.jax_enable_compilation_cache
""")
  assert found[0] == found[1]
  assert found[2] == 0.2


def test_a_cache_that_cannot_be_written_is_a_warning(tmp_path, caplog):
  (tmp_path / 'file').write_text('')
  assert machine.use_compile_cache(str(tmp_path / 'file')) is None
  assert 'no compile cache' in caplog.text


@pytest.mark.parametrize(
  'count, reason', [(0, 'at least 1'), (-1, 'at least 1'), (2, 'before JAX')]
)
def test_devices_that_cannot_be_simulated_are_refused(count, reason):
  with pytest.raises(UserError, match=reason):
    machine.simulate_devices(count)
