"""Text files of every kind; what is wrong with one is said with its name and line."""

import gzip
import zipfile

import pytest
from _helpers import text
from _helpers.real_data import ROOT

from vitlab.data import tokenizers
from vitlab.data.sets import parallel
from vitlab.errors import UserError


def made(path, **words):
  spec = text.spec(str(path), **words)
  return parallel.make(**{key: x for key, x in spec.items() if key != 'name'})


def texts(dataset, split):
  vocabulary = tokenizers.from_text(dataset.facts['tokenizer'])
  rows = map(dataset.splits[split].__getitem__, range(len(dataset.splits[split])))
  return [tuple(vocabulary.decode(row[key]) for key in ('tokens', 'targets')) for row in rows]


def pairs(count, seed=0):
  return list(zip(*text.sentences(count, seed)))


@pytest.mark.parametrize('compress', [False, True])
def test_two_files_a_split(tmp_path, compress):
  text.write(tmp_path, compress, train=100, val=9)
  (tmp_path / 'README.txt').write_text('about')
  dataset = made(tmp_path)
  assert texts(dataset, 'train') == pairs(100) and texts(dataset, 'val') == pairs(9, seed=1)
  assert dataset.facts['languages'] == ['en', 'xx']


def test_the_other_way_round(tmp_path):
  text.write(tmp_path, train=100)
  assert texts(made(tmp_path, source='xx', target='en'), 'train') == [p[::-1] for p in pairs(100)]


def test_in_a_zip(tmp_path):
  text.write(tmp_path / 'corpus', train=100)
  with zipfile.ZipFile(tmp_path / 'corpus.zip', 'w', zipfile.ZIP_DEFLATED) as archive:
    for file in sorted((tmp_path / 'corpus').iterdir()):
      archive.write(file, f'data\\{file.name}')  # some programs of Windows
      archive.writestr(f'__MACOSX/data/._{file.name}', b'rubbish')
  assert texts(made(tmp_path / 'corpus.zip'), 'train') == pairs(100)


def test_lines_end_as_on_any_machine(tmp_path):
  """Windows' ends, a mark of the byte order, no newline at the end, and what is no end at all."""
  english, other = map(list, zip(*pairs(100)))
  english[3] += '\u2028dog'
  (tmp_path / 'train.en').write_bytes(b'\xef\xbb\xbf' + '\r\n'.join(english).encode())
  (tmp_path / 'train.xx').write_text('\n'.join(other) + '\n')
  assert texts(made(tmp_path), 'train') == list(zip(english, other))


def test_columns_of_one_file(tmp_path):
  """A twentieth is held out, by sentence."""
  rows = [(a, 'x', b) for a, b in pairs(400)]
  twice = rows + [(a, 'y', f'{b} AGAIN') for a, _, b in rows]
  (tmp_path / 'all.tsv').write_text(''.join('\t'.join(row) + '\n' for row in twice))
  dataset = made(tmp_path, columns=(0, 2))
  train, test = (texts(dataset, split) for split in ('train', 'test'))
  assert sorted(train + test) == sorted((a, b) for a, _, b in twice)
  assert not {a for a, _ in train} & {a for a, _ in test}
  assert 10 < len(test) < 80


def test_columns_of_several_files(tmp_path):
  for split, count in dict(train=100, dev=9).items():
    content = ''.join(f'{a}\t{b}\n' for a, b in pairs(count)).encode()
    (tmp_path / f'{split}.tsv.gz').write_bytes(gzip.compress(content))
  (tmp_path / 'notes.txt').write_text('no tabs here\n')
  dataset = made(tmp_path)
  assert {split: len(source) for split, source in dataset.splits.items()} == dict(train=100, dev=9)
  assert texts(dataset, 'dev') == pairs(9)


def _spoil(name, content):
  def spoil(folder):
    (folder / name).write_bytes(content)

  return spoil


SPOILED = {
  'not UTF-8': (_spoil('train.xx', b'ja\nb\xe9b\xe9\n'), 'train.xx: line 2 is not UTF-8'),
  'unequal': (_spoil('train.xx', b'ja\n'), 'train.en and train.xx: 100 lines and 1 lines do not'),
  'one language': (_spoil('dev.en', b'dog\n'), 'there is dev.en, but no dev.xx'),
  'twice': (_spoil('train.en.gz', gzip.compress(b'a\n')), 'are both train.en'),
  'damaged': (_spoil('val.xx.gz', b'\x1f\x8bnothing'), 'val.xx.gz is damaged'),
  'empty line': (_spoil('val.en', b'dog\n\ncat\n'), 'val.en and val.xx.gz: line 2 is empty'),
}


@pytest.mark.parametrize('case', SPOILED)
def test_what_is_wrong_is_named(tmp_path, case):
  spoil, named = SPOILED[case]
  text.write(tmp_path, train=100)
  (tmp_path / 'val.en').write_text('a\nb\nc\n')
  (tmp_path / 'val.xx.gz').write_bytes(gzip.compress(b'a\nb\nc\n'))
  spoil(tmp_path)
  with pytest.raises(UserError, match=named) as error:
    made(tmp_path)
  assert len(str(error.value).splitlines()) <= 3


