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
# directly in vitlab/ (errors, registry, config, names, metrics) is the ground.
FLOORS = [
  {'ops'},
  {'layers'},
  {'models', 'tasks', 'data'},
  {'evaluators', 'pretrained', 'workdir'},
  {'hosts'},
  {'cli'},
  {'train'},
  {'predict', 'inspection'},
  {'report'},
  {'sweep'},
]
FLOOR = {folder: height for height, folders in enumerate(FLOORS) for folder in folders}
# Families of which one must not grow on another: a backbone is a field, nested by the config.
STRANGERS = {'models', 'tasks', 'evaluators', 'data/sets', 'pretrained/families'}
# Files named after a task: elsewhere nobody knows them.
KINDS = {path.stem for path in LIBRARY if path.parent.name == 'tasks' and path.stem[0] != '_'}
# What only some data have among their facts and in their batches: who makes it may name it, and the
# files of a kind; all others ask the task, the drawer, the data or the weights.
FACTS = {'class_names', 'num_classes', 'vocabulary', 'vocab_size', 'tokenizer', 'preprocessing'}
KEYS = {
  'image',
  'mean',
  'std',
  'label',
  'tokens',
  'targets',
  'source',
  'target',
  'boxes',
  'classes',
}
MAKERS = {'ops', 'layers', 'models', 'tasks', 'data', 'evaluators', 'pretrained', 'names.py'}
MAX_LINES, MAX_FUNCTION_LINES, MAX_FIELDS = 300, 50, 15
MAX_SHARE = 0.13  # of the lines of the library in one room


def name(path: pathlib.Path) -> str:
  return str(path.relative_to(ROOT))


def module(path: pathlib.Path) -> str:
  parts = path.relative_to(ROOT).with_suffix('').parts
  return '.'.join(parts[:-1] if parts[-1] == '__init__' else parts)


MODULES = {module(path): path for path in LIBRARY}


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


def test_no_file_imports_itself_by_way_of_others():
  graph = {name: set() for name in MODULES}
  for source, path in MODULES.items():
    for parts in imports(path):
      found = '.'.join(parts)
      target = found if found in MODULES else found.rpartition('.')[0]
      if target in MODULES and target != source:
        graph[source].add(target)

  def reaches(start: str) -> set[str]:
    seen, ahead = set(), [start]
    while ahead:
      for target in graph[ahead.pop()] - seen:
        seen.add(target)
        ahead.append(target)
    return seen

  assert not [name for name in graph if name in reaches(name)]


@pytest.mark.parametrize('path', LIBRARY, ids=name)
def test_components_of_a_folder_are_strangers(path):
  own = str(path.parent.relative_to(ROOT / 'vitlab'))
  siblings = {p.stem for p in path.parent.glob('*.py') if p.stem[0] != '_' and p != path}
  folder = ('vitlab', *own.split('/'))
  for parts in imports(path):
    if own in STRANGERS and parts[: len(folder)] == folder:
      assert parts[len(folder)] not in siblings, f'imports {".".join(parts)}: the config nests it'


@pytest.mark.parametrize('path', LIBRARY, ids=name)
def test_what_only_some_kinds_of_learning_have_is_known_to_their_files_alone(path):
  inside = set(path.relative_to(ROOT).with_suffix('').parts)
  for parts in imports(path):
    kinds = KINDS & set(parts) if folder_of(parts) in ('predict', 'report') else set()
    assert kinds <= inside, f'imports {".".join(parts)}: ask the registry for it by its kind'


def named(path: pathlib.Path) -> Iterator[tuple[int, str]]:
  """(line, word) of whatever a program may ask for by name: keys, keywords of calls, attributes."""
  for node in ast.walk(ast.parse(path.read_text())):
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
      yield node.lineno, node.value
    elif isinstance(node, ast.Attribute) and node.attr in FACTS:
      yield node.lineno, node.attr
    elif isinstance(node, ast.keyword) and node.arg in FACTS:
      yield node.lineno, node.arg


@pytest.mark.parametrize('path', [ROOT / 'launch.py', *LIBRARY], ids=name)
def test_no_file_asks_for_a_kind_of_learning_or_its_data_by_name(path):
  parts = set(path.relative_to(ROOT).parts)
  if KINDS & {part.removesuffix('.py') for part in parts}:
    return
  unknown = KINDS if parts & MAKERS else KINDS | FACTS | KEYS
  unknown = set() if 'families' in parts else unknown  # one says of which kind its models are
  if parts & {'layers', 'models'}:  # what a parameter is called
    unknown = unknown - {'embedding'}
  found = [f'line {line}: {word!r}' for line, word in named(path) if word in unknown]
  assert not found, f'{", ".join(found)}: ask the registry, the facts or the weights'


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
      said = node.body[0] if ast.get_docstring(node) else None  # a docstring is no code
      lines = node.end_lineno - node.lineno + 1
      lines -= said.end_lineno - said.lineno + 1 if said else 0
      assert lines <= MAX_FUNCTION_LINES, f'{node.name} has {lines} lines'
    if isinstance(node, ast.ClassDef):
      fields = [n for n in node.body if isinstance(n, ast.AnnAssign)]
      assert len(fields) <= MAX_FIELDS, f'{node.name} has {len(fields)} fields'


def test_no_two_test_files_have_one_name():
  """Without packages, pytest takes the second for the first and collects neither."""
  files = sorted(path.name for path in (ROOT / 'tests').rglob('test_*.py'))
  assert files == sorted(set(files))


def test_no_room_is_much_larger_than_the_others():
  rooms = {}
  for path in LIBRARY:
    rooms[path.parent] = rooms.get(path.parent, 0) + len(path.read_text().splitlines())
  shares = {name(room): lines / sum(rooms.values()) for room, lines in rooms.items()}
  assert max(shares.values()) <= MAX_SHARE, shares


@pytest.mark.parametrize('path', LIBRARY, ids=name)
def test_tests_mirror_the_library(path):
  if path.name == '__init__.py':
    return
  folder = ROOT / 'tests' / path.parent.relative_to(ROOT / 'vitlab')
  assert list(folder.glob(f'test_{path.stem.lstrip("_")}*.py')), f'no test of {name(path)}'
