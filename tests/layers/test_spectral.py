"""Spectrally normalised layers have the numbers of torch's own `spectral_norm`, step after step."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from torch.nn.utils import spectral_norm as torch_spectral_norm

from vitlab.layers import spectral
from vitlab.layers.spectral import SpectralConv, SpectralDense, SpectralEmbed

NUMBERS = np.random.default_rng(0)
MAP = NUMBERS.normal(1, 2, (2, 5, 6, 3))
ROUNDS = 4


def dense():
  """Torch's layer, ours; x as each takes it; how a kernel of theirs lies with us."""
  return torch.nn.Linear(3, 7), SpectralDense(7, dtype=jnp.float64), (MAP, MAP), (1, 0)


def conv():
  layer = torch.nn.Conv2d(3, 7, 3, padding=1)
  x = MAP.transpose(0, 3, 1, 2)
  return layer, SpectralConv(7, dtype=jnp.float64), (x, MAP), (2, 3, 1, 0)


def pixelwise():
  """A 1×1 convolution of torch's, a Dense of ours."""
  layer = torch.nn.Conv2d(3, 7, 1, bias=False)
  ours = SpectralDense(7, use_bias=False, dtype=jnp.float64)
  return layer, ours, (MAP.transpose(0, 3, 1, 2), MAP), (2, 3, 1, 0)


def embed():
  label = np.array([3, 0, 3], np.int32)
  return torch.nn.Embedding(5, 4), SpectralEmbed(5, 4, dtype=jnp.float64), (label, label), (0, 1)


KINDS = {f.__name__: f for f in (dense, conv, pixelwise, embed)}


class Pair:
  """A layer of torch's and ours with the same weights and vectors, all of them drawn."""

  def __init__(self, kind, **options):
    module, self.layer, (self.their_x, self.x), self.axes = KINDS[kind]()
    self.layer, self.kind = self.layer.clone(**options), kind
    self.module = torch_spectral_norm(module.double())
    with torch.no_grad():
      for x in self.module.parameters():
        x.copy_(torch.tensor(NUMBERS.normal(0, 0.7, x.shape)))
    self.variables = dict(params=self.params(lambda x: x), spectral=self.vectors())

  def params(self, of):
    """`of` torch's parameters, as ours lie."""
    found = {}
    for name, x in self.module.named_parameters():
      x = of(x).detach().numpy().copy()
      if name == 'bias':
        found['bias'] = jnp.asarray(x)
      elif self.kind == 'embed':
        found['embedding'] = jnp.asarray(x)
      else:
        x = x.transpose(self.axes)
        found['kernel'] = jnp.asarray(x[0, 0] if self.kind == 'pixelwise' else x)
    return found

  def vectors(self):
    """Torch's u and v: of a kernel [o i y x], v is flat in that order, ours as a kernel lies."""
    u, v = (getattr(self.module, f'weight_{c}').numpy().copy() for c in 'uv')
    if self.kind == 'conv':
      v = v.reshape(3, 3, 3).transpose(1, 2, 0).ravel()
    return dict(u=jnp.asarray(u), v=jnp.asarray(v))

  def torch_run(self, train):
    x = torch.tensor(self.their_x)
    y = self.module.train(train)(x)
    self.module.zero_grad()
    y.sin().sum().backward()
    y = y.detach().numpy()
    return y.transpose(0, 2, 3, 1) if self.kind in ('conv', 'pixelwise') else y

  def run(self, train, variables):
    @jax.jit
    def run(params, vectors, x):
      def functional(params):
        given, mutable = dict(params=params, spectral=vectors), ['spectral'] if train else []
        y, moved = self.layer.apply(given, x, train, mutable=mutable)
        return jnp.sin(y).sum(), (y, moved)

      return jax.grad(functional, has_aux=True)(params)

    grads, (y, moved) = run(variables['params'], variables['spectral'], jnp.asarray(self.x))
    return y, grads, moved


def assert_close(a, b):
  jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-10, atol=1e-11), a, b)


@pytest.mark.parametrize('kind', KINDS)
def test_results_gradients_and_vectors_are_torch_s(kind, x64):
  pair = Pair(kind)
  variables, first = pair.variables, pair.variables['spectral']
  for _ in range(ROUNDS):
    their = pair.torch_run(train=True)
    ours, grads, moved = pair.run(True, variables)
    assert_close(ours, their)
    assert_close(grads, pair.params(lambda x: x.grad))
    assert_close(moved['spectral'], pair.vectors())
    variables = {**variables, **moved}
  assert abs(variables['spectral']['v'] - first['v']).max() > 0.1
  their = pair.torch_run(train=False)
  ours, grads, moved = pair.run(False, variables)
  assert_close(ours, their)
  assert_close(grads, pair.params(lambda x: x.grad))
  assert not moved


