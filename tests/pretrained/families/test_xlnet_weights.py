"""XLNet comes in and goes out with all its heads, and both streams compute what theirs do."""

import json

import _helpers.torchvision_shim  # noqa: F401  isort: skip
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
import transformers
from _helpers import parity, xlnets
from _helpers.hf_folders import changed
from safetensors.torch import load_file

from vitlab import pretrained, registry
from vitlab.errors import UserError
from vitlab.names import flatten
from vitlab.pretrained.families import xlnet

HEADS = dict(
  words=dict(head='words'),
  texts=dict(head='text', num_classes=3),
  tokens=dict(head='tokens', num_classes=3),
  bare=dict(head='none'),
)
every_kind = pytest.mark.parametrize('kind', xlnets.KINDS)
READ = xlnets.SEGMENTS > 0
# Ranks: some are context, and the last of each row is one; a place is predicted at most once.
ORDER = np.array([[0, 0, 2, 0, 1, 0, 4, 3, 0], [3, 0, 2, 0, 1, 5, 4, 0, 0]], np.int32)
PLACES = np.array([[2, 4, 7, 6], [0, 5, 4, 2]], np.int32)


@pytest.fixture(scope='module')
def saved(tmp_path_factory):
  """kind -> the oracle and the folder that it wrote."""
  found = {}
  for kind in xlnets.KINDS:
    oracle, folder = xlnets.make(kind), tmp_path_factory.mktemp(kind)
    oracle.save_pretrained(folder)
    found[kind] = oracle, folder
  return found


@every_kind
def test_a_file_says_everything(kind, saved):
  spec = pretrained.read(str(saved[kind][1])).about.spec
  wanted = dict(name='xlnet', variant='mu', vocab_size=17, mlp='gelu', norm_epsilon=1e-12)
  assert spec == wanted | HEADS[kind]


def total_of(model, weighed, *batch):
  """variables -> the sum of the logits of a batch, each with its weight."""
  return lambda v: (model.apply(v, *map(jnp.asarray, batch))[0] * weighed).sum()


def check_gradients(oracle, weights, variables, theirs, weighed, total):
  """Ours of all parameters against theirs; what no query asks for gets none on either side."""
  oracle.zero_grad()
  (theirs * torch.tensor(weighed)).sum().backward()
  named = oracle.named_parameters()
  gradients = {n: np.zeros(p.shape) if p.grad is None else p.grad.numpy() for n, p in named}
  found = jax.jit(jax.grad(total))(variables)['params']
  like, known = jax.eval_shape(lambda: variables['params']), dict(spec=weights.about.spec)
  wanted = pretrained.import_tensors(gradients, dict(params=like), 'xlnet', 'huggingface', **known)[
    'params'
  ]
  assert parity.error(found, wanted) / np.abs(jax.tree.leaves(wanted)[0]).max() < 1e-11
  return {name for name, leaf in flatten(wanted).items() if not np.any(leaf)}


@every_kind
def test_results_and_gradients_of_all_parameters_are_theirs(kind, saved, x64):
  oracle, folder = saved[kind]
  weights = pretrained.read(str(folder))
  model, variables = xlnets.in_double(weights)
  batch = xlnets.TOKENS, xlnets.SEGMENTS
  theirs = oracle(**xlnets.inputs())[0]
  counts = READ[..., None] if theirs.ndim == 3 else 1
  mine = jax.jit(model.apply)(variables, *batch)[0]
  assert parity.error(mine * counts, theirs.detach().numpy() * counts) < 1e-12

  weighed = parity.projection(theirs.shape) * counts
  total = total_of(model, weighed, *batch)
  silent = check_gradients(oracle, weights, variables, theirs, weighed, total)
  assert silent == ({'query_token'} if kind == 'words' else set())


def in_order(order, places):
  """What theirs is called with for an order: who may not see whom, and where the queries stand."""
  earlier = order[:, None] < order[:, :, None]
  together = (order[:, None] == 0) & (order[:, :, None] == 0)
  mapping = np.eye(order.shape[1])[places]
  return dict(
    perm_mask=torch.tensor(1.0 - (earlier | together)), target_mapping=torch.tensor(mapping)
  )


