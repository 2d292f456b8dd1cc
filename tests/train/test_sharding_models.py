"""Every model on eight devices: the step of one device, and no more traffic than it needs.

Along data and fsdp go parameters and gradients, along model what heads and hidden units sum up:
behind attention and mlp and, backwards, before them.
"""

import functools
from typing import NamedTuple

import jax
import numpy as np
import pytest
from _helpers import kinds, runs

from vitlab import names
from vitlab.inspection import collectives
from vitlab.train import setup

kinds.add('letters')  # for their data
ONE, EIGHT = jax.devices()[:1], jax.devices()
MESHES = dict(one=dict(data=1), fsdp=dict(data=1, fsdp=8), mixed=dict(data=2, fsdp=2, model=2))
BATCH = 16
VIT = dict(name='vit', depth=1, num_classes=None)
SWIN = dict(name='swin', patch_size=1, window_size=4, num_classes=None)
TEXT = dict(
  data=dict(name='reverse', max_length=6, train=100, test=40), task=dict(name='translation')
)


class Case(NamedTuple):
  """A model, and what it sends.

  Attributes:
    model: Its spec.
    sums: Along model: [values of an example, how often a step]. A block has two forwards and two
      backwards, there one more for what a decoder reads.
    multiple: Of what parameters and gradients need, along data and fsdp. In the small even norms,
      statistics of a batch, scalars and positions count.
    config: What else it says.
  """

  model: dict
  sums: list[tuple[int, int]] = []
  multiple: float = 1.25
  config: dict = {}


MODELS = dict(
  vit=Case(
    VIT | dict(variant='mu/2', depth=2, scan=True, remat='dots_saveable'), [(17 * 32, 8)], 1.05
  ),
  swin=Case(
    SWIN | dict(variant='mu', depths=(2, 1), drop_path_rate=0.1),
    [(64 * 16, 8), (16 * 32, 4)],
    1.12,
  ),
  # The network of its position bias has no batch: XLA splits what is between the layers, 7·7·512.
  swin_v2=Case(
    SWIN | dict(variant='V2-mu', depths=(2,), num_heads=(2,), scan=True), [(64 * 16, 8)], 3.5
  ),
  tnt=Case(
    dict(name='tnt', variant='mu', patch_size=4, inner_stride=1, num_classes=None),
    [(4 * 16 * 8, 4), (5 * 32, 4)],
  ),
  cnn=Case(dict(name='cnn', variant='mu', num_classes=None)),
  hybrid=Case(
    VIT | dict(variant='mu/4', backbone=dict(name='resnet', variant='mu', stem='small')),
    [(2 * 32, 4)],
  ),
  # XLA for CPUs, other than for GPUs and TPUs, sums up gradients at every one of the 7 tokens.
  rnn=Case(
    dict(name='rnn_seq2seq', width=16, vocab_size=None, attention='additive', bidirectional=True),
    multiple=4.0,
    config=TEXT,
  ),
  gpt=Case(
    dict(name='gpt', variant='mu', depth=1, vocab_size=None),
    [(7 * 16, 4)],
    config=dict(
      data=dict(name='letters', length=8, letters='abcdefghij'), task=dict(name='language_model')
    ),
  ),
  # With a memory, which lies as the batch does; its keys and values are a product of their own.
  transformer_xl=Case(
    dict(name='transformer_xl', variant='mu', depth=1, vocab_size=None, context=7),
    [(7 * 16, 4)],
    1.45,
    config=dict(
      data=dict(name='text', path='sonnets:', context=7, order='lanes'),
      task=dict(name='language_model'),
    ),
  ),
  rnn_lm=Case(
    dict(name='rnn_lm', variant='mu', vocab_size=None, remember=True),
    multiple=4.0,
    config=dict(
      data=dict(name='text', path='sonnets:', context=7, order='lanes'),
      task=dict(name='language_model'),
    ),
  ),
  reformer=Case(
    dict(name='reformer', variant='mu', depth=2, vocab_size=None, lsh_chunk=4, local_chunk=4)
    | dict(attn_layers=('lsh', 'local'), context=8),
    [(8 * 16, 12)],  # the backward pass of both reversible layers has their forward pass once more
    config=dict(
      data=dict(name='letters', length=9, letters='abcdefghij'), task=dict(name='language_model')
    ),
  ),
  # Eight contents and three queries; keys and values are of the contents.
  xlnet=Case(
    dict(name='xlnet', variant='mu', depth=1, vocab_size=None),
    [(11 * 16, 4), (8 * 16, 1)],
    config=dict(
      data=dict(name='letters', length=8, letters='abcdefghij'),
      task=dict(name='permutation_lm', special={}, share=0.4),
    ),
  ),
  transformer=Case(
    dict(name='transformer', variant='mu', depth=1, vocab_size=None), [(7 * 16, 11)], config=TEXT
  ),
)


@functools.cache
def built(model, mesh):
  """The experiment, and its compiled step of plain gradient descent."""
  case = MODELS[model]
  config = runs.config(
    model=case.model,
    mesh=MESHES[mesh],
    batch_size=BATCH,
    evaluators={},
    ema_decay=0.0,
    **case.config,
  )
  config.checkpoint.best = ''
  config.optim = dict(name='sgd', learning_rate=1.0)  # what moves is the gradient
  made = setup.build(config, ONE if mesh == 'one' else EIGHT)
  lowered = made.train_step.lower(made.abstract_state, made.abstract_batch)
  return made, lowered.compile({'xla_backend_optimization_level': 0})


def stepped(model, mesh):
  """The variables and the loss of one step, from numbers that are drawn."""
  made, step = built(model, mesh)
  rng = np.random.default_rng(0)

  def draw(x):
    if x.dtype == bool:
      return jax.device_put(np.arange(BATCH) % 5 != 0, x.sharding)
    values = rng.normal(0, 0.2, x.shape) if x.dtype == np.float32 else rng.integers(0, 10, x.shape)
    return jax.device_put(values.astype(x.dtype), x.sharding)

  after, metrics = step(*jax.tree.map(draw, (made.abstract_state, dict(made.abstract_batch))))
  return names.flatten(jax.device_get(after.variables)), float(metrics['loss'][0])


# Of the others test_changed_mesh.py makes whole runs.
@pytest.mark.parametrize(
  'model', ['vit', 'swin_v2', 'tnt', 'cnn', 'hybrid', 'gpt', 'transformer_xl', 'reformer', 'xlnet']
)
def test_eight_devices_do_the_step_of_one(model):
  (wanted, loss), (found, found_loss) = stepped(model, 'one'), stepped(model, 'mixed')
  assert found_loss == pytest.approx(loss, rel=1e-5)
  for name, array in wanted.items():
    np.testing.assert_allclose(found[name], array, rtol=1e-4, atol=2e-5, err_msg=name)


@pytest.mark.parametrize('mesh', ['fsdp', 'mixed'])
@pytest.mark.parametrize('model', MODELS)
def test_nothing_is_sent_without_need(model, mesh):
  made, step = built(model, mesh)
  found = collectives.read(step.as_text(), made.mesh.shape)
  sums = sum(one.bytes for one in found if one.axes == 'model')
  rest = sum(one.bytes for one in found) - sums
  parallel, rows = made.mesh.shape['model'], BATCH * made.mesh.shape['model'] // 8
  needed = sum(rows * 4 * size * times for size, times in MODELS[model].sums)
  assert sums <= 1.05 * 2 * (parallel - 1) / parallel * needed
  least = collectives.least(made.abstract_state.variables['model']['params'])
  assert rest <= MODELS[model].multiple * least
