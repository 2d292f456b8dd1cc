"""Weights of other people's XLNets.

  'huggingface'  XLNetModel and what is built on it: XLNetLMHeadModel, ForSequenceClassification,
                 ForTokenClassification

Which heads there are, the tensors say. The vector that a query starts from (mask_emb) is in all
files, and in those of our models that guess words; the others write zeros in its place.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import PyTree

from vitlab.errors import UserError
from vitlab.models.xlnet import VARIANTS
from vitlab.ops.positions import Grid
from vitlab.pretrained import keys, specs
from vitlab.pretrained.assemble import Format, PartOf, Shapes, Sides
from vitlab.pretrained.files import Files
from vitlab.pretrained.layouts import Layout, batched, same
from vitlab.pretrained.tables import below, by_table

KIND = dict(  # see `vitlab.pretrained.kind`
  words='permutation_lm', text='text_classification', tokens='token_classification'
)
# Our module or parameter -> their name; {} is the number of the block. Their kernels of attention
# are parameters by themselves, and [d, n, k] all of them.
BODY = {'token_embedding/embedding': 'word_embedding.weight', 'query_token': 'mask_emb'}
BLOCK = {
  'attention/q/kernel': 'rel_attn.q',
  'attention/kv/kernel': ('rel_attn.k', 'rel_attn.v'),
  'attention/r/kernel': 'rel_attn.r',
  'attention/out/kernel': 'rel_attn.o',
  'attention/content_bias': 'rel_attn.r_w_bias',
  'attention/position_bias': 'rel_attn.r_r_bias',
  'attention/segment_bias': 'rel_attn.r_s_bias',
  'attention/segments': 'rel_attn.seg_embed',
  'norm1': 'rel_attn.layer_norm',
  'mlp/up': 'ff.layer_1',
  'mlp/down': 'ff.layer_2',
  'norm2': 'ff.layer_norm',
}
BODY |= below('encoder/block_{}/', 'layer.{}.', BLOCK)
PREFIX = 'transformer.'
HEADS = {
  'words': {'head/bias': 'lm_loss.bias'},
  'text': {'pooler': 'sequence_summary.summary', 'head': 'logits_proj'},
  'tokens': {'head': 'classifier'},
  'none': {},
}
# A parameter of each head, by which it is known; the first that is there.
TOPS = {'text': 'pooler/kernel', 'tokens': 'head/kernel', 'words': 'head/bias'}
CLASSES = {  # our head -> their class
  'words': 'XLNetLMHeadModel',
  'text': 'XLNetForSequenceClassification',
  'tokens': 'XLNetForTokenClassification',
  'none': 'XLNetModel',
}
SIGNS = {  # a tensor of each head
  'lm_loss.bias': 'words',
  'logits_proj.weight': 'text',
  'classifier.weight': 'tokens',
}

KEYS = keys.huggingface(
  'xlnet',
  read='num_labels architectures d_head',
  only=dict(
    attn_type=('bi',),
    bi_data=(False,),
    clamp_len=(-1, 0, None),
    summary_type=('last',),
    summary_use_proj=(True,),
    summary_activation=('tanh',),
    summary_proj_to_labels=(False, None),
  ),
  training='dropout summary_last_dropout summary_first_dropout initializer_range',
  why={
    'says what a memory keeps': 'mem_len reuse_len use_mems_eval use_mems_train',
    'is of attention that is causal': 'same_length',
    'is of the files of TensorFlow': 'untie_r',
    'is of answers to questions': 'start_n_top end_n_top',
    'is vocab_size in old files': 'n_token',
  },
)
# Our word -> their key.
SAID = dict(
  vocab_size='vocab_size',
  width='d_model',
  depth='n_layer',
  num_heads='n_head',
  mlp_dim='d_inner',
  norm_epsilon='layer_norm_eps',
)

KEYS_AND_VALUES = Layout(  # [d, 2, n, k] <-> [d, n, k], twice
  theirs=lambda shape: (2 * shape[0], *shape[2:]),
  to_ours=lambda array, shape: np.stack(np.split(array, 2), axis=1),
  to_theirs=lambda array: np.concatenate([array[:, 0], array[:, 1]]),
)
OUT = Layout(  # [n, k, d] <-> [d, n, k]
  theirs=lambda shape: (shape[2], *shape[:2]),
  to_ours=lambda array, shape: array.transpose(1, 2, 0),
  to_theirs=lambda array: array.transpose(2, 0, 1),
)
# End of our path -> how it lies, where not as in torch's layers.
ODD = {f'attention/{name}_bias': same for name in ('content', 'position', 'segment')}
ODD |= {f'attention/{name}/kernel': same for name in ('q', 'r')}
ODD |= {'attention/segments': same, 'token_embedding/embedding': same, 'query_token': batched}
ODD |= {'attention/kv/kernel': KEYS_AND_VALUES, 'attention/out/kernel': OUT}


def _huggingface(sides: Sides) -> PartOf:
  """The tensors of XLNetModel lie below 'transformer.' in all classes that have a head."""
  head = next((head for head, path in TOPS.items() if f'params/{path}' in sides.ours), 'none')
  prefixed = head != 'none'
  if sides.theirs:
    prefixed = any(name.startswith(PREFIX) for name in sides.theirs)
  table = below('', PREFIX if prefixed else '', BODY) | HEADS[head]
  return by_table(table, odd=ODD)(sides)


def _tied(files: Files) -> Files:
  """The files, in which the matrix of the head is that of the embedding, or is not there.

  Raises:
    UserError: it is another one.
  """
  head = files.tensors.get('lm_loss.weight')
  words = files.tensors.get(f'{PREFIX}word_embedding.weight')
  if head is not None and words is not None and not np.array_equal(head, words):
    raise UserError(
      'lm_loss.weight is not word_embedding.weight: the head of XLNet is tied to its embedding'
      '\na model of torchscript=True that has learned since holds two; choose one of other weights'
    )
  return files


def _from_huggingface(config: Mapping[str, Any], shapes: Shapes) -> dict[str, Any]:
  """The model of an XLNet of Hugging Face.

  Raises:
    UserError: its class has a head that is not computed here.
  """
  named = (config.get('architectures') or [''])[0]
  head = next((head for name, head in SIGNS.items() if name in shapes), 'none')
  if named not in ('', *CLASSES.values()) or 'qa_outputs.weight' in shapes:
    raise UserError(
      f'config.json says architectures={[named]}, whose head vitlab does not compute'
      f'\nit reads {", ".join(sorted(CLASSES.values()))}'
    )
  layer = dict(text='logits_proj', tokens='classifier').get(head)
  activations = specs.HF_ACTIVATIONS
  return dict(
    name='xlnet',
    **specs.size_words(specs.meant(config, SAID), VARIANTS, 'base'),
    head=head,
    **(dict(num_classes=shapes[f'{layer}.weight'][0]) if layer else {}),
    mlp=specs.named(config['ff_activation'], activations, 'ff_activation of Hugging Face'),
  )


def _to_huggingface(spec: Mapping[str, Any], image_size: Grid | None) -> dict[str, Any]:
  """The config.json of the class that has this head."""
  del image_size
  words, activations = specs.all_words(spec, VARIANTS), specs.inverse(specs.HF_ACTIVATIONS)
  specs.refuse('XLNet of Hugging Face', mlp=words['mlp'] not in activations)
  return dict(
    architectures=[CLASSES[words['head']]],
    model_type='xlnet',
    **specs.said(words, SAID),
    ff_activation=activations[words['mlp']],
    dropout=words['dropout_rate'],
    mem_len=words['memory_length'] or None,
    attn_type='bi',
    summary_type='last',
    summary_activation='tanh',
  )


def _with_query(
  tree: PyTree, spec: Mapping[str, Any], image_size: Grid | None
) -> tuple[PyTree, Mapping[str, Any]]:
  """The parameters with the vector that a query starts from; zeros where there are no queries."""
  del image_size
  zeros = np.zeros_like(tree['params']['token_embedding']['embedding'][:1])
  return {**tree, 'params': {'query_token': zeros, **tree['params']}}, spec


FORMATS = {
  'huggingface': Format(
    _huggingface,
    _from_huggingface,
    _to_huggingface,
    # Of a query, where none is asked; a copy of the tied matrix.
    ignored=r'(transformer\.)?mask_emb$|lm_loss\.weight$',
    head=r'(lm_loss|logits_proj|classifier|sequence_summary)\.',
    keys=KEYS,
    architectures=r'xlnet$',
    sign=r'(transformer\.)?layer\.0\.rel_attn\.r_s_bias$',
    preprocessing=None,
    prepare=_tied,
    rewrite=_with_query,
  ),
}
