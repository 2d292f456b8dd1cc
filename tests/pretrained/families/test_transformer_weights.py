"""Marian comes in, with tokens of other numbers, and goes out; what is none of ours is refused."""

import json
from functools import partial

import _helpers.torchvision_shim  # noqa: F401  isort: skip
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from _helpers import marian, parity
from _helpers.hf_folders import changed
from safetensors.numpy import load_file, save_file
from scipy.special import log_softmax
from transformers import AutoModelForSeq2SeqLM

from vitlab import pretrained, registry
from vitlab.errors import UserError
from vitlab.ops.tokens import SPECIAL

# Ours -> theirs: <pad> <s> </s> <unk> a b ..., of which <s> is their <pad>.
THEIRS = np.array([10, 10, 0, 1, *range(2, 10)])
TOKENS = np.array([[4, 7, 5, 3, 2], [8, 2, 0, 0, 0], [6, 11, 4, 2, 0]])
INPUTS = np.array([[1, 9, 5, 7], [1, 8, 3, 4], [1, 4, 10, 6]])


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
  with jax.enable_x64(True):
    oracle = marian.perturb(marian.make())
  return marian.save(tmp_path_factory.mktemp('marian'), oracle)


def in_double(weights, **words):
  """Our variables and the function tokens, inputs -> logits."""
  model = registry.make('models', {**weights.about.spec, 'dtype': 'float64', **words})
  like = jax.eval_shape(model.init, jax.random.key(0), TOKENS, INPUTS)
  like = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, jnp.float64), like)
  variables = jax.tree.map(jnp.asarray, weights.load(like))
  return variables, jax.jit(lambda *inputs: model.apply(variables, *inputs)[0])


@pytest.mark.parametrize(
  'activation, scan', [('swish', True), ('relu', False), ('gelu', False), ('gelu_new', False)]
)
def test_logits_are_those_of_marian(activation, scan, tmp_path, x64):
  oracle = marian.perturb(marian.make(activation_function=activation))
  weights = pretrained.read(str(marian.save(tmp_path, oracle)))
  _, logits = in_double(weights, scan=scan)
  expected = marian.logits(oracle, THEIRS[TOKENS], THEIRS[INPUTS], pad=10)
  assert np.abs(oracle.final_logits_bias.numpy()).min() > 0
  found = np.array(logits(TOKENS, INPUTS))
  found[..., 1] += 30  # <s>, the copy of their padding, which is hidden from the softmax
  assert parity.error(found, expected[..., THEIRS]) < 1e-11
  found[..., 1] -= 30
  ours = [0, *range(2, 12)]
  found, expected = log_softmax(found, axis=-1), log_softmax(expected, axis=-1)
  assert parity.error(found[..., ours], expected[..., THEIRS[ours]]) < 1e-11


def test_a_folder_says_everything(folder):
  weights = pretrained.read(str(folder))
  assert (weights.family, weights.format) == ('transformer', 'huggingface')
  spec = dict(name='transformer', variant='mu', vocab_size=12, mlp='swish', norm_place='post')
  spec |= dict(norm_epsilon=1e-5, position_embedding='sincos', tied=True, logits_bias=True)
  words = (*SPECIAL, *'abcdefgh')
  assert weights.about == pretrained.About(spec, None, vocabulary=words)


def test_sizes_that_have_no_name_are_said(tmp_path):
  marian.save(tmp_path, marian.make(d_model=8, encoder_ffn_dim=24, decoder_ffn_dim=24))
  spec = pretrained.read(str(tmp_path)).about.spec
  assert dict(width=8, depth=2, num_heads=2, mlp_dim=24).items() <= spec.items()
  like = jax.eval_shape(registry.make('models', spec).init, jax.random.key(0), TOKENS, INPUTS)
  pretrained.read(str(tmp_path)).load(like)


