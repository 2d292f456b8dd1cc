"""Every key of a config.json is read, changes nothing, or is refused by its name."""

import re

import pytest

from vitlab.errors import UserError
from vitlab.pretrained import formats
from vitlab.pretrained import keys as keys_lib

TIMM = formats('vit')['timm'].keys
HUGGINGFACE = formats('vit')['huggingface'].keys


@pytest.mark.parametrize(
  ('keys', 'config'),
  [
    (TIMM, dict(architecture='vit_base', model_args=dict(depth=3, drop_rate=0.5, pre_norm=False))),
    (TIMM, dict(pretrained_cfg=dict(mean=[0.5], notes=['from afar'], label_offset=0))),
    (HUGGINGFACE, dict(model_type='vit', qkv_bias=False, torch_dtype='bfloat16', pruned_heads={})),
    (HUGGINGFACE, dict(_name_or_path='somewhere', news=None)),
  ],
)
def test_what_is_read_or_changes_nothing_passes(keys, config):
  keys_lib.check(config, keys)


@pytest.mark.parametrize(
  ('keys', 'config', 'message'),
  [
    (TIMM, dict(news=3), 'config.json says news=3 (not known here)'),
    (TIMM, dict(model_args=dict(pre_norm=True)), 'model_args.pre_norm=True (possible here: False)'),
    (HUGGINGFACE, dict(a=1, b=2, c=3, d=4), 'c=3 (not known here) and 1 more\n'),
    (
      HUGGINGFACE,
      dict(problem_type='multi_label_classification'),
      "problem_type='multi_label_classification' (possible here: None or 'single_label",
    ),
  ],
)
def test_others_are_refused_by_name(keys, config, message):
  with pytest.raises(UserError, match=re.escape(message)):
    keys_lib.check(config, keys)


def test_lists_are_tuples_and_integers_are_floats():
  keys = formats('resnet')['timm'].keys
  keys_lib.check(dict(model_args=dict(channels=[64, 128, 256, 512.0], output_stride=32.0)), keys)


def test_timm_leaves_null_out_and_older_files_are_flat():
  config = dict(architecture='vit', num_classes=3, std=[0.5], model_args=dict(depth=None, width=2))
  assert keys_lib.settle(config) == dict(
    architecture='vit', num_classes=3, pretrained_cfg=dict(std=[0.5]), model_args=dict(width=2)
  )
  assert keys_lib.settle({}) == {}