def test_both_streams_are_theirs_with_their_gradients(saved, x64):
  oracle, folder = saved['words']
  weights = pretrained.read(str(folder))
  model, variables = xlnets.in_double(weights)
  batch = xlnets.TOKENS, xlnets.SEGMENTS, PLACES, ORDER
  theirs = oracle(**xlnets.inputs(), **in_order(ORDER, PLACES)).logits
  mine = jax.jit(model.apply)(variables, *batch)[0]
  assert parity.error(mine, theirs.detach().numpy()) < 1e-12
  weighed = parity.projection(theirs.shape)
  total = total_of(model, weighed, *batch)
  assert not check_gradients(oracle, weights, variables, theirs, weighed, total)


def test_the_first_of_an_order_without_context_sees_all_alike_as_theirs(saved, x64):
  """Theirs takes 1e30 from every score; `ops.attention.hide` replaces every one."""
  oracle, folder = saved['words']
  model, variables = xlnets.in_double(pretrained.read(str(folder)))
  order = np.array([[4, 3, 2, 1, 5, 6, 7, 8, 9]] * 2)
  places = np.array([[3, 0]] * 2)
  every = np.ones_like(xlnets.SEGMENTS)
  theirs = oracle(**xlnets.inputs(every), **in_order(order, places)).logits
  mine = jax.jit(model.apply)(variables, xlnets.TOKENS, every, places, order)[0]
  assert parity.error(mine, theirs.detach().numpy()) < 1e-12


def streams(oracle, model, variables, memory):
  """(ours, theirs) of three segments of one text, each read after those before it."""
  random, mems = np.random.default_rng(0), None
  state = jax.jit(model.init)(jax.random.key(0), xlnets.TOKENS)['memory']
  like = jax.tree.leaves(variables)[0].dtype
  state = jax.tree.map(lambda x: x.astype(like) if x.ndim > 1 else x, state)
  apply = jax.jit(lambda v, *batch: model.apply(v, *batch, mutable='memory'))
  oracle.config.mem_len = oracle.transformer.mem_len = memory
  for _ in range(3):
    tokens = random.integers(0, 17, xlnets.TOKENS.shape)
    segments = np.sort(random.integers(1, 3, tokens.shape))
    given = xlnets.inputs(segments, tokens) | in_order(ORDER, PLACES)
    if next(oracle.parameters()).dtype == torch.float32:
      given = {k: x if x.dtype == torch.long else x.float() for k, x in given.items()}
    with torch.no_grad():
      theirs = oracle(**given, mems=mems, use_mems=True)
    mems = theirs.mems
    batch = variables | dict(memory=state), tokens, segments, PLACES, ORDER
    (mine, _), mutated = apply(*batch)
    state = mutated['memory']
    yield mine, theirs.logits.numpy()
    kept = int(state['length'][0])
    for i, layer in enumerate(mems):
      yield state['inputs'][:, i, memory - kept :], layer.numpy().transpose(1, 0, 2)


@pytest.mark.parametrize('memory', [6, 12])
def test_a_text_that_goes_on_is_theirs(memory, saved, x64):
  oracle, folder = saved['words']
  model, variables = xlnets.in_double(pretrained.read(str(folder)), memory_length=memory)
  found = list(streams(oracle, model, variables, memory))
  assert len(found) == 9
  assert max(parity.error(mine, theirs) for mine, theirs in found) < 1e-12


def test_their_own_sinusoids_in_float32(tmp_path):
  oracle = xlnets.make('words').float()
  del oracle.transformer.relative_positional_encoding
  oracle.save_pretrained(tmp_path)
  weights = pretrained.read(str(tmp_path))
  model = registry.make('models', weights.about.spec | dict(memory_length=6))
  like = jax.eval_shape(model.init, jax.random.key(0), xlnets.TOKENS)
  variables = jax.tree.map(jnp.asarray, weights.load(dict(params=like['params'])))
  with jax.default_matmul_precision('highest'):
    found = list(streams(oracle, model, variables, 6))
  errors = [parity.error(mine, theirs) / np.abs(theirs).max() for mine, theirs in found]
  assert max(errors) < 2e-6