def test_numbers_that_are_ours_already_stay(tmp_path):
  ours = dict(pad_token_id=0, decoder_start_token_id=1, eos_token_id=2, unk_token_id=3)
  oracle = marian.make(**ours)
  oracle.save_pretrained(tmp_path)
  weights = pretrained.read(str(tmp_path))
  assert (weights.about.spec['vocab_size'], weights.about.vocabulary) == (11, ())
  embedding = weights.tensors['model.shared.weight']
  np.testing.assert_array_equal(embedding, oracle.model.shared.weight.detach().numpy())


def test_what_goes_out_computes_the_same_and_comes_back_bit_for_bit(folder, tmp_path, x64):
  weights = pretrained.read(str(folder))
  variables, logits = in_double(weights)
  pretrained.write(tmp_path, variables, weights.about, 'huggingface')
  theirs, info = AutoModelForSeq2SeqLM.from_pretrained(
    tmp_path, local_files_only=True, dtype=torch.float64, output_loading_info=True
  )
  assert not any(info.values())
  found = marian.logits(marian.exact(theirs), TOKENS, INPUTS, pad=0)
  assert parity.error(logits(TOKENS, INPUTS), found) < 1e-11
  again = pretrained.read(str(tmp_path))
  assert again.about == weights.about
  assert parity.error(again.load(jax.eval_shape(lambda: variables)), variables) == 0


def test_without_a_bias_it_goes_out_too(tmp_path):
  """Theirs is then the zeros that it starts with."""
  spec = dict(name='transformer', variant='mu', vocab_size=12, norm_epsilon=1e-5)
  model = registry.make('models', spec)
  variables = jax.jit(model.init)(jax.random.key(0), TOKENS, INPUTS)
  pretrained.write(tmp_path, variables, pretrained.About(spec, None), 'huggingface')
  theirs = AutoModelForSeq2SeqLM.from_pretrained(tmp_path, local_files_only=True).eval()
  expected, _ = jax.jit(model.apply)(variables, TOKENS, INPUTS)
  np.testing.assert_allclose(marian.logits(theirs, TOKENS, INPUTS, 0), expected, atol=2e-5)
  # What their `generate` says begins with our <s>, and never has it or padding again.
  said = theirs.generate(torch.tensor(TOKENS), max_length=9, num_beams=2, do_sample=False)
  assert np.all(said[:, 0].numpy() == 1) and not np.any(said[:, 1:].numpy() == 1)
  assert not pretrained.read(str(tmp_path)).about.spec['logits_bias']


def test_copies_of_the_matrix_and_tables_of_positions_are_dropped(folder, tmp_path):
  tensors = load_file(folder / 'model.safetensors')
  embedding = tensors['model.shared.weight']
  for side in ('encoder', 'decoder'):
    tensors[f'model.{side}.embed_tokens.weight'] = embedding.copy()
    tensors[f'model.{side}.embed_positions.weight'] = np.zeros((32, 16))
  tensors['lm_head.weight'] = embedding.copy()
  weights = pretrained.read(changed(folder, tmp_path, tensors))
  model = registry.make('models', weights.about.spec)
  like = jax.eval_shape(model.init, jax.random.key(0), TOKENS, INPUTS)
  assert jax.tree.structure(weights.load(like)) == jax.tree.structure(like)


def test_new_words_leave_the_rest(folder):
  weights = pretrained.read(str(folder))
  model = registry.make('models', {**weights.about.spec, 'vocab_size': 20})
  like = jax.eval_shape(model.init, jax.random.key(0), TOKENS, INPUTS)
  with pytest.raises(UserError, match=r'model\.shared\.weight \(12, 16\), needed \(20, 16\)'):
    weights.load(like)
  assert weights.load(like, head='new')['params'].keys() == {'encoder', 'decoder'}


