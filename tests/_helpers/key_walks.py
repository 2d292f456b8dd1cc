"""Tiny models of timm and Hugging Face, one key of theirs at a time set to another value.

Each is saved as its library saves it, with perturbed weights in float64. Then either our importer
computes what they compute, or it refuses the file in an error that names the key.
"""

import inspect
import json
import pathlib
from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import _helpers.torchvision_shim  # noqa: F401  isort: skip
import jax
import jax.numpy as jnp
import numpy as np
import timm
import torch
from _helpers import gpts, marian, parity, reformers, xlnets
from timm.models import _hub
from transformers import MarianConfig, ReformerConfig, XLNetConfig

from vitlab import pretrained, registry
from vitlab.errors import UserError

# Key -> values to try beside those that the type of its default gives.
VALUES = dict(
  global_pool=('', 'avg', 'avgmax', 'max', 'token', 'map', 'prr', 'catavgmax'),
  pos_embed=('none', ''),
  fc_norm=(True, False),
  init_values=(0.1,),
  weight_init=('jax',),
  act_layer=('gelu', 'gelu_tanh', 'relu', 'silu', 'swish', 'quick_gelu'),
  norm_layer=('layernorm', 'rmsnorm', 'simplenorm', 'layernormfp32', 'batchnorm', 'groupnorm'),
  attn_layer=('attn', 'diff'),
  stem_type=('deep', 'deep_tiered'),
  afn=('gelu', 'relu', 'silu', 'swish'),
  n_inner=(24,),
  hidden_act=('gelu', 'gelu_new', 'relu', 'selu', 'silu', 'quick_gelu'),
  activation_function=('gelu', 'gelu_new', 'relu', 'selu', 'silu', 'swish'),
  num_classes=(0,),
  in_chans=(1,),
  num_channels=(1,),
  head_dim=(4, 8),
  mlp_ratio=((2.0, 4.0),),
  layer_type=('basic', 'bottleneck'),
  pooler_act=('relu',),
  pooler_output_size=(8,),
  problem_type=('single_label_classification', 'multi_label_classification', 'regression'),
  id2label=({0: 'a', 1: 'b', 2: 'c'},),
  dtype=('bfloat16',),
  pruned_heads=({0: [0]},),
  out_features=(['stage1'],),
  out_indices=([1],),
  finetuning_task=('cats',),
  tokenizer_class=('Tokenizer',),
  prefix=('say',),
  cross_attention_hidden_size=(8,),
  decoder_vocab_size=(11,),
  ff_activation=('gelu', 'gelu_new', 'relu', 'selu', 'silu', 'swish'),
  attn_type=('uni',),
  clamp_len=(4,),
  mem_len=(4,),
  reuse_len=(4,),
  summary_type=('first', 'mean'),
  summary_activation=('relu',),
)


def others(key: str, value: Any) -> list:
  """Other values of a key with this default."""
  of_type: tuple = ()
  if key in ('in_chans', 'num_channels'):  # pictures have 1 or 3
    pass
  elif isinstance(value, bool):
    of_type = (not value,)
  elif isinstance(value, int):
    of_type = (2 * value or 1,)
  elif isinstance(value, float):
    of_type = (value + 0.25,)
  elif isinstance(value, tuple | list) and value:
    of_type = (type(value)(2 * x for x in value),)
  return [x for x in (*of_type, *VALUES.get(key, ())) if x != value]


def timm_cases(architecture: str, tiny: dict[str, Any], kind: type) -> Iterator[tuple]:
  """(key, value, how to save the model and what it computes) for every argument of a class."""
  for key, parameter in inspect.signature(kind.__init__).parameters.items():
    if key not in ('self', 'block', 'device', 'dtype'):
      for value in others(key, tiny.get(key, parameter.default)):
        yield key, value, timm_case(architecture, tiny | {key: value})


def timm_case(architecture: str, arguments: dict[str, Any]) -> Callable[[pathlib.Path], tuple]:
  """Saves a model of timm; gives its logits and the image."""

  def save(folder):
    torch.manual_seed(0)
    module = parity.perturb(timm.create_model(architecture, **arguments))
    size = arguments.get('img_size', 32)
    height, width = (size, size) if isinstance(size, int) else size
    image = parity.image((2, height, width, arguments.get('in_chans', 3)))
    logits = module(torch.tensor(image.transpose(0, 3, 1, 2))).detach().numpy()
    _hub.save_for_hf(module, folder, safe_serialization=True)
    return logits, (image,)

  return save


def huggingface_cases(kind: type, tiny: dict[str, Any]) -> Iterator[tuple]:
  """The same for every key of a config of Hugging Face."""
  known = kind.config_class().to_dict()
  for key, default in known.items():
    if not key.startswith('_') and key not in ('model_type', 'transformers_version'):
      for value in others(key, tiny.get(key, default)):
        yield key, value, huggingface_case(kind, tiny | {key: value})


def huggingface_case(kind: type, words: dict[str, Any]) -> Callable[[pathlib.Path], tuple]:
  """Saves a model of Hugging Face; gives its logits and the image."""

  def save(folder):
    torch.manual_seed(0)
    config = kind.config_class(**words)
    module = parity.perturb(kind(config))
    size = config.image_size if hasattr(config, 'image_size') else 32
    height, width = (size, size) if isinstance(size, int) else size
    image = parity.image((2, height, width, config.num_channels))
    logits = module(torch.tensor(image.transpose(0, 3, 1, 2)), return_dict=True).logits
    module.save_pretrained(folder)
    return logits.detach().numpy(), (image,)

  return save


