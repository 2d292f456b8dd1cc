"""Weights of SAGAN by mimicry's names: drawn, and as our variables."""

import zlib

import numpy as np
import torch

MODULES = (
  dict(l1='projection', b5='norm', c5='image_head', l5='score_head', l_y='class_embed')
  | dict(b1='norm1', c1='conv1', b2='norm2', c2='conv2', c_sc='conv_shortcut', bn='norm')
  | dict(attn_block='attention_1', theta='query', phi='key', g='value', o='output')
)
CLASSES, NOISE, STEPS = 5, 8, 3
LABEL = np.array([3, 0, 3, 4])


def inputs(player: str, step: int) -> np.ndarray:
  """Noise or images for a step."""
  numbers = np.random.default_rng(step)
  if player == 'generator':
    return numbers.normal(size=(len(LABEL), NOISE))
  return numbers.uniform(-1, 1, (len(LABEL), 32, 32, 3))


def measured(x: np.ndarray) -> list[float]:
  """Scores themselves; of images the norm and the part in some direction: no others have these."""
  return x.tolist() if x.ndim == 1 else [np.linalg.norm(x), np.sum(x * drawn('direction', x.shape))]


def load(module) -> None:
  """Gives a torch player its drawn weights, in float64."""
  shapes = {name: tuple(x.shape) for name, x in module.double().state_dict().items()}
  module.load_state_dict({name: torch.tensor(x) for name, x in weights(shapes).items()})


def drawn(name: str, shape) -> np.ndarray:
  """Normal numbers that belong to the name."""
  return np.random.default_rng(zlib.crc32(name.encode())).normal(size=shape)


def weights(shapes: dict[str, tuple]) -> dict[str, np.ndarray]:
  """A tensor for every name: no norm is trivial, γ is not zero, vectors do not belong together."""
  tensors = {}
  for name, shape in shapes.items():
    x = drawn(name, shape)
    if name.endswith(('weight_u', 'weight_v')):
      x /= np.linalg.norm(x)
    elif name.endswith('running_var'):
      x = 1 + 0.5 * np.abs(x)
    elif name.endswith('num_batches_tracked'):
      x = np.zeros(shape, np.int64)
    elif name.endswith(('embed.weight', 'b5.weight')):
      x = 0.3 * x + 1
    else:
      x = x if name.endswith('weight_orig') else 0.3 * x
    tensors[name] = x
  return tensors


def ours(state: dict[str, np.ndarray]) -> dict[str, dict]:
  """The variables of our player: of a generator if there is `l1`, else of a discriminator."""
  tree, first = {}, 2 if 'l1.bias' in state else 1
  for name, x in state.items():
    *modules, leaf = name.split('.')
    for collection, known_as, value in _ours(modules, leaf, x, state):
      path = [_module(m, first) for m in modules if m != 'embed']
      node = tree.setdefault(collection, {})
      for part in path:
        node = node.setdefault(part, {})
      node[known_as] = value
  return tree


def _module(name: str, first: int) -> str:
  return f'block_{int(name[5:]) - first}' if name.startswith('block') else MODULES[name]


def _ours(modules, leaf, x, state):
  """Collection, name and value of what a tensor is with us."""
  if leaf.startswith('running'):
    yield 'batch_stats', leaf.removeprefix('running_'), x
  elif leaf == 'weight_u':
    yield 'spectral', 'u', _maps(x).ravel() if modules == ['l1'] else x
  elif leaf == 'weight_v':
    shape = state['.'.join([*modules, 'weight_orig'])].shape[1:]
    yield 'spectral', 'v', np.moveaxis(x.reshape(shape), 0, -1).ravel()
  elif modules[-1] == 'embed':
    yield from zip(('params',) * 2, ('scale', 'bias'), np.split(x, 2, axis=1))
  elif modules == ['l1']:
    yield 'params', *(('bias', _maps(x)) if leaf == 'bias' else ('kernel', _maps(x.T)))
  elif modules == ['l_y'] or leaf in ('bias', 'gamma', 'weight'):
    yield 'params', {'weight_orig': 'embedding', 'weight': 'scale'}.get(leaf, leaf), x
  elif leaf == 'weight_orig':
    one_by_one = x.ndim == 2 or modules[0] == 'attn_block'  # a Dense
    yield 'params', 'kernel', x.reshape(x.shape[:2]).T if one_by_one else x.transpose(2, 3, 1, 0)


def _maps(x):
  """The last axis of torch's first layer as the axes y, x, c of a map."""
  return np.moveaxis(x.reshape(*x.shape[:-1], -1, 4, 4), -3, -1)
