"""What kind of value a key of somebody's config.json holds, and what Hugging Face takes without it.

Files are written by hand and by older versions: a null is a key left out, '768' and 768.0 are 768,
a square may be one number, a list of two, or {'height': ..., 'width': ...}. What is none of this is
refused by the name of the key, before anything reads it.
"""

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from vitlab.errors import UserError

COUNT, WHOLE = 'a whole number above 0', 'a whole number'
ABOVE, NUMBER = 'a number above 0', 'a number'
FLAG, TEXT, OBJECT = 'true or false', 'text', 'an object'
TEXTS = 'a list of texts'
COUNTS, NUMBERS = 'a list of whole numbers above 0', 'a list of numbers'
SIZE, SHAPE = 'a whole number above 0, or height and width', '[channels, height, width]'

# Kind -> keys, of all models; of a family what differs, or is called so in it alone.
KINDS = {
  COUNT: (
    'hidden_size num_hidden_layers num_attention_heads intermediate_size num_channels in_chans'
    ' embed_dim depth num_heads embedding_size num_register_tokens inner_dim num_heads_inner'
    ' num_heads_outer first_stride vocab_size decoder_vocab_size d_model encoder_layers'
    ' decoder_layers encoder_attention_heads decoder_attention_heads encoder_ffn_dim'
    ' decoder_ffn_dim n_embd n_layer n_head n_inner n_positions max_position_embeddings'
    ' type_vocab_size d_embed d_head d_inner div_val'
    ' feed_forward_size attention_head_size num_hashes lsh_attn_chunk_length'
    ' local_attn_chunk_length num_queries'
  ),
  WHOLE: (
    'num_classes num_labels reg_tokens pad_token_id eos_token_id decoder_start_token_id'
    ' unk_token_id mem_len'
  ),
  ABOVE: 'mlp_ratio crop_pct layer_norm_eps layer_norm_epsilon',
  NUMBER: 'init_values layerscale_value clamp_len',
  FLAG: (
    'qkv_bias qk_norm class_token no_embed_class fc_norm use_swiglu_ffn scale_embedding legacy'
    ' pool_include_prefix tie_word_embeddings same_length axial_pos_embds dilation'
  ),
  TEXT: (
    'architecture model_type hidden_act activation_function act_layer norm_layer global_pool'
    ' pos_embed layer_type interpolation crop_mode afn ff_activation'
  ),
  OBJECT: 'model_args pretrained_cfg',
  COUNTS: 'depths hidden_sizes layers cutoffs axial_pos_shape axial_pos_embds_dim',
  NUMBERS: 'mean std pretrained_window_sizes',
  TEXTS: 'attn_layers',
  SIZE: 'image_size img_size patch_size window_size',
  SHAPE: 'input_size',
}
OF_FAMILY = {'swin': {COUNTS: 'num_heads'}}

# What the classes of transformers 4.57.6 say where config.json is silent.
PICTURES = dict(image_size=224, num_channels=3, qkv_bias=True, hidden_act='gelu')
VIT = PICTURES | dict(
  hidden_size=768,
  num_hidden_layers=12,
  num_attention_heads=12,
  intermediate_size=3072,
  layer_norm_eps=1e-12,
  patch_size=16,
)
DINOV2 = {key: value for key, value in VIT.items() if key != 'intermediate_size'}
DINOV2 |= dict(layer_norm_eps=1e-6, patch_size=14, mlp_ratio=4, layerscale_value=1.0)
DINOV2 |= dict(use_swiglu_ffn=False)
SWIN = PICTURES | dict(
  patch_size=4,
  embed_dim=96,
  depths=[2, 2, 6, 2],
  num_heads=[3, 6, 12, 24],
  window_size=7,
  mlp_ratio=4.0,
  layer_norm_eps=1e-5,
)
GPT = dict(n_embd=768, n_layer=12, n_head=12, layer_norm_epsilon=1e-5)
BERT = dict(
  vocab_size=30522,
  hidden_size=768,
  num_hidden_layers=12,
  num_attention_heads=12,
  intermediate_size=3072,
  hidden_act='gelu',
  max_position_embeddings=512,
  type_vocab_size=2,
  layer_norm_eps=1e-12,
)
TRANSFORMER_XL = dict(
  vocab_size=267735,
  cutoffs=[20000, 40000, 200000],
  div_val=4,
  d_model=1024,
  d_embed=1024,
  n_head=16,
  d_head=64,
  d_inner=4096,
  n_layer=18,
  mem_len=1600,
  clamp_len=1000,
  same_length=True,
  layer_norm_epsilon=1e-5,
)
XLNET = dict(
  vocab_size=32000,
  d_model=1024,
  n_layer=24,
  n_head=16,
  d_inner=4096,
  ff_activation='gelu',
  layer_norm_eps=1e-12,
)
DEFAULTS = {
  'bert': BERT,
  'xlnet': XLNET,
  'vit': VIT,
  'deit': VIT,
  'dinov2': DINOV2,
  'dinov2_with_registers': DINOV2 | dict(patch_size=16, num_register_tokens=4),
  'swin': SWIN,
  'swinv2': SWIN | dict(pretrained_window_sizes=[0, 0, 0, 0]),
  'reformer': dict(
    vocab_size=320,
    max_position_embeddings=4096,
    hidden_size=256,
    num_attention_heads=12,
    attention_head_size=64,
    feed_forward_size=512,
    attn_layers=['local', 'lsh'] * 3,
    lsh_attn_chunk_length=64,
    local_attn_chunk_length=64,
    num_hashes=1,
    axial_pos_embds=True,
    axial_pos_shape=[64, 64],
    axial_pos_embds_dim=[64, 192],
    hidden_act='relu',
    layer_norm_eps=1e-12,
    is_decoder=False,
  ),
  'detr': dict(
    d_model=256,
    num_queries=100,
    **dict.fromkeys(('encoder_layers', 'decoder_layers'), 6),
    **dict.fromkeys(('encoder_attention_heads', 'decoder_attention_heads'), 8),
    **dict.fromkeys(('encoder_ffn_dim', 'decoder_ffn_dim'), 2048),
    activation_function='relu',
    dilation=False,
  ),
  'gpt2': GPT | dict(vocab_size=50257, n_positions=1024, activation_function='gelu_new'),
  'openai-gpt': GPT | dict(vocab_size=40478, n_positions=512, afn='gelu'),
  'transfo-xl': TRANSFORMER_XL,
  'marian': dict(
    vocab_size=58101,
    d_model=1024,
    **dict.fromkeys(('encoder_layers', 'decoder_layers'), 12),
    **dict.fromkeys(('encoder_attention_heads', 'decoder_attention_heads'), 16),
    **dict.fromkeys(('encoder_ffn_dim', 'decoder_ffn_dim'), 4096),
    activation_function='gelu',
    scale_embedding=False,
    pad_token_id=58100,
    eos_token_id=0,
    decoder_start_token_id=58100,
  ),
}


