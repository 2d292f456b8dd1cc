"""Weights of other people's GPTs.

  'huggingface'  GPT-1 (openai-gpt, norms behind the branches and none at the end) and GPT-2

Both are written in layers called Conv1D, whose weights lie as [in, out]: they are not transposed.
`c_attn` holds queries, keys and values one after the other. The matrix that makes logits is the one
that embeds tokens, and mostly left out. All names lie below 'transformer.', or in files of the bare
model and of OpenAI's first release none does.

The 'gelu' of GPT-1 is the one of GPT-2, by tanh, which Hugging Face calls 'gelu_new' elsewhere.
"""

import math
from collections.abc import Mapping
from typing import Any

from vitlab.models.gpt import VARIANTS, place_norms
from vitlab.ops.positions import Grid
from vitlab.pretrained import keys, layouts, specs
from vitlab.pretrained.assemble import Format, PartOf, Shapes, Sides
from vitlab.pretrained.layouts import Layout, Shape
from vitlab.pretrained.tables import below, by_table

KIND = 'language_model'  # see `vitlab.pretrained.kind`
# Our module or parameter -> their name; {} is the number of the block.
BLOCK = {
  'attention/qkv': 'attn.c_attn',
  'attention/out': 'attn.c_proj',
  'norm1': 'ln_1',
  'mlp/up': 'mlp.c_fc',
  'mlp/down': 'mlp.c_proj',
  'norm2': 'ln_2',
}
BLOCKS = below('decoder/block_{}/', 'h.{}.', BLOCK) | {'head': 'lm_head'}
FIRST = BLOCKS | {
  'token_embedding/embedding': 'tokens_embed.weight',
  'position_embedding/table': 'positions_embed.weight',
}
SECOND = BLOCKS | {
  'token_embedding/embedding': 'wte.weight',
  'position_embedding/table': 'wpe.weight',
  'norm': 'ln_f',
}

FIRST_ACTIVATIONS = {'gelu': 'gelu_tanh', 'relu': 'relu', 'silu': 'swish', 'swish': 'swish'}
KEYS = keys.huggingface(
  'gpt2',
  'openai-gpt',
  read='n_inner',
  only=dict(
    tie_word_embeddings=(True, False),
    scale_attn_weights=(True,),
    scale_attn_by_inverse_layer_idx=(False,),
    n_special=(0,),
    predict_special_tokens=(True,),
  ),
  training='resid_pdrop embd_pdrop attn_pdrop initializer_range',
  why={
    'says again what n_positions says': 'n_ctx',
    'says in which numbers attention is computed': 'reorder_and_upcast_attn',
    'is of a head that chooses between texts': (
      'summary_type summary_use_proj summary_activation summary_first_dropout'
      ' summary_proj_to_labels'
    ),
  },
)
# Our word -> their key.
SAID = dict(
  vocab_size='vocab_size',
  context='n_positions',
  width='n_embd',
  depth='n_layer',
  num_heads='n_head',
  norm_epsilon='layer_norm_epsilon',
)
# Of all of theirs.
ONLY = dict(norm='layernorm', qk_norm=False, num_kv_heads=None, position_embedding='learned')
LAST = 50256  # <|endoftext|> of GPT-2, with which their class fills in what a file does not say


def _part_of(sides: Sides) -> PartOf:
  if sides.theirs:
    first = any('tokens_embed' in name for name in sides.theirs)
  else:
    words = specs.all_words(sides.spec)
    first = place_norms(words['variant'], words['norm_place']) == 'post'
  return by_table(
    FIRST if first else SECOND,
    prefix='transformer.',
    rename=lambda name: name.replace('transformer.lm_head', 'lm_head'),
    odd={'embedding': layouts.same, 'table': layouts.same, 'head/kernel': layouts.linear()},
    usual=_usual,
  )(sides)


def _usual(path: str, shape: Shape) -> Layout:
  """Kernels as Conv1D has them; all else is flat."""
  if not path.endswith('/kernel'):
    return layouts.flat
  contracted = 2 if path.endswith('/out/kernel') else 1
  return layouts.reshaped(lambda ours: (math.prod(ours[:contracted]), math.prod(ours[contracted:])))


def _from_huggingface(config: Mapping[str, Any], shapes: Shapes) -> dict[str, Any]:
  """The model of GPT2LMHeadModel or OpenAIGPTLMHeadModel.

  Raises:
    UserError: no config.json, or it says a number or an activation that we do not have.
  """
  del shapes
  words = specs.meant(config, SAID)
  first = config['model_type'] == 'openai-gpt'
  if first:
    mlp = specs.named(config['afn'], FIRST_ACTIVATIONS, 'afn of openai-gpt')
  else:
    what = 'activation_function of Hugging Face'
    mlp = specs.named(config['activation_function'], specs.HF_ACTIVATIONS, what)
  inner = None if first else config.get('n_inner')  # which the class of GPT-1 does not read
  words['mlp_dim'] = inner or 4 * words['width']
  return dict(
    name='gpt',
    **specs.size_words(words, VARIANTS, 'small'),
    norm_place='post' if first else 'pre',
    position_embedding='learned',
    tied=config.get('tie_word_embeddings', True),
    mlp=mlp,
  )


def _to_huggingface(spec: Mapping[str, Any], image_size: Grid | None) -> dict[str, Any]:
  """The config.json of GPT2LMHeadModel or OpenAIGPTLMHeadModel."""
  del image_size
  words = specs.all_words(spec, VARIANTS)
  first = place_norms(words['variant'], words['norm_place']) == 'post'
  activations = specs.inverse(FIRST_ACTIVATIONS if first else specs.HF_ACTIVATIONS)
  whose = 'GPT-1' if first else 'GPT-2'
  specs.refuse(
    f'{whose} of Hugging Face',
    **specs.differing(words, ONLY),
    mlp=words['mlp'] not in activations,
    mlp_dim=first and words['mlp_dim'] != 4 * words['width'],
  )
  config = dict(
    architectures=['OpenAIGPTLMHeadModel' if first else 'GPT2LMHeadModel'],
    model_type='openai-gpt' if first else 'gpt2',
    **specs.said(words, SAID),
    tie_word_embeddings=words['tied'],
    resid_pdrop=words['dropout_rate'],
    embd_pdrop=words['dropout_rate'],
    attn_pdrop=words['attention_dropout_rate'],
  )
  config['afn' if first else 'activation_function'] = activations[words['mlp']]
  if not first:
    config['n_inner'] = words['mlp_dim']
  if words['vocab_size'] <= LAST:
    config |= dict(bos_token_id=None, eos_token_id=None)
  return config


FORMATS = {
  'huggingface': Format(
    _part_of,
    _from_huggingface,
    _to_huggingface,
    # Masks that are constants; the matrix of tokens once more.
    ignored=r'(transformer\.)?h\.\d+\.attn\.(masked_)?bias$|lm_head\.weight$',
    head=r'(transformer\.)?(wte|tokens_embed)\.weight$|lm_head\.weight$',
    keys=KEYS,
    architectures=r'(gpt2|openai-gpt)$',
    sign=r'(transformer\.)?h\.0\.attn\.c_attn\.weight$',
    preprocessing=None,
  ),
}