@every_kind
def test_what_goes_out_computes_the_same_and_comes_back_bit_for_bit(kind, saved, tmp_path, x64):
  oracle, folder = saved[kind]
  weights = pretrained.read(str(folder))
  _, variables = xlnets.in_double(weights)
  pretrained.write(tmp_path, variables, weights.about, 'huggingface')
  config = json.loads((tmp_path / 'config.json').read_text())
  assert config['architectures'] == [xlnets.KINDS[kind]]
  theirs, info = getattr(transformers, xlnets.KINDS[kind]).from_pretrained(
    tmp_path, local_files_only=True, output_loading_info=True
  )
  assert not any(info.values())
  theirs = xlnets.exact(theirs.double().eval())  # where matrices of attention stay float32
  theirs.load_state_dict(load_file(tmp_path / 'model.safetensors'), strict=False)
  for one, other in zip(theirs(**xlnets.inputs())[:1], oracle(**xlnets.inputs())[:1]):
    assert float((one - other).abs().max()) == 0
  same = {n: (a == b).all() for (n, a), b in zip(theirs.named_parameters(), oracle.parameters())}
  different = {n.rpartition('.')[2] for n, equal in same.items() if not equal}
  assert different == (set() if kind == 'words' else {'mask_emb'})  # no query: zeros
  again = pretrained.read(str(tmp_path))
  assert again.about == weights.about
  assert parity.error(again.load(jax.eval_shape(lambda: variables)), variables) == 0


# What one may believe instead of what is so.
BELIEFS = {
  'gelu by tanh': dict(mlp='gelu_tanh'),
  'epsilon': dict(norm_epsilon=1e-5),
}


@pytest.mark.parametrize('belief', BELIEFS)
def test_what_is_easy_to_get_wrong_is_seen(belief, saved, x64):
  oracle, folder = saved['words']
  model, variables = xlnets.in_double(pretrained.read(str(folder)), **BELIEFS[belief])
  mine = jax.jit(model.apply)(variables, xlnets.TOKENS, xlnets.SEGMENTS)[0]
  theirs = oracle(**xlnets.inputs())[0].detach().numpy()
  assert parity.error(mine[READ], theirs[READ]) > 1e-7


REFUSED = {
  'activation': (dict(ff_activation='selu'), "ff_activation of Hugging Face 'selu'"),
  'heads': (dict(n_head=3), 'n_head=3, into which the width 16'),
  'direction': (dict(attn_type='uni'), "attn_type='uni'"),
  'data': (dict(bi_data=True), 'bi_data=True'),
  'distances': (dict(clamp_len=4), 'clamp_len=4'),
  'summary': (dict(summary_type='first'), "summary_type='first'"),
  'number': (dict(d_model='wide'), "d_model='wide': it is to be a whole number above 0"),
  'class': (dict(architectures=['XLNetForMultipleChoice']), 'XLNetForMultipleChoice'),
  'unknown': (dict(rotary=True), 'rotary=True .not known here'),
}


@pytest.mark.parametrize('case', REFUSED)
def test_what_our_model_does_not_compute_is_refused(case, saved, tmp_path):
  words, message = REFUSED[case]
  with pytest.raises(UserError, match=message):
    pretrained.read(changed(saved['words'][1], tmp_path, **words))


def test_what_they_cannot_compute_is_not_written(tmp_path):
  spec = dict(name='xlnet', variant='mu', vocab_size=17, mlp='swiglu')
  tree = dict(params=dict(token_embedding=dict(embedding=np.zeros((17, 16)))))
  with pytest.raises(UserError, match='XLNet of Hugging Face has no such model.*this mlp'):
    pretrained.write(tmp_path, tree, pretrained.About(spec, None), 'huggingface')


def test_every_class_of_theirs_is_one_of_ours():
  assert set(xlnet.CLASSES.values()) == set(xlnets.KINDS.values())
