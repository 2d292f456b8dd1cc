"""Transformer-XL comes in and goes out: its numbers, and each thing that is easy to get wrong."""

import _helpers.torchvision_shim  # noqa: F401  isort: skip
import copy
import json
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from _helpers import parity
from _helpers import transformer_xls as oracles
from _helpers.gpts import error
from safetensors.torch import load_file, save_file
from transformers.models.deprecated.transfo_xl import TransfoXLLMHeadModel

from vitlab import pretrained
from vitlab.errors import UserError
from vitlab.layers import relative_attention
from vitlab.models import transformer_xl

pytestmark = pytest.mark.filterwarnings('ignore:The output of TransfoXL')

WAYS = dict(
  plain=dict(),
  same_length=dict(same_length=True, clamp_len=4),
  clusters=dict(cutoffs=[20, 40]),
  narrower=dict(cutoffs=[20, 40], div_val=2, same_length=True),
)
every_way = pytest.mark.parametrize('way', WAYS)


@pytest.fixture(scope='module', autouse=True)
def mended():
  with pytest.MonkeyPatch.context() as patch:
    oracles.mend(patch)
    yield


@pytest.fixture(scope='module')
def saved(mended, tmp_path_factory):
  """Way -> the oracle and the folder that it wrote."""
  found = {}
  for way, words in WAYS.items():
    oracle, folder = oracles.make(**words), tmp_path_factory.mktemp(way)
    oracle.save_pretrained(folder)
    found[way] = oracle, folder
  return found


@every_way
def test_three_segments_and_the_gradients_of_all_parameters_are_theirs(way, saved, x64):
  oracle, folder = saved[way]
  weights = pretrained.read(str(folder))
  model, variables = oracles.in_double(weights)
  segments = oracles.read(oracle)
  expected = torch.cat(segments, dim=1)
  weight = parity.projection(expected.shape)

  @jax.jit
  def run(variables):
    found = oracles.ours(model, variables)
    return (found * weight).sum(), found

  grads, found = jax.jit(jax.grad(run, has_aux=True))(variables)
  assert error(found, expected.detach().numpy()) < 1e-12
  oracle.zero_grad()
  (expected * torch.tensor(weight)).sum().backward()
  theirs = {name: p.grad.numpy() for name, p in oracle.named_parameters()}
  known = dict(spec=weights.about.spec)
  like = jax.eval_shape(lambda: variables)
  wanted = pretrained.import_tensors(theirs, like, 'transformer_xl', 'huggingface', **known)
  assert error(grads, wanted) < 1e-12
  assert min(np.abs(leaf).max() for leaf in jax.tree.leaves(wanted)) > 0


def test_what_is_remembered_is_what_they_remember(saved, x64):
  oracle, folder = saved['plain']
  model, variables = oracles.in_double(pretrained.read(str(folder)))
  theirs = [torch.zeros((0, 2, oracles.WIDTH), dtype=torch.float64)] * oracles.DEPTH
  ours = model.apply(variables, 2, 7, method='start')
  step = jax.jit(lambda *x: model.apply(variables, *x, method='step')[1])
  for segment in oracles.segments():
    with torch.no_grad():
      theirs = oracle(torch.tensor(segment).long(), mems=theirs).mems
    ours = step(ours, jnp.asarray(segment))
    written = ours.inputs[:, :, 7 - int(ours.length[0]) :]
    assert parity.error(list(jnp.einsum('blmd->lmbd', written)), theirs) < 1e-12


