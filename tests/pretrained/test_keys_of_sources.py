"""Every key of every class that is read, with another value: computed as they do, or refused."""

import _helpers.torchvision_shim  # noqa: F401  isort: skip
import dataclasses
import json
import re

import pytest
import timm
import torch
from _helpers import gpts, key_walks, xlnets
from timm.models._pretrained import PretrainedCfg
from timm.models.resnet import ResNet
from timm.models.swin_transformer import SwinTransformer
from timm.models.swin_transformer_v2 import SwinTransformerV2
from timm.models.tnt import TNT
from transformers import (
  DeiTForImageClassificationWithTeacher,
  ResNetForImageClassification,
  SwinForImageClassification,
  Swinv2ForImageClassification,
  ViTForImageClassification,
)

from vitlab.pretrained import formats

VIT = dict(img_size=(16, 24), patch_size=8, embed_dim=16, depth=1, num_heads=2, num_classes=5)
SWIN = dict(patch_size=2, embed_dim=8, depths=(2, 2), num_heads=(1, 2), window_size=4)
TINY = dict(
  vit=VIT,
  swin=SWIN | dict(img_size=32, num_classes=5),
  resnet=dict(layers=(1, 1, 1, 1), num_classes=5),
  tnt=dict(img_size=16, patch_size=8, embed_dim=16, inner_dim=4, depth=1, num_heads_outer=2)
  | dict(num_heads_inner=2, num_classes=5),
)
TIMM = {
  'swin_tiny_patch4_window7_224': ('swin', SwinTransformer),
  'swinv2_tiny_window8_256': ('swin', SwinTransformerV2),
  'resnet18': ('resnet', ResNet),
  'tnt_s_patch16_224': ('tnt', TNT),
}
HF_VIT = dict(image_size=16, patch_size=8, hidden_size=16, num_hidden_layers=1)
HF_VIT |= dict(num_attention_heads=2, intermediate_size=32, num_labels=5)
HF_SWIN = SWIN | dict(image_size=32, num_labels=5)
HF_RESNET = dict(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type='basic')
HUGGINGFACE = {
  ViTForImageClassification: HF_VIT,
  DeiTForImageClassificationWithTeacher: HF_VIT,
  SwinForImageClassification: HF_SWIN,
  Swinv2ForImageClassification: HF_SWIN,
  ResNetForImageClassification: HF_RESNET | dict(num_labels=5),
}


def all_right(cases, folder, equal: int, refused: int) -> None:
  """Nothing comes out wrong, and so many at least were tried."""
  counts, wrong = key_walks.walk(cases, folder)
  assert not wrong, '\n'.join(wrong)
  assert counts['equal'] >= equal and counts['refused'] >= refused, counts


@pytest.mark.parametrize('architecture', TIMM)
def test_arguments_of_timm(architecture, tmp_path, x64):
  family, kind = TIMM[architecture]
  cases = key_walks.timm_cases(architecture, TINY[family], kind)
  all_right(cases, tmp_path, equal=12, refused=2)


@pytest.mark.parametrize('kind', HUGGINGFACE, ids=lambda kind: kind.__name__)
def test_configs_of_hugging_face(kind, tmp_path, x64):
  cases = key_walks.huggingface_cases(kind, HUGGINGFACE[kind])
  all_right(cases, tmp_path, equal=30, refused=10)


def test_configs_of_marian(tmp_path, x64):
  all_right(key_walks.marian_cases(), tmp_path, equal=30, refused=10)


@pytest.mark.parametrize('kind', gpts.KINDS)
def test_configs_of_gpt(kind, tmp_path, x64):
  all_right(key_walks.gpt_cases(kind), tmp_path, equal=30, refused=7)


def test_configs_of_reformer(tmp_path, x64):
  all_right(key_walks.reformer_cases(), tmp_path, equal=40, refused=10)


@pytest.mark.parametrize('kind', xlnets.KINDS)
def test_configs_of_xlnet(kind, tmp_path, x64):
  all_right(key_walks.xlnet_cases(kind), tmp_path, equal=40, refused=10)


SIZE_WORDS = (
  r'tiny|small|medium|base|large|huge|giant|gigantic|little|wee|betwixt|xs|so|_reg|_plus|\d'
)


def architectures():
  """Those of timm that our tables take for theirs, one of each kind of name."""
  kinds = {}
  for family, tiny in TINY.items():
    for name in timm.list_models():
      if re.match(formats(family)['timm'].architectures or family, name):
        kinds.setdefault(re.sub(SIZE_WORDS, '', name), (name, tiny))
  return list(kinds.values())


def test_architectures_of_timm(tmp_path, x64):
  """Their defaults stand in no file: what has no tensor of its own is known by the name."""
  names = architectures()
  cases = ((name, '', key_walks.timm_case(name, tiny)) for name, tiny in names)
  counts, wrong = key_walks.walk(cases, tmp_path)
  assert counts['equal'] >= 25, counts
  assert all(': refused' in text for text in wrong), wrong


def fields_of_timm():
  """Other values of what stands beside model_args."""
  for field in dataclasses.fields(PretrainedCfg):
    known = dict(
      num_classes=(5,), pool_size=((7, 7),), label_names=([*'abcde'],), label_offset=(1,)
    )
    default = None if field.default is dataclasses.MISSING else field.default
    for value in known.get(field.name) or key_walks.others(field.name, default) or ['other']:
      yield 'pretrained_cfg', field.name, value
  for key, value in dict(num_features=3, global_pool='avg', label_names=[*'abcde'], news=1).items():
    yield None, key, value


def test_fields_beside_the_arguments_of_timm(tmp_path, x64):
  def case(part, key, value):
    def save(folder):
      key_walks.timm_case('vit_base_patch16_224', VIT)(folder)
      config = json.loads((folder / 'config.json').read_text())
      (config[part] if part else config)[key] = value
      (folder / 'config.json').write_text(json.dumps(config))
      module = timm.create_model(f'local-dir:{folder}', pretrained=True).double().eval()
      image = key_walks.parity.image((2, 16, 24, 3))
      logits = module(torch.tensor(image.transpose(0, 3, 1, 2))).detach().numpy()
      return logits, (image,)

    return save

  cases = ((key, value, case(part, key, value)) for part, key, value in fields_of_timm())
  all_right(cases, tmp_path, equal=20, refused=1)


SIZES = (16, 18, 24, 32, 34, (18, 34), (8, 16), (16, 8))


@pytest.mark.parametrize('architecture', list(TIMM)[:2])
def test_images_of_timm_s_swin(architecture, tmp_path, x64):
  tiny = TINY['swin']
  sizes = [('img_size', size, tiny | dict(img_size=size)) for size in SIZES]
  sizes += [('img_size', 28, tiny | dict(img_size=28, window_size=7))]
  cases = ((k, v, key_walks.timm_case(architecture, words)) for k, v, words in sizes)
  all_right(cases, tmp_path, equal=3, refused=4)


@pytest.mark.parametrize('kind', [SwinForImageClassification, Swinv2ForImageClassification])
def test_images_of_hugging_face_s_swin(kind, tmp_path, x64):
  sizes = [('image_size', size, HF_SWIN | dict(image_size=size)) for size in SIZES]
  cases = ((k, v, key_walks.huggingface_case(kind, words)) for k, v, words in sizes)
  all_right(cases, tmp_path, equal=2, refused=0)
