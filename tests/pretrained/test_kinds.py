"""A config.json as people have them: every key missing, null, of another type, nested."""

import json

import _helpers.torchvision_shim  # noqa: F401  isort: skip
import pytest
import transformers
from _helpers import marian, published
from _helpers.specs import SPECS, tree_of
from transformers.models.deprecated.transfo_xl import TransfoXLConfig

from vitlab import pretrained
from vitlab.errors import UserError
from vitlab.pretrained import kinds
from vitlab.pretrained.files import write_safetensors

GONE = object()
WRONG = [GONE, None, 'abc', '12', [], [1], {}, {'a': 1}, [[2]], 1.5, 64.0, -1, 0, True, 1e400]
DINOV2 = dict(image_size=28, patch_size=7, hidden_size=16, num_hidden_layers=1)
DINOV2 |= dict(num_attention_heads=2, num_labels=3)


def written(family, format, folder):
  """A tiny model of ours as this format has it, with all that its own library writes as well."""
  size = (56, 56) if family == 'swin' else (32, 32)
  pictures = pretrained.Preprocessing(size, 'squash', 1.0)
  about = pretrained.About(SPECS[family], pictures, ('a', 'b', 'c'))
  pretrained.write(folder, tree_of(SPECS[family], size), about, format)
  return folder


def dinov2(folder):
  model = transformers.Dinov2ForImageClassification(transformers.Dinov2Config(**DINOV2))
  model.save_pretrained(folder)
  return folder


def resnet(folder):
  """Narrower than timm's, or its file were large."""
  spec = SPECS['resnet']
  tensors = pretrained.export_tensors(tree_of(spec, (32, 32)), 'resnet', 'timm', spec)
  write_safetensors(folder / 'model.safetensors', tensors)
  picture = dict(input_size=[3, 32, 32], crop_pct=0.9, mean=[0.5], std=[0.5], crop_mode='center')
  config = dict(architecture='resnet18', num_classes=3, label_names=['a', 'b', 'c'])
  config |= dict(model_args=dict(layers=[2, 2, 2, 2], in_chans=3), pretrained_cfg=picture)
  (folder / 'config.json').write_text(json.dumps(config))
  return folder


SOURCES = {
  'vit-timm': lambda folder: written('vit', 'timm', folder),
  'vit-huggingface': lambda folder: published.save_huggingface(folder),
  'vit-dinov2': dinov2,
  'swin-timm': lambda folder: written('swin', 'timm', folder),
  'swin-huggingface': lambda folder: written('swin', 'huggingface', folder),
  'tnt-timm': lambda folder: written('tnt', 'timm', folder),
  'resnet-timm': resnet,
  'resnet-huggingface': lambda folder: written('resnet', 'huggingface', folder),
  'transformer-huggingface': lambda folder: marian.save(folder, marian.make()),
}


def places(config, within=()):
  """The path of every key, nested ones too."""
  for key, value in config.items():
    yield (*within, key)
    if isinstance(value, dict) and key in ('model_args', 'pretrained_cfg'):
      yield from places(value, (*within, key))


def changed(config, place, value):
  config = json.loads(json.dumps(config))
  node = config
  for key in place[:-1]:
    node = node[key]
  if value is GONE:
    del node[place[-1]]
  else:
    node[place[-1]] = value
  return config


def used(path, shapes_of):
  """Reads weights and puts them into their model."""
  weights = pretrained.read(path)
  known = repr((sorted(weights.about.spec.items(), key=str), weights.image_size))
  if known not in shapes_of:
    size = weights.about.preprocessing.image_size if weights.about.preprocessing else None
    weights.load(tree_of(weights.about.spec, size))
    shapes_of[known] = True
  return weights


@pytest.mark.parametrize('source', SOURCES)
def test_every_key_is_understood_or_named(source, tmp_path):
  folder = SOURCES[source](tmp_path)
  config = json.loads((folder / 'config.json').read_text())
  shapes_of, told = {}, 0
  used(str(folder), shapes_of)
  for place in places(config):
    for value in WRONG:
      (folder / 'config.json').write_text(json.dumps(changed(config, place, value)))
      try:
        used(str(folder), shapes_of)
      except UserError as error:
        told += 1
        assert len(str(error).splitlines()) <= 3, (place, value)
        # A size that may be right and is none of this model's is refused by the model.
        assert str(folder) in str(error) or 'whole number of patches' in str(error), (place, value)
      except Exception as error:
        raise AssertionError(f'{source}: {place} = {value!r}: {error!r}') from error
  assert told > 50


CLASSES = {
  'vit': transformers.ViTConfig,
  'deit': transformers.DeiTConfig,
  'dinov2': transformers.Dinov2Config,
  'dinov2_with_registers': transformers.Dinov2WithRegistersConfig,
  'swin': transformers.SwinConfig,
  'swinv2': transformers.Swinv2Config,
  'marian': transformers.MarianConfig,
  'bert': transformers.BertConfig,
  'xlnet': transformers.XLNetConfig,
  'gpt2': transformers.GPT2Config,
  'openai-gpt': transformers.OpenAIGPTConfig,
  'transfo-xl': TransfoXLConfig,
  'reformer': transformers.ReformerConfig,
  'detr': transformers.DetrConfig,
}


@pytest.mark.parametrize('model', CLASSES)
def test_what_is_silent_is_what_their_class_takes(model):
  theirs, defaults = CLASSES[model]().to_dict(), kinds.DEFAULTS[model]
  if model == 'swinv2' and 'pretrained_window_sizes' not in theirs:
    theirs['pretrained_window_sizes'] = [0, 0, 0, 0]
  assert CLASSES.keys() == kinds.DEFAULTS.keys()
  listed = {key: list(x) if isinstance(x, tuple) else x for key, x in theirs.items()}
  assert defaults == {key: listed[key] for key in defaults}


@pytest.mark.parametrize(
  'names',
  [
    ['a', 'b'],
    ('a', 'b'),
    {'0': 'a', '1': 'b'},
    {'1': 'b', '0': 'a'},
    {0: 'a', 1: 'b'},
    {'a': 0, 'b': 1},
  ],
)
def test_names_of_classes_in_every_form(names):
  assert kinds.labels(names) == ['a', 'b']


@pytest.mark.parametrize(
  'names', [3, 'ab', [['a']], {'0': 'a', '2': 'b'}, {'a': 'b'}, {'a': 1, 'b': 2}, {'0': None}]
)
def test_names_of_classes_that_say_no_order_are_refused(names):
  with pytest.raises(UserError, match='config.json names its classes otherwise'):
    kinds.labels(names)


def test_a_config_that_is_no_object_or_cut_short_is_named(tmp_path):
  folder = published.save_timm(tmp_path)
  for text, named in (('[1]', 'no JSON object'), ('{"a"', 'cannot be read as JSON'), ('', 'JSON')):
    (folder / 'config.json').write_text(text)
    with pytest.raises(UserError, match=f"config.json'.*{named}"):
      pretrained.read(str(folder))
