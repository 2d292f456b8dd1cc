"""Other people's weights <-> ours.

    weights = pretrained.read('vit_base')        # a folder or file of timm, Hugging Face, AugReg
    model = registry.make('models', weights.about.spec)
    like = jax.eval_shape(model.init, key, image)
    variables = weights.load(like)               # positions and bias tables resampled to `like`
    pretrained.write('exported', variables, weights.about, format='timm')

What a source says of itself travels with it: the model that computes the same (GELU, epsilon,
pooling), what is done to pictures, the names of classes or the words. A family's file holds tables
of names; to add a family is to add one.
"""

from vitlab.pretrained.convert import (
  RESAMPLED,
  export_tensors,
  find_format,
  formats,
  has_timm,
  import_tensors,
  kind,
  transfer,
)
from vitlab.pretrained.export import write
from vitlab.pretrained.files import holds_weights
from vitlab.pretrained.generation_config import Generation, generation
from vitlab.pretrained.preprocessing import Preprocessing
from vitlab.pretrained.source import About, Weights, read

__all__ = [
  'About',
  'Generation',
  'Preprocessing',
  'RESAMPLED',
  'Weights',
  'export_tensors',
  'find_format',
  'formats',
  'generation',
  'has_timm',
  'holds_weights',
  'import_tensors',
  'kind',
  'read',
  'transfer',
  'write',
]
