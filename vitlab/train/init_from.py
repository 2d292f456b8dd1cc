"""What a run starts from: `config.init_from`, published weights or another run.

  config.init_from = 'weights/vit_small'                     # the model; kept as they are
  config.init_from = dict(path='weights/vit_small', head='new')
  config.init_from = dict(teacher='runs/resnet')             # a player, each with a path or options
  config.init_from = {'model/backbone': 'weights/resnet50'}  # a part of one, whose head is left out

A path is a file or folder that `vitlab.pretrained.read` knows, or a workdir. Options: `head`,
'keep' or 'new', a classifier for other classes, or embeddings and logits for other words; `fresh`,
a regex of paths of ours that start anew; `rename`, {regex: replacement} for tensors of strangers.

What the config leaves open, the source decides: words of the model (GELU, epsilon, pooling, sizes),
what is done to pictures, their mean and std. A word of the model that says otherwise is an error,
unless parts of it start anew. A classifier that is kept is brought into the order of the classes of
the data, by their names; other names are an error, unless `config.match_classes` is 'position'.
All this happens once, before the first step: the workdir then holds it, and a run that continues
reads nothing but its checkpoint.
"""

import functools
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from ml_collections import ConfigDict

from vitlab import names, registry, tasks, workdir
from vitlab.errors import UserError, unknown
from vitlab.pretrained import Preprocessing
from vitlab.train import weights as weights_lib
from vitlab.train.initial import Sources
from vitlab.train.weights import Weights

MODEL = 'model'  # the player whose spec is config.model; a teacher's stands in that of the task
RECORD = 'init_from.json'  # in the workdir
OPTIONS = ('path', 'head', 'fresh', 'rename')
FROZEN = frozenset({'norm', 'dilated_stages'})  # words of a backbone that its weights do not decide
COUNTS = (names.CLASSES.keyword, names.WORDS.keyword)  # words of a model that stay with the data


def requests(init_from: Any) -> dict[str, dict[str, Any]]:
  """config.init_from as player -> options, among them a path.

  Raises:
    UserError: an option that does not exist, or no path.
  """
  if not init_from:
    return {}
  if isinstance(init_from, ConfigDict):
    init_from = init_from.to_dict()
  if isinstance(init_from, str) or 'path' in init_from or lacks_path(init_from):
    init_from = {MODEL: init_from}
  found = {}
  for player, options in init_from.items():
    options = dict(options) if isinstance(options, Mapping) else dict(path=options)
    if '/' in player:
      options.setdefault('head', 'new')
    for key in options.keys() - set(OPTIONS):
      raise unknown(f'option of config.init_from for {player}', key, OPTIONS)
    if not options.get('path'):
      raise UserError(
        f'config.init_from for {player} has no path: give a file, folder or workdir,'
        '\nor evaluate weights without training: --mode=eval --workdir=WEIGHTS'
      )
    found[player] = options
  return found


def lacks_path(init_from: Any) -> bool:
  """Whether only options are given: the path is then that of the weights to evaluate."""
  options = isinstance(init_from, Mapping | ConfigDict)
  return bool(init_from) and options and set(init_from) <= set(OPTIONS[1:])


def of_weights(config: ConfigDict, folder: str, overrides: Sequence[str] = ()) -> ConfigDict:
  """The config of an evaluation of weights: they say what the model is and how it sees pictures.

  Args:
    config: A config whose words of the model and of its pictures are those of a training.
    folder: The weights.
    overrides: Changes of a command line, '--config.a.b=value': these words stay.
  """
  said = {text.partition('=')[0].partition('config.')[2] for text in overrides}
  result = ConfigDict(config.to_dict(), type_safe=False)
  result.init_from = dict(config.init_from if lacks_path(config.init_from) else {}, path=folder)
  for key in set(result.model) - {*COUNTS, 'dtype'}:
    if f'{MODEL}.{key}' not in said:
      del result.model[key]
  for name, node in (('data', result.data), ('task', tasks.innermost(result.task))):
    for key in set(node) & set(Preprocessing._fields):
      if f'{name}.{key}' not in said:
        node[key] = None
  return result.lock()


def find(init_from: Any) -> dict[str, Weights]:
  """The weights that a config starts from, by player; reads their files.

  Raises:
    UserError: as `requests`, or a path that holds no weights that vitlab knows.
  """
  sources = {}
  for player, options in requests(init_from).items():
    found = weights_lib.find(options.pop('path'), player, options.pop('rename', None))
    sources[player] = found._replace(**options)
    if '/' in player:  # the norms of a part may stay as they were learned
      sources[player] = sources[player]._replace(free=found.free | FROZEN)
  return sources


def resolve(config: ConfigDict, folder: str = '') -> tuple[ConfigDict, Sources]:
  """The config as `fill` completes it, and the sources; of a run that exists nothing is read.

  Args:
    config: Perhaps with init_from.
    folder: Its workdir, or '': what it holds has been decided.

  Returns:
    The config, and the sources by player; or a function that finds them, where the workdir knew.

  Raises:
    UserError: as `find` and `fill`.
  """
  wanted = workdir.to_json(config)['init_from']
  kept = workdir.read_json(pathlib.Path(folder) / RECORD) if folder else None
  if not wanted or kept is None or kept.get('init_from') != wanted:
    sources = find(config.init_from)
    return fill(config, sources), sources
  filled = ConfigDict(config.to_dict())
  _complete(filled, workdir.from_json(kept['config']))
  return filled.lock(), functools.partial(find, config.init_from)


