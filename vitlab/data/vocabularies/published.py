"""Published vocabularies, read with the Rust library `tokenizers`, token for token as transformers.

A folder holds `tokenizer.json`, or `vocab.txt` (WordPiece: BERT), or `vocab.json` and `merges.txt`
(byte-level BPE: GPT-2; with pieces that end in `</w>`, the BPE of GPT-1). `tokenizer_config.json`,
`special_tokens_map.json` and `added_tokens.json` beside them say the rest. As there, a special
token that is written out in a text is that token: '[MASK]', '<|endoftext|>'.

One rule differs: a `tokenizer.json` alone means what it says. transformers lower-cases with it
unless `tokenizer_config.json` says `"do_lower_case": false`, even where it says so itself.
"""

import json
import logging
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tokenizers
from jaxtyping import Int
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors

from vitlab.data.vocabularies import Row, Special
from vitlab.errors import UserError

_log = logging.getLogger(__name__)
KIND = 'published'
WHOLE, WORDPIECE, PIECES, MERGES = 'tokenizer.json', 'vocab.txt', 'vocab.json', 'merges.txt'
CONFIG = 'tokenizer_config.json'
ROLES = dict(  # how the special tokens of the well-known families are written
  pad=('[PAD]', '<pad>'),
  bos=('<s>', '<bos>', '<|begin_of_text|>', '<|endoftext|>'),
  eos=('</s>', '<eos>', '<|end_of_text|>', '<|endoftext|>'),
  unk=('[UNK]', '<unk>'),
  cls=('[CLS]', '<cls>'),
  sep=('[SEP]', '<sep>'),
  mask=('[MASK]', '<mask>'),
)
_ENDS_WORD = '</w>'  # GPT-1


class Published:
  """A vocabulary of the Rust library.

  Args:
    definition: What its tokenizer.json says.
    roles: Role -> how that special token is written, see `Special`; by default as in `ROLES`.

  Raises:
    UserError: the definition is none.
  """

  def __init__(self, definition: str, roles: Mapping[str, str] | None = None):
    self._tokenizer = _restored(definition)
    self._tokenizer.no_truncation()  # sentence embeddings bring 128 tokens at most with them
    self._tokenizer.no_padding()
    numbers = self._tokenizer.get_vocab(with_added_tokens=True)
    self.pieces = [''] * (max(numbers.values(), default=-1) + 1)
    for piece, number in numbers.items():
      self.pieces[number] = piece
    known = {role: [word for word in words if word in numbers] for role, words in ROLES.items()}
    known = {role: words[0] for role, words in known.items() if words} if roles is None else roles
    self._roles = {role: known[role] for role in Special._fields if known.get(role) in numbers}
    self.special = Special(**{role: numbers[word] for role, word in self._roles.items()})
    around = self._tokenizer.encode('').ids  # what the file itself puts around a text
    self.class_last = self.special.cls is not None and around[-1:] == [self.special.cls]

  def __len__(self) -> int:
    return len(self.pieces)

  @property
  def text(self) -> str:
    """See `vitlab.data.vocabularies.Vocabulary`."""
    definition = json.loads(self.definition)
    return json.dumps(dict(kind=KIND, tokenizer=definition, special=self._roles))

  @property
  def definition(self) -> str:
    """As a tokenizer.json that other libraries read."""
    return self._tokenizer.to_str()

  @property
  def surrounding(self) -> str:
    """The same, of a tokenizer that puts `Special.around` around texts, where it puts nothing."""
    changed = _restored(self.definition)
    words = [None if token is None else self.pieces[token] for token in self.special.around]
    if any(words) and not changed.num_special_tokens_to_add(False):
      own = [changed.post_processor] if changed.post_processor else []
      changed.post_processor = processors.Sequence([*own, around(changed, *words)])
    return changed.to_str()

  def encode(self, texts: Sequence[str]) -> list[Int[np.ndarray, ' t']]:
    """The tokens of every text, and none beside them."""
    found = self._tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
    return [np.array(row.ids, np.int32) for row in found]

  def decode(self, tokens: Row) -> str:
    """The text of a row; special tokens have none, half a character is U+FFFD."""
    return self._tokenizer.decode([int(t) for t in tokens], skip_special_tokens=True)