@pytest.mark.parametrize('form', ['files', 'tabs'])
@pytest.mark.parametrize('end', ['', '\n', '\n\n', '\r\n', ' \n \n', '\n\u00a0'])
def test_blank_lines_at_the_end_are_no_pairs(tmp_path, form, end, caplog):
  for split, count in dict(train=100, dev=9).items():
    if form == 'tabs':
      content = ''.join(f'{a}\t{b}\n' for a, b in pairs(count)) + end
      (tmp_path / f'{split}.tsv').write_bytes(content.encode())
    else:
      for language, lines in zip(('en', 'xx'), text.sentences(count)):
        content = ''.join(line + '\n' for line in lines) + end * (language == 'en')
        (tmp_path / f'{split}.{language}').write_bytes(content.encode())
  dataset = made(tmp_path)
  assert texts(dataset, 'train') == pairs(100) and texts(dataset, 'dev') == pairs(9)
  assert not caplog.records


@pytest.mark.parametrize('form', ['files', 'tabs'])
def test_blank_lines_elsewhere_are_empty_sentences(tmp_path, form, caplog):
  """Left out of what is trained on, and an error in what is tested; both with their number."""
  for split, count in dict(train=100, dev=9).items():
    rows = [*pairs(count)[:4], ('', ''), *pairs(count)[4:]]
    if form == 'tabs':
      content = ''.join(f'{a}\t{b}\n' if a else '\n' for a, b in rows)
      (tmp_path / f'{split}.tsv').write_text(content)
    else:
      for language, lines in zip(('en', 'xx'), zip(*rows)):
        (tmp_path / f'{split}.{language}').write_text(''.join(line + '\n' for line in lines))
  with pytest.raises(UserError, match=r'dev.*: line 5 is empty'):
    made(tmp_path)
  for file in tmp_path.glob('dev*'):
    file.unlink()
  assert sum(map(len, made(tmp_path).splits.values())) == 100
  assert '1 pairs with an empty side are left out, the first is line 5' in caplog.text


def test_nothing_empty_is_held_out_of_a_single_file(tmp_path, caplog):
  rows = [
    *(f'{a}\t{b}' for a, b in pairs(400)),
    '',
    '\t',
    'x\t',
    *(f'{a} y\t' for a, _ in pairs(60)),
  ]
  (tmp_path / 'all.tsv').write_text('\n'.join(rows))
  dataset = made(tmp_path)
  assert sorted(texts(dataset, 'train') + texts(dataset, 'test')) == sorted(pairs(400))
  assert '63 pairs with an empty side are left out' in caplog.text


def test_of_a_few_nothing_is_held_out(tmp_path):
  (tmp_path / 'all.tsv').write_text(''.join(f'a b{i}\tx y{i}\n' for i in range(5)))
  assert {*made(tmp_path, tokenizer='char').splits} == {'train'}
  (tmp_path / 'all.txt').write_text('a\tb\n')
  with pytest.raises(UserError, match='all.tsv and all.txt are both all'):
    made(tmp_path)


@pytest.mark.parametrize('split', ['train', 'dev'])
def test_a_split_without_text(tmp_path, split):
  text.write(tmp_path, train=100)
  for language in ('en', 'xx'):
    (tmp_path / f'{split}.{language}').write_text('\n\n')
  with pytest.raises(UserError, match=rf'{split}.en and {split}.xx: no pair of sentences'):
    made(tmp_path)


def test_a_line_without_its_column(tmp_path):
  (tmp_path / 'all.tsv').write_text('a\tb\nc\n')
  with pytest.raises(UserError, match=r'all.tsv: line 2 has 1 columns, and column 1 is wanted'):
    made(tmp_path)


def test_nothing_that_can_be_read(tmp_path):
  text.write(tmp_path, train=10)
  with pytest.raises(UserError, match=r'NAME.de and NAME.fr.*there: train.en, train.xx'):
    made(tmp_path, source='de', target='fr')
  with pytest.raises(UserError, match='does not exist'):
    made(tmp_path / 'nowhere')


@pytest.mark.data
def test_multi30k():
  """29,000, 1,014 and 1,000 pairs (Elliott et al. 2016); tokens give back the very text."""
  path = str(ROOT / 'multi30k')
  dataset = parallel.make(path, 'en', 'fr', vocab_size=4000, lengths=(16, 32, 64))
  sizes = {split: len(source) for split, source in dataset.splits.items()}
  assert sizes == dict(train=29000, val=1014, test_2016_flickr=1000)
  for side, language in enumerate(('en', 'fr')):
    with gzip.open(ROOT / 'multi30k' / f'test_2016_flickr.{language}.gz', 'rt') as file:
      wanted = file.read().split('\n')[:-1]
    assert [pair[side] for pair in texts(dataset, 'test_2016_flickr')] == wanted


@pytest.mark.data
def test_a_zip_of_one_file_with_tabs():
  dataset = parallel.make(str(ROOT / 'fra_eng' / 'fra-eng.zip'), 'en', 'fr', tokenizer='char')
  assert len(dataset.splits['train']) + len(dataset.splits['test']) >= 142_000
