"""Vocabularies that are learned from a text: WordPiece as BERT has it, byte-level BPE as GPT-2.

The same text always gives the same. sentencepiece's own kinds are learned by
`vitlab.data.tokenizers.train`.
"""

from collections.abc import Callable, Iterable, Sequence

import tokenizers
from tokenizers import decoders, models, normalizers, pre_tokenizers, trainers

from vitlab.data.vocabularies import CONTINUES, published
from vitlab.data.vocabularies.published import Published
from vitlab.errors import UserError

WORDPIECE, BYTE_BPE = 'wordpiece', 'byte_bpe'
_SPECIAL = dict(pad='[PAD]', unk='[UNK]', cls='[CLS]', sep='[SEP]', mask='[MASK]')
_END = '<|endoftext|>'


def wordpiece(texts: Callable[[], Iterable[str]], vocab_size: int) -> Published:
  """BERT's vocabulary in lower case (Wu et al. 2016, arXiv:1609.08144).

  Args:
    texts: Gives what to learn from, twice; a word never reaches over the end of one.
    vocab_size: Special tokens included; fewer if the texts do not give as many, more if they have
      more characters.
  """
  special = list(_SPECIAL.values())
  _enough(vocab_size, len(special) + 1)
  # The library numbers '##a' and its like in the order in which words lie in a hash table, another
  # in every process, and breaks ties by number. So these are learned first, and then given.
  letters = _wordpiece(texts(), 0, special)
  inner = sorted(piece for piece in letters if piece.startswith(CONTINUES) and piece not in special)
  vocab = _wordpiece(texts(), vocab_size, special + inner)
  tokenizer = _bert(models.WordPiece(vocab, unk_token=_SPECIAL['unk']))
  tokenizer.add_special_tokens(special)
  tokenizer.post_processor = published.around(tokenizer, _SPECIAL['cls'], _SPECIAL['sep'])
  return Published(tokenizer.to_str(), _SPECIAL)


def _wordpiece(texts: Iterable[str], vocab_size: int, first: Sequence[str]) -> dict[str, int]:
  """Piece -> number; `first` are the first."""
  tokenizer = _bert(models.WordPiece(unk_token=_SPECIAL['unk']))
  trainer = trainers.WordPieceTrainer(
    vocab_size=vocab_size, special_tokens=list(first), limit_alphabet=2**21, show_progress=False
  )
  tokenizer.train_from_iterator(texts, trainer)
  return tokenizer.get_vocab(with_added_tokens=False)


def _bert(model: models.WordPiece) -> tokenizers.Tokenizer:
  tokenizer = tokenizers.Tokenizer(model)
  tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
  tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
  tokenizer.decoder = decoders.WordPiece()
  return tokenizer


def byte_bpe(texts: Callable[[], Iterable[str]], vocab_size: int) -> Published:
  """GPT-2's vocabulary: pairs of bytes, and one token that ends a document (and begins one).

  Args:
    texts: Gives what to learn from; a piece never reaches over the end of one.
    vocab_size: The 256 bytes and that token included; fewer if the texts do not give as many.
  """
  tokenizer = tokenizers.Tokenizer(models.BPE())
  tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
  tokenizer.decoder = decoders.ByteLevel()
  trainer = trainers.BpeTrainer(
    vocab_size=_enough(vocab_size, 257),
    special_tokens=[_END],
    initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
    show_progress=False,
  )
  tokenizer.train_from_iterator(texts(), trainer)
  return Published(tokenizer.to_str(), dict(bos=_END, eos=_END))


def _enough(vocab_size: int, least: int) -> int:
  if vocab_size < least:
    raise UserError(f'vocab_size={vocab_size}: this kind of vocabulary needs at least {least}')
  return vocab_size
