"""Weights of other people's Transformer-XLs.

  'huggingface'  TransfoXLLMHeadModel (transfo-xl-wt103), of transformers before 5
  'original'     MemTransformerLM of the authors' PyTorch code, as safetensors; read, not written

Queries, keys and values lie one after the other in `qkv_net`. A vocabulary is embedded by the
tables that make its logits, and those of the logits are mostly left out; so are, of several
clusters, all projections but the first. A config.json does not say how long a segment is: whatever
its length, the same is computed where the memory is long enough.
"""

import itertools
from collections.abc import Mapping
from typing import Any

from vitlab.errors import UserError
from vitlab.models.transformer_xl import VARIANTS
from vitlab.ops.positions import Grid
from vitlab.pretrained import keys, layouts, specs
from vitlab.pretrained.assemble import Format, Shapes
from vitlab.pretrained.layouts import Layout
from vitlab.pretrained.tables import below, by_table

KIND = 'language_model'  # see `vitlab.pretrained.kind`
SEGMENT = 512  # tokens that a published model reads at once
# Our module or parameter -> their name; {} is the number of the block, or of the table.
BLOCK = {
  'attention/qkv': 'dec_attn.qkv_net',
  'attention/r': 'dec_attn.r_net',
  'attention/out': 'dec_attn.o_net',
  'attention/content_bias': 'dec_attn.r_w_bias',
  'attention/position_bias': 'dec_attn.r_r_bias',
  'norm1': 'dec_attn.layer_norm',
  'mlp/up': 'pos_ff.CoreNet.0',
  'mlp/down': 'pos_ff.CoreNet.3',
  'norm2': 'pos_ff.layer_norm',
}
NAMES = below('decoder/block_{}/', 'layers.{}.', BLOCK) | {
  'token_embedding/embedding': 'word_emb.emb_layers.0.weight',
  'token_embedding/bias': 'crit.out_layers.0.bias',
  'token_embedding/table_{}/embedding': 'word_emb.emb_layers.{}.weight',
  'token_embedding/table_{}/bias': 'crit.out_layers.{}.bias',
  'token_embedding/projection_{}': 'word_emb.emb_projs.{}',
  'token_embedding/head_projection': 'crit.out_projs.0',
  'token_embedding/clusters/kernel': 'crit.cluster_weight',
  'token_embedding/clusters/bias': 'crit.cluster_bias',
}
# There all blocks share their biases.
SHARED = NAMES | {
  'decoder/block_{}/attention/content_bias': 'r_w_bias',
  'decoder/block_{}/attention/position_bias': 'r_r_bias',
}
# The frequencies of sinusoids; tables and projections that are tied, once more.
IGNORED = r'pos_emb\.inv_freq$|crit\.out_layers\.\d+\.weight$|crit\.out_projs\.[1-9]'

KEYS = keys.huggingface(
  'transfo-xl',
  read='n_token d_embed d_head clamp_len same_length mem_len cutoffs div_val tie_projs',
  only=dict(
    pre_lnorm=(False,),
    untie_r=(True,),
    attn_type=(0,),
    sample_softmax=(-1, 0),
    adaptive=(True,),
    proj_share_all_but_first=(True,),
  ),
  training='dropout dropatt init init_range init_std proj_init_std',
)
# Our word -> their key.
SAID = dict(
  vocab_size='vocab_size',
  width='d_model',
  depth='n_layer',
  num_heads='n_head',
  mlp_dim='d_inner',
  cutoffs='cutoffs',
  div_val='div_val',
  memory_length='mem_len',
  same_length='same_length',
  norm_epsilon='layer_norm_epsilon',
)


def _without_prefix(name: str) -> str:
  return name.replace('transformer.crit.', 'crit.')


def _backwards(layout: Layout) -> Layout:
  """In the layout with its first axis the other way round: there the last cluster comes first."""
  return layout._replace(
    to_ours=lambda array, shape: layout.to_ours(array[::-1], shape),
    to_theirs=lambda array: layout.to_theirs(array)[::-1],
  )


