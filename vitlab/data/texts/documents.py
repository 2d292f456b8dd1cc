"""Documents of a text, in pieces short enough to be encoded at once.

A piece ends after a letter or digit and before white space, at the end of a line where there is
one: there, no word of WordPiece and no piece of byte-level BPE can reach over, so that the tokens
of the pieces are the tokens of the whole.
"""

import re
from collections.abc import Iterable, Iterator

from vitlab.data.texts.reading import Text
from vitlab.errors import UserError

FILE, LINE, PARAGRAPH = 'file', 'line', 'paragraph'
_PIECE = 2**16  # characters
_PARAGRAPH = re.compile(r'\n[ \t\r]*\n\s*')
_LINE_ENDS = re.compile(r'(?<=[^\W_])(?=\r?\n)')
_WORD_ENDS = re.compile(r'(?<=[^\W_])(?=[ \t])')

Piece = tuple[str, bool]  # and whether its document ends with it


def documents(texts: Iterable[Text], between: str) -> Iterator[Piece]:
  """The pieces of the documents of some texts; none of a document without any character.

  Args:
    texts: In order.
    between: What divides a text into documents: '' or 'file' nothing, 'line' the end of each line,
      'paragraph' blank lines, else a mark such as '<|endoftext|>'. The mark and white space around
      the documents that it divides are no part of them.
  """
  for text in texts:
    if between in ('', FILE):
      yield from _pieces(text.blocks())
    else:
      for document in _divided(text.blocks(), between):
        yield from _pieces([document])


def check_between(between: str) -> None:
  """Raises UserError if it is a mark of white space, or looks like a mistyped word."""
  if between and not between.strip():
    raise UserError(
      f'data.pack={between!r}: give {FILE}, {LINE}, {PARAGRAPH} or a mark such as <|endoftext|>'
    )
  if between.isalpha() and between not in (FILE, LINE, PARAGRAPH):
    raise UserError(
      f'unknown data.pack {between!r}: possible are {FILE}, {LINE}, {PARAGRAPH} or a mark between '
      'documents such as <|endoftext|>'
    )


def _divided(blocks: Iterable[str], between: str) -> Iterator[str]:
  """Whole documents; the last of a block may go on in the next one."""
  cut = {
    LINE: lambda text: text.split('\n'),
    PARAGRAPH: _PARAGRAPH.split,
  }.get(between, lambda text: text.split(between))
  rest = ''
  for block in blocks:
    *complete, rest = cut(rest + block)
    yield from (document.strip() for document in complete if document.strip())
  if rest.strip():
    yield rest.strip()


def _pieces(blocks: Iterable[str]) -> Iterator[Piece]:
  rest = ''
  for block in blocks:
    rest += block
    start = 0
    while len(rest) - start > 2 * _PIECE:
      stop = _end(rest, start)
      yield rest[start:stop], False
      start = stop
    rest = rest[start:]
  while len(rest) > _PIECE:
    stop = _end(rest, 0)
    yield rest[:stop], False
    rest = rest[stop:]
  if rest:
    yield rest, True


def _end(text: str, start: int) -> int:
  """Where a piece may end that begins here: the first good place in its second half."""
  half, whole = start + _PIECE // 2, start + _PIECE
  for pattern in (_LINE_ENDS, _WORD_ENDS):
    if match := pattern.search(text, half, whole):
      return match.start()
  return whole
