"""What a config.json may say: every key is read, changes nothing, or is refused by its name.

A family's tables (`Format.keys`) stand beside what it infers from them. Here are the keys that all
models of timm or of Hugging Face have.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from vitlab.errors import UserError
from vitlab.pretrained import generation_config, kinds
from vitlab.pretrained.kinds import by_key


class Keys(NamedTuple):
  """What is known of the keys of a JSON object.

  Attributes:
    read: Keys whose values decide what is computed, or that the tensors' shapes say as well.
    idle: Key -> why it changes nothing of what is computed.
    only: Key -> the values that are computed here; any other is refused.
    parts: Key -> what is known of the object that it holds.
  """

  read: frozenset[str] = frozenset()
  idle: Mapping[str, str] = {}
  only: Mapping[str, Iterable[Any]] = {}
  parts: Mapping[str, 'Keys'] = {}

  def __or__(self, other: 'Keys') -> 'Keys':
    """Both tables; where both have a key the other's."""
    pairs = zip(self[1:], other[1:])
    return Keys(self.read | other.read, *({**ours, **theirs} for ours, theirs in pairs))


def words(text: str) -> frozenset[str]:
  """The words of a text."""
  return frozenset(text.split())


def check(config: Mapping[str, Any], keys: Keys) -> None:
  """Refuses a config.json with a key that nobody knows or a value that is not computed here.

  Private keys ('_name_or_path') are skipped, and unknown ones that are null.

  Raises:
    UserError: names the first of the keys, their values, and what is possible.
  """
  wrong = list(_wrong(config, keys, ''))
  if wrong:
    more = f' and {len(wrong) - 3} more' if len(wrong) > 3 else ''
    raise UserError(
      f'config.json says {", ".join(wrong[:3])}{more}'
      '\nchoose weights of another model; a key that changes nothing can be deleted from the file'
    )


def _wrong(config: Mapping[str, Any], keys: Keys, within: str) -> Iterator[str]:
  """A text for every key that is refused."""
  for key, value in config.items():
    name = within + key
    if key in keys.parts and isinstance(value, Mapping):
      yield from _wrong(value, keys.parts[key], f'{name}.')
    elif key in keys.only:
      possible = list(keys.only[key])
      if _plain(value) not in map(_plain, possible):
        yield f'{name}={value!r} (possible here: {" or ".join(map(repr, possible))})'
    elif not (value is None or key.startswith('_') or key in keys.read or key in keys.idle):
      yield f'{name}={value!r} (not known here)'


def _plain(value: Any) -> Any:
  """A value as JSON compares it: lists and tuples are one."""
  return tuple(map(_plain, value)) if isinstance(value, list | tuple) else value


def settle(config: Mapping[str, Any]) -> dict[str, Any]:
  """timm's config.json as timm reads it: null arguments are left out, and the flat form of older
  versions is brought into that of newer ones."""
  settled = dict(config)
  if isinstance(config.get('model_args'), Mapping):
    settled['model_args'] = {k: v for k, v in config['model_args'].items() if v is not None}
  if 'architecture' in config and 'pretrained_cfg' not in config:
    flat = {key for key in config if key in PICTURES.read | PICTURES.only.keys()}
    settled['pretrained_cfg'] = {key: settled.pop(key) for key in flat - TIMM.read}
  return settled


# timm: PretrainedCfg, how pictures are prepared and where the weights are from.
PICTURES = Keys(
  words('input_size interpolation crop_pct crop_mode mean std num_classes label_names'),
  by_key(
    {
      'says where weights and their licence are from': (
        'url file hf_hub_id hf_hub_filename source architecture tag custom_load license description'
        ' origin_url paper_name paper_ids notes'
      ),
      'recommends another size or crop for tests': (
        'test_input_size test_crop_pct min_input_size test_pool_size'
      ),
      'says what to replace for other inputs or classes': (
        'first_conv classifier pool_size fixed_input_size'
      ),
      'describes classes': 'label_descriptions',
    }
  ),
  {'label_offset': (0, None), 'state_dict': (None,)},
)
TIMM = Keys(
  words('architecture num_classes global_pool label_names labels'),
  by_key({'informs': 'num_features label_descriptions'}),
  parts={'pretrained_cfg': PICTURES},
)


def timm(read: str, only: Mapping[str, Iterable[Any]], training: str = '') -> Keys:
  """The keys of a model of timm, beside those of all of its models.

  Args:
    read: Arguments of its class that are read or said by shapes.
    only: Argument -> the values that are computed here.
    training: Arguments that change nothing once it is trained.
  """
  rates = 'drop_rate pos_drop_rate proj_drop_rate attn_drop_rate drop_path_rate weight_init'
  arguments = Keys(
    words(f'img_size patch_size in_chans num_classes global_pool {read}'),
    by_key({'acts in training alone': f'{rates} {training}'}),
    only,
  )
  return TIMM | Keys(parts={'model_args': arguments})


# Of Hugging Face's Transformers of pictures, once they are trained.
TRAINING = (
  'hidden_dropout_prob attention_probs_dropout_prob drop_path_rate initializer_range encoder_stride'
)
BACKBONE = {'says what a backbone gives': 'out_features out_indices stage_names'}

# Hugging Face: PretrainedConfig.
HUGGINGFACE = Keys(
  words('model_type id2label num_labels'),
  by_key(
    {
      'says who wrote the file, and how it is run and in which numbers': (
        'architectures transformers_version torch_dtype dtype return_dict output_hidden_states'
        ' output_attentions torchscript use_cache use_bfloat16 tf_legacy_loss attn_implementation'
        ' gradient_checkpointing chunk_size_feed_forward name_or_path'
      ),
      'is the inverse of id2label, or of a task': (
        'label2id finetuning_task task_specific_params tokenizer_class'
      ),
      f'is followed or refused by {generation_config.__name__}': ' '.join(generation_config.KEYS),
      'says how sentences are drawn and returned': (
        'temperature top_k top_p typical_p num_return_sequences output_scores'
        ' return_dict_in_generate bos_token_id pad_token_id sep_token_id'
      ),
    }
  ),
  {
    'problem_type': (None, 'single_label_classification'),
    'pruned_heads': ({}, None),
    'is_decoder': (False,),
    'is_encoder_decoder': (False,),
    'add_cross_attention': (False,),
    'cross_attention_hidden_size': (None,),
    'tie_encoder_decoder': (False,),
    'tie_word_embeddings': (True,),
    'prefix': (None, ''),
  },
)


def huggingface(
  *models: str,
  read: str = '',
  only: Mapping[str, Iterable[Any]] = {},
  training: str = '',
  why: Mapping[str, str] = {},
) -> Keys:
  """The keys of a model of Hugging Face, beside those of all of its models.

  Args:
    *models: Values of model_type whose defaults are known (`kinds.DEFAULTS`): those are read.
    read: Other keys that are read or said by shapes.
    only: Key -> the values that are computed here.
    training: Keys that change nothing once it is trained.
    why: Reason -> other keys that change nothing.
  """
  defaults = frozenset(key for model in models for key in kinds.DEFAULTS[model])
  idle_keys = by_key({'acts in training alone': training, **why})
  return HUGGINGFACE | Keys(words(read) | defaults, idle_keys, only)
