"""Where a result comes from is said in words."""

import re

import jax

from vitlab.workdir import provenance


def test_versions_name_what_decides_the_bits():
  versions = provenance.versions()
  assert versions['jax'] == jax.__version__
  assert {'python', 'flax', 'optax'} <= set(versions)


def test_a_commit_is_a_hash_or_none():
  assert re.fullmatch(r'[0-9a-f]{40}(-dirty)?', provenance.commit() or '0' * 40)


def test_devices_are_counted_by_kind():
  assert provenance.device(jax.devices()) == f'{len(jax.devices())} x cpu'
