"""Fully sharded, a device holds its share of the state, and of the rest what it just uses."""

import pytest
from _helpers import runs

from vitlab.train import setup

SIZES = dict(width=768, num_heads=12, mlp_dim=3072, depth=4)  # four layers of ViT-B


def memory(scan, **mesh):
  """Bytes of the state and of the temporaries of a step, and of the parameters, on one device."""
  model = dict(name='vit', variant='B/2', num_classes=None, scan=scan) | SIZES
  config = runs.config(model=model, mesh=mesh, batch_size=32, evaluators={})
  config.checkpoint.best = ''
  made = setup.build(config)
  lowered = made.train_step.lower(made.abstract_state, made.abstract_batch)
  step = lowered.compile({'xla_backend_optimization_level': 0})
  found = step.memory_analysis()
  return found.argument_size_in_bytes, found.temp_size_in_bytes, 4 * made.num_parameters['model']


@pytest.mark.parametrize('scan', [False, True])
def test_memory_falls_with_the_number_of_devices(scan):
  state, temporaries, parameters = memory(scan, data=8)
  activations = temporaries - parameters  # beside the gradients
  split_state, split_temporaries, _ = memory(scan, data=1, fsdp=8)
  assert split_state <= 1.01 * state / 8
  assert split_state + split_temporaries <= 1.15 * (state + parameters) / 8 + activations
