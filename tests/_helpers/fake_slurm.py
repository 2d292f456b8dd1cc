"""sbatch, srun, sacct, scancel and scontrol of a cluster that is this machine.

`install(folder)` writes them into folder/bin. A job is a process group; its state is a few files in
folder/jobs. As a program: `python fake_slurm.py <folder> <which> <arguments>`.
"""

import os
import pathlib
import re
import signal
import subprocess
import sys


def install(folder):
  """Writes the programs; returns the folder they are in."""
  programs = folder / 'bin'
  programs.mkdir(parents=True)
  (folder / 'jobs').mkdir()
  for name in ('sbatch', 'srun', 'sacct', 'scancel', 'scontrol'):
    path = programs / name
    path.write_text(f'#!/bin/sh\nexec {sys.executable} -S {__file__} {folder} {name} "$@"\n')
    path.chmod(0o755)
  return programs


def launch(jobs, name, script):
  number, _, index = name.partition('_')
  place = dict(SLURM_JOB_ID=number, SLURM_NTASKS='1', SLURM_JOB_NUM_NODES='1')
  if index:
    place |= dict(SLURM_ARRAY_JOB_ID=number, SLURM_ARRAY_TASK_ID=index)
  process = subprocess.Popen(
    ['bash', script],
    env=os.environ | place,
    start_new_session=True,
    stdin=subprocess.DEVNULL,
    stdout=subprocess.DEVNULL,
    stderr=subprocess.DEVNULL,
  )
  (jobs / f'{name}.tmp').write_text(f'{process.pid} {script}')
  (jobs / f'{name}.tmp').replace(jobs / name)


def group(pid):
  """The processes of a job but for the shell that started them."""
  for entry in pathlib.Path('/proc').glob('[0-9]*/stat'):
    try:
      _, state, _, leader, *_ = entry.read_text().rpartition(')')[2].split(' ')
    except OSError:
      continue
    if int(leader) == pid and int(entry.parent.name) != pid and state != 'Z':
      yield int(entry.parent.name)


def sbatch(jobs, script):
  text = pathlib.Path(script).read_text()
  number = 100 + len(list(jobs.parent.glob('submitted*')))
  (jobs.parent / f'submitted{number}').write_text(text)
  array = re.search(r'--array=0-(\d+)', text)
  for index in range(int(array[1]) + 1) if array else ['']:
    launch(jobs, f'{number}_{index}'.strip('_'), script)
  print(f'Submitted batch job {number}')


def srun(jobs, *arguments):
  arguments = list(arguments)
  while arguments[0].startswith('-'):
    del arguments[: 2 if arguments[0] in ('--output', '--error') else 1]
  os.execvp(arguments[0], arguments)


def sacct(jobs, *arguments):
  print('JobID|State|NodeList')
  for path in jobs.iterdir():
    if re.fullmatch(r'[\d_]+', path.name):
      alive = os.path.exists(f'/proc/{path.read_text().split()[0]}')
      print(f'{path.name}|{"RUNNING" if alive else "COMPLETED"}|here')


def scancel(jobs, job, option='--signal', name='SIGTERM'):
  pid = int((jobs / job).read_text().split()[0])
  for each in group(pid):
    os.kill(each, getattr(signal, f'SIG{name.removeprefix("SIG")}'))


def scontrol(jobs, what, job):
  assert what == 'requeue'
  with open(jobs.parent / 'requeued', 'a') as file:
    file.write(f'{job}\n')
  launch(jobs, job, (jobs / job).read_text().split()[1])


if __name__ == '__main__':
  globals()[sys.argv[2]](pathlib.Path(sys.argv[1]) / 'jobs', *sys.argv[3:])
