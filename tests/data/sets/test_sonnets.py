"""The text that ships: whole, and cut where it says."""

from vitlab.data import tokenizers
from vitlab.data.sets import sonnets


def test_the_sonnets_are_all_there():
  content = sonnets.PATH.read_text(encoding='utf-8')
  assert content.count('\n\n') == 153 and len(content.split('\n\n')) == 154
  assert content.startswith('From fairest creatures we desire increase,\n')
  assert content.endswith("Love's fire heats water, water cools not love.\n")
  dataset = sonnets.make(context=16)
  assert dataset.facts['vocab_size'] == len(set(content)) == 61
  sizes = dataset.facts['sizes']
  assert [sizes[name]['characters'] for name in ('train', 'val')] == [85187, 9466]
  vocabulary = tokenizers.of(dataset.facts)
  read = vocabulary.decode(dataset.splits['train'][5]['tokens'])
  assert read in content and len(read) == 17
