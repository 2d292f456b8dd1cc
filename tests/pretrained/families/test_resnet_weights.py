"""vitlab's ResNet computes what theirs compute, in training too; every trap would be seen."""

from functools import cache, partial

import _helpers.torchvision_shim  # noqa: F401  isort: skip
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import timm
import torch
from _helpers import parity, published, round_trips
from torchvision.models.resnet import BasicBlock, Bottleneck
from torchvision.models.resnet import ResNet as TorchvisionResNet
from transformers import ConvNextImageProcessor, ResNetConfig, ResNetForImageClassification

from vitlab.errors import UserError
from vitlab.layers import norms
from vitlab.models import resnet
from vitlab.pretrained import find_format, import_tensors

PICTURE = parity.image((3, 33, 40, 3))  # sizes at which paddings differ
HF = dict(embedding_size=8, hidden_sizes=[32, 64], depths=[1, 2], num_labels=5)
OURS = dict(variant='mu', num_classes=5, dtype='float64')
# name -> (format, their model, ours)
CASES = {
  'huggingface': (
    'huggingface',
    lambda: ResNetForImageClassification(ResNetConfig(**HF)),
    dict(depths=(1, 2), width=8),
  ),
  'huggingface basic': (
    'huggingface',
    lambda: ResNetForImageClassification(
      ResNetConfig(**HF | dict(layer_type='basic', hidden_sizes=[8, 16]))
    ),
    dict(depths=(1, 2), width=8, block='basic'),
  ),
  'torchvision': (
    'timm',
    lambda: TorchvisionResNet(Bottleneck, [1, 1, 1, 1], num_classes=5),
    dict(variant='50', depths=(1, 1, 1, 1)),
  ),
  'torchvision basic': (
    'timm',
    lambda: TorchvisionResNet(BasicBlock, [1, 2, 1, 1], num_classes=5),
    dict(variant='18', depths=(1, 2, 1, 1)),
  ),
}


@cache
def prepared(case: str) -> torch.nn.Module:
  """Their model with random parameters and running statistics."""
  torch.manual_seed(0)
  model = parity.perturb(CASES[case][1]())
  generator = torch.Generator().manual_seed(0)
  for name, buffer in model.named_buffers():
    if name.endswith('running_mean'):
      buffer.copy_(0.3 * torch.randn(buffer.shape, generator=generator, dtype=torch.float64))
    if name.endswith('running_var'):
      buffer.copy_(0.5 + torch.rand(buffer.shape, generator=generator, dtype=torch.float64))
  return model


def copied(tensors):
  return {name: tensor.detach().clone() for name, tensor in tensors.items()}


@cache
def oracle(case: str, train: bool):
  """Their weights; results of one pass; in training, the statistics after it."""
  model = prepared(case)
  before = copied(model.state_dict())
  model.train(train).zero_grad()
  if CASES[case][0] == 'timm':
    blocks = [block for i in range(1, 5) for block in getattr(model, f'layer{i}')]
    results = parity.oracle(model, blocks, PICTURE)
  else:
    blocks = [layer for stage in model.resnet.encoder.stages for layer in stage.layers]
    results = parity.oracle(model, blocks, PICTURE, lambda y: y.logits)
  results = results._replace(blocks=list(results.blocks))  # the hooks stay and go on filling
  after = copied(model.state_dict())
  model.load_state_dict(before)
  return before, results, after


def double(tree):
  return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, jnp.float64), tree)


def load(case: str, tensors, model, collections=('params', 'batch_stats')):
  """Some of our collections by the public importer."""
  like = double(round_trips.like(model, PICTURE))
  like = {name: tree for name, tree in like.items() if name in collections}
  return import_tensors(tensors, like, 'resnet', CASES[case][0])


def run(model, variables, train=False):
  """Our results, and the statistics after it."""

  @jax.jit
  def compute(variables, picture):
    def functional(params):
      given = {**variables, 'params': params}
      (logits, out), mutated = model.apply(given, picture, train, mutable='batch_stats')
      blocks = [block['features'].transpose(0, 3, 1, 2) for block in out['blocks']]
      return (logits * parity.projection(logits.shape)).sum(), (logits, blocks, mutated)

    grads, (logits, blocks, mutated) = jax.grad(functional, has_aux=True)(variables['params'])
    return parity.Results(logits, blocks, grads), mutated

  return compute(variables, jnp.asarray(PICTURE))