ODD = {
  'content_bias': layouts.same,
  'position_bias': layouts.same,
  'embedding': layouts.same,
  'head_projection': layouts.linear(),
} | {f'projection_{i}': layouts.linear() for i in range(10)}
ODD_ORIGINAL = ODD | {
  'clusters/kernel': _backwards(layouts.linear()),
  'clusters/bias': _backwards(layouts.same),
}


def _from_huggingface(config: Mapping[str, Any], shapes: Shapes) -> dict[str, Any]:
  """The model of TransfoXLLMHeadModel.

  Raises:
    UserError: no config.json, or it says what is not computed here.
  """
  del shapes
  words = specs.meant(config, SAID)
  wide = dict(d_embed=words['width'], d_head=words['width'] // words['num_heads'])
  tied = [False, *[True] * len(words['cutoffs'])]
  specs.refuse(
    'vitlab',
    **{key: config.get(key, value) != value for key, value in wide.items()},
    tie_projs=words['div_val'] > 1 and config.get('tie_projs', tied) != tied,
  )
  words['clamp_len'] = int(config['clamp_len']) if config['clamp_len'] > 0 else None
  words['cutoffs'] = tuple(words['cutoffs'])
  spec = specs.size_words(words, VARIANTS, 'base')
  return dict(name='transformer_xl', **spec, context=SEGMENT)


def _from_original(config: Mapping[str, Any], shapes: Shapes) -> dict[str, Any]:
  """The model of MemTransformerLM, by its shapes: no file says more.

  Raises:
    UserError: no tensor says where its clusters begin.
  """
  del config
  tables = specs.count(shapes, 'word_emb.emb_layers')
  sizes, widths = zip(*(shapes[f'word_emb.emb_layers.{i}.weight'] for i in range(tables)))
  if tables == 1 and 'crit.cluster_weight' in shapes:
    raise UserError(
      'its clusters are all as wide, and no tensor says where they begin'
      '\nput a config.json as Hugging Face has it beside, and its names: transformer.layers.0. ...'
    )
  words = dict(
    width=shapes['layers.0.dec_attn.r_net.weight'][1],
    depth=specs.count(shapes, 'layers'),
    num_heads=shapes['r_w_bias'][0],
    mlp_dim=shapes['layers.0.pos_ff.CoreNet.0.weight'][0],
    vocab_size=sum(sizes),
    cutoffs=tuple(itertools.accumulate(sizes[:-1])),
    div_val=widths[0] // widths[1] if tables > 1 else 1,
  )
  return dict(name='transformer_xl', **specs.size_words(words, VARIANTS, 'base'), context=SEGMENT)


def _to_huggingface(spec: Mapping[str, Any], image_size: Grid | None) -> dict[str, Any]:
  """The config.json of TransfoXLLMHeadModel."""
  del image_size
  words = specs.all_words(spec, VARIANTS)
  for key, default in (('memory_length', 'context'), ('eval_memory_length', 'memory_length')):
    words[key] = words[default] if words[key] is None else words[key]
  words['memory_length'] = words['eval_memory_length']
  return dict(
    architectures=['TransfoXLLMHeadModel'],
    model_type='transfo-xl',
    **specs.said(words, SAID),
    d_embed=words['width'],
    d_head=words['width'] // words['num_heads'],
    clamp_len=words['clamp_len'] or -1,
    dropout=words['dropout_rate'],
    dropatt=words['attention_dropout_rate'],
    eos_token_id=0,
  )


FORMATS = {
  'huggingface': Format(
    by_table(NAMES, prefix='transformer.', rename=_without_prefix, odd=ODD),
    _from_huggingface,
    _to_huggingface,
    ignored=rf'(transformer\.)?({IGNORED})',
    head=r'(transformer\.)?word_emb\.emb_layers\.\d+\.weight$|crit\.',
    keys=KEYS,
    architectures=r'transfo-xl$',
    sign=r'transformer\.layers\.0\.dec_attn\.qkv_net\.weight$',
    preprocessing=None,
  ),
  'original': Format(
    by_table(SHARED, odd=ODD_ORIGINAL),
    _from_original,
    ignored=IGNORED,
    head=r'word_emb\.emb_layers\.\d+\.weight$|crit\.',
    sign=r'r_w_bias$',
    preprocessing=None,
  ),
}
