"""A vocabulary as files that other libraries read, and `vitlab.data.vocabularies.kinds.load`."""

import base64
import json

import tokenizers
from tokenizers import Regex, decoders, models, pre_tokenizers

from vitlab.data.vocabularies import Vocabulary, pieces, plain, published
from vitlab.data.vocabularies.published import CONFIG, WHOLE, Published
from vitlab.errors import UserError

PIECES, XLNETS = 'tokenizer.model', 'spiece.model'  # of sentencepiece


def files(text: str, around: bool = False) -> dict[str, bytes]:
  """Name -> contents: a tokenizer.json of the Rust library, or a model of sentencepiece.

  Args:
    text: The vocabulary, see `Vocabulary.text`.
    around: Whether the reader wants special tokens around texts, as BERT does.

  Raises:
    UserError: it is that of a later version.
  """
  known = json.loads(text)
  match known.get('kind'):
    case published.KIND:
      whole, roles = json.dumps(known['tokenizer'], ensure_ascii=False), known['special']
      whole = Published(whole, roles).surrounding if around else whole
    case plain.CHARS:
      whole, roles = _of_characters(known['characters']).to_str(), {}
    case plain.BYTES:
      whole, roles = _of_bytes().to_str(), {}
    case pieces.KIND:
      model = base64.b64decode(known['model'])
      if not pieces.Pieces(model).class_last:
        return {PIECES: model}
      return {XLNETS: model, CONFIG: b'{"tokenizer_class": "XLNetTokenizer"}\n'}
    case kind:
      raise UserError(f'a vocabulary of a kind {kind!r} that this version does not know')
  config = dict(tokenizer_class='PreTrainedTokenizerFast', clean_up_tokenization_spaces=False)
  config |= {f'{role}_token': word for role, word in roles.items()}
  return {WHOLE: whole.encode(), CONFIG: (json.dumps(config, indent=2) + '\n').encode()}


def original(found: Published) -> Vocabulary:
  """The characters or bytes that a tokenizer.json was written of by `files`; else as it is."""
  candidates: list[Vocabulary] = [plain.Bytes()]
  if all(len(piece) == 1 for piece in found.pieces):
    candidates.append(plain.Characters(''.join(found.pieces)))
  for vocabulary in candidates:
    if files(vocabulary.text)[WHOLE].decode() == found.definition:
      return vocabulary
  return found


def _of_characters(characters: str) -> tokenizers.Tokenizer:
  """A word each."""
  tokenizer = tokenizers.Tokenizer(
    models.WordLevel({character: i for i, character in enumerate(characters)}, unk_token='')
  )
  tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r'[\s\S]'), 'isolated')
  tokenizer.decoder = decoders.Fuse()
  return tokenizer


def _of_bytes() -> tokenizers.Tokenizer:
  """Pairs of bytes of which none is merged, under the letters that the library has for bytes."""
  letters = _letters()
  tokenizer = tokenizers.Tokenizer(models.BPE({letter: i for i, letter in enumerate(letters)}, []))
  tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
  tokenizer.decoder = decoders.ByteLevel()
  return tokenizer


def _letters() -> list[str]:
  """That of each byte: itself where it can be printed, else the next letter from 256 on (GPT-2)."""
  printed = {*range(ord('!'), ord('~') + 1), *range(ord('¡'), ord('¬') + 1), *range(ord('®'), 256)}
  others = iter(range(256, 512))
  return [chr(byte if byte in printed else next(others)) for byte in range(256)]
