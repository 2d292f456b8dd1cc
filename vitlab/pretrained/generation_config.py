"""How published models of sentences want to be searched: generation_config.json, else config.json.

What is not said is Hugging Face's default, with one exception: its greatest length of 20 tokens,
with which it warns itself, is ours (`max_ratio` of `vitlab.tasks.translation`). Nobody here says
padding or the token that sentences start with, whatever `bad_words_ids` has.
"""

import pathlib
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from vitlab.errors import UserError
from vitlab.pretrained.files import CONFIG, read_json

GENERATION = 'generation_config.json'
_READ = {'num_beams', 'early_stopping', 'length_penalty', 'max_length', 'max_new_tokens'}
_TOKENS = {'bad_words_ids', 'decoder_start_token_id', 'eos_token_id', 'forced_eos_token_id'}
# What they may hold as long as it does nothing; None never does.
_NEUTRAL = dict(
  do_sample=False,
  num_beam_groups=1,
  diversity_penalty=0.0,
  repetition_penalty=1.0,
  encoder_repetition_penalty=1.0,
  no_repeat_ngram_size=0,
  encoder_no_repeat_ngram_size=0,
  min_length=0,
  min_new_tokens=0,
  renormalize_logits=False,
  remove_invalid_values=False,
  forced_bos_token_id=None,
  suppress_tokens=None,
  begin_suppress_tokens=None,
  force_words_ids=None,
  sequence_bias=None,
  exponential_decay_length_penalty=None,
)
KEYS = sorted(_READ | _TOKENS | _NEUTRAL.keys())
# Of drawing (do_sample says whether), of memory and speed, of what is returned, of who wrote it.
_WITHOUT_EFFECT = re.compile(
  'temperature|top_k|top_p|min_p|typical_p|e(psilon|ta)_cutoff|use_cache|low_memory|cache_.*|'
  'return_.*|output_.*|num_return_sequences|(pad|bos)_token_id|token_healing|_from_model_config|'
  'transformers_version|disable_compile|.*assistant.*|(assistant|target)_lookbehind'
)


class Generation(NamedTuple):
  """What they say.

  Attributes:
    search: The spec of a `vitlab.ops.search`.
    max_tokens: The most that a sentence may have, EOS included; 0: they do not say.
    refused: What they want and is not done here, 'repetition_penalty=1.2'.
  """

  search: Mapping[str, Any]
  max_tokens: int
  refused: tuple[str, ...]


def generation(path: str) -> Generation:
  """What the files in a folder of weights say, or beside one.

  Raises:
    UserError: a file that is not JSON, a value of another type.
  """
  place = pathlib.Path(path).expanduser()
  folder = place if place.is_dir() else place.parent
  config, own = (read_json(folder / name) for name in (CONFIG, GENERATION))
  said = {key: value for key, value in (own or config).items() if value is not None}
  if not own:
    said.setdefault('forced_eos_token_id', config.get('eos_token_id'))  # MarianConfig's default
  refused = _refused(said, config, strangers=bool(own))
  numbers = dict(num_beams=1, length_penalty=1.0, max_length=0, max_new_tokens=0)
  for key, default in numbers.items():
    value = numbers[key] = said.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int | float):
      raise UserError(f'{folder}: {GENERATION} says {key}={value!r}, which is no number')
  search = dict(name='greedy')
  if numbers['num_beams'] > 1:
    search = dict(
      name='beam',
      beams=numbers['num_beams'],
      length_penalty=float(numbers['length_penalty']),
      gnmt=False,
      early_stopping=said.get('early_stopping', False),
      forced_eos='forced_eos_token_id' in said,
    )
  # Theirs counts the token that starts a sentence.
  return Generation(search, numbers['max_new_tokens'] or max(numbers['max_length'] - 1, 0), refused)


def _refused(
  said: Mapping[str, Any], config: Mapping[str, Any], strangers: bool
) -> tuple[str, ...]:
  """What is wanted and not done here; words that nobody knows too where `strangers`."""
  eos, start, pad = (config.get(f'{key}_token_id') for key in ('eos', 'decoder_start', 'pad'))
  fine = dict(
    decoder_start_token_id=[start],
    eos_token_id=[eos, [eos]],
    forced_eos_token_id=[eos, [eos]],
  )
  wrong = {key for key, values in fine.items() if key in said and said[key] not in values}
  if any(word not in ([pad], [start]) for word in said.get('bad_words_ids', ())):
    wrong.add('bad_words_ids')
  wrong |= {key for key, value in _NEUTRAL.items() if said.get(key, value) != value}
  if strangers:
    strange = said.keys() - _NEUTRAL.keys() - _READ - _TOKENS
    wrong |= {key for key in strange if not _WITHOUT_EFFECT.fullmatch(key)}
  return tuple(f'{key}={said[key]!r}' for key in sorted(wrong))
