"""What a generator draws between two noises, and between two classes."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Float, Int, UInt8

from vitlab.predict.gan import Sampler, stored
from vitlab.predict.gan import classes as known
from vitlab.predict.trained import Trained


class Between(NamedTuple):
  """Pictures on the way from one to another, and what changes on it."""

  what: str
  images: UInt8[np.ndarray, 'n h w c']


def noises(trained: Trained, rows: int, count: int) -> list[Between]:
  """From one noise to another, along the sphere: what lies straight between is too short."""
  sampler, kinds = Sampler(trained), known(trained)
  index = np.arange(2 * rows, dtype=np.int32)
  ends = np.asarray(_noise(trained, index), np.float64).reshape(rows, 2, -1)
  lines = []
  for row, (first, second) in enumerate(ends):
    kind = kinds[row % len(kinds)]
    noise = _arc(first, second, count).astype(np.float32)
    images = sampler(np.full(count, kind.label, np.int32), noise=noise)
    lines.append(Between(kind.name, images))
  return lines


def _arc(
  first: Float[np.ndarray, ' z'], second: Float[np.ndarray, ' z'], count: int
) -> Float[np.ndarray, 'count z']:
  """Noises on the great circle through two directions; lengths change evenly."""
  lengths = np.linalg.norm(first), np.linalg.norm(second)
  a, b = first / lengths[0], second / lengths[1]
  angle = np.arccos(np.clip(a @ b, -1, 1))
  share = np.linspace(0, 1, count)[:, None]
  if np.sin(angle) < 1e-6:  # nothing lies between; or everything does
    return (1 - share) * first + share * second
  direction = (np.sin((1 - share) * angle) * a + np.sin(share * angle) * b) / np.sin(angle)
  return direction * ((1 - share) * lengths[0] + share * lengths[1])


def classes(trained: Trained, rows: int, count: int) -> list[Between]:
  """From one class to the next with the same noise: what batchnorms know of them is mixed."""
  kinds = known(trained)
  draw, lines = jax.jit(_mixer(trained)), []
  share = np.linspace(0, 1, count, dtype=np.float32)
  for row, (first, second) in enumerate([*zip(kinds[::2], kinds[1::2])][:rows]):
    ends = np.int32(first.label), np.int32(second.label)
    images = stored(np.asarray(draw(trained.variables, *ends, share, np.int32([row]))))
    lines.append(Between(f'{first.name} → {second.name}', images))
  return lines


def _mixer(trained: Trained) -> Callable[..., Float[Array, 'n h w c']]:
  """(variables, two classes, shares of the second, a number) -> pictures."""

  def drawn(variables: Any, first: Any, second: Any, share: Any, index: Any) -> Any:
    def mixed(path: Any, table: Any) -> Any:
      """Of a table with a row for each class, that of the first is made of both."""
      if path[-1].key not in ('scale', 'bias') or table.ndim != 2:
        return table
      return table.at[first].set((1 - share) * table[first] + share * table[second])

    player = variables['generator']
    params = jax.tree_util.tree_map_with_path(mixed, player['params'])
    batch = dict(index=index, label=first[None])
    own = {**variables, 'generator': {**player, 'params': params}}
    return trained.task.predict['samples'](own, batch)[0]

  return jax.vmap(drawn, (None, None, None, 0, None))


def _noise(trained: Trained, index: Int[np.ndarray, ' n']) -> Float[Array, 'n z']:
  return jax.jit(trained.task.predict['noise'])({}, dict(index=index))