def fill(config: ConfigDict, sources: Mapping[str, Weights]) -> ConfigDict:
  """The config with what the sources decide in the places that it leaves open.

  Raises:
    UserError: the config contradicts a source; names the words.
  """
  filled = ConfigDict(config.to_dict())
  for player, source in sources.items():
    words = source.about.keywords()
    player, _, part = player.partition('/')
    if part:
      _fill_model(_part(filled, player, part), source, f'config.{player}.{part}')
      player = MODEL
    elif player == MODEL:
      _fill_model(filled.model, source, f'config.{MODEL}')
      _fill_open(filled.data, words, 'data.sets')
      _fill_open(tasks.innermost(filled.task), _of_task(words), 'tasks')
    elif player in filled.task and registry.PARTS.get(player) == 'models':
      node = filled.task[player]
      own = {key: source.about.spec.get(key) for key in COUNTS if key not in node}
      _fill_model(node, source, f'config.task.{player}')
      node.update({key: count for key, count in own.items() if count})
      _fill_open(filled.task, {f'{player}_{key}': x for key, x in words.items()}, 'tasks')
  return filled.lock()


def _of_task(words: Mapping[str, Any]) -> dict[str, Any]:
  """As a task wants them: the colour of padding in [0, 1], where there is one but black.

  What is normalised and then padded with zeros (DETR) says no colour of its own.
  """
  others = {key: value for key, value in words.items() if key != 'fill'}
  fill = tuple(value / 255 for value in words.get('fill') or ())
  return others | (dict(fill=fill) if any(fill) else {})


def _part(config: ConfigDict, player: str, part: str) -> ConfigDict:
  """The spec of a part of the model; raises UserError if it has none of this name."""
  parts = [key for key, folder in registry.PARTS.items() if folder == 'models']
  known = [key for key in parts if isinstance(config.model.get(key), ConfigDict)]
  if player != MODEL or part not in known:
    raise unknown('part in config.init_from', f'{player}/{part}', [f'{MODEL}/{k}' for k in known])
  return config.model[part]


def write_record(folder: pathlib.Path, config: ConfigDict, sources: Sources) -> None:
  """Keeps in the workdir what was asked for, the words it decided and the files it came from."""
  if not sources or not isinstance(sources, Mapping):
    return
  stored = workdir.to_json(config)
  record = dict(
    init_from=stored['init_from'],
    config={key: stored[key] for key in ('model', 'data', 'task')},
    sources={player: source.describe() for player, source in sources.items()},
  )
  workdir.write_json(folder / RECORD, record)


def _complete(node: ConfigDict, kept: ConfigDict) -> None:
  """Sets what is open; what is said stays, that the workdir may refuse it."""
  for key, value in kept.items():
    if node.get(key) is None:
      node[key] = value
    elif isinstance(value, ConfigDict) and isinstance(node[key], ConfigDict):
      _complete(node[key], value)


def _fill_model(node: ConfigDict, source: Weights, where: str) -> None:
  """Fills the words of a model; the number of its classes or words stays with the data."""
  new = names.HEAD_KEYWORDS if source.head == 'new' else ()  # a new head is what the config says
  spec = {key: x for key, x in source.about.spec.items() if key not in (*COUNTS, *new)}
  given = {key: x for key, x in node.to_dict().items() if key not in COUNTS and x is not None}
  if given.get('name', spec['name']) != spec['name']:
    raise UserError(
      f'{where} is a {given["name"]}, the weights in {source.path} are of a {spec["name"]}'
    )
  defaults = registry.keywords('models', spec['name'])
  # Sizes are None by default: they override the variant. Not one that the config gives.
  numbers = {key for key, value in spec.items() if type(value) in (int, tuple, list)}
  sizes = {key for key in numbers if 'variant' in given and defaults[key] is None}
  merged = {key: value for key, value in spec.items() if key not in sizes} | given
  free = source.free
  # And one that the config gives where the weights name a variant alone, contradicts that variant.
  named = {key for key in given if defaults.get(key, 0) is None} - spec.keys() - free
  wanted = {key: value for key, value in merged.items() if key not in named}
  wanted |= {key: value for key, value in spec.items() if key not in free}
  if not source.fresh and _shape(merged) != _shape(wanted):
    words = defaults | spec | dict.fromkeys(named, f'that of {spec.get("variant")}')
    wrong = [key for key in given if key not in free and given[key] != words[key]]
    said = ', '.join(f'{key}={given[key]!r} (weights: {words[key]!r})' for key in wrong)
    raise UserError(
      f'{where} contradicts the weights in {source.path}: {said}'
      '\nleave these words out, and the weights decide'
    )
  for key, value in merged.items():
    node[key] = value


def _shape(spec: Mapping[str, Any]) -> str:
  """All that a model computes, as text."""
  one = {key: 1 for key in COUNTS if key in registry.keywords('models', spec['name'])}
  return registry.describe('models', {**spec, **one})


def _fill_open(node: ConfigDict, words: Mapping[str, Any], folder: str) -> None:
  """Sets the words that the component takes and the config does not say."""
  taken = registry.keywords(folder, node.name)
  for key, value in words.items():
    if key in taken and node.get(key) is None:
      node[key] = value