@every_way
def test_what_goes_out_computes_the_same_and_comes_back_bit_for_bit(way, saved, tmp_path, x64):
  oracle, folder = saved[way]
  weights = pretrained.read(str(folder))
  _, variables = oracles.in_double(weights)
  pretrained.write(tmp_path, variables, weights.about, 'huggingface')
  theirs, info = TransfoXLLMHeadModel.from_pretrained(
    tmp_path, local_files_only=True, dtype=torch.float64, output_loading_info=True
  )
  # The frequencies of sinusoids are none of the weights: the class computes them.
  assert info.pop('missing_keys') == ['transformer.pos_emb.inv_freq'] and not any(info.values())
  assert error(theirs.transformer.pos_emb.inv_freq, oracle.transformer.pos_emb.inv_freq) < 1e-6
  assert error(oracles.logits(theirs.double().eval()), oracles.logits(oracle)) < 1e-6
  # Their loader rounds the biases of attention to float32; torch's does not.
  theirs.load_state_dict(load_file(tmp_path / 'model.safetensors'), strict=False)
  theirs.transformer.pos_emb.inv_freq = oracle.transformer.pos_emb.inv_freq
  assert error(oracles.logits(theirs), oracles.logits(oracle)) < 1e-12
  again = pretrained.read(str(tmp_path))
  assert again.about == weights.about
  assert parity.error(again.load(jax.eval_shape(lambda: variables)), variables) == 0


def test_their_first_segment_attends_to_zeros_and_that_of_the_paper_does_not(saved, x64):
  oracle, folder = saved['plain']
  model, variables = oracles.in_double(pretrained.read(str(folder)))
  zeros = oracles.logits(oracle, empty=False)
  assert error(jax.jit(lambda v: oracles.ours(model, v))(variables), zeros) > 0.1


def off_by_one(monkeypatch):
  usual = transformer_xl.sincos_of_distances
  later = lambda first, last, *rest: usual(first + 1, last + 1, *rest)  # noqa: E731
  monkeypatch.setattr(transformer_xl, 'sincos_of_distances', later)


def nearest_first(monkeypatch):
  usual = transformer_xl.sincos_of_distances
  monkeypatch.setattr(transformer_xl, 'sincos_of_distances', lambda *x: usual(*x)[::-1])


def as_keys_lie(monkeypatch):
  """Without the shift: the score of a column is that of the key with its number."""
  monkeypatch.setattr(relative_attention, 'by_key', lambda scores, keys, first: scores)


def a_memory_of_results(monkeypatch):
  """Of what blocks give out, and not of what they read."""
  usual = transformer_xl.Memory.then
  moved = lambda self, inputs: usual(self, [*inputs[1:], inputs[-1]])  # noqa: E731
  monkeypatch.setattr(transformer_xl.Memory, 'then', moved)


def a_full_memory(monkeypatch):
  """Zeros that are attended to."""
  everything = lambda self, t: jnp.ones((2, 1, 1, self.inputs.shape[2] + t), bool)  # noqa: E731
  monkeypatch.setattr(transformer_xl.Memory, 'written', everything)


BELIEFS = [off_by_one, nearest_first, as_keys_lie, a_memory_of_results, a_full_memory]


@pytest.mark.parametrize('belief', BELIEFS)
def test_what_is_easy_to_get_wrong_is_seen(belief, saved, x64, monkeypatch):
  oracle, folder = saved['plain']
  model, variables = oracles.in_double(pretrained.read(str(folder)))
  belief(monkeypatch)
  assert error(jax.jit(lambda v: oracles.ours(model, v))(variables), oracles.logits(oracle)) > 1e-2


def swapped(params, *names):
  """The parameters with two of these names in one place exchanged, wherever they are."""
  first, second = names
  if first in params and second in params:
    params = params | {first: params[second], second: params[first]}
  return {k: swapped(v, *names) if isinstance(v, dict) else v for k, v in params.items()}


@pytest.mark.parametrize('names', [('content_bias', 'position_bias'), ('norm1', 'norm2')])
def test_what_lies_in_the_wrong_place_is_seen_though_its_shape_fits(names, saved, x64):
  oracle, folder = saved['plain']
  model, variables = oracles.in_double(pretrained.read(str(folder)))
  wrong = swapped(variables, *names)
  assert parity.error(wrong, variables) > 0
  assert error(jax.jit(lambda v: oracles.ours(model, v))(wrong), oracles.logits(oracle)) > 1e-2


