"""Collectives of programs whose traffic is known: written by hand, and compiled."""

import jax
import jax.numpy as jnp
import pytest
from jax.sharding import PartitionSpec as P

from vitlab.inspection import collectives
from vitlab.inspection.chips import Links
from vitlab.train.sharding import make_mesh

MESH = dict(data=2, fsdp=4, model=1)
GROUPS = 'replica_groups=[2,4]<=[8]'


def read(*lines, before=''):
  inputs = [f'%{name} = f32[8]{{0}} parameter({i})' for i, name in enumerate('pqi')]
  text = '\n'.join(f'  {line}' for line in [*inputs, *lines])
  return collectives.read(
    f'HloModule m\n{before}\nENTRY %main (p: f32[2]) -> f32[] {{\n{text}\n}}', MESH
  )


@pytest.mark.parametrize(
  'line, sent',
  [
    ('%a = f32[4,8]{1,0} all-gather(%p), ' + GROUPS, 3 / 4 * 128),
    ('%a = f32[4,8]{1,0} reduce-scatter(%p), ' + GROUPS, 3 * 128),
    ('%a = (bf16[16]{0}, /*index=1*/f32[]) all-reduce(%p, /*index=1*/%q), ' + GROUPS, 1.5 * 36),
    ('%a = (f32[8]{0}, f32[8]{0}) all-to-all(%p, %q), ' + GROUPS, 3 / 4 * 64),
    ('%a = u8[3]{0} collective-permute(%p), source_target_pairs={{0,0},{1,2},{2,1}}', 3),
    ('%a = u8[3]{0} collective-permute(%p), source_target_pairs={{0,0},{1,1}}', 0),
    ('%a = (f32[2]{0}, f32[8]{0}) all-gather-start(%p), ' + GROUPS, 3 / 4 * 32),
    ('%a = f32[8]{0} all-gather-done(%p)', 0),
    ('%a = f32[8]{0} all-reduce(%p), replica_groups=[8,1]<=[8]', 0),
    ('%a = f32[4] add(%p, %q)', 0),
  ],
)
def test_a_device_sends_what_a_ring_needs(line, sent):
  assert sum(one.bytes for one in read(line)) == pytest.approx(sent)


@pytest.mark.parametrize(
  'groups, first, axes',
  [
    ('replica_groups={{0,4},{1,5},{2,6},{3,7}}', (0, 4), 'data'),
    ('replica_groups={}', tuple(range(8)), 'data+fsdp'),
    ('replica_groups=[2,4]<=[8]', (0, 1, 2, 3), 'fsdp'),
    ('replica_groups=[4,2]<=[2,4]T(1,0)', (0, 4), 'data'),
    ("replica_groups=mesh['a'=2,'b'=4] {'b'}", (0, 1, 2, 3), 'fsdp'),
    ("replica_groups=mesh['a'=4,'b'=2], device_ids=([2,4]T(1,0)) {'b'}", (0, 4), 'data'),
    ("replica_groups=mesh['a'=8] {'a':(2)2}", (0, 2), 'fsdp'),
    ("replica_groups=mesh['a'=8] {'a':(1)2}", (0, 4), 'data'),
    ('source_target_pairs={{0,0},{1,5},{5,1}}', (1, 5), 'data'),
  ],
)
def test_groups_are_read_in_every_form(groups, first, axes):
  kind = 'collective-permute' if 'pairs' in groups else 'all-reduce'
  (found,) = read(f'%a = f32[8]{{0}} {kind}(%p), {groups}, metadata={{op_name="jit(f)/x"}}')
  assert (found.group, found.axes, found.source) == (first, axes, 'jit(f)/x')


