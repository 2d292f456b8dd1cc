"""`jax.jit` for what runs once or twice: half the time to compile."""

from functools import partial

import jax

jit = partial(jax.jit, compiler_options={'xla_backend_optimization_level': 0})
