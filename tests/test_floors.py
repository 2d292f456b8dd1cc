"""Who may import whom, and how long things may become: the house stays a house."""

import ast
import pathlib
from collections.abc import Iterator

import pytest

ROOT = pathlib.Path(__file__).parents[1]
LIBRARY = sorted(ROOT.glob('vitlab/**/*.py'))
PROGRAMS = [
  ROOT / 'launch.py',
  *sorted(ROOT.glob('configs/**/*.py')),
  *sorted(ROOT.glob('experiments/**/*.py')),
]
TESTS = sorted(ROOT.glob('tests/**/*.py'))
EVERYTHING = LIBRARY + PROGRAMS + TESTS

# A folder imports from floors below its own; folders on one floor do not know each other. What lies
# directly in vitlab/ (errors, registry, config) is the ground.
FLOORS = [
  {'ops'},
  {'layers'},
  {'models', 'tasks', 'data'},
  {'evaluators', 'pretrained'},
  {'engine'},
  {'report'},
  {'sweep'},
]
FLOOR = {folder: height for height, folders in enumerate(FLOORS) for folder in folders}
# Families of which one must not grow on another: a backbone is a field, nested by the config.
STRANGERS = {'models', 'tasks', 'evaluators'}
MAX_LINES, MAX_FUNCTION_LINES, MAX_FIELDS = 300, 50, 15


def name(path: pathlib.Path) -> str:
  return str(path.relative_to(ROOT))


def imports(path: pathlib.Path) -> Iterator[tuple[str, ...]]:
  """Every imported module or member of one as its parts, wherever in the file it stands."""
  for node in ast.walk(ast.parse(path.read_text())):
    if isinstance(node, ast.Import):
      for alias in node.names:
        yield tuple(alias.name.split('.'))
    elif isinstance(node, ast.ImportFrom):
      assert node.level == 0, f'{name(path)}:{node.lineno} imports relatively'
      for alias in node.names:
        yield (*(node.module or '').split('.'), alias.name)


def documentation(function: ast.FunctionDef | ast.AsyncFunctionDef) -> list[str]:
  """The lines of a docstring: to explain an argument is no reason to have fewer."""
  return (ast.get_docstring(function, clean=False) or '').splitlines()


def folder_of(parts: tuple[str, ...]) -> str | None:
  """The folder of vitlab/ that an import or a path leads to; None for the ground and outside."""
  return parts[1] if len(parts) > 1 and parts[0] == 'vitlab' and parts[1] in FLOOR else None


def test_every_folder_has_its_floor():
  folders = {p.parent.name for p in LIBRARY if p.parent.parent.name == 'vitlab'}
  assert folders == set(FLOOR)


@pytest.mark.parametrize('path', LIBRARY, ids=name)
def test_imports_go_down(path):
  own = folder_of(path.relative_to(ROOT).parts)
  for parts in imports(path):
    assert parts[0] not in ('launch', 'configs', 'experiments', 'tests'), f'imports {parts}'
    there = folder_of(parts)
    if there is None or there == own:
      continue
    assert own is not None, f'vitlab/*.py imports {".".join(parts)}: nothing lies below the ground'
    assert FLOOR[there] < FLOOR[own], f'{own} imports {".".join(parts)}: that is not below it'


@pytest.mark.parametrize('path', LIBRARY, ids=name)
def test_components_of_a_folder_are_strangers(path):
  own = folder_of(path.relative_to(ROOT).parts)
  siblings = {p.stem for p in path.parent.glob('*.py') if p.stem[0] != '_' and p != path}
  for parts in imports(path):
    if own in STRANGERS and parts[:2] == ('vitlab', own):
      assert parts[2] not in siblings, f'imports {".".join(parts)}: the config nests it instead'


@pytest.mark.parametrize('path', LIBRARY, ids=name)
def test_ops_know_no_flax_and_the_library_no_tensorflow_or_torch(path):
  forbidden = {'tensorflow', 'torch', 'pickle'}
  if path.parent.name == 'ops':
    forbidden.add('flax')
  assert not forbidden & {parts[0] for parts in imports(path)}


@pytest.mark.parametrize('path', EVERYTHING, ids=name)
def test_files_functions_and_modules_stay_small(path):
  text = path.read_text()
  assert len(text.splitlines()) <= MAX_LINES
  for node in ast.walk(ast.parse(text)):
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
      lines = node.end_lineno - node.lineno + 1 - len(documentation(node))
      assert lines <= MAX_FUNCTION_LINES, f'{node.name} has {lines} lines'
    if isinstance(node, ast.ClassDef):
      fields = [n for n in node.body if isinstance(n, ast.AnnAssign)]
      assert len(fields) <= MAX_FIELDS, f'{node.name} has {len(fields)} fields'


@pytest.mark.parametrize('path', LIBRARY, ids=name)
def test_tests_mirror_the_library(path):
  if path.name == '__init__.py':
    return
  folder = ROOT / 'tests' / path.parent.relative_to(ROOT / 'vitlab')
  assert list(folder.glob(f'test_{path.stem.lstrip("_")}*.py')), f'no test of {name(path)}'