@pytest.mark.parametrize('kind', ['dense', 'conv'])
def test_gradients_may_flow_through_the_vectors(kind, x64):
  """As automatic differentiation of the same formulas in torch, vectors included."""
  pair = Pair(kind, through_vectors=True)
  stopped = Pair(kind)
  stopped.variables = pair.variables
  y, grads, _ = pair.run(True, pair.variables)

  weight, bias = (
    p.detach().clone().requires_grad_() for p in (pair.module.weight_orig, pair.module.bias)
  )
  matrix, u = weight.flatten(1), pair.module.weight_u
  v = torch.nn.functional.normalize(matrix.T @ u, dim=0)
  u = torch.nn.functional.normalize(matrix @ v, dim=0)
  kernel, x = weight / (u @ matrix @ v), torch.tensor(pair.their_x)
  if kind == 'conv':
    their = torch.nn.functional.conv2d(x, kernel, bias, padding=1)
  else:
    their = torch.nn.functional.linear(x, kernel, bias)
  their.sin().sum().backward()
  assert_close(grads['kernel'], weight.grad.numpy().transpose(pair.axes))
  same, other, _ = stopped.run(True, pair.variables)
  assert_close(y, same)
  assert abs(other['kernel'] - grads['kernel']).max() > 1e-3


@pytest.mark.parametrize('kind', KINDS)
def test_new_layers_divide_by_what_is_positive_and_soon_by_the_norm(kind):
  """Random vectors would be of any sign; a hundred rounds find the largest singular value."""
  _, layer, (_, x), _ = KINDS[kind]()
  layer = layer.clone(dtype=jnp.float32)
  x = jnp.asarray(x, jnp.int32 if kind == 'embed' else jnp.float32)

  @jax.jit
  def train(variables):
    moves = lambda _, v: {**v, **layer.apply(v, x, True, mutable='spectral')[1]}  # noqa: E731
    return jax.lax.fori_loop(0, 100, moves, variables)

  for seed in range(3):
    variables = jax.jit(layer.init, static_argnums=2)(jax.random.key(seed), x, bool(seed))
    (kernel,) = (v for k, v in variables['params'].items() if k != 'bias')
    matrix = kernel.T if kind == 'embed' else kernel.reshape(-1, kernel.shape[-1])
    true = np.linalg.norm(matrix, 2)
    first = spectral.spectral_norm(matrix, **variables['spectral'])
    assert 0.1 * true < first < true
    found = spectral.spectral_norm(matrix, **train(variables)['spectral'])
    np.testing.assert_allclose(found, true, rtol=1e-3)


def test_a_layer_of_several_axes_is_one_matrix():
  """Not one for each place: the first layer of a generator has the features (4, 4, c)."""
  x = jnp.asarray(MAP, jnp.float32)
  flat, apart = SpectralDense(12), SpectralDense((2, 3, 2))
  variables = flat.init(jax.random.key(0), x)
  shaped = {
    'params': jax.tree.map(lambda p: p.reshape(*p.shape[:-1], 2, 3, 2), variables['params']),
    'spectral': variables['spectral'],
  }
  y, moved = flat.apply(variables, x, True, mutable='spectral')
  shaped_y, shaped_moved = apart.apply(shaped, x, True, mutable='spectral')
  np.testing.assert_allclose(shaped_y.reshape(y.shape), y, rtol=1e-5)
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), shaped_moved, moved)


def test_norms_stay_exact_where_layers_compute_in_16_bits():
  x = jnp.asarray(MAP, jnp.float32)
  exact, rough = SpectralConv(7), SpectralConv(7, dtype=jnp.bfloat16)
  variables = exact.init(jax.random.key(0), x)
  (y, moved), (rough_y, rough_moved) = (
    layer.apply(variables, x, True, mutable='spectral') for layer in (exact, rough)
  )
  assert rough_y.dtype == jnp.bfloat16
  np.testing.assert_allclose(rough_y.astype(jnp.float32), y, atol=0.1)
  jax.tree.map(np.testing.assert_array_equal, rough_moved, moved)
