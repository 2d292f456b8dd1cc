"""The flags of the launcher: what they are, how they are read, and how --help shows them."""

import contextlib
import functools
import os
import pathlib
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from absl import flags
from ml_collections import ConfigDict

from vitlab import workdir
from vitlab.cli import config_file
from vitlab.errors import UserError
from vitlab.hosts import machine

TAKE_PATHS = ('predict', 'report')  # modes
STORED = ('predict', 'export', 'report')  # modes that use the config in the workdir
# Flags that mean nothing elsewhere; all others are of every mode.
BELONG = dict(
  output=('eval', 'predict', 'inspect', 'report', 'export'),
  topology=('inspect',),
  cluster=('train', 'eval', 'predict', 'inspect', 'report', 'export'),
  heartbeat=('train', 'eval', 'predict', 'inspect', 'report', 'export'),
  restarts=('train',),
  attention=('predict',),
  format=('export',),
  nbest=('predict',),
  threshold=('predict',),
  nms=('predict',),
  samples=('predict',),
  search=('predict', 'eval'),
  average=('predict', 'eval', 'export'),
  sweep=('sweep',),
  backend=('sweep',),
  slots=('sweep',),
  retries=('sweep',),
)
FORMATS = [
  'timm',
  'huggingface',
  'torchvision',
  'yolox',
  'word2vec',
  'word2vec_binary',
  'glove',
]  # of --format
_PLACES = ('config', 'workdir', 'output', 'sweep')  # flags with a path, where ~ is the home


class Command(NamedTuple):
  """One command line.

  Attributes:
    flags: See `define_flags`.
    overrides: Changes to the config: '--config.a.b=value'; --search is one of them.
    paths: What stands behind the flags.
  """

  flags: flags.FlagValues
  overrides: Sequence[str]
  paths: Sequence[str]

  def config(self) -> ConfigDict:
    """That of --config, else the one stored in --workdir, with the changes applied.

    Raises:
      UserError: neither is given or can be read, or a change does not fit.
    """
    if self.flags.config is not None:
      return config_file.load(self.flags.config, self.overrides)
    if self.flags.workdir is None or self.flags.mode in ('train', 'sweep'):
      known = ', '.join(config_file.describe_all())
      raise UserError(f'--mode={self.flags.mode} needs --config=..., for example one of {known}')
    config = workdir.stored_config(self.workdir())
    config_file.override(config, self.overrides)
    return config

  def workdir(self) -> str:
    """--workdir, by default runs/<name of the config>, of a sweep with -sweep behind it.

    Raises:
      UserError: neither --workdir nor --config is given.
    """
    if self.flags.workdir is not None:
      return self.flags.workdir
    if self.flags.config is None:
      raise UserError(f'--mode={self.flags.mode} needs --workdir=..., the folder of a run')
    name = config_file.run_name(self.flags.config)
    if self.flags.mode == 'sweep':
      name += '-' + (pathlib.Path(self.flags.sweep).stem or 'sweep')
    return os.path.join('runs', name)


def define_flags(modes: Sequence[str]) -> flags.FlagValues:
  """The flags, unparsed and without a global: a process may read many command lines."""
  values = flags.FlagValues()
  string = functools.partial(flags.DEFINE_string, flag_values=values)
  flags.DEFINE_enum('mode', 'train', modes, 'What to do.', flag_values=values)
  string('config', None, 'A file of configs/ and its argument: path.py or path.py:argument.')
  string('workdir', None, 'Folder of the run, by default runs/<config>; or published weights.')
  string('output', '', 'The file that eval, predict, inspect, report or export writes.')
  text = 'Let export write what timm, Hugging Face or, of words, gensim loads, not one program.'
  flags.DEFINE_enum('format', None, FORMATS, text, flag_values=values)
  string('topology', '', 'The devices to inspect for: h100:8, v5e:16, cpu:4, ...')
  string('cluster', 'auto', 'Many processes: auto, off, or host:port,processes,id.')
  text = 'Seconds of silence after which a process counts as dead, and the others end.'
  flags.DEFINE_integer('heartbeat', 60, text, 2, 3600, flag_values=values)
  text = 'Start a training that died again, at most so many times in a row without a checkpoint.'
  flags.DEFINE_integer('restarts', 0, text, lower_bound=0, flag_values=values)
  string('compile_cache', '', 'Folder of compiled programs, by default ~/.cache/vitlab; or off.')
  text = (
    'How predict and eval find sentences: greedy; beam,beams=8; sample,temperature=0.7,top_p=0.9.'
  )
  string('search', '', text)
  text = (
    'Let predict, eval or export use the mean of the last so many checkpoints; 0: the best one.'
  )
  flags.DEFINE_integer('average', 0, text, lower_bound=0, flag_values=values)
  text = 'How many answers predict prints for each line: sentences, scored from two on, or words.'
  flags.DEFINE_integer('nbest', 1, text, lower_bound=1, flag_values=values)
  text = 'Lowest score of what predict finds in pictures; by default of the best F1.'
  flags.DEFINE_float('threshold', None, text, 0, 1, flag_values=values)
  text = 'Overlap of two boxes above which predict drops the less sure one; 1: none.'
  flags.DEFINE_float('nms', None, text, 0, 1, flag_values=values)
  text = 'Pictures of each class that predict draws; --config.task.seed=1 draws others.'
  flags.DEFINE_integer('samples', None, text, lower_bound=1, flag_values=values)
  text = 'Let predict write what the model looks at, attention.html in the workdir.'
  flags.DEFINE_bool('attention', False, text, flag_values=values)
  string('sweep', '', "The file whose sweep(add) lists the points, by default the config's.")
  string('backend', 'local', 'Where trials run: local, slurm, commands, tpu or k8s, and options.')
  text = 'How many trials at once; by default one on each GPU, or one; under SLURM all.'
  flags.DEFINE_integer('slots', 0, text, lower_bound=0, flag_values=values)
  text = 'How often a sweep tries a failed trial again.'
  flags.DEFINE_integer('retries', 1, text, lower_bound=0, flag_values=values)
  flags.DEFINE_bool('debug', False, 'Show the traceback of every error.', flag_values=values)
  return values


