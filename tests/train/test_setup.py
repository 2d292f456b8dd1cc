"""Everything a config can get wrong is said before anything runs; nothing is traced twice."""

import collections
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from _helpers import runs

from vitlab import registry
from vitlab.cli import config_file
from vitlab.errors import UserError
from vitlab.train import initial, setup, sharding
from vitlab.workdir import fingerprint

ONE = jax.devices()[:1]
FINETUNE = pathlib.Path(__file__).parents[2] / 'configs' / 'finetune.py'


def _build(devices=ONE, **overrides):
  return setup.build(runs.config(**overrides), devices)


def test_fields_left_none_come_from_the_facts():
  built = _build()
  head = built.abstract_state.variables['model']['params']['head']
  assert head['kernel'].shape == (8, 10)


def test_durations():
  built = _build(duration='2 epochs')
  assert built.total_steps == round(2 * 1437 / 32)
  assert built.steps('10%') == 9 and built.steps('3 steps') == 3 and built.steps('') == 0


def test_evaluation_batches_are_as_large_as_microbatches():
  assert _build(batch_size=32, microbatches=4).eval_batch_size == 8


def test_the_number_of_parameters():
  built = _build()
  arrays = jax.tree.leaves(built.init().variables['model']['params'])
  assert built.num_parameters == {'model': sum(array.size for array in arrays)}


def test_init_is_the_abstract_state_on_any_mesh(monkeypatch):
  """To the bit, when it is compiled as it is for users and not as in conftest.py."""
  users = {'xla_backend_optimization_level': 1, 'xla_cpu_use_fusion_emitters': True}
  monkeypatch.setattr(initial, 'LESS', users)
  one, many = _build(), _build(None, mesh=dict(data=2, fsdp=2, model=2))
  for built in (one, many):
    state = built.init()
    jax.tree.map(
      lambda x, a: np.testing.assert_equal(
        (x.shape, x.dtype, x.sharding), (a.shape, a.dtype, a.sharding)
      ),
      state,
      built.abstract_state,
    )
  assert fingerprint.fingerprint(one.init()) == fingerprint.fingerprint(many.init())


def test_the_seed_decides_the_start():
  first, second = (fingerprint.fingerprint(_build(seed=seed).init()) for seed in (0, 1))
  assert first != second


def test_the_model_is_traced_once_for_init_and_once_for_a_step(monkeypatch):
  counts = collections.Counter()
  make = registry.make

  def counting(folder, spec, **given):
    made = make(folder, spec, **given)
    if folder != 'tasks':
      return made

    def counted(name, function):
      def traced(*args):
        counts[name] += 1
        return function(*args)

      return traced

    losses = {player: counted('loss', loss) for player, loss in made.losses.items()}
    return made._replace(init=counted('init', made.init), losses=losses)

  monkeypatch.setattr(registry, 'make', counting)
  built = _build()
  state = built.init()
  batch = {k: jnp.zeros(x.shape, x.dtype) for k, x in built.abstract_batch.items()}
  batch = built.put(jax.device_get(batch))
  for _ in range(3):
    state, _ = built.train_step(state, batch)
  assert counts == {'init': 1, 'loss': 1}
  assert built.train_step._cache_size() == 1


def test_batches_lie_over_data_and_fsdp():
  built = _build(None, mesh=dict(data=2, fsdp=2, model=2))
  batch = {k: np.zeros(x.shape, x.dtype) for k, x in built.abstract_batch.items()}
  put = built.put(batch)
  assert put['image'].sharding == sharding.batch_sharding(built.mesh)
  assert put['image'].addressable_shards[0].data.shape[0] == 8


BAD = [
  (dict(batch_size=0), 'batch_size=0'),
  (dict(batch_size=30, microbatches=4), 'microbatches=4'),
  (dict(batch_size=2000), '1437 examples, fewer than one batch'),
  (dict(duration='0 steps'), 'no step'),
  (dict(duration='ten epochs'), 'ten epochs'),
  (dict(log_every='0 steps'), 'log_every'),
  (dict(train_split='trian'), 'train'),
  (dict(train_split='train[:0%]'), 'empty'),
  (dict(data=dict(name='digit')), 'digits'),
  (dict(data=dict()), 'needs a name'),
  (dict(model__name='vitt'), 'vit'),
  (dict(model=dict(name='transformer', vocab_size=None)), 'config.model.vocab_size is None'),
  (dict(model__num_heads=3), 'heads'),
  (dict(model__variant='Ti/3'), 'patch'),
  (dict(optim__learning_rate=float('nan')), 'learning_rate'),
  (dict(optim__learning_rate=-1.0), 'learning_rate'),
  (dict(optim__name='adamm'), 'adam'),
  (dict(ema_decay=1.0), 'ema_decay'),
  (dict(mesh=dict(data=3)), 'mesh'),
  (dict(mesh=dict(dta=1)), 'data'),
  (dict(evaluators=dict(test=dict(name='classification'))), 'every'),
  (dict(evaluators=dict(test=dict(name='acc', every='10%'))), 'classification'),
  (dict(evaluators=dict(test=dict(name='classification', every='soon'))), 'soon'),
  (dict(evaluators__test=dict(name='classification', every='1 steps', split='tset')), 'test'),
  (dict(evaluators__test=dict(name='classification', every='1 steps', slit='test')), 'split'),
  (dict(checkpoint__best='tset/accuracy'), 'test'),
  (dict(checkpoint__best_mode='biggest'), 'max'),
  (dict(checkpoint__every='often'), 'often'),
]


@pytest.mark.parametrize('overrides, words', BAD, ids=[str(overrides) for overrides, _ in BAD])
def test_bad_values_are_refused_in_words(overrides, words):
  with pytest.raises(UserError) as error:
    _build(**overrides)
  message = str(error.value)
  assert words in message and len(message.splitlines()) <= 3


def test_batches_that_do_not_spread_over_the_devices():
  with pytest.raises(UserError, match='batch_size=12 is not a multiple of 8'):
    _build(None, batch_size=12)


def test_what_the_weights_would_have_said_is_named_where_there_are_none():
  """A config of fine-tuning from scratch: a number that is None was met in a sum, much later."""
  config = config_file.load(f'{FINETUNE}:weights=none,path=none')
  with config.unlocked():
    config.init_from = None
    config.model.update(name='vit', variant='mu/4')
  with pytest.raises(UserError, match='folder needs image_size: it is None, and no weights'):
    setup.build(config)
  with pytest.raises(UserError, match='config.task.mean is None, to be filled from the weights'):
    setup.make_task(config, dict(num_classes=2))
