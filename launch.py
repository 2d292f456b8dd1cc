"""Trains, evaluates and uses the models of vitlab.

python launch.py --config=configs/vit_digits.py               train; again: continue
python launch.py --config=configs/vit_digits.py:smoke         give the config its argument
python launch.py --config=... --config.seed=1 --workdir=runs/second
python launch.py --config=... --restarts=3                    start again what dies
python launch.py --mode=eval --workdir=runs/vit_digits
python launch.py --mode=eval --workdir=WEIGHTS --config=configs/features.py:path=photos
python launch.py --mode=predict --workdir=runs/vit_digits picture.png folder/
python launch.py --mode=predict --workdir=runs/vit_digits --attention folder/
python launch.py --mode=predict --workdir=runs/detr_small --threshold=0.5 folder/
python launch.py --mode=predict --workdir=runs/transformer_multi30k --search=beam,beams=8 lines.txt
python launch.py --mode=predict --workdir=runs/sagan_digits --samples=8 --output=threes.png 3
python launch.py --mode=report runs/first runs/second
python launch.py --mode=export --workdir=runs/vit_digits
python launch.py --mode=export --workdir=runs/vit_digits --format=timm
python launch.py --mode=export --workdir=runs/word2vec_text --format=word2vec
python launch.py --mode=inspect --config=... --topology=h100:8
python launch.py --mode=sweep --config=configs/vit_digits.py --slots=2    again: continue
python launch.py --mode=sweep --config=... --sweep=points.py --backend=slurm,slurm_partition=gpu
"""

from vitlab.hosts import machine

if __name__ == '__main__':
  machine.ask_for_huge_pages()  # at once: what has been imported is imported anew

import os
import pathlib
import select
import signal
import sys
from collections.abc import Callable, Mapping, Sequence

from vitlab import workdir
from vitlab.cli import command_line
from vitlab.cli.command_line import Command, alone, prepare
from vitlab.errors import UserError
from vitlab.hosts.supervisor import Supervisor
from vitlab.lines import visible

# All that imports JAX is imported where it is used: a mistake is answered at once.


def train(command: Command) -> None:
  """train, or continue; a run that is finished says so"""
  folder = command.workdir()
  if command.flags.restarts:
    child = [sys.executable, *sys.argv, '--restarts=0']
    sys.exit(Supervisor(child, pathlib.Path(folder), command.flags.restarts).run())
  with alone(command.flags):
    config = command.config()
    if not config.init_from:  # which decides a part of the config
      workdir.check(folder, config)  # the loop checks again; here it takes no time
  prepare(command.flags)
  from vitlab.train import run as loop

  def report(path: pathlib.Path) -> None:
    from vitlab.report import page  # draws: nothing that the first step should wait for

    tell = (lambda text: print(f'\n{text}\n')) if sys.stdout.isatty() else None
    page.report([path], tell=tell)

  loop.train(config, folder, report=report)


def evaluate(command: Command) -> None:
  """run the evaluators on a trained model"""
  config, folder = command.config(), command.workdir()
  prepare(command.flags)
  from vitlab.predict import evaluation
  from vitlab.train import init_from, weights

  values, sources = command.flags, None
  if weights.is_published(folder) or init_from.lacks_path(config.init_from):
    config = init_from.of_weights(config, folder, command.overrides)
    config, sources = init_from.resolve(config)
  else:
    config, _ = init_from.resolve(config, folder)
  evaluation.evaluate(folder, config, values.output, values.average, sources)


def predict(command: Command) -> None:
  """label the images, answer the text files or draw the classes that follow the flags"""
  folder, values = command.workdir(), command.flags
  prepare(values)
  from vitlab.predict import Options, check, find, trained

  model = trained.load(folder, command.overrides, values.average)
  options = Options(values.output, values.nbest, values.threshold, values.nms, values.samples)
  check(model.kind, options)
  if not values.attention:
    find(model.kind, 'run', '--mode=predict')(model, command.paths, options)
    return
  from vitlab.report import drawers

  drawers.attention(model, command.paths, options)


def inspect(command: Command) -> None:
  """parameters, FLOPs, memory, communication and time of a run that is not started"""
  from vitlab.inspection import chips

  config = command.config()
  name, devices = chips.parse_topology(command.flags.topology)
  prepare(command.flags, devices)
  from vitlab.inspection import compiled, text
  from vitlab.train import init_from

  config = init_from.resolve(config)[0]  # and the weights are gone, as they are in a run
  print(text.render(compiled.run(config, name, command.flags.output)))


def report(command: Command) -> None:
  """write report.html of a workdir, or compare those that follow the flags"""
  workdirs = command.paths or [command.workdir()]
  prepare(command.flags)
  from vitlab.report import page

  print(page.report(workdirs, command.flags.output or None))


def export(command: Command) -> None:
  """write the model as one file that runs without this code, or as others' libraries load it"""
  folder, values = command.workdir(), command.flags
  prepare(values)
  from vitlab.predict import folder as folders
  from vitlab.predict import program, trained

  model = trained.load(folder, command.overrides, values.average)
  if values.format:
    print(folders.export(model, values.format, values.output))
  else:
    print(program.export(model, values.output))


def sweep(command: Command) -> None:
  """run the points or the search of a config's sweep(add), each as one training; again: continue"""
  from vitlab.sweep import controller, definition

  values = command.flags
  config, folder = command.config(), command.workdir()
  found = definition.read(config, values.config, command.overrides, values.sweep)
  extra = [f'--compile_cache={values.compile_cache}'] if values.compile_cache else []
  code = controller.run(
    found, folder, values.backend, slots=values.slots, retries=values.retries, extra=extra
  )
  if code:
    raise SystemExit(code)


MODES: Mapping[str, Callable[[Command], None]] = {
  'train': train,
  'eval': evaluate,
  'predict': predict,
  'inspect': inspect,
  'report': report,
  'export': export,
  'sweep': sweep,
}


def main(arguments: Sequence[str]) -> int:
  """Runs one command line.

  Returns:
    The exit code: 0, or 2 for something that the user gave and that cannot be used. A preempted
    training or sweep raises SystemExit with 75: the same command continues it; a sweep of which
    trials have failed, with 1; a training with --restarts, with the code of its last process. All
    else is raised, BrokenPipeError where nobody reads what is printed.
  """
  if {'--help', '-help', '-h'} & set(arguments):
    print(command_line.usage(__doc__, {name: mode.__doc__ for name, mode in MODES.items()}))
    return 0
  if not arguments:
    print(command_line.configs())
    print('usage: python launch.py --config=FILE.py[:argument]; --help tells more', file=sys.stderr)
    return 2
  try:
    command = command_line.parse(arguments, list(MODES))
    MODES[command.flags.mode](command)
  except UserError as error:
    if '--debug' in arguments:
      raise
    print('\n'.join(map(visible, f'error: {error}'.split('\n'))), file=sys.stderr)
    return 2
  return 0


def run() -> int:
  """Runs the command line of this process; quietly ends where its reader does: `| head`."""
  try:
    try:
      return main(sys.argv[1:])
    finally:
      sys.stdout.flush()
  except BrokenPipeError:
    reader = select.poll()
    reader.register(sys.stdout, 0)
    if not reader.poll(0):
      raise  # another pipe
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 128 + signal.SIGPIPE  # as of a process that dies of it


if __name__ == '__main__':
  sys.exit(run())
