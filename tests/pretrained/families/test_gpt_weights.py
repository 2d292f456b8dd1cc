"""GPT-1 and GPT-2 come in and go out: their numbers, and each thing that is easy to get wrong."""

import _helpers.torchvision_shim  # noqa: F401  isort: skip
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from _helpers import gpts, parity
from _helpers.hf_folders import changed
from safetensors.numpy import load_file, save_file
from transformers import AutoModelForCausalLM

from vitlab import pretrained, registry
from vitlab.data.vocabularies import exported, plain
from vitlab.errors import UserError
from vitlab.pretrained import layouts
from vitlab.pretrained.families import gpt

KEY = jax.random.key(0)
every_kind = pytest.mark.parametrize('kind', gpts.KINDS)


@pytest.fixture(scope='module')
def saved(tmp_path_factory):
  """kind -> the oracle and the folder that it wrote."""
  found = {}
  for kind in gpts.KINDS:
    oracle, folder = gpts.make(kind), tmp_path_factory.mktemp(kind)
    oracle.save_pretrained(folder)
    found[kind] = oracle, folder
  return found


@every_kind
def test_logits_and_gradients_of_all_parameters_are_theirs(kind, saved, x64):
  oracle, folder = saved[kind]
  weights = pretrained.read(str(folder))
  model, variables = gpts.in_double(weights)
  expected = gpts.logits(oracle)
  assert gpts.error(gpts.ours(model, variables), expected) < 1e-12
  projection = parity.projection(expected.shape)
  found = gpts.gradients(model, variables, projection)
  theirs = gpts.oracle_gradients(oracle, projection)
  like, known = jax.eval_shape(lambda: variables), dict(spec=weights.about.spec)
  wanted = pretrained.import_tensors(theirs, like, 'gpt', 'huggingface', **known)
  assert gpts.error(found, wanted) < 1e-12
  assert min(np.abs(leaf).max() for leaf in jax.tree.leaves(wanted)) > 0


@every_kind
def test_tokens_read_one_by_one_or_as_a_prompt_say_what_all_at_once_do(kind, saved, x64):
  oracle, folder = saved[kind]
  model, variables = gpts.in_double(pretrained.read(str(folder)))

  def cached(variables):
    state = model.apply(variables, len(gpts.TOKENS), gpts.CONTEXT, method='start')
    rows = []
    for tokens in (gpts.TOKENS[:, :5], *gpts.TOKENS[:, 5:, None].swapaxes(0, 1)):
      found, state = model.apply(variables, state, jnp.asarray(tokens), method='step')
      rows.append(found)
    return jnp.concatenate(rows, axis=1)

  assert gpts.error(jax.jit(cached)(variables), gpts.logits(oracle)) < 1e-12


@every_kind
def test_what_goes_out_computes_the_same_and_comes_back_bit_for_bit(kind, saved, tmp_path, x64):
  oracle, folder = saved[kind]
  weights = pretrained.read(str(folder))
  _, variables = gpts.in_double(weights)
  pretrained.write(tmp_path, variables, weights.about, 'huggingface')
  theirs, info = AutoModelForCausalLM.from_pretrained(
    tmp_path, local_files_only=True, dtype=torch.float64, output_loading_info=True
  )
  assert not any(info.values()) and type(theirs) is type(oracle)
  assert gpts.error(gpts.logits(theirs.eval()), gpts.logits(oracle)) < 1e-12
  again = pretrained.read(str(tmp_path))
  assert again.about == weights.about
  assert parity.error(again.load(jax.eval_shape(lambda: variables)), variables) == 0


@every_kind
def test_the_bare_model_the_prefixed_one_copies_and_masks_are_all_the_same(kind, saved, tmp_path):
  _, folder = saved[kind]
  weights = pretrained.read(str(folder))
  like = jax.eval_shape(registry.make('models', weights.about.spec).init, KEY, gpts.TOKENS)
  wanted = weights.load(like)
  tensors = load_file(folder / 'model.safetensors')
  assert 'lm_head.weight' not in tensors
  embedding = dict(gpt2='transformer.wte.weight').get(kind, 'transformer.tokens_embed.weight')
  more = {
    'lm_head.weight': tensors[embedding].copy(),
    'transformer.h.0.attn.bias': np.tril(np.ones((1, 1, 12, 12), np.float32)),
    'transformer.h.0.attn.masked_bias': np.array(-1e4, np.float32),
  }
  for i, given in enumerate(
    (tensors | more, {name.removeprefix('transformer.'): x for name, x in tensors.items()})
  ):
    path = changed(folder, tmp_path / str(i), given, n_ctx=12)
    assert parity.error(pretrained.read(path).load(like), wanted) == 0