def test_an_all_reduce_of_which_a_part_is_read_is_a_reduce_scatter():
  whole = '%a = (f32[8]{0}, f32[8]{0}) all-reduce(%p, %q), ' + GROUPS
  parts = [f'%g{i} = f32[8]{{0}} get-tuple-element(%a), index={i}' for i in (0, 1)]
  slices = '%s = f32[2]{0} dynamic-slice(%g0, %i), dynamic_slice_sizes={2}'
  fused = '%f = f32[] fusion(%i, %g1), kind=kLoop, calls=%fused'
  before = """%fused (x: s32[], y: f32[8]) -> f32[] {
    %x = s32[] parameter(0)
    %y = f32[8]{0} parameter(1)
    %z = f32[2]{0} dynamic-slice(%y, %x), dynamic_slice_sizes={2}
    ROOT %r = f32[] reduce(%z, %x)
  }"""
  found = read(whole, *parts, slices, fused, before=before)
  assert [(one.kind, one.sent) for one in found] == 2 * [('reduce-scatter', 24)]
  found = read(whole, *parts, slices, fused, '%n = f32[8]{0} negate(%g1)', before=before)
  assert [one.kind for one in found] == ['reduce-scatter', 'all-reduce']
  found = read(whole, *parts, slices.replace('f32[2]', 'f32[4]'), fused, before=before)
  assert [one.kind for one in found] == ['all-reduce', 'reduce-scatter']


def test_sixteen_bits_in_a_wider_form_count_as_sixteen():
  narrow = '%n = bf16[8]{0} convert(%p)'
  wide = '%w = f32[8]{0} fusion(%n), kind=kLoop, calls=%fused'
  before = """%fused (x: bf16[8]) -> f32[8] {
    %x = bf16[8]{0} parameter(0)
    %y = f32[8]{0} convert(%x)
    ROOT %r = f32[8]{0} copy(%y)
  }"""
  (found,) = read(narrow, wide, f'%a = f32[32]{{0}} all-gather(%w), {GROUPS}', before=before)
  assert (found.array, found.sent) == ('bf16[32]', 3 / 4 * 64)
  (found,) = read(narrow, wide, f'%a = f32[32]{{0}} all-gather(%p), {GROUPS}', before=before)
  assert (found.array, found.sent) == ('f32[32]', 3 / 4 * 128)


def test_a_loop_counts_as_often_as_it_turns():
  mesh = make_mesh(dict(data=2, fsdp=4))

  def body(x):
    def turn(x, _):
      inner = lambda i, y: jax.lax.psum(y, 'fsdp')  # noqa: E731
      return jax.lax.fori_loop(0, 3, inner, x), jax.lax.all_gather(x, 'data')

    return jax.lax.scan(turn, x, length=5)[1]

  mapped = jax.shard_map(body, mesh=mesh, in_specs=P(), out_specs=P(), check_vma=False)
  program = jax.jit(mapped).lower(jnp.zeros(6)).compile().as_text()
  rows = {
    (one.kind, one.axes): one for one in collectives.summary(collectives.read(program, mesh.shape))
  }
  assert rows['all-reduce', 'fsdp'].bytes == 15 * 24 * 2 * 3 / 4
  assert rows['all-gather', 'data'].bytes == 5 * 48 / 2
  assert rows['all-gather', 'data'].times == 5 and len(rows) == 2


def test_links_within_a_host_and_beyond():
  (one,) = read('%a = f32[100]{0} all-reduce(%p), replica_groups={}')
  links = Links(speed=100.0, domain=8, network=1.0, source='')
  assert one.seconds(links) == one.bytes / 100
  # Two hosts of four: rings cross with the cards of all four.
  assert one.seconds(links._replace(domain=4)) == one.bytes / 4
  (one,) = read('%a = f32[100]{0} all-reduce(%p), replica_groups={{0,4},{1,5},{2,6},{3,7}}')
  assert one.seconds(links._replace(domain=4)) == one.bytes  # each its own card
  assert one.seconds(links._replace(domain=4, network=50.0, speed=1.0)) == one.bytes / 50


def test_the_least_for_parameters_and_gradients():
  mesh = make_mesh(dict(data=2, fsdp=2, model=2))

  def least(*axes, itemsize=4):
    sharding = jax.sharding.NamedSharding(mesh, P(*axes))
    leaf = jax.ShapeDtypeStruct((8, 8), jnp.float32, sharding=sharding)
    return collectives.least([leaf], itemsize)

  assert least() == 2 * 3 / 4 * 256  # gradients reduced by four
  assert least('model') == 2 * 3 / 4 * 128
  # Gathered twice and scattered by two; then the half is reduced by two.
  assert least('fsdp') == 3 * 1 / 2 * 256 + 2 * 1 / 2 * 128
  assert least('model', 'fsdp') == least('fsdp') / 2
  assert least(('data', 'fsdp')) == 3 * 3 / 4 * 256
  assert least('fsdp', itemsize=2) == least('fsdp') / 2
