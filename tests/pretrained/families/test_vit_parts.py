"""One tensor that holds gate and up of a gated mlp is taken apart, and put together again."""

import numpy as np

from vitlab.pretrained.assemble import Sides, assemble, disassemble
from vitlab.pretrained.families._vit_parts import make_part


def test_gate_and_up_are_the_halves_of_one_tensor():
  names = {'kernel': 'fc1.weight', 'bias': 'fc1.bias'}

  def part_of(path, shape):
    found = (names[path.rpartition('/')[2]],)
    return make_part(found, path, shape, Sides({}), packed=True)

  tensors = {'fc1.weight': np.arange(12.0).reshape(4, 3), 'fc1.bias': np.arange(4.0)}
  half = dict(kernel=np.zeros((3, 2)), bias=np.zeros(2))
  like = dict(params=dict(encoder=dict(block_0=dict(mlp=dict(gate=half, up=half)))))
  tree = assemble(like, tensors, part_of)
  mlp = tree['params']['encoder']['block_0']['mlp']
  np.testing.assert_array_equal(mlp['gate']['kernel'], [[0, 3], [1, 4], [2, 5]])
  np.testing.assert_array_equal(mlp['up']['kernel'], [[6, 9], [7, 10], [8, 11]])
  np.testing.assert_array_equal(mlp['up']['bias'], [2, 3])
  again = disassemble(tree, part_of)
  assert again.keys() == tensors.keys()
  for name, tensor in tensors.items():
    np.testing.assert_array_equal(again[name], tensor)