def test_clusters_are_numbered_as_they_lie(saved, x64):
  oracle, folder = saved['narrower']
  model, variables = oracles.in_double(pretrained.read(str(folder)))
  clusters = variables['params']['token_embedding']['clusters']
  variables['params']['token_embedding']['clusters'] = jax.tree.map(
    lambda x: x[..., ::-1], clusters
  )
  assert error(jax.jit(lambda v: oracles.ours(model, v))(variables), oracles.logits(oracle)) > 1e-2


@pytest.mark.parametrize('way', ['plain', 'narrower'])
def test_the_layout_of_the_authors_says_the_same(way, saved, tmp_path, x64):
  """No prefix, biases that all blocks share, and the last cluster first."""
  oracle = copy.deepcopy(saved[way][0])
  layers = oracle.transformer.layers
  for name in ('r_w_bias', 'r_r_bias'):
    layers[1].dec_attn.get_parameter(name).data = layers[0].dec_attn.get_parameter(name).data
  tensors = {name.removeprefix('transformer.'): x for name, x in oracle.state_dict().items()}
  for name in ('r_w_bias', 'r_r_bias'):
    tensors[name] = tensors.pop(f'layers.0.dec_attn.{name}')
    del tensors[f'layers.1.dec_attn.{name}']
  for name in tensors.keys() & {'crit.cluster_weight', 'crit.cluster_bias'}:
    tensors[name] = tensors[name].flip(0)
  save_file({name: x.clone() for name, x in tensors.items()}, tmp_path / 'x.safetensors')
  weights = pretrained.read(str(tmp_path / 'x.safetensors'))
  assert weights.format == 'original'
  words = dict(memory_length=7, same_length=way == 'narrower')
  model, variables = oracles.in_double(weights, **words)
  assert error(jax.jit(lambda v: oracles.ours(model, v))(variables), oracles.logits(oracle)) < 1e-12


def test_of_the_authors_layout_clusters_that_are_as_wide_are_refused(saved, tmp_path):
  tensors = {
    k.removeprefix('transformer.'): x for k, x in saved['clusters'][0].state_dict().items()
  }
  tensors['r_w_bias'] = tensors['layers.0.dec_attn.r_w_bias']
  save_file({name: x.clone() for name, x in tensors.items()}, tmp_path / 'x.safetensors')
  with pytest.raises(UserError, match='no tensor says where they begin'):
    pretrained.read(str(tmp_path / 'x.safetensors'))


@pytest.mark.parametrize(
  'words, says',
  [
    (dict(untie_r=False), 'untie_r=False'),
    (dict(pre_lnorm=True), 'pre_lnorm=True'),
    (dict(d_embed=8), 'd_embed'),
    (dict(d_head=4), 'd_head'),
    (dict(div_val=2, tie_projs=[False, False, True]), 'tie_projs'),
    (dict(mem_len=-1), 'mem_len=-1'),
    (dict(rotary=True), 'rotary=True'),
  ],
)
def test_what_is_not_computed_here_is_refused(words, says, saved, tmp_path):
  shutil.copytree(saved['clusters'][1], tmp_path / 'a')
  config = json.loads((tmp_path / 'a' / 'config.json').read_text())
  (tmp_path / 'a' / 'config.json').write_text(json.dumps(config | words))
  with pytest.raises(UserError, match=says):
    pretrained.read(str(tmp_path / 'a'))


def test_silence_means_the_published_model(saved, tmp_path):
  """What config.json does not say is what transfo-xl-wt103 has, clusters and all."""
  shutil.copytree(saved['plain'][1], tmp_path / 'a')
  (tmp_path / 'a' / 'config.json').write_text(json.dumps(dict(model_type='transfo-xl', n_layer=18)))
  spec = pretrained.read(str(tmp_path / 'a')).about.spec
  assert spec['variant'] == 'wt103_large' and spec['cutoffs'] == (20000, 40000, 200000)
  assert (spec['memory_length'], spec['clamp_len'], spec['same_length']) == (1600, 1000, True)
