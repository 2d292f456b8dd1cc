"""Reads a page as a browser would, strictly: what is not closed or does not nest is an error."""

import html.parser
import json

VOID = {'meta', 'link', 'img', 'br', 'wbr', 'input'}


class Page(html.parser.HTMLParser):
  """A parsed page.

  Attributes:
    text: What a reader sees.
    figures: kind -> the data of each figure of that kind.
    ids: Of all elements.
    tags: Names of all elements.
    links: Values of all attributes that may load or lead somewhere.
  """

  def __init__(self, source: str):
    super().__init__(convert_charrefs=True)
    self.text, self.figures, self.ids, self.tags, self.links = '', {}, [], [], []
    self._open, self._figure, self._data = [], None, ''
    self.feed(source)
    self.close()
    assert not self._open, f'never closed: {self._open}'

  def handle_starttag(self, tag, attrs):
    attributes = dict(attrs)
    assert len(attributes) == len(attrs), f'an attribute of <{tag}> is there twice'
    self.tags.append(tag)
    if 'id' in attributes:
      self.ids.append(attributes['id'])
    self.links += [
      attributes[name] for name in ('src', 'href', 'action', 'data') if name in attributes
    ]
    if 'data-figure' in attributes:
      self._figure = attributes['data-figure']
    if tag not in VOID:
      self._open.append(tag)

  def handle_endtag(self, tag):
    assert self._open and self._open[-1] == tag, f'</{tag}> inside {self._open}'
    self._open.pop()
    if tag == 'script' and self._figure:
      self.figures.setdefault(self._figure, []).append(json.loads(self._data))
      self._figure, self._data = None, ''

  def handle_data(self, data):
    if self._open and self._open[-1] == 'script':
      self._data += data if self._figure else ''
    elif not self._open or self._open[-1] != 'style':
      self.text += data