@pytest.mark.parametrize('train', [False, True], ids=['evaluated', 'trained'])
@pytest.mark.parametrize('case', CASES)
def test_equals_theirs(case, train, x64):
  """Logits, every block, every gradient, and the running statistics that training leaves."""
  before, expected, after = oracle(case, train)
  model = resnet.make(**OURS | CASES[case][2])
  got, mutated = run(model, load(case, before, model), train)
  assert parity.error(got.logits, expected.logits) < 1e-9
  assert len(got.blocks) == len(expected.blocks) > 2
  assert parity.error(got.blocks, expected.blocks) < 1e-9
  assert parity.error(got.grads, load(case, expected.grads, model, ('params',))['params']) < 1e-9
  statistics = {k: v for k, v in after.items() if 'running' in k}
  assert parity.error(mutated, load(case, statistics, model, ('batch_stats',))) < 1e-9
  moved = max(abs(after[name] - before[name]).max() for name in statistics)
  assert moved > 1e-2 if train else moved == 0


def strided_1x1(model):
  """Version 1, the paper's own: of a bottleneck, the first convolution has the stride."""
  first = lambda layers: tuple(x._replace(strided=i == 0) for i, x in enumerate(layers))  # noqa: E731
  stages = [s.clone(block=s.block.clone(layers=first(s.block.layers))) for s in model.stages]
  return model.clone(stages=stages)


# What is wrong -> (the model, whether it shows in training)
TRAPS = {
  'stride on the 1x1': (strided_1x1, False),
  'epsilon 1e-6': (dict(norm_epsilon=1e-6), False),
  "TensorFlow's padding": (dict(padding='same'), False),
  'no pool in the stem': (lambda model: model.clone(pool=None), False),
  'standardized weights': (dict(weight_standardization=True), False),
  'epsilon 1e-3 in training': (dict(norm_epsilon=1e-3), True),
}


@pytest.mark.parametrize('trap', TRAPS)
def test_a_trap_would_be_seen(trap, x64):
  change, train = TRAPS[trap]
  before, expected, _ = oracle('huggingface', train)
  words = OURS | CASES['huggingface'][2] | (change if isinstance(change, dict) else {})
  model = resnet.make(**words)
  model = model if isinstance(change, dict) else change(model)
  assert (
    parity.error(logits(model, load('huggingface', before, model), train), expected.logits) > 1e-7
  )


def logits(model, variables, train=False):
  apply = partial(model.apply, train=train, mutable='batch_stats')
  return jax.jit(lambda variables: apply(variables, jnp.asarray(PICTURE))[0][0])(variables)


def test_statistics_of_the_batch_instead_of_the_running_ones_would_be_seen(x64):
  before, expected, _ = oracle('huggingface', False)
  model = resnet.make(**OURS | CASES['huggingface'][2])
  variables = load('huggingface', before, model)
  assert parity.error(logits(model, variables, train=True), expected.logits) > 1e-2
  variables['batch_stats'] = jax.tree.map(np.ones_like, variables['batch_stats'])
  assert parity.error(logits(model, variables), expected.logits) > 1e-2


def test_a_transposed_kernel_would_be_seen(x64):
  before, expected, _ = oracle('huggingface', False)
  turned = {k: x.transpose(2, 3) if x.ndim == 4 else x for k, x in before.items()}
  model = resnet.make(**OURS | CASES['huggingface'][2])
  assert parity.error(logits(model, load('huggingface', turned, model)), expected.logits) > 1e-2


@pytest.mark.parametrize('value', [0.9, 0.01])
def test_another_convention_of_momentum_would_be_seen(value, monkeypatch, x64):
  before, _, after = oracle('huggingface', True)
  monkeypatch.setattr(resnet, 'make_norm', partial(norms.make_norm, momentum=value))
  model = resnet.make(**OURS | CASES['huggingface'][2])
  _, mutated = run(model, load('huggingface', before, model), train=True)
  statistics = {name: tensor for name, tensor in after.items() if 'running' in name}
  statistics = load('huggingface', statistics, model, ('batch_stats',))
  assert parity.error(mutated, statistics) > 1e-2


