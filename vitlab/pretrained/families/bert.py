"""Weights of other people's BERTs.

  'huggingface'  BertModel and what is built on it: BertForPreTraining, ForMaskedLM,
                 ForNextSentencePrediction, ForSequenceClassification, ForTokenClassification

Which heads there are, the tensors say; whether a classifier is one of texts or of tokens, the name
of the class in config.json. Files of 2018 call a norm's scale gamma and its bias beta.
"""

from collections.abc import Mapping
from typing import Any

from vitlab.errors import UserError
from vitlab.models.bert import VARIANTS
from vitlab.ops.positions import Grid
from vitlab.pretrained import keys, specs
from vitlab.pretrained.assemble import Format, PartOf, Shapes, Sides
from vitlab.pretrained.files import Files
from vitlab.pretrained.layouts import same
from vitlab.pretrained.rename import substituted
from vitlab.pretrained.tables import below, by_table

KIND = dict(
  words='masked_lm', text='text_classification', tokens='token_classification'
)  # see `vitlab.pretrained.kind`
# Our module or parameter -> their name; {} is the number of the block. Several names are queries,
# keys and values apart.
BODY = {
  'token_embedding/embedding': 'embeddings.word_embeddings.weight',
  'position_embedding/table': 'embeddings.position_embeddings.weight',
  'segment_embedding/embedding': 'embeddings.token_type_embeddings.weight',
  'embedding_norm': 'embeddings.LayerNorm',
  'pooler': 'pooler.dense',
}
BLOCK = {
  'attention/qkv': tuple(f'attention.self.{x}' for x in ('query', 'key', 'value')),
  'attention/out': 'attention.output.dense',
  'norm1': 'attention.output.LayerNorm',
  'mlp/up': 'intermediate.dense',
  'mlp/down': 'output.dense',
  'norm2': 'output.LayerNorm',
}
BIAS = 'cls.predictions.bias'
CLASSIFIER = {'head': 'classifier', 'next_head': 'cls.seq_relationship'}
WORDS = {
  'head/transform': 'cls.predictions.transform.dense',
  'head/norm': 'cls.predictions.transform.LayerNorm',
  'head/bias': BIAS,
  'next_head': 'cls.seq_relationship',
}
TABLES = tuple(path for path in BODY if path.rpartition('/')[2] in ('embedding', 'table'))
BODY |= below('encoder/block_{}/', 'encoder.layer.{}.', BLOCK)
PREFIX = 'bert.'
HEADS_OF_THEIRS = r'(cls|classifier)\.'
CLASSES = {  # (our head, whether the next passage is guessed) -> their class
  ('words', True): 'BertForPreTraining',
  ('words', False): 'BertForMaskedLM',
  ('none', True): 'BertForNextSentencePrediction',
  ('text', False): 'BertForSequenceClassification',
  ('tokens', False): 'BertForTokenClassification',
  ('none', False): 'BertModel',
}

KEYS = keys.huggingface(
  'bert',
  read='num_labels architectures',
  only=dict(position_embedding_type=('absolute',)),
  training='attention_probs_dropout_prob classifier_dropout initializer_range',
  why={'is the dropout of training': 'hidden_dropout_prob'},
)


# Our word -> their key.
SAID = dict(
  vocab_size='vocab_size',
  width='hidden_size',
  depth='num_hidden_layers',
  num_heads='num_attention_heads',
  mlp_dim='intermediate_size',
  max_length='max_position_embeddings',
  num_segments='type_vocab_size',
  norm_epsilon='layer_norm_eps',
)
# Of all of theirs.
ONLY = dict(position_embedding='learned', norm_place='post')


def _huggingface(sides: Sides) -> PartOf:
  """The tensors of BertModel lie below 'bert.' in all classes that have a head."""
  tops = {path.split('/')[1] for path in sides.ours}
  prefixed = bool(tops & {'head', 'next_head'})
  if sides.theirs:
    prefixed = any(name.startswith(PREFIX) for name in sides.theirs)
  heads = WORDS if 'params/head/transform/kernel' in sides.ours else CLASSIFIER
  table = below('', PREFIX if prefixed else '', BODY) | heads
  return by_table(table, odd=dict.fromkeys(TABLES, same))(sides)


def _modern(files: Files) -> Files:
  """Files in which norms and the tied bias have the names of today."""
  ends = {r'LayerNorm\.gamma$': 'LayerNorm.weight', r'LayerNorm\.beta$': 'LayerNorm.bias'}
  tensors = {substituted(name, ends): tensor for name, tensor in files.tensors.items()}
  alone = tensors.get('cls.predictions.decoder.bias')
  if alone is not None:
    tensors.setdefault(BIAS, alone)
  return files._replace(tensors=tensors)


def _from_huggingface(config: Mapping[str, Any], shapes: Shapes) -> dict[str, Any]:
  """The model of a BERT of Hugging Face.

  Raises:
    UserError: its class has a head that is not computed here.
  """
  there = lambda name: any(tensor.endswith(name) for tensor in shapes)  # noqa: E731
  named = (config.get('architectures') or [''])[0]
  head = 'words' if there('cls.predictions.transform.dense.weight') else 'none'
  if 'classifier.weight' in shapes:
    head = 'tokens' if named == CLASSES['tokens', False] else 'text'
  if named not in ('', *CLASSES.values()) or 'qa_outputs.weight' in shapes:
    raise UserError(
      f'config.json says architectures={[named]}, whose head vitlab does not compute'
      f'\nit reads {", ".join(sorted(set(CLASSES.values())))}'
    )
  classes = dict(num_classes=shapes['classifier.weight'][0]) if head in ('text', 'tokens') else {}
  return dict(
    name='bert',
    **specs.size_words(specs.meant(config, SAID), VARIANTS, 'base'),
    head=head,
    **classes,
    next_passage=there('cls.seq_relationship.weight'),
    pooler=there('pooler.dense.weight'),
    mlp=specs.named(config['hidden_act'], specs.HF_ACTIVATIONS, 'hidden_act of Hugging Face'),
  )


def _to_huggingface(spec: Mapping[str, Any], image_size: Grid | None) -> dict[str, Any]:
  """The config.json of the class that has these heads."""
  del image_size
  words, activations = specs.all_words(spec, VARIANTS), specs.inverse(specs.HF_ACTIVATIONS)
  heads = words['head'], words['next_passage']
  wrong = heads not in CLASSES
  differing = specs.differing(words, ONLY)
  refused = dict(differing, mlp=words['mlp'] not in activations, head=wrong)
  specs.refuse('BERT of Hugging Face', **refused)
  return dict(
    architectures=[CLASSES[heads]],
    model_type='bert',
    **specs.said(words, SAID),
    hidden_act=activations[words['mlp']],
    hidden_dropout_prob=words['dropout_rate'],
    attention_probs_dropout_prob=words['attention_dropout_rate'],
  )


FORMATS = {
  'huggingface': Format(
    _huggingface,
    _from_huggingface,
    _to_huggingface,
    # Numbers 0, 1, 2, ...; copies of the tied matrix and its bias.
    ignored=r'(bert\.)?embeddings\.position_ids$|cls\.predictions\.decoder\.',
    head=HEADS_OF_THEIRS,
    keys=KEYS,
    architectures=r'bert$',
    sign=r'(bert\.)?embeddings\.token_type_embeddings\.weight$',
    preprocessing=None,
    prepare=_modern,
    around=True,
  ),
}