def around(
  tokenizer: tokenizers.Tokenizer, begin: str | None, end: str | None
) -> processors.PostProcessor:
  """What puts special tokens around texts, [CLS] and [SEP] for BERT: not here, where data sets do
  it, but for those who read the file. A pair has two segments."""
  words = [word for word in (begin, end) if word]
  first = f'{begin or ""} $A {end or ""}'.strip()
  return processors.TemplateProcessing(
    single=first,
    pair=f'{first} $B:1' + (f' {end}:1' if end else ''),
    special_tokens=[(word, tokenizer.token_to_id(word)) for word in dict.fromkeys(words)],
  )


def is_one(place: pathlib.Path) -> bool:
  """Whether a folder holds such a vocabulary, or a file is one."""
  if place.is_file():
    return place.suffix in ('.json', '.txt')
  return any((place / name).is_file() for name in (WHOLE, WORDPIECE, PIECES))


def load(place: pathlib.Path) -> Published:
  """The vocabulary of a folder, or of one of its files.

  Raises:
    UserError: a file is missing or damaged.
  """
  folder, name = (place, '') if place.is_dir() else (place.parent, place.name)
  given = next((n for n in (WHOLE, WORDPIECE, PIECES) if (folder / n).is_file()), WHOLE)
  name = PIECES if name == MERGES else name or given
  try:
    config = _config(folder)
    if name.endswith('.txt'):
      tokenizer = _wordpiece(folder / name, config)
    elif name == PIECES:
      tokenizer = _byte_pairs(folder, config)
    else:
      tokenizer = _as_configured(json.loads((folder / name).read_text(encoding='utf-8')), config)
  except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
    raise UserError(f'{folder / name} is no vocabulary that can be read: {error}') from None
  _add(tokenizer, folder, config)
  roles = {role: _written(config.get(f'{role}_token')) for role in Special._fields}
  numbers, roles = tokenizer.get_vocab(), {role: word for role, word in roles.items() if word}
  for role, words in ROLES.items():
    if role not in roles and (word := next((w for w in words if w in numbers), None)):
      roles[role] = word
  there = dict.fromkeys(word for word in roles.values())  # what the config names, it has
  tokenizer.add_special_tokens(list(there))
  if name.endswith('.txt') and {'cls', 'sep'} <= roles.keys():
    tokenizer.post_processor = around(tokenizer, roles['cls'], roles['sep'])
  return Published(tokenizer.to_str(), roles)


def _restored(definition: str) -> tokenizers.Tokenizer:
  try:
    return tokenizers.Tokenizer.from_str(definition)
  except Exception as error:  # noqa: BLE001 - the library raises nothing more exact
    raise UserError(f'the library tokenizers cannot read this tokenizer.json: {error}') from None


def _config(folder: pathlib.Path) -> dict[str, Any]:
  """What the files beside a vocabulary say, the newer one last."""
  found: dict[str, Any] = {}
  for name in ('special_tokens_map.json', CONFIG):
    if (folder / name).is_file():
      found |= json.loads((folder / name).read_text(encoding='utf-8'))
  return found


def _written(token: Any) -> str | None:
  return token.get('content') if isinstance(token, Mapping) else token


