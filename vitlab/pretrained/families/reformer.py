"""Weights of other people's Reformers.

  'huggingface'  ReformerModelWithLMHead of transformers 4; files of the 5.x that were read had no
                 bias of the head

Hashes are drawn, not stored: theirs by torch, ours by JAX, so that models of more than one chunk
agree as much as two draws of theirs do, and exactly where the same rotations are given.
"""

import math
from collections.abc import Mapping
from typing import Any

from vitlab.models.reformer import VARIANTS
from vitlab.ops.positions import Grid
from vitlab.pretrained import keys, layouts, specs
from vitlab.pretrained.assemble import Format, Shapes
from vitlab.pretrained.files import Files
from vitlab.pretrained.tables import below, by_table

KIND = 'language_model'  # see `vitlab.pretrained.kind`
# Our module or parameter -> their name; {} is the number of the block.
BLOCK = {
  'norm1': 'attention.layer_norm',
  'attention/q': 'attention.self_attention.query_key',  # of LSH
  'attention/v': 'attention.self_attention.value',
  'attention/qkv': tuple(f'attention.self_attention.{x}' for x in ('query', 'key', 'value')),
  'attention/out': 'attention.output.dense',
  'norm2': 'feed_forward.layer_norm',
  'mlp/up': 'feed_forward.dense.dense',
  'mlp/down': 'feed_forward.output.dense',
}
BIAS, SAME_BIAS = 'lm_head.bias', 'lm_head.decoder.bias'
POSITIONS = 'reformer.embeddings.position_embeddings'
TABLE = below('decoder/block_{}/', 'reformer.encoder.layers.{}.', BLOCK) | {
  'token_embedding/embedding': 'reformer.embeddings.word_embeddings.weight',
  'position_embedding/table': f'{POSITIONS}.embedding.weight',
  'position_embedding/rows': f'{POSITIONS}.weights.0',
  'position_embedding/columns': f'{POSITIONS}.weights.1',
  'norm': 'reformer.encoder.layer_norm',
  'head/kernel': 'lm_head.decoder.weight',
  'head/bias': BIAS,
}
# Our word -> their key.
SAID = dict(
  vocab_size='vocab_size',
  context='max_position_embeddings',
  width='hidden_size',
  num_heads='num_attention_heads',
  head_dim='attention_head_size',
  mlp_dim='feed_forward_size',
  num_hashes='num_hashes',
  lsh_chunk='lsh_attn_chunk_length',
  local_chunk='local_attn_chunk_length',
  norm_epsilon='layer_norm_eps',
)
KEYS = keys.huggingface(
  'reformer',
  read='num_buckets',
  only=dict(
    is_decoder=(True,),
    tie_word_embeddings=(False,),
    lsh_num_chunks_before=(1,),
    lsh_num_chunks_after=(0,),
    local_num_chunks_before=(1,),
    local_num_chunks_after=(0,),
  ),
  training=(
    'hidden_dropout_prob lsh_attention_probs_dropout_prob local_attention_probs_dropout_prob'
    ' initializer_range axial_norm_std'
  ),
  why={
    'says again how many attn_layers there are': 'num_hidden_layers',
    'says how hashes are drawn, which are drawn otherwise here': 'hash_seed',
    'says how the head is run': 'chunk_size_lm_head',
    'is of a head that classifies texts': 'classifier_dropout',
  },
)
ONLY = dict(causal=True, same_bucket=False, count_once=False)


def _with_bias(files: Files) -> Files:
  """Files in which the bias of the head has the one of its two names."""
  tensors = dict(files.tensors)
  if SAME_BIAS in tensors:
    tensors.setdefault(BIAS, tensors[SAME_BIAS])
  return files._replace(tensors=tensors)


def _turns(kinds: list[str]) -> list[str]:
  """The shortest list that gives all when its members take turns."""
  return next(kinds[:n] for n in range(1, len(kinds) + 1) if _every(kinds[:n], len(kinds)) == kinds)


def _every(turns: list[str], depth: int) -> list[str]:
  return [turns[i % len(turns)] for i in range(depth)]


def _from_huggingface(config: Mapping[str, Any], shapes: Shapes) -> dict[str, Any]:
  """The model of a ReformerModelWithLMHead."""
  del shapes
  words = {ours: config[theirs] for ours, theirs in SAID.items()}
  words['depth'] = len(config['attn_layers'])
  if config['axial_pos_embds']:
    shape, widths = config['axial_pos_shape'], config['axial_pos_embds_dim']
    words |= dict(axial_shape=list(shape), axial_widths=list(widths))
    words['context'] = min(words['context'], math.prod(shape))  # longer texts they refuse
  return dict(
    name='reformer',
    **specs.size_words(words, VARIANTS, 'tiny'),
    attn_layers=_turns(config['attn_layers']),
    num_buckets=config.get('num_buckets'),
    mlp=specs.named(config['hidden_act'], specs.HF_ACTIVATIONS, 'hidden_act of Hugging Face'),
  )


def _to_huggingface(spec: Mapping[str, Any], image_size: Grid | None) -> dict[str, Any]:
  """The config.json of ReformerModelWithLMHead."""
  del image_size
  words, activations = specs.all_words(spec), specs.inverse(specs.HF_ACTIVATIONS)
  size = VARIANTS[words['variant']]._asdict()
  words |= {field: words.get(field) or number for field, number in size.items()}
  words['head_dim'] = words['head_dim'] or words['width'] // words['num_heads']
  axial = words['axial_shape'] is not None
  specs.refuse(
    'Reformer of Hugging Face',
    **specs.differing(words, ONLY),
    mlp=words['mlp'] not in activations,
    attn_layers=not set(words['attn_layers']) <= {'lsh', 'local'},
  )
  half = words['width'] // 2
  widths = words['axial_widths'] or (half, words['width'] - half)
  config = dict(
    architectures=['ReformerModelWithLMHead'],
    model_type='reformer',
    is_decoder=True,
    **specs.said(words, SAID),
    attn_layers=_every(list(words['attn_layers']), words['depth']),
    num_buckets=words['num_buckets'] and _plain(words['num_buckets']),
    hidden_act=activations[words['mlp']],
    axial_pos_embds=axial,
    hidden_dropout_prob=words['dropout_rate'],
    tie_word_embeddings=False,
  )
  return config | (
    dict(axial_pos_shape=list(words['axial_shape']), axial_pos_embds_dim=list(widths))
    if axial
    else {}
  )


def _plain(buckets: Any) -> int | list[int]:
  return buckets if isinstance(buckets, int) else list(buckets)


FORMATS = {
  'huggingface': Format(
    by_table(
      TABLE,
      odd={
        'embedding': layouts.same,
        'table': layouts.same,
        'rows': layouts.reshaped(lambda ours: (ours[0], 1, ours[1])),
        'columns': layouts.reshaped(lambda ours: (1, *ours)),
      },
    ),
    _from_huggingface,
    _to_huggingface,
    ignored=r'lm_head\.decoder\.bias$',
    head=r'lm_head\.|reformer\.embeddings\.word_embeddings\.',
    keys=KEYS,
    architectures=r'reformer$',
    sign=r'reformer\.encoder\.layers\.0\.attention\.output\.dense\.weight$',
    preprocessing=None,
    prepare=_with_bias,
  ),
}
