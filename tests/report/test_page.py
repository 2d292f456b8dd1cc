"""The page as a whole: well-formed, self-contained, small, and never an error."""

import pathlib
import re
import types

import pytest
from _helpers import workdirs
from _helpers.html_pages import Page

from vitlab import workdir
from vitlab.errors import UserError
from vitlab.report import page as page_lib
from vitlab.report.classification.pictures import Pictures


def read(path):
  source = path.read_text(encoding='utf-8')
  assert_self_contained(source)
  return Page(source)


def assert_self_contained(source):
  assert not re.search(r'(https?:)?//[\w.]+\.\w|@import|url\((?!data:)', strip_comments(source))
  page = Page(source)
  assert all(link.startswith(('#', 'data:')) for link in page.links)
  assert not {'iframe', 'object', 'embed'} & set(page.tags)
  assert "default-src 'none'" in source


def strip_comments(source):
  return re.sub(r'^\s*//.*$|/\*.*?\*/', '', source, flags=re.MULTILINE | re.DOTALL)


def test_the_page_of_a_full_run(tmp_path):
  folder = workdirs.write(tmp_path / 'digits')
  output = page_lib.write([folder], seen=[workdirs.pictures(window=2)])
  assert output == folder / 'report.html'
  assert not list(folder.glob('*.tmp'))
  page = read(output)
  assert set(page.figures) == {'curves', 'confusion', 'calibration', 'attention', 'distance'}
  assert len(page.ids) == len(set(page.ids)) == 13
  assert {f'#{name}' for name in page.ids} <= set(page.links)
  assert 'Not in this report' not in page.text
  assert 'digits' in page.text and '9f3c1a7be2d04c55' in page.text


@pytest.mark.parametrize(
  ('absent', 'said'),
  [
    ('config.json', 'Config: config.json is not there'),
    ('metrics.jsonl', 'Curves: metrics.jsonl has no rows'),
    ('result.json', 'not finished'),
    ('facts.json', '3 → 4'),  # classes without names
    ('details/test.npz', 'Confusion: no confusion matrix was stored'),
  ],
)
def test_a_page_without_one_of_the_files(tmp_path, absent, said):
  folder = workdirs.write(tmp_path / 'digits')
  pictures = [workdirs.pictures()]
  assert said not in read(page_lib.write([folder], seen=pictures)).text
  (folder / absent).unlink()
  assert said in read(page_lib.write([folder], seen=pictures)).text


def test_the_page_of_an_empty_workdir(tmp_path):
  page = read(page_lib.write([tmp_path]))
  assert page.text.count('Not in this report') == 1
  assert not page.figures


def test_the_page_of_several_runs(tmp_path):
  folders = [workdirs.write(tmp_path / name, seed=i) for i, name in enumerate('abc')]
  output = page_lib.write(folders)
  assert output == tmp_path / 'comparison.html'
  page = read(output)
  assert '3 runs' in page.text
  assert set(page.figures) == {'curves'}


def test_output_may_lie_anywhere(tmp_path):
  folder = workdirs.write(tmp_path / 'digits')
  output = page_lib.write([folder], tmp_path / 'pages' / 'one.html')
  assert output == tmp_path / 'pages' / 'one.html' and output.exists()
  assert not (folder / 'report.html').exists()


def test_a_page_that_cannot_be_written(tmp_path):
  folder = workdirs.write(tmp_path / 'run')
  (folder / 'report.html').mkdir()
  with pytest.raises(UserError, match=r'report\.html.* cannot be written'):
    page_lib.report([folder])


def test_names_cannot_break_out_of_the_page(tmp_path):
  hostile = '</script><script>alert(1)</script>'
  folder = workdirs.write(tmp_path / 'a<b>&"$title', names=[hostile] * 10, changes={hostile: 1})
  page = read(page_lib.write([folder], seen=[workdirs.pictures()]))
  assert page.tags.count('script') == 6  # the data of five figures and our own
  assert page.figures['confusion'][0]['names'] == [hostile] * 10
  assert 'a<b>&"$title' in page.text and hostile in page.text


def test_a_normal_run_fits_into_a_mail(tmp_path):
  folder = workdirs.write(tmp_path / 'imagenet', classes=1000)
  rows = workdirs.metrics(steps=112_600, every=20)
  (folder / workdir.METRICS).write_bytes(b''.join(map(workdir.json_line, rows)))
  some = workdirs.pictures(size=224, count=1, depth=12, heads=6, grid=14)
  pictures = Pictures(some.mistakes * 24, some.attended * 8)
  assert page_lib.write([folder], seen=[pictures]).stat().st_size < 3e6


def test_the_scripts_are_strings_free_of_what_ends_them():
  folder = pathlib.Path(page_lib.__file__).parent
  scripts = list(folder.rglob('*.js'))
  assert {'page.js', 'matrix.js', 'lengths.js', 'sweep.js'} <= {path.name for path in scripts}
  for path in scripts:
    assert '</script' not in path.read_text() and '//' + 'cdn' not in path.read_text()
  for path in folder.rglob('*.css'):
    assert '</style' not in path.read_text()


def test_report_goes_without_pictures_where_there_is_no_checkpoint(tmp_path, caplog):
  folder = workdirs.write(tmp_path / 'digits')
  page = read(page_lib.report([folder]))
  assert 'Mistakes: no images were collected' in page.text
  assert 'the report goes without pictures' in caplog.text


def test_who_asks_is_told_a_glimpse_where_the_drawer_has_one(tmp_path, monkeypatch):
  folder, drawer = workdirs.write(tmp_path / 'digits'), types.ModuleType('drawer')
  drawer.parts = lambda *_: []
  monkeypatch.setattr(page_lib.drawers, 'find', lambda runs: drawer)
  told = []
  page_lib.report([folder], tell=told.append)  # which collects nothing
  drawer.collect, drawer.glimpse = lambda folders: ['To be'], str.upper
  page_lib.report([folder])
  assert not told
  page_lib.report([folder], tell=told.append)
  assert told == ['TO BE']


def test_no_such_workdir(tmp_path):
  with pytest.raises(UserError, match='no workdir'):
    page_lib.report([tmp_path / 'absent'])
  assert not list(tmp_path.iterdir())
