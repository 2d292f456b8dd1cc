"""Weights of other people's Transformers.

  'huggingface'  Marian (opus-mt): the Transformer of the paper, with 'swish' in most files

Their tokens have other numbers than ours: </s> is 0, <unk> 1, and the padding, with which their
decoder also starts, the last one. Rows of what has a row for each token are moved before anything
else is read (`Format.prepare`), so that all tables and exports know `vitlab.ops.tokens` alone. Our
<s> is a copy of the token that their decoder starts with: where that is the padding, our vocabulary
is larger by one. Which word came to lie where, `About.vocabulary` says: a tokenizer reads it there.

`final_logits_bias` is Marian's `decoder_ff_logit_out_b`, which it has learned like all else; it is
not zero in opus-mt and becomes a parameter (logits_bias=True). That of the copy for <s> is 30 below
the original's, which hides it from the softmax: all probabilities are theirs to 1e-13. A huge one
would make the loss with label smoothing infinite. Nobody says <pad> or <s> (`vitlab.ops.search`;
their `bad_words_ids`).

What is written has our numbers, and a config.json that says so.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from vitlab.data import marian
from vitlab.errors import UserError
from vitlab.models.transformer import VARIANTS
from vitlab.ops.positions import Grid
from vitlab.ops.tokens import BOS, EOS, PAD, SPECIAL, UNK
from vitlab.pretrained import keys, specs
from vitlab.pretrained.assemble import Format, Shapes
from vitlab.pretrained.files import Files
from vitlab.pretrained.layouts import batched, same
from vitlab.pretrained.tables import below, by_table

# Our module or parameter -> their name; {} is the number of the block. Several names are queries,
# keys and values apart.
EMBEDDING, BIAS = 'model.shared.weight', 'final_logits_bias'
KIND = 'translation'  # see `vitlab.pretrained.kind`
BLOCK = {  # of encoder and decoder
  'attention/qkv': ('self_attn.q_proj', 'self_attn.k_proj', 'self_attn.v_proj'),
  'attention/out': 'self_attn.out_proj',
  'mlp/up': 'fc1',
  'mlp/down': 'fc2',
  'norm1': 'self_attn_layer_norm',
}
DECODER = BLOCK | {
  'cross/q': 'encoder_attn.q_proj',
  'cross/kv': ('encoder_attn.k_proj', 'encoder_attn.v_proj'),
  'cross/out': 'encoder_attn.out_proj',
  'norm2': 'encoder_attn_layer_norm',
  'norm3': 'final_layer_norm',
}
HUGGINGFACE = {
  'source/embedding': EMBEDDING,
  'source/bias': BIAS,
  **below('encoder/block_{}/', 'model.encoder.layers.{}.', BLOCK | {'norm2': 'final_layer_norm'}),
  **below('decoder/block_{}/', 'model.decoder.layers.{}.', DECODER),
}

# The paper's model is one answer to each question of theirs.
KEYS = keys.huggingface(
  'marian',
  read='decoder_vocab_size unk_token_id',
  only=dict(
    is_encoder_decoder=(True,),
    scale_embedding=(True,),
    share_encoder_decoder_embeddings=(True,),
    static_position_embeddings=(True,),
    normalize_before=(False,),
    normalize_embedding=(False,),
    add_final_layer_norm=(False,),
    add_bias_logits=(False,),
  ),
  training=(
    'dropout attention_dropout activation_dropout init_std encoder_layerdrop decoder_layerdrop'
    ' classifier_dropout classif_dropout'
  ),
  why={
    'is the length of a table that is computed': 'max_position_embeddings extra_pos_embeddings',
    'says again what encoder_layers says': 'num_hidden_layers',
  },
)
# Our word -> their key, behind 'encoder_' and 'decoder_'.
SIDES = dict(depth='layers', num_heads='attention_heads', mlp_dim='ffn_dim')
# Of all of theirs; the epsilon is torch's, said nowhere.
ONLY = dict(norm_place='post', norm_epsilon=1e-5, position_embedding='sincos', tied=True)
# Ours of their tokens.
NUMBERS = dict(pad_token_id=PAD, decoder_start_token_id=BOS, eos_token_id=EOS, unk_token_id=UNK)
HIDDEN = -30.0  # what the bias of a copied token is lowered by


def _renumber(files: Files) -> Files:
  """Files in which tokens have our numbers.

  Raises:
    UserError: as `vitlab.data.marian.order`.
  """
  config, words = files.config, files.words
  if 'd_model' not in config:
    raise UserError(specs.NO_CONFIG)
  size = len(files.tensors[EMBEDDING])
  order = marian.order(config, words, size)
  tensors = dict(files.tensors)
  tensors[EMBEDDING] = tensors[EMBEDDING][order]
  copied = order[BOS] == order[PAD]
  if copied:
    tensors.setdefault(BIAS, np.zeros((1, size), np.float32))
  if BIAS in tensors and tensors[BIAS].shape == (1, size):
    tensors[BIAS] = tensors[BIAS][:, order] + HIDDEN * copied * (np.arange(len(order)) == BOS)
  moved = {i: words[int(token)] for i, token in enumerate(order) if token in words}
  return files._replace(
    tensors=tensors,
    config={**config, **NUMBERS, 'vocab_size': len(order)},
    words=moved | dict(enumerate(SPECIAL)) if words else {},
  )


def _from_huggingface(config: Mapping[str, Any], shapes: Shapes) -> dict[str, Any]:
  """The model of MarianMTModel.

  Raises:
    UserError: it is not the Transformer of the paper, or its activation is none of ours.
  """
  wrong = {} if config.get('scale_embedding') else {'scale_embedding': False}  # their default
  for key in SIDES.values():
    if config[f'decoder_{key}'] != config[f'encoder_{key}']:
      wrong |= {f'{side}_{key}': config[f'{side}_{key}'] for side in ('encoder', 'decoder')}
  if wrong:
    words = ', '.join(f'{key}={value!r}' for key, value in wrong.items())
    raise UserError(f'Marian with {words} is none that vitlab computes: choose another')
  size = {word: config[f'encoder_{key}'] for word, key in SIDES.items()}
  activation = config.get('activation_function', 'gelu')
  return dict(
    name='transformer',
    vocab_size=config['vocab_size'],
    **specs.size_words(size | dict(width=config['d_model']), VARIANTS, 'base'),
    **ONLY,
    logits_bias=BIAS in shapes,
    mlp=specs.named(activation, specs.HF_ACTIVATIONS, 'activation_function of Hugging Face'),
  )


def _to_huggingface(spec: Mapping[str, Any], image_size: Grid | None) -> dict[str, Any]:
  """The config.json of MarianMTModel."""
  del image_size
  words, activations = specs.all_words(spec, VARIANTS), specs.inverse(specs.HF_ACTIVATIONS)
  unknown = words['mlp'] not in activations
  specs.refuse('Marian of Hugging Face', **specs.differing(words, ONLY), mlp=unknown)
  return dict(
    architectures=['MarianMTModel'],
    model_type='marian',
    is_encoder_decoder=True,
    vocab_size=words['vocab_size'],
    d_model=words['width'],
    **specs.said(words, {word: f'encoder_{key}' for word, key in SIDES.items()}),
    **specs.said(words, {word: f'decoder_{key}' for word, key in SIDES.items()}),
    activation_function=activations[words['mlp']],
    dropout=words['dropout_rate'],
    scale_embedding=True,
    max_position_embeddings=words['max_length'],
    **NUMBERS,
    forced_eos_token_id=EOS,
    bad_words_ids=[[PAD], [BOS]],  # what `generate` must not say
  )


FORMATS = {
  'huggingface': Format(
    by_table(HUGGINGFACE, odd={'source/embedding': same, 'source/bias': batched}),
    _from_huggingface,
    _to_huggingface,
    # Copies of the one matrix; sines and cosines.
    ignored=r'model\.(encoder|decoder)\.embed_(tokens|positions)\.weight$|lm_head\.weight$',
    head=rf'({EMBEDDING}|{BIAS})$',
    keys=KEYS,
    architectures=r'marian$',
    sign=r'model\.decoder\.layers\.0\.encoder_attn\.q_proj\.weight$',
    preprocessing=None,
    prepare=_renumber,
  ),
}
