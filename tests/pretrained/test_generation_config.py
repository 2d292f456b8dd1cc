"""What published models say of how to be searched: followed, or refused by name."""

import json

import pytest
from transformers import GenerationConfig

from vitlab import pretrained
from vitlab.errors import UserError

CONFIG = dict(pad_token_id=9, eos_token_id=0, decoder_start_token_id=9)
OPUS = dict(
  **CONFIG,
  bad_words_ids=[[9]],
  bos_token_id=0,
  forced_eos_token_id=0,
  max_length=512,
  num_beams=6,
  renormalize_logits=None,
  transformers_version='4.32.0',
)


def said(folder, config=CONFIG, own=None):
  (folder / 'config.json').write_text(json.dumps(config))
  if own is not None:
    (folder / 'generation_config.json').write_text(json.dumps(own))
  return pretrained.generation(str(folder))


def test_opus(tmp_path):
  """All that there is not is Hugging Face's default."""
  beam = dict(name='beam', beams=6, length_penalty=1.0, gnmt=False)
  beam |= dict(early_stopping=False, forced_eos=True)
  assert said(tmp_path, own=OPUS) == (beam, 511, ())
  assert said(tmp_path / '', config=OPUS | dict(d_model=8, dropout=0.1)) == (beam, 511, ())


def test_what_is_not_said(tmp_path):
  assert said(tmp_path) == (dict(name='greedy'), 0, ())
  assert said(tmp_path, CONFIG | dict(num_beams=2)).search['forced_eos'], 'as MarianConfig has it'
  assert not said(tmp_path, own=CONFIG | dict(num_beams=2)).search['forced_eos']
  assert said(tmp_path, own=CONFIG | dict(max_length=30, max_new_tokens=7)).max_tokens == 7


def test_the_file_of_its_own_counts(tmp_path):
  own = CONFIG | dict(num_beams=3, early_stopping='never', length_penalty=0.5)
  found = said(tmp_path, config=OPUS, own=own).search
  assert (found['beams'], found['early_stopping'], found['length_penalty']) == (3, 'never', 0.5)


def test_every_default_of_hugging_face_is_known(tmp_path):
  """None of them is a word that nobody knows."""
  everything = GenerationConfig().to_dict() | CONFIG
  assert said(tmp_path, own=everything).refused == ()


REFUSED = dict(
  do_sample=True,
  repetition_penalty=1.2,
  no_repeat_ngram_size=3,
  num_beam_groups=2,
  min_length=5,
  forced_bos_token_id=4,
  suppress_tokens=[4],
  bad_words_ids=[[9], [4, 5]],
  decoder_start_token_id=0,
  eos_token_id=[0, 3],
  forced_eos_token_id=3,
  word_of_tomorrow=1,
)


@pytest.mark.parametrize('key', REFUSED)
def test_what_is_not_done_is_named(key, tmp_path):
  assert said(tmp_path, own=OPUS | {key: REFUSED[key]}).refused == (f'{key}={REFUSED[key]!r}',)


def test_what_is_no_number(tmp_path):
  with pytest.raises(UserError, match="num_beams='many', which is no number"):
    said(tmp_path, own=dict(num_beams='many'))
