"""What boxes cost beside a detector: suppression against torchvision's, matching against SciPy's.

  python experiments/detection/ops_speed.py

Suppression is of 8 pictures with 1,000 boxes each, spread over the picture and gathered around 20
objects; matching of 8 pictures with 100 queries and 20 objects, for costs that are plain random
ones, of boxes, and of a network that has learnt nothing yet (all queries want the same). Ours runs
compiled, all pictures at once, theirs in a loop. First all answers are compared, then both take
turns. Where torchvision cannot load its own kernel, its algorithm runs in the operations of torch,
which is slower: the table says which of the two it was.
"""

import argparse
import os
import pathlib
import random
import statistics
import sys
import time

os.environ['JAX_PLATFORMS'] = 'cpu'
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))
sys.path.insert(1, str(pathlib.Path(__file__).resolve().parents[2] / 'tests'))

import jax
import jax.numpy as jnp
import numpy as np
import torch
from _helpers import torchvision_shim
from scipy.optimize import linear_sum_assignment
from torchvision import ops as torchvision_ops

from vitlab.ops.assignment import hungarian
from vitlab.ops.nms import nms

PICTURES, BOXES, QUERIES, OBJECTS = 8, 1000, 100, 20
IOU_THRESHOLD = 0.5
RNG = np.random.default_rng(0)


def spread_boxes():
  centre = RNG.uniform(0, 640, (PICTURES, BOXES, 2))
  return centre, RNG.uniform(10, 100, centre.shape)


def gathered_boxes():
  number = RNG.integers(0, OBJECTS, (PICTURES, BOXES, 1))
  centre, size = (
    np.take_along_axis(RNG.uniform(*bounds, (PICTURES, OBJECTS, 2)), number, axis=1)
    for bounds in ((50, 590), (20, 120))
  )
  away, growth = 0.15 * RNG.normal(size=(2, PICTURES, BOXES, 2))
  return centre + away * size, size * np.exp(growth)


def plain_costs():
  return RNG.random((PICTURES, QUERIES, OBJECTS))


def box_costs(queries):
  distance = np.abs(queries[:, :, None] - RNG.random((PICTURES, 1, OBJECTS, 4))).sum(-1)
  return 5 * distance - RNG.random((PICTURES, QUERIES, 1))


def suppression(boxes):
  """Ours and theirs, after a look whether they answer the same."""
  centre, size = boxes
  boxes = np.concatenate([centre - size / 2, centre + size / 2], -1).astype(np.float32)
  scores = RNG.random((PICTURES, BOXES), np.float32)
  ours = jax.jit(jax.vmap(lambda *picture: nms(*picture, IOU_THRESHOLD, BOXES)))
  case, torch_case = (
    (jnp.asarray(boxes), jnp.asarray(scores)),
    (torch.tensor(boxes), torch.tensor(scores)),
  )

  def theirs():
    return [torchvision_ops.nms(*one, IOU_THRESHOLD) for one in zip(*torch_case, strict=True)]

  for index, kept, expected in zip(*ours(*case), theirs(), strict=True):
    np.testing.assert_array_equal(index[kept], expected)
  return (lambda: jax.block_until_ready(ours(*case))), theirs


def matching(costs):
  costs = costs.astype(np.float32)
  ours, case = jax.jit(jax.vmap(hungarian)), (jnp.asarray(costs), jnp.ones(costs[:, 0].shape, bool))

  def theirs():
    return [linear_sum_assignment(cost) for cost in costs]

  for cost, query, pairs in zip(costs, ours(*case), theirs(), strict=True):
    assert len(set(query.tolist())) == OBJECTS
    np.testing.assert_allclose(cost[query, np.arange(OBJECTS)].sum(), cost[pairs].sum(), rtol=1e-5)
  return (lambda: jax.block_until_ready(ours(*case))), theirs


def seconds(work, calls):
  start = time.perf_counter()
  for _ in range(calls):
    work()
  return (time.perf_counter() - start) / calls


def main():
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--rounds', type=int, default=31)
  options = parser.parse_args()
  torch.set_num_threads(2)
  alike = 0.5 + 0.01 * RNG.normal(size=(PICTURES, QUERIES, 4))
  contests = {
    'suppression, boxes spread': suppression(spread_boxes()),
    'suppression, boxes gathered': suppression(gathered_boxes()),
    'matching, plain costs': matching(plain_costs()),
    'matching, costs of boxes': matching(box_costs(RNG.random((PICTURES, QUERIES, 4)))),
    'matching, all queries alike': matching(box_costs(alike)),
  }
  samples = {(name, side): [] for name in contests for side in (0, 1)}
  calls = {key: max(1, int(0.02 / seconds(contests[key[0]][key[1]], 3))) for key in samples}
  for _ in range(options.rounds):
    for name, side in random.sample(list(samples), len(samples)):
      contests[name][side]()
      samples[name, side].append(seconds(contests[name][side], calls[name, side]))
  kernel = 'in operations of torch' if hasattr(torchvision_shim, '_library') else 'its own kernel'
  print(f'torchvision {kernel}; medians of {options.rounds} rounds, in ms\n')
  print('| | ours | theirs | theirs / ours |\n|---|---|---|---|')
  for name in contests:
    ours, theirs = (1e3 * statistics.median(samples[name, side]) for side in (0, 1))
    print(f'| {name} | {ours:.3f} | {theirs:.3f} | {theirs / ours:.2f} |')


if __name__ == '__main__':
  main()