def test_equals_timm_with_group_norm(x64):
  theirs = parity.perturb(timm.create_model('resnet50_gn', layers=[1, 1, 1, 1], num_classes=5))
  blocks = [block for i in range(1, 5) for block in getattr(theirs, f'layer{i}')]
  expected = parity.oracle(theirs, blocks, PICTURE)
  model = resnet.make(**OURS | dict(variant='50', depths=(1, 1, 1, 1), norm='groupnorm'))
  got, _ = run(model, load('torchvision', theirs.state_dict(), model))
  assert parity.error(got.blocks, expected.blocks) < 1e-9
  assert parity.error(got.logits, expected.logits) < 1e-9
  assert parity.error(got.grads, load('torchvision', expected.grads, model)['params']) < 1e-9


@pytest.mark.parametrize('format', ['huggingface', 'timm'])
def test_there_and_back_with_config_and_bits(format, tmp_path):
  picture = PICTURE.astype(np.float32)
  torch.manual_seed(0)
  if format == 'huggingface':
    model = ResNetForImageClassification(ResNetConfig(**HF)).eval()
    model.save_pretrained(tmp_path / 'theirs')
    processor = ConvNextImageProcessor(size=dict(shortest_edge=224), crop_pct=0.875)
    processor.save_pretrained(tmp_path / 'theirs')
  else:
    model = timm.create_model('resnet18', layers=[1, 1, 1, 1], num_classes=5).eval()
    published.save_timm(tmp_path / 'theirs', model)
  expected = published.logits(model, picture)
  round_trips.check(tmp_path / 'theirs', expected, format, picture, tmp_path / 'ours')


@pytest.mark.parametrize('variant', ['18', '26', '34', '50', '101', '152', '50_gn'])
def test_a_published_size_is_known_by_its_shapes(variant):
  with torch.device('meta'):
    theirs = timm.create_model(f'resnet{variant}')
  table = find_format('resnet', 'timm')
  spec = table.spec({}, {name: tuple(tensor.shape) for name, tensor in theirs.state_dict().items()})
  number, _, gn = variant.partition('_')
  assert (spec['variant'], spec['norm']) == (number, 'groupnorm' if gn else 'batchnorm')
  assert table.config(spec, (224, 224))['architecture'] == f'resnet{variant}'


def shapes(model):
  return {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}


@pytest.mark.parametrize(
  ('name', 'message'),
  [
    ('resnet50d', 'a deep stem'),
    ('resnext50_32x4d', 'grouped and widened ones'),
    ('wide_resnet50_2', 'grouped and widened ones'),
  ],
)
def test_timm_s_relatives_are_refused(name, message):
  with torch.device('meta'):
    theirs = timm.create_model(name)
  with pytest.raises(UserError, match=message):
    find_format('resnet', 'timm').spec({}, shapes(theirs))


@pytest.mark.parametrize(
  ('format', 'words', 'message'),
  [
    ('timm', dict(variant='mu'), 'cannot say this width, depths'),
    ('timm', dict(variant='18', stem='small', norm='groupnorm'), 'stem, norm'),
    ('huggingface', dict(norm='groupnorm', padding='same'), 'padding, norm'),
    (
      'huggingface',
      dict(weight_standardization=True, norm_epsilon=1e-3),
      'norm_epsilon, weight_st',
    ),
  ],
)
def test_models_that_they_do_not_have_are_refused(format, words, message):
  with pytest.raises(UserError, match=message):
    find_format('resnet', format).config(dict(name='resnet', **words), (224, 224))


def test_the_bare_model_of_huggingface_has_no_prefix(x64):
  before = oracle('huggingface', False)[0]
  bare = {k.removeprefix('resnet.'): v for k, v in before.items() if 'classifier' not in k}
  assert find_format('resnet', 'huggingface').spec({}, shapes(prepared('huggingface').resnet)) == (
    find_format('resnet', 'huggingface').spec({}, {k: tuple(v.shape) for k, v in bare.items()})
  )
  model = resnet.make(**OURS | CASES['huggingface'][2] | dict(num_classes=None))
  whole = load('huggingface', before, resnet.make(**OURS | CASES['huggingface'][2]))
  del whole['params']['head']
  assert parity.error(load('huggingface', bare, model), whole) == 0