def _wordpiece(file: pathlib.Path, config: Mapping[str, Any]) -> tokenizers.Tokenizer:
  """BERT's: a file of pieces, the number of each is its line; of a piece twice the last counts."""
  lines = file.read_text(encoding='utf-8').split('\n')
  pieces = lines[:-1] if not lines[-1] else lines
  vocab = {piece: i for i, piece in enumerate(pieces)}
  if twice := sorted((i, p) for i, p in enumerate(pieces) if vocab[p] != i):
    i, piece = twice[0]
    _log.warning('%s: %r stands in line %d and %d: the last counts', file, piece, i, vocab[piece])
  upper = next((p for p in vocab if p != p.lower() and p[:1] not in '[<'), None)
  lower = config.get('do_lower_case', True)
  if upper and lower and 'do_lower_case' not in config:
    _log.warning(
      '%s: text is lower-cased, although there is the piece %r; to keep capitals put a '
      '%s with {"do_lower_case": false} beside it',
      *(file, upper, CONFIG),
    )
  unk = _written(config.get('unk_token')) or '[UNK]'
  if unk not in vocab:
    raise ValueError(f'it has no {unk}')
  tokenizer = tokenizers.Tokenizer(models.WordPiece(vocab, unk_token=unk))
  tokenizer.normalizer = normalizers.BertNormalizer(
    clean_text=True,
    handle_chinese_chars=config.get('tokenize_chinese_chars', True),
    strip_accents=config.get('strip_accents'),
    lowercase=lower,
  )
  tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
  tokenizer.decoder = decoders.WordPiece()
  return tokenizer


def _byte_pairs(folder: pathlib.Path, config: Mapping[str, Any]) -> tokenizers.Tokenizer:
  """GPT-2's, or GPT-1's if its pieces say where a word ends."""
  vocab = json.loads((folder / PIECES).read_text(encoding='utf-8'))
  lines = (folder / MERGES).read_text(encoding='utf-8').split('\n')
  pairs = [line.split() for line in lines if line.strip() and not line.startswith('#version')]
  if any(len(pair) != 2 for pair in pairs):
    raise ValueError(f'a line of {MERGES} is no pair of pieces')
  merges = [(left, right) for left, right in pairs]
  try:
    if not any(word.endswith(_ENDS_WORD) for word in vocab):
      tokenizer = tokenizers.Tokenizer(models.BPE(vocab, merges))
      space = bool(config.get('add_prefix_space', False))
      tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=space)
      tokenizer.decoder = decoders.ByteLevel()
      return tokenizer
    unk = _written(config.get('unk_token')) or '<unk>'
    model = models.BPE(vocab, merges, unk_token=unk, end_of_word_suffix=_ENDS_WORD)
  except Exception as error:  # noqa: BLE001 - as above
    raise ValueError(f'{MERGES} does not belong to {PIECES}: {error}') from None
  tokenizer = tokenizers.Tokenizer(model)
  tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
  tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
  tokenizer.decoder = decoders.BPEDecoder(suffix=_ENDS_WORD)
  return tokenizer


def _as_configured(definition: dict[str, Any], config: Mapping[str, Any]) -> tokenizers.Tokenizer:
  """A tokenizer.json, and what the config beside it says otherwise."""
  names = dict(
    lowercase='do_lower_case',
    strip_accents='strip_accents',
    handle_chinese_chars='tokenize_chinese_chars',
  )
  normalizer = definition.get('normalizer') or {}
  if normalizer.get('type') == 'BertNormalizer':
    normalizer |= {ours: config[theirs] for ours, theirs in names.items() if theirs in config}
  pre_tokenizer = definition.get('pre_tokenizer') or {}
  if pre_tokenizer.get('type') == 'ByteLevel' and 'add_prefix_space' in config:
    pre_tokenizer['add_prefix_space'] = bool(config['add_prefix_space'])
  return _restored(json.dumps(definition))


def _add(tokenizer: tokenizers.Tokenizer, folder: pathlib.Path, config: Mapping[str, Any]) -> None:
  """Adds the tokens that were given to the vocabulary after it was made, with their numbers."""
  added = {int(i): token for i, token in config.get('added_tokens_decoder', {}).items()}
  if (file := folder / 'added_tokens.json').is_file():
    for word, number in json.loads(file.read_text(encoding='utf-8')).items():
      added.setdefault(int(number), word)
  flags = ('single_word', 'lstrip', 'rstrip', 'normalized', 'special')
  for number, token in sorted(added.items()):
    about = token if isinstance(token, Mapping) else {}
    tokenizer.add_tokens(
      [tokenizers.AddedToken(_written(token), **{k: about[k] for k in flags if k in about})]
    )
    if tokenizer.token_to_id(_written(token)) != number:
      raise UserError(f'{folder}: the added token {_written(token)!r} cannot have number {number}')
