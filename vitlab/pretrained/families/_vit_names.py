"""The names of the parameters of a ViT in the files of five sources, and how they lie there."""

import re
from functools import partial

from vitlab.pretrained.assemble import PartOf, Sides
from vitlab.pretrained.layouts import Layout, flat, half, linear, reshaped, same
from vitlab.pretrained.rename import substituted
from vitlab.pretrained.tables import below, by_table, column, of_tokens

ATTENTION, POSITIONS = 'MultiHeadDotProductAttention_1', 'Transformer/posembed_input/pos_embedding'
# Our module or parameter -> the name of timm, of Hugging Face, of AugReg; {} is the number of the
# block. Several names are queries, keys and values apart.
OUTER = {
  'patch_embed': ('patch_embed.proj', 'embeddings.patch_embeddings.projection', 'embedding'),
  'cls_token': ('cls_token', 'embeddings.cls_token', 'cls'),
  'position_embedding/prefix': ('pos_embed', 'embeddings.position_embeddings', POSITIONS),
  'position_embedding/grid': ('pos_embed', 'embeddings.position_embeddings', POSITIONS),
  'norm': ('norm', 'layernorm', 'Transformer/encoder_norm'),
  'head': ('head', 'classifier', 'head'),
}
BLOCK = {
  'norm1': ('norm1', 'layernorm_before', 'LayerNorm_0'),
  'norm2': ('norm2', 'layernorm_after', 'LayerNorm_2'),
  'attention/qkv': (
    'attn.qkv',
    tuple(f'attention.attention.{x}' for x in ('query', 'key', 'value')),
    tuple(f'{ATTENTION}/{x}' for x in ('query', 'key', 'value')),
  ),
  'attention/out': ('attn.proj', 'attention.output.dense', f'{ATTENTION}/out'),
  'mlp/up': ('mlp.fc1', 'intermediate.dense', 'MlpBlock_3/Dense_0'),
  'mlp/down': ('mlp.fc2', 'output.dense', 'MlpBlock_3/Dense_1'),
}
TIMM, HUGGINGFACE, AUGREG = (
  column(OUTER, i) | below('encoder/block_{}/', block, column(BLOCK, i))
  for i, block in enumerate(('blocks.{}.', 'encoder.layer.{}.', 'Transformer/encoderblock_{}/'))
)
SCALES = below('encoder/block_{}/', 'blocks.{}.', {'scale1': 'ls1', 'scale2': 'ls2'})

# facebookresearch/dinov2, whose names are those of timm but for these; its mlp may be gated.
FACEBOOK = TIMM | SCALES | {'registers': 'register_tokens'}
FACEBOOK_GATED = FACEBOOK | below(
  'encoder/block_{}/mlp/', 'blocks.{}.mlp.', {'gate': 'w12', 'up': 'w12', 'down': 'w3'}
)
TIMM |= SCALES | {
  'dist_token': 'dist_token',
  'registers': 'reg_token',
  'encoder/block_{}/attention/q_norm': 'blocks.{}.attn.q_norm',
  'encoder/block_{}/attention/k_norm': 'blocks.{}.attn.k_norm',
  'encoder/block_{}/mlp/gate': 'blocks.{}.mlp.fc1_g',
  'pool/probe': 'attn_pool.latent',
  'pool/attention/q': 'attn_pool.q',
  'pool/attention/kv': 'attn_pool.kv',
  'pool/attention/out': 'attn_pool.proj',
  'pool/norm': 'attn_pool.norm',
  'pool/mlp/gate': 'attn_pool.mlp.fc1_g',
  'pool/mlp/up': 'attn_pool.mlp.fc1',
  'pool/mlp/down': 'attn_pool.mlp.fc2',
  'head_dist': 'head_dist',
}

DEIT = HUGGINGFACE | {
  'dist_token': 'embeddings.distillation_token',
  'head': 'cls_classifier',
  'head_dist': 'distillation_classifier',
}
DEIT_ALONE = HUGGINGFACE | {'registers': 'embeddings.distillation_token'}
DINOV2 = HUGGINGFACE | {'registers': 'embeddings.register_tokens'}
DINOV2 |= below(
  'encoder/block_{}/',
  'encoder.layer.{}.',
  {
    'norm1': 'norm1',
    'norm2': 'norm2',
    'scale1': 'layer_scale1',
    'scale2': 'layer_scale2',
    'mlp/up': 'mlp.fc1',
    'mlp/down': 'mlp.fc2',
  },
)
DINOV2_GATED = DINOV2 | below(
  'encoder/block_{}/mlp/',
  'encoder.layer.{}.mlp.',
  {'gate': 'weights_in', 'up': 'weights_in', 'down': 'weights_out'},
)

# AugReg's queries, keys and values [d, n, k] one below the other <-> ours, [d, 3, n, k].
STACKED_QKV = Layout(
  theirs=lambda shape: (3 * shape[0], *shape[2:]),
  to_ours=lambda array, shape: array.reshape(3, shape[0], *shape[2:]).swapaxes(0, 1),
  to_theirs=lambda array: array.swapaxes(0, 1).reshape(-1, *array.shape[2:]),
)
STACKED_BIAS = reshaped(lambda shape: (shape[0] * shape[1], *shape[2:]))  # [3, n, k] <-> [3·n, k]

# transformers 5 renames modules in memory, though not in its files.
HUGGINGFACE_5 = {
  r'encoder\.layer\.': 'layers.',
  r'attention\.attention\.(\w)\w+\.': r'attention.\1_proj.',
  r'attention\.output\.dense': 'attention.o_proj',
  r'intermediate\.dense': 'mlp.fc1',
  r'(\d)\.output\.dense': r'\1.mlp.fc2',
}


def huggingface(sides: Sides) -> PartOf:
  """Those of Hugging Face's ViT and DeiT; a token without a classifier is a register to us."""
  table, prefix = HUGGINGFACE, 'vit.'
  if 'params/dist_token' in sides.ours or 'distillation_classifier.weight' in sides.theirs:
    table, prefix = DEIT, 'deit.'
  elif any(name.endswith('embeddings.distillation_token') for name in sides.theirs):
    table, prefix = DEIT_ALONE, 'deit.'
  version_5 = any(re.match(rf'({prefix})?layers\.', name) for name in sides.theirs)
  rename = partial(substituted, rename=HUGGINGFACE_5 if version_5 else {})
  return by_table(table, prefix=prefix, rename=rename, odd=odd(sides))(sides)


def augreg(sides: Sides) -> PartOf:
  """Those of google-research/vision_transformer."""
  layouts = {'qkv/kernel': STACKED_QKV, 'qkv/bias': STACKED_BIAS} | odd(sides)
  return by_table(AUGREG, odd=layouts, usual=lambda path, shape: same, leaves='/{}'.format)(sides)


def is_gated(sides: Sides) -> bool:
  """Whether the mlps of our model, or of a DINOv2, are gated."""
  theirs = any(re.search(r'\.mlp\.(w12|weights_in)\.', name) for name in sides.theirs)
  return theirs or any('/mlp/gate/' in path for path in sides.ours)


def odd(sides: Sides, packed: bool = False) -> dict[str, Layout]:
  """The layouts of a ViT's tokens, and of gate and up where they are `packed` into one tensor."""
  kernel = sides.ours.get('params/patch_embed/kernel')
  return of_tokens(sides, kernel and kernel[:2]) | {
    f'mlp/{module}/{leaf}': half(layout, which)
    for which, module in enumerate(('gate', 'up') if packed else ())
    for leaf, layout in dict(kernel=linear(), bias=flat).items()
  }