REFUSED = {
  'scale': (dict(scale_embedding=False), 'scale_embedding=False'),
  'depths': (dict(decoder_layers=1), 'with encoder_layers=2, decoder_layers=1'),
  'heads': (dict(encoder_attention_heads=4), 'encoder_attention_heads=4, decoder_attention_heads'),
  'widths': (dict(decoder_ffn_dim=64), 'encoder_ffn_dim=32, decoder_ffn_dim=64'),
  'matrices': (dict(share_encoder_decoder_embeddings=False), 'share_encoder_decoder_emb'),
  'untied': (dict(tie_word_embeddings=False), 'tie_word_embeddings=False'),
  'positions': (dict(static_position_embeddings=False), 'static_position_embeddings=False'),
  'norm before': (dict(normalize_before=True), 'normalize_before=True'),
  'norm of embeddings': (dict(normalize_embedding=True), 'normalize_embedding=True'),
  'norm at the end': (dict(add_final_layer_norm=True), 'add_final_layer_norm=True'),
  'activation': (dict(activation_function='tanh'), "activation_function of Hugging Face 'tanh'"),
  'token': (dict(pad_token_id=11), 'pad_token_id=11 is none of the 11 tokens'),
  'no number': (dict(eos_token_id='end'), "eos_token_id='end': it is to be a whole number"),
}


@pytest.mark.parametrize('case', REFUSED)
def test_what_our_model_does_not_compute_is_refused(case, folder, tmp_path):
  words, message = REFUSED[case]
  with pytest.raises(UserError, match=message) as error:
    pretrained.read(changed(folder, tmp_path, **words))
  assert str(tmp_path) in str(error.value) and len(str(error.value).splitlines()) <= 2


def test_unknown_words_must_be_known(folder, tmp_path):
  path = changed(folder, tmp_path)
  (tmp_path / 'vocab.json').unlink()
  with pytest.raises(UserError, match='no vocab.json says which token is <unk>'):
    pretrained.read(path)


def test_a_vocabulary_of_another_length_is_left_out(folder, tmp_path):
  path = changed(folder, tmp_path)
  (tmp_path / 'vocab.json').write_text(json.dumps({'</s>': 0, '<unk>': 1, 'a': 2}))
  assert pretrained.read(path).about.vocabulary == ()


def test_files_that_are_no_marian(folder, tmp_path):
  tensors = load_file(folder / 'model.safetensors')
  alone = tmp_path / 'alone.safetensors'
  save_file(tensors, alone)
  with pytest.raises(UserError, match='say their number of heads in config.json'):
    pretrained.read(str(alone))
  embedding = tensors.pop('model.shared.weight')
  with pytest.raises(UserError, match="a transformer without 'model.shared.weight'"):
    pretrained.read(changed(folder, tmp_path / 'a', tensors))
  tensors |= {'model.shared.weight': embedding, 'model.encoder.layer_norm.weight': np.ones(16)}
  tensors['final_logits_bias'] = tensors['final_logits_bias'][:, :-1].copy()
  del tensors['model.decoder.layers.0.encoder_attn.k_proj.weight']
  weights = pretrained.read(changed(folder, tmp_path / 'b', tensors))
  model = registry.make('models', weights.about.spec)
  like = jax.eval_shape(partial(model.init, train=False), jax.random.key(0), TOKENS, INPUTS)
  with pytest.raises(UserError) as error:
    weights.load(like)
  for text in (
    'missing: model.decoder.layers.0.encoder_attn.k_proj.weight',
    'unused: model.encoder.layer_norm.weight',
    'misshapen: final_logits_bias (1, 10), needed (1, 12)',
  ):
    assert text in str(error.value)


UNSAID = dict(
  norm_place='pre',
  norm_epsilon=1e-6,
  position_embedding='learned',
  tied=False,
  mlp='swiglu',
)


@pytest.mark.parametrize('word', UNSAID)
def test_what_marian_cannot_compute_is_not_written(word, tmp_path):
  spec = dict(name='transformer', variant='mu', vocab_size=12, norm_epsilon=1e-5)
  about = pretrained.About(spec | {word: UNSAID[word]}, None)
  with pytest.raises(UserError, match=f'Marian of Hugging Face has no such model.*this {word}'):
    pretrained.write(tmp_path, {'params': {}}, about, 'huggingface')
  with pytest.raises(UserError, match="unknown format of transformer weights 'timm'"):
    pretrained.write(tmp_path, {'params': {}}, about, 'timm')
