"""Every argument of timm's VisionTransformer, with another value: computed alike, or refused."""

import _helpers.torchvision_shim  # noqa: F401  isort: skip
import itertools

import pytest
from _helpers import key_walks
from timm.models.vision_transformer import VisionTransformer

VIT = dict(img_size=(16, 24), patch_size=8, embed_dim=16, depth=1, num_heads=2, num_classes=5)


@pytest.mark.parametrize(
  'architecture', ['vit_base_patch16_224', 'deit_base_distilled_patch16_224']
)
def test_arguments(architecture, tmp_path, x64):
  cases = key_walks.timm_cases(architecture, VIT, VisionTransformer)
  counts, wrong = key_walks.walk(cases, tmp_path)
  assert not wrong, '\n'.join(wrong)
  assert counts['equal'] >= 30 and counts['refused'] >= 12, counts


def test_pools_and_the_place_of_the_norm(tmp_path, x64):
  pools, places = ('token', 'avg', 'max', 'avgmax', 'map', ''), (True, False)
  words = [dict(global_pool=p, fc_norm=n) for p, n in itertools.product(pools, places)]
  words += [w | dict(reg_tokens=1, no_embed_class=True) for w in words]
  # An attention pool with a norm after it, and no pool, are refused.
  key = {'map': 'fc_norm', '': 'global_pool'}
  cases = (
    (key.get(w['global_pool'], ''), w, key_walks.timm_case('vit_base_patch16_224', VIT | w))
    for w in words
  )
  counts, wrong = key_walks.walk(cases, tmp_path)
  assert not wrong, '\n'.join(wrong)
  assert counts == dict(equal=18, refused=6)