def by_key(table: Mapping[str, str]) -> dict[str, str]:
  """Key -> what is said of it, from what is said -> all of its keys in one text."""
  return {key: what for what, keys in table.items() for key in keys.split()}


def complete(config: Mapping[str, Any], family: str = '') -> dict[str, Any]:
  """A config.json without nulls, every value of the kind that is read, and the silent ones filled.

  Args:
    config: What stands in the file.
    family: Of vitlab's models, '' where it is not yet known.

  Raises:
    UserError: a value of another kind; names its key.
  """
  if not family:
    return _checked(config, by_key({TEXT: 'architecture model_type', OBJECT: KINDS[OBJECT]}), '')
  config = _checked(config, by_key(KINDS) | by_key(OF_FAMILY.get(family, {})), '')
  if 'architecture' in config:
    return config
  return {**DEFAULTS.get(config.get('model_type'), {}), **config}


def labels(names: Any) -> list[str]:
  """The names of classes in their order: from a list, number -> name, or name -> number.

  Raises:
    UserError: they are none of these, or do not count from 0.
  """
  if isinstance(names, Mapping):
    numbers, texts = list(names), list(names.values())
    if texts and all(type(text) is int for text in texts):  # the wrong way round
      numbers, texts = texts, numbers
    found = {str(number): text for number, text in zip(numbers, texts)}
    names = [found.get(str(i)) for i in range(len(texts))]
  if not isinstance(names, list | tuple) or not all(
    isinstance(n, str | int | float) for n in names
  ):
    raise UserError(
      'config.json names its classes otherwise than {"0": name, "1": name, ...} or [name, ...]'
    )
  return [str(name) for name in names]


def _checked(config: Mapping[str, Any], kinds: Mapping[str, str], within: str) -> dict[str, Any]:
  checked = {}
  for key, value in config.items():
    kind = kinds.get(key)
    if value is None:
      continue
    if kind is not None:
      try:
        value = READ[kind](value)
      except (TypeError, ValueError, OverflowError, KeyError) as error:
        raise UserError(
          f'config.json says {within}{key}={_short(value)}: it is to be {kind}'
          '\ncorrect it, or take the key out where its usual value is right'
        ) from error
    checked[key] = _checked(value, kinds, f'{key}.') if kind == OBJECT else value
  return checked


def _short(value: Any) -> str:
  text = repr(value)
  return text if len(text) <= 60 else f'{text[:57]}...'


def _number(value: Any, least: float | int = -math.inf, above: float | int = -math.inf) -> float:
  number = math.nan if isinstance(value, bool) else float(value)
  if not math.isfinite(number) or number < least or number <= above:
    raise ValueError(value)
  return number


def _whole(value: Any, least: int = 0) -> int:
  if (number := _number(value, least)) != int(number):
    raise ValueError(value)
  return int(number)


_count = partial(_whole, least=1)


def _each(read: Callable[[Any], Any], value: Any, length: int = 0) -> list[Any]:
  if not isinstance(value, list | tuple) or length and len(value) != length:
    raise ValueError(value)
  return [read(x) for x in value]


def _size(value: Any) -> int | list[int]:
  if isinstance(value, Mapping):
    value = [value['height'], value['width']]
  if not isinstance(value, list | tuple):
    return _count(value)
  pair = _each(_count, [*value, *value] if len(value) == 1 else value, 2)
  return pair[0] if pair[0] == pair[1] else pair


def _of(*types: type) -> Callable[[Any], Any]:
  def read(value):
    if type(value) not in types:
      raise ValueError(value)
    return value

  return read


READ = {
  COUNT: _count,
  WHOLE: _whole,
  ABOVE: partial(_number, above=0),
  NUMBER: _number,
  FLAG: _of(bool),
  TEXT: _of(str),
  OBJECT: _of(dict),
  COUNTS: lambda value: _each(_count, value),
  NUMBERS: lambda value: _each(_number, value),
  TEXTS: lambda value: _each(_of(str), value),
  SIZE: _size,
  SHAPE: lambda value: _each(_count, value, 3),
}