def test_shards_are_read(saved, tmp_path):
  oracle, folder = saved['gpt2']
  oracle.save_pretrained(tmp_path, max_shard_size='8KB')
  assert len(list(tmp_path.glob('*.safetensors'))) > 1
  whole, parts = (pretrained.read(str(path)).tensors for path in (folder, tmp_path))
  assert parity.error(dict(whole), dict(parts)) == 0


def test_logits_by_another_matrix(tmp_path, x64):
  oracle = gpts.make('gpt2', tie_word_embeddings=False, activation_function='gelu', n_inner=24)
  oracle.save_pretrained(tmp_path / 'theirs')
  weights = pretrained.read(str(tmp_path / 'theirs'))
  assert (weights.about.spec['tied'], weights.about.spec['mlp_dim']) == (False, 24)
  model, variables = gpts.in_double(weights)
  assert gpts.error(gpts.ours(model, variables), gpts.logits(oracle)) < 1e-12
  pretrained.write(tmp_path / 'ours', variables, weights.about, 'huggingface')
  theirs = AutoModelForCausalLM.from_pretrained(tmp_path / 'ours', dtype=torch.float64).eval()
  assert gpts.error(gpts.logits(theirs), gpts.logits(oracle)) < 1e-12


def with_words(**words):
  return lambda model, spec: registry.make('models', {**spec, 'dtype': 'float64', **words})


def with_norms_at_the_other_place(model, spec):
  block = model.decoder.block
  other = block.clone(norm_place=dict(pre='post', post='pre')[block.norm_place])
  return model.clone(decoder=model.decoder.clone(block=other))


def with_or_without_a_last_norm(model, spec):
  return model.clone(norm=None if model.norm else model.decoder.block.norm.clone())


# What one may believe instead of what is so.
BELIEFS = {
  'exact gelu': with_words(mlp='gelu'),
  'epsilon': with_words(norm_epsilon=1e-6),
  'place of norms': with_norms_at_the_other_place,
  'last norm': with_or_without_a_last_norm,
}


@every_kind
@pytest.mark.parametrize('belief', BELIEFS)
def test_what_is_easy_to_get_wrong_is_seen(belief, kind, saved, x64):
  oracle, folder = saved[kind]
  weights = pretrained.read(str(folder))
  model, variables = gpts.in_double(weights)
  model = BELIEFS[belief](model, weights.about.spec)
  variables['params'].setdefault('norm', dict(scale=jnp.ones(16), bias=jnp.zeros(16)))
  assert gpts.error(gpts.ours(model, variables), gpts.logits(oracle)) > 1e-7


@every_kind
def test_a_weight_that_is_transposed_is_seen_though_its_shape_fits(kind, saved, monkeypatch, x64):
  oracle, folder = saved[kind]
  usual = gpt._usual

  def as_linear(path, shape):
    return layouts.linear(2) if path.endswith('/out/kernel') else usual(path, shape)

  monkeypatch.setattr(gpt, '_usual', as_linear)
  model, variables = gpts.in_double(pretrained.read(str(folder)))
  assert gpts.error(gpts.ours(model, variables), gpts.logits(oracle)) > 1e-3


@every_kind
def test_a_file_says_everything(kind, saved):
  spec = pretrained.read(str(saved[kind][1])).about.spec
  wanted = dict(name='gpt', variant='mu', vocab_size=17, context=12, norm_epsilon=1e-5)
  wanted |= dict(position_embedding='learned', tied=True, mlp='gelu_tanh')
  assert spec == wanted | dict(norm_place=dict(gpt2='pre').get(kind, 'post'))


