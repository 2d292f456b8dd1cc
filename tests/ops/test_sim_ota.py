"""SimOTA gives cells to the objects that the authors' code gives them to; every trap would be seen.

The numbers in `tests/references/yolox.npz` are those of yolox 0.3.0, made by the file beside it.
"""

import inspect
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from _helpers import yolox
from _helpers.yolox import EXPECTED

from vitlab.ops import assignment
from vitlab.ops.boxes import Objects

SEEDS = range(yolox.reference.SCENES)


def difference(sim_ota) -> tuple[int, float]:
  """How many cells of all scenes get another object than theirs; how far overlaps are off."""
  scenes = jax.tree.map(lambda *x: jnp.stack(x), *map(yolox.scene, SEEDS))
  owners, overlaps = jax.jit(jax.vmap(lambda scene: sim_ota(**scene)))(scenes)
  expected = [[EXPECTED[f'sim_ota/{i}/{name}'] for i in SEEDS] for name in ('owner', 'overlap')]
  return (owners != np.array(expected[0])).sum(), abs(overlaps - np.array(expected[1])).max()


def test_equals_theirs(x64):
  """Their cost of classes is in float32 even so; no two are that near to each other here."""
  cells, error = difference(assignment.sim_ota)
  assert cells == 0 and error < 1e-12
  owners = np.array([EXPECTED[f'sim_ota/{i}/owner'] for i in SEEDS])
  assert (owners >= 0).sum() > 500 and len(np.unique(owners)) == 7  # objects 0 to 5, and none


# What is wrong -> the line that it is in, and what stands there then.
TRAPS = {
  'near is nearer': ('radius: float = 2.5', 'radius: float = 1.5'),
  'fewer overlaps are summed': ('most: int = 10', 'most: int = 5'),
  'overlaps are rounded up': ('.sum(1).astype(int)', '.sum(1).round().astype(int)'),
  'classes cost nothing': ('_class_cost(logits, objectness, objects.classes) -', '-'),
  'the object is left out of the cost': (' * jax.nn.sigmoid(objectness)[:, None]', ''),
  'no root': ('jnp.sqrt(', '('),
  'overlap weighs less': ('3 * jnp.log', '1 * jnp.log'),
  'far cells are not dear': ('FAR * ~(inside & near)', '0 * ~(inside & near)'),
  'only what is both may answer': ('(inside | near)', '(inside & near)'),
  'of several it is the first one': (
    'jnp.where(several, jnp.argmin(cost, axis=0), jnp.argmax(taken, axis=0))',
    'jnp.argmax(taken, axis=0)',
  ),
  'of several it is one of them': (
    'jnp.argmin(cost, axis=0)',
    'jnp.argmin(jnp.where(taken, cost, jnp.inf), axis=0)',
  ),
}


@pytest.mark.parametrize('trap', TRAPS)
def test_a_trap_would_be_seen(trap, x64):
  right, wrong = TRAPS[trap]
  source = inspect.getsource(assignment)
  assert source.count(right) == 1
  module = types.ModuleType('trapped')
  exec(source.replace(right, wrong), module.__dict__)
  assert difference(module.sim_ota)[0] > 0


def test_without_objects_or_with_one_outside_no_cell_has_any():
  scene = yolox.scene(0)
  none = Objects(jnp.zeros((2, 4)), jnp.full(2, -1))
  far = Objects(jnp.array([[900.0, 900, 910, 910], [0, 0, 0, 0]]), jnp.array([1, -1]))
  run = jax.jit(assignment.sim_ota)
  for objects in none, far:
    owners, overlaps = run(**scene | dict(objects=objects))
    assert (owners == -1).all() and (overlaps == 0).all()
