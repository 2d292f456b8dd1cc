"""Tiny Marians of Hugging Face, and folders of them with tokens numbered as in opus-mt."""

import io
import json
import pathlib

import _helpers.torchvision_shim  # noqa: F401  isort: skip
import jax.numpy as jnp
import numpy as np
import sentencepiece
import torch
from transformers import MarianConfig, MarianMTModel

from vitlab.ops.positions import sincos_1d

WIDTH, LENGTH = 16, 32
WORDS = ('</s>', '<unk>', *'abcdefgh', '<pad>')
# As published: the decoder starts with padding.
NUMBERS = dict(pad_token_id=10, eos_token_id=0, decoder_start_token_id=10, vocab_size=len(WORDS))


def make(**words) -> MarianMTModel:
  """Random, in float32."""
  sizes = dict(layers=2, attention_heads=2, ffn_dim=32)
  sides = {f'{side}_{key}': x for side in ('encoder', 'decoder') for key, x in sizes.items()}
  common = dict(
    d_model=WIDTH,
    max_position_embeddings=LENGTH,
    activation_function='swish',
    scale_embedding=True,
    attn_implementation='eager',
  )
  return MarianMTModel(MarianConfig(**(sides | common | NUMBERS | words)))


def exact(oracle: MarianMTModel) -> MarianMTModel:
  """In float64 with its table of positions, which is float32 by itself."""
  position = np.array(sincos_1d(jnp.arange(LENGTH), WIDTH, False, jnp.float64))
  for part in (oracle.model.encoder, oracle.model.decoder):
    part.embed_positions.weight = torch.nn.Parameter(torch.tensor(position))
  return oracle.double().eval()


def perturb(oracle: MarianMTModel, seed: int = 0) -> MarianMTModel:
  """All that is learned, the bias of the logits too: N(0, 0.3), scales of norms around 1."""
  random = np.random.default_rng(seed)
  oracle = oracle.double()
  with torch.no_grad():
    for name, value in oracle.state_dict().items():
      centre = float('norm.weight' in name)
      value.copy_(torch.tensor(random.normal(centre, 0.3, tuple(value.shape))))
  return exact(oracle)


def save(folder: pathlib.Path, oracle: MarianMTModel, words=WORDS) -> pathlib.Path:
  """As `save_pretrained` writes it, and the vocabulary as its tokenizer does."""
  oracle.save_pretrained(folder)
  numbers = {word: i for i, word in enumerate(words)}
  (folder / 'vocab.json').write_text(json.dumps(numbers))
  return folder


def opus(folder: pathlib.Path, lines, end: float = 0.0, **words) -> MarianMTModel:
  """A folder as those of opus-mt, of random weights and with a vocabulary learned from lines.

  Args:
    folder: Where it goes.
    lines: Source and target sentences.
    end: Added to the bias of the end of a sentence: the more, the sooner they end.
    words: Of its generation_config.json.
  """
  folder.mkdir(parents=True, exist_ok=True)
  pieces = {}
  for name, side in zip(('source.spm', 'target.spm'), lines):
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
      sentence_iterator=iter(side),
      model_writer=model,
      vocab_size=60,
      hard_vocab_limit=False,
      character_coverage=0.98,
      minloglevel=2,
    )
    (folder / name).write_bytes(model.getvalue())
    own = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    pieces |= dict.fromkeys(own.id_to_piece(i) for i in range(3, own.get_piece_size()))
  vocabulary = ('</s>', '<unk>', *pieces, '>>xx<<', '<pad>')
  pad = len(vocabulary) - 1
  numbers = dict(pad_token_id=pad, decoder_start_token_id=pad, vocab_size=len(vocabulary))
  oracle = make(**numbers, decoder_vocab_size=len(vocabulary)).eval()
  random = np.random.default_rng(0)
  with torch.no_grad():
    for name, value in oracle.state_dict().items():
      if 'embed_positions' not in name:
        centre = float('norm.weight' in name)
        value.copy_(torch.tensor(random.normal(centre, 0.3, tuple(value.shape))))
  oracle.final_logits_bias[0, 0] += end
  oracle.generation_config.update(bad_words_ids=[[pad]], **words)
  save(folder, oracle, vocabulary)
  return oracle


def logits(oracle: MarianMTModel, tokens: np.ndarray, inputs: np.ndarray, pad: int) -> np.ndarray:
  """Of what follows each of the inputs; padding of the source is not looked at."""
  tokens, inputs = (torch.tensor(np.array(x)).long() for x in (tokens, inputs))
  mask = (tokens != pad).long()
  with torch.no_grad():
    out = oracle(input_ids=tokens, attention_mask=mask, decoder_input_ids=inputs)
  return out.logits.numpy()
