"""Tiny BERTs of Hugging Face, perturbed and in float64, and ours of the same weights."""

import _helpers.torchvision_shim  # noqa: F401  isort: skip
import jax
import jax.numpy as jnp
import numpy as np
import torch
import transformers

from vitlab import registry
from vitlab.data.vocabularies import learned

TINY = dict(vocab_size=17, hidden_size=16, num_hidden_layers=2, num_attention_heads=2)
TINY |= dict(intermediate_size=32, max_position_embeddings=12, num_labels=3)
KINDS = dict(
  pretraining='BertForPreTraining',
  masked='BertForMaskedLM',
  next='BertForNextSentencePrediction',
  texts='BertForSequenceClassification',
  tokens='BertForTokenClassification',
  bare='BertModel',
)
TOKENS = np.array([[1, 9, 5, 2, 7, 7, 16, 2, 0], [1, 3, 4, 6, 8, 10, 11, 13, 2]], np.int32)
SEGMENTS = np.array([[1, 1, 1, 1, 2, 2, 2, 2, 0], [1, 1, 1, 1, 1, 1, 2, 2, 2]], np.int32)


def make(kind: str, **words) -> torch.nn.Module:
  """Random weights: N(0, 0.3) around matrices of nothing, norms around one."""
  config = transformers.BertConfig(**(TINY | dict(attn_implementation='eager') | words))
  random, module = np.random.default_rng(0), getattr(transformers, KINDS[kind])(config)
  with torch.no_grad():
    for name, value in module.double().eval().named_parameters():
      centre = float('LayerNorm.weight' in name)
      value.copy_(torch.tensor(random.normal(centre, 0.3, tuple(value.shape))))
  return module


def run(module: torch.nn.Module, names=()) -> dict[str, torch.Tensor]:
  """The results of theirs by our names."""
  out = module(
    torch.tensor(TOKENS).long(),
    attention_mask=torch.tensor(SEGMENTS > 0).long(),
    token_type_ids=torch.tensor(np.maximum(SEGMENTS - 1, 0)).long(),
  )
  ours = dict(
    logits='logits',
    prediction_logits='logits',
    seq_relationship_logits='next_passage',
    last_hidden_state='features',
    pooler_output='pooled',
  )
  found = {ours[name]: out[name] for name in ours if name in out}
  if type(module).__name__ == KINDS['next']:
    found = dict(next_passage=found['logits'])
  return found


def in_double(weights, **words):
  """Our model, in float64, and its variables."""
  model = registry.make('models', {**weights.about.spec, 'dtype': 'float64', **words})
  like = jax.eval_shape(model.init, jax.random.key(0), TOKENS)
  like = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, jnp.float64), like)
  return model, jax.tree.map(jnp.asarray, weights.load(like))


def ours(model, variables) -> dict[str, np.ndarray]:
  """Ours, where padding is not looked at."""
  apply = lambda v, *batch: model.apply(v, *batch)[1]  # noqa: E731
  out = jax.jit(apply)(variables, TOKENS, SEGMENTS)
  return {name: np.asarray(out[name]) for name in out if name not in ('blocks', 'attention')}


def vocabulary(lines, size=60):
  """WordPiece of a text, as `vocab.txt` has it."""
  return learned.wordpiece(lambda: lines, size).pieces


def publish(folder, kind: str, pieces, **words) -> torch.nn.Module:
  """Writes a folder as people publish it, and gives what it holds, in float32."""
  module = make(kind, vocab_size=len(pieces), **words).float()
  module.save_pretrained(folder)
  (folder / 'vocab.txt').write_text(''.join(piece + '\n' for piece in pieces))
  transformers.BertTokenizerFast(str(folder / 'vocab.txt')).save_pretrained(folder)
  return module


def pipeline(task: str, folder, **options):
  """What transformers makes of a folder."""
  tokenizer = transformers.AutoTokenizer.from_pretrained(str(folder))
  return transformers.pipeline(task, model=str(folder), tokenizer=tokenizer, **options)
