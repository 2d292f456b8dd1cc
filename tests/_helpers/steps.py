"""The step in use: the state before it, and what some steps make of it."""

import jax
import jax.numpy as jnp
import numpy as np

from vitlab.train import step

KEY = jax.random.key(0)
GENERATOR = np.random.default_rng(0)
BATCH = {
  'image': jnp.array(GENERATOR.integers(0, 256, (16, 4, 4, 1), dtype=np.uint8)),
  'label': jnp.array(GENERATOR.integers(0, 3, 16), jnp.int32),
  # Unevenly over the microbatches i::4, one of which is nothing but padding.
  'mask': jnp.array([1, 0, 1, 1, 1, 0, 0, 1, 1, 0, 1, 1, 1, 0, 1, 0], bool),
}


def start(task, optimizers, batch=BATCH, ema_decay=0.0, **options):
  """The state before the first step, and the jitted step."""
  state = step.init_state(task, optimizers, KEY, batch, ema_decay)
  train_step = step.make_train_step(task, optimizers, seed=1, ema_decay=ema_decay, **options)
  return state, jax.jit(train_step, donate_argnums=0)


def run(state, train_step, steps, batch=BATCH):
  metrics = []
  for _ in range(steps):
    state, last = train_step(state, batch)
    metrics.append(last)
  return state, metrics


def copied(tree):
  """In NumPy, and not the buffers that the next step is given to overwrite."""
  return jax.tree.map(lambda x: np.array(x, copy=True), tree)


def assert_equal(a, b):
  jax.tree.map(np.testing.assert_array_equal, a, b)