def parse(arguments: Sequence[str], modes: Sequence[str]) -> Command:
  """Reads a command line.

  Raises:
    UserError: an unknown flag, a value it cannot have, a change before its config, a path or a flag
      where none is expected, or two that say the same.
  """
  others, overrides = config_file.split_arguments(arguments)
  values = define_flags(modes)
  try:
    paths = values(['launch.py', *others])[1:]
  except flags.Error as error:
    raise UserError(f'{error} (--help lists all flags)') from error
  _check(values, overrides, paths)
  for name in _PLACES:
    values[name].value = values[name].value and os.path.expanduser(values[name].value)
  if values.search:
    overrides.append(f'--config.task.search={values.search}')
  return Command(values, overrides, [os.path.expanduser(path) for path in paths])


def _check(values: flags.FlagValues, overrides: Sequence[str], paths: Sequence[str]) -> None:
  """Raises UserError for what the mode would not use."""
  mode = values.mode
  if paths and mode not in TAKE_PATHS:
    raise UserError(f'unexpected argument {paths[0]!r}: a flag is written --name=value')
  for flag, allowed in BELONG.items():
    if values[flag].present and mode not in allowed:
      raise UserError(f'--{flag} goes with --mode={" or ".join(allowed)}, not --mode={mode}')
  both = values.config is not None and values.workdir is not None
  if both and mode in STORED:
    raise UserError(f'--mode={mode} uses the config in the --workdir: leave --config out')
  if both and mode == 'inspect':
    raise UserError(
      '--mode=inspect looks at a --config or at that of a --workdir: give one of them'
    )
  if mode == 'report' and overrides:
    raise UserError(f'--mode=report shows what runs have done: leave {overrides[0]} out')
  if mode == 'report' and paths and (values.config is not None or values.workdir is not None):
    given = 'workdir' if values.config is None else 'config'
    raise UserError(f'--mode=report takes --{given} or folders behind the flags: give one of them')


def prepare(values: flags.FlagValues, devices: int = 0) -> None:
  """Settles memory, devices and processes; nothing may import JAX before.

  Args:
    values: See `define_flags`.
    devices: How many CPU devices to simulate; 0 uses the devices there are.

  Raises:
    UserError: JAX cannot start on the devices, or the processes do not find each other.
  """
  machine.prepare(compile_cache=values.compile_cache, devices=devices)
  import jax

  from vitlab.hosts import cluster

  cluster.initialize(values.cluster, values.heartbeat)
  from vitlab.hosts import agreement

  # Before the devices, which show themselves only when all processes ask for them.
  agreement.meet(dict(mode=values.mode))
  try:
    jax.devices()
  except RuntimeError as error:
    reason = str(error).partition('\n')[0]
    raise UserError(
      f'JAX cannot use the devices of this machine: {reason}'
      '\nend the process that uses them, or run on the CPU: JAX_PLATFORMS=cpu'
    ) from error


@contextlib.contextmanager
def alone(values: flags.FlagValues) -> Iterator[None]:
  """What a process does before it knows the others: of a `UserError` they are told all the same."""
  try:
    yield
  except UserError as error:
    from vitlab.hosts import cluster

    if not cluster.is_alone(values.cluster):
      print(f'error: {error}', file=sys.stderr, flush=True)  # now: the others may come late
      cluster.initialize(values.cluster, values.heartbeat)
      from vitlab.hosts import agreement

      agreement.tell(error)
      sys.exit(2)
    raise


def usage(examples: str, modes: Mapping[str, str]) -> str:
  """What --help prints.

  Args:
    examples: Command lines.
    modes: Name -> what it does.
  """
  lines = [examples.strip(), '', *_table('Modes', modes), '']
  values = define_flags(list(modes))
  described = {f'--{name}': values[name].help for name in values if name != 'mode'}
  described['--config.key=value'] = 'Change a value of the config, for example --config.seed=1.'
  return '\n'.join([*lines, *_table('Flags', described), '', configs()])


def configs() -> str:
  """The configs there are, a line each."""
  return '\n'.join(_table('Configs', config_file.describe_all()))


def _table(title: str, described: Mapping[str, str]) -> list[str]:
  """The lines of a table of names and what they are, 100 columns wide."""
  width = max(map(len, described), default=0) + 2
  lines = [f'{title}:']
  for name, text in described.items():
    indent = ' ' * (width + 2)
    lines += textwrap.wrap(f'  {name:{width}}{text}', 100, subsequent_indent=indent)
  return lines