def marian_cases() -> Iterator[tuple]:
  """The same for Marian, with our numbers of tokens, which other tests move."""
  numbers = ('vocab_size', 'pad_token_id', 'eos_token_id', 'decoder_start_token_id')
  tiny = marian.make().config.to_dict()
  for key, default in MarianConfig().to_dict().items():
    if not key.startswith('_') and key not in ('model_type', 'transformers_version', *numbers):
      for value in others(key, tiny.get(key, default)):
        yield key, value, marian_case({key: value})


def gpt_cases(kind: str) -> Iterator[tuple]:
  """The same for a GPT of Hugging Face."""
  for key, default in gpts.KINDS[kind][0]().to_dict().items():
    if not key.startswith('_') and key not in ('model_type', 'transformers_version'):
      for value in others(key, gpts.TINY.get(key, default)):
        yield key, value, gpt_case(kind, {key: value})


def gpt_case(kind: str, words: dict[str, Any]) -> Callable[[pathlib.Path], tuple]:
  """Saves a GPT; gives its logits and its tokens."""

  def save(folder):
    module = gpts.make(kind, **words)
    module.save_pretrained(folder)
    return gpts.logits(module), (gpts.TOKENS,)

  return save


def reformer_cases() -> Iterator[tuple]:
  """The same for a Reformer, of texts that are no longer than a chunk of LSH: nothing is hashed."""
  words = dict(lsh_attn_chunk_length=16, attn_layers=['local', 'lsh'])
  for key, default in ReformerConfig().to_dict().items():
    if not key.startswith('_') and key not in ('model_type', 'transformers_version'):
      for value in others(key, (reformers.TINY | words).get(key, default)):
        yield key, value, reformer_case(words | {key: value})


def reformer_case(words: dict[str, Any]) -> Callable[[pathlib.Path], tuple]:
  """Saves a Reformer; gives its logits and its tokens."""

  def save(folder):
    module = reformers.make(**words)
    module.save_pretrained(folder)
    tokens = reformers.TOKENS[:, :12]
    return reformers.logits(module, tokens), (tokens,)

  return save


def xlnet_cases(kind: str) -> Iterator[tuple]:
  """The same for a class of XLNet."""
  for key, default in XLNetConfig().to_dict().items():
    if not key.startswith('_') and key not in ('model_type', 'transformers_version'):
      for value in others(key, xlnets.TINY.get(key, default)):
        yield key, value, xlnet_case(kind, {key: value})


def xlnet_case(kind: str, words: dict[str, Any]) -> Callable[[pathlib.Path], tuple]:
  """Saves an XLNet with the sinusoids that its config asks for; gives its logits, and the tokens
  and segments."""

  def save(folder):
    module = xlnets.make(kind, **(dict(n_layer=1) | words))
    del getattr(module, 'transformer', module).relative_positional_encoding
    module.save_pretrained(folder)
    segments = np.maximum(xlnets.SEGMENTS, 1)
    return module(**xlnets.inputs(segments))[0].detach().numpy(), (xlnets.TOKENS, segments)

  return save


def marian_case(words: dict[str, Any]) -> Callable[[pathlib.Path], tuple]:
  """Saves a Marian; gives its logits, and the tokens that it reads on both sides."""

  def save(folder):
    ours = dict(pad_token_id=0, decoder_start_token_id=1, eos_token_id=2, unk_token_id=3)
    module = marian.perturb(marian.make(**(ours | words)))
    module.save_pretrained(folder)
    tokens = np.array([[4, 7, 5, 3, 2], [8, 2, 0, 0, 0]])
    inputs = np.array([[1, 9, 5, 7], [1, 8, 3, 4]])
    return marian.logits(module, tokens, inputs, pad=0), (tokens, inputs)

  return save


def walk(cases: Iterator[tuple], folder: pathlib.Path) -> tuple[Counter, list[str]]:
  """How many of the cases come out how, and those that come out wrong."""
  counts: Counter = Counter()
  wrong = []
  for i, (key, value, save) in enumerate(cases):
    place = folder / str(i)
    try:
      expected, inputs = save(place)
    except Exception:  # of all kinds: the library itself does not compute this
      counts['not theirs'] += 1
      continue
    found = outcome(place, expected, inputs, key)
    counts[found] += 1
    if found not in ('equal', 'refused'):
      wrong.append(f'{key}={value!r}: {found}')
  return counts, wrong


def outcome(folder: pathlib.Path, expected: np.ndarray, inputs: tuple, key: str) -> str:
  """'equal', 'refused' or what is wrong with our logits of a folder of weights."""
  try:
    logits = ours(pretrained.read(str(folder)), inputs)
  except UserError as error:
    named = key in str(error) or key.replace('_', ' ') in str(error)
    return 'refused' if named else f'refused without its name: {error}'
  if logits.shape != expected.shape:
    return f'shape {logits.shape} for {expected.shape}'
  off = np.abs(logits - expected).max() / np.abs(expected).max()
  return 'equal' if off < 1e-6 else f'off by {off:.1e}'


def ours(weights: pretrained.Weights, inputs: tuple) -> np.ndarray:
  """Our logits in float64."""
  shapes = tuple((array.shape, str(array.dtype)) for array in inputs)
  apply, like = _compiled(json.dumps(weights.about.spec), shapes)
  return np.asarray(apply(weights.load(like), *inputs))


@cache
def _compiled(spec: str, shapes: tuple):
  model = registry.make('models', json.loads(spec) | dict(dtype='float64'))
  like = jax.eval_shape(
    model.init, jax.random.key(0), *(jax.ShapeDtypeStruct(*shape) for shape in shapes)
  )
  double = lambda leaf: jax.ShapeDtypeStruct(leaf.shape, jnp.float64)  # noqa: E731
  return jax.jit(lambda *x: model.apply(*x)[0]), jax.tree.map(double, like)