REFUSED = {
  'activation': (dict(activation_function='selu'), "activation_function of Hugging Face 'selu'"),
  'heads': (dict(n_head=3), 'n_head=3, into which the width 16 does not divide'),
  'scale': (dict(scale_attn_weights=False), 'scale_attn_weights=False'),
  'depth': (dict(scale_attn_by_inverse_layer_idx=True), 'scale_attn_by_inverse_layer_idx=True'),
  'cross': (dict(add_cross_attention=True), 'add_cross_attention=True'),
  'number': (dict(n_embd='wide'), "n_embd='wide': it is to be a whole number above 0"),
  'unknown': (dict(rotary=True), 'rotary=True .not known here'),
}


@pytest.mark.parametrize('case', REFUSED)
def test_what_our_model_does_not_compute_is_refused(case, saved, tmp_path):
  words, message = REFUSED[case]
  with pytest.raises(UserError, match=message):
    pretrained.read(changed(saved['gpt2'][1], tmp_path, **words))


def test_weights_without_their_config_are_refused(saved, tmp_path):
  save_file(load_file(saved['gpt2'][1] / 'model.safetensors'), tmp_path / 'alone.safetensors')
  with pytest.raises(UserError, match='say their number of heads in config.json'):
    pretrained.read(str(tmp_path / 'alone.safetensors'))


UNSAID = dict(norm='rmsnorm', position_embedding='rope', mlp='swiglu', qk_norm=True, num_kv_heads=1)


@pytest.mark.parametrize('word', UNSAID)
def test_what_they_cannot_compute_is_not_written(word, tmp_path):
  spec = dict(name='gpt', variant='mu', vocab_size=17)
  about = pretrained.About(spec | {word: UNSAID[word]}, None)
  with pytest.raises(UserError, match=f'GPT-2 of Hugging Face has no such model.*this {word}'):
    pretrained.write(tmp_path, {'params': {}}, about, 'huggingface')
  about = pretrained.About(spec | dict(norm_place='post', mlp_dim=24), None)
  with pytest.raises(UserError, match='GPT-1 of Hugging Face has no such model.*this mlp_dim'):
    pretrained.write(tmp_path, {'params': {}}, about, 'huggingface')


@pytest.mark.parametrize('place', ['pre', 'post'])
def test_what_is_dropped_in_training_is_said_to_those_who_train_on(place):
  rates = dict(dropout_rate=0.3, attention_dropout_rate=0.2)
  config = gpt._to_huggingface(dict(name='gpt', vocab_size=17, norm_place=place, **rates), None)
  assert [config[f'{what}_pdrop'] for what in ('embd', 'resid', 'attn')] == [0.3, 0.3, 0.2]


def test_the_vocabulary_travels(saved, tmp_path, caplog):
  """In with the folder, out with the weights; a damaged one leaves the words unknown."""
  vocabulary = plain.characters(['abcdefghijklmnopq'])
  path = changed(saved['gpt2'][1], tmp_path / 'a')
  assert pretrained.read(path).about.tokenizer == ''
  for name, content in exported.files(vocabulary.text).items():
    (tmp_path / 'a' / name).write_bytes(content)
  weights = pretrained.read(path)
  assert weights.about.tokenizer == vocabulary.text
  assert weights.about.facts()['tokenizer'] == vocabulary.text
  assert 'tokenizer' not in weights.about.describe()
  like = jax.eval_shape(registry.make('models', weights.about.spec).init, KEY, gpts.TOKENS)
  pretrained.write(tmp_path / 'b', weights.load(like), weights.about, 'huggingface')
  assert pretrained.read(str(tmp_path / 'b')).about == weights.about
  (tmp_path / 'a' / 'tokenizer.json').write_text('{}')
  assert pretrained.read(path).about.tokenizer == '' and 'words stay unknown' in caplog.text


def test_of_a_run_a_vocabulary_of_a_language_model_travels_and_no_other():
  text = plain.characters(['abc']).text
  of = lambda **facts: pretrained.About.of({}, facts, {}).tokenizer  # noqa: E731
  assert (of(tokenizer=text), of(tokenizer='AAAA'), of()) == (text, '', '')
