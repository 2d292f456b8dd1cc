"""What people get wrong about sweeps: answered in at most three lines, with exit code 2."""

import sys

import pytest
from _helpers import sweeps
from _helpers.refusal import refused

from vitlab.cli import command_line

DIGITS, SWEEP = f'--config={sweeps.CONFIG}', '--mode=sweep'
RATE = "'optim.learning_rate': log_uniform(1e-4, 1e-2)"
# Given, what the file of points says, what is named.
ARGUMENTS = {
  'no config': ([SWEEP], '', '--mode=sweep needs --config'),
  'no sweep function': (
    [SWEEP, f'--config={sweeps.ROOT}/configs/vit_cifar10.py'],
    '',
    'has no function sweep(add)',
  ),
  'no file': ([SWEEP, DIGITS, '--sweep=nowhere.py'], '', 'nowhere.py'),
  'unknown key': ([SWEEP, DIGITS], "add({'optim.lerning_rate': 1})", 'did you mean learning_rate'),
  'wrong type': ([SWEEP, DIGITS], "add({'batch_size': 1.5})", 'of type int'),
  'no point': ([SWEEP, DIGITS], 'pass', 'adds no point'),
  'no optuna': ([SWEEP, DIGITS], f"return search({{{RATE}}}, 3, 'tpe')", 'pip install "optuna'),
  'nobody to learn from': (
    [SWEEP, DIGITS, '--backend=commands'],
    f"return search({{{RATE}}}, 3, pruner='asha')",
    'only prints commands',
  ),
  'unknown back-end': ([SWEEP, DIGITS, '--backend=slrum'], "add({'seed': 1})", 'mean slurm'),
  'unknown option': ([SWEEP, DIGITS, '--backend=local,gpu=1'], "add({'seed': 1})", "'gpu'"),
  'no SLURM': ([SWEEP, DIGITS, '--backend=slurm'], "add({'seed': 1})", 'srun is not found'),
  'relative folder': (
    [SWEEP, DIGITS, '--backend=k8s,image=a,claim=b', '--workdir=runs/new'],
    "add({'seed': 1})",
    'absolute --workdir',
  ),
  'slots of a training': ([DIGITS, '--slots=2'], '', '--slots goes with --mode=sweep'),
  'sweep of a training': ([DIGITS, '--sweep=a.py'], '', '--sweep goes with --mode=sweep'),
  'search of a sweep': ([SWEEP, DIGITS, '--search=beam'], '', '--search goes with --mode=predict'),
  'negative retries': ([SWEEP, DIGITS, '--retries=-1'], '', 'retries'),
}


@pytest.mark.parametrize('arguments, body, named', ARGUMENTS.values(), ids=ARGUMENTS)
def test_a_wrong_sweep(arguments, body, named, tmp_path, capsys, monkeypatch):
  monkeypatch.setattr(command_line.machine, 'prepare', lambda **_: None)
  monkeypatch.setitem(sys.modules, 'optuna', None)
  folder = tmp_path / 'new'
  if body:
    arguments = [*arguments, f'--sweep={sweeps.write(tmp_path, body)}']
  if '--workdir' not in str(arguments):
    arguments = [*arguments, f'--workdir={folder}']
  refused(capsys, arguments, named, folder)
