"""Kills one of several processes of a run at random moments: the rest must make nothing of it.

  python experiments/reliability/kill_gang.py                           # 2 processes, 20 rounds
  python experiments/reliability/kill_gang.py --processes=4 --times=5

A round starts the processes with --restarts, as on as many hosts. SIGKILL to a random one, at any
moment from its start on: all must be back by themselves. Then SIGTERM to a random one: all must
save the same step and exit with 75, and the same commands finish the run. Compared with an
undisturbed run of as many processes are the fingerprint of the final parameters and the rows of
metrics.jsonl, bit for bit, and no process may be left over. Exits with 1 otherwise.
"""

import argparse
import json
import os
import pathlib
import random
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

from kill_training import PREEMPTED, ROOT, is_alive, outcome

PATIENCE = 600  # seconds


class Gang:
  """The processes of a run, each with a supervisor in a process group of its own."""

  def __init__(self, workdir, options):
    self.workdir = workdir
    address = f'127.0.0.1:{free_port()}'
    self.begin = time.time()
    self.supervisors = [
      subprocess.Popen(
        [sys.executable, 'launch.py', *arguments(workdir, options)]
        + [f'--cluster={address},{options.processes},{process}'],
        cwd=ROOT,
        env=os.environ | {'JAX_PLATFORMS': 'cpu', 'JAX_NUM_CPU_DEVICES': '1'},
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=open(f'{workdir}.{process}.log', 'a'),  # noqa: SIM115 - the child's
      )
      for process in range(options.processes)
    ]

  def kill(self, process):
    """SIGKILL to what a supervisor tends; returns when."""
    pid = self.supervisors[process].pid
    while self.supervisors[process].poll() is None:
      for child in pathlib.Path(f'/proc/{pid}/task/{pid}/children').read_text().split():
        os.kill(int(child), signal.SIGKILL)
        return time.time()
      time.sleep(0.01)
    return time.time()  # it has ended before

  def wait_for(self, event, since):
    """The first such event of the run after a time; None if the run ended without one."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
      ended = self.supervisors[0].poll() is not None
      found = [row for row in events(self.workdir) if row['event'] == event]
      if found := [row for row in found if row['time'] > since]:
        return found[0]
      if ended:
        return None
      time.sleep(0.02)
    sys.exit(f'no {event} in {PATIENCE} s:\n{self.logs()}')

  def wait(self, *allowed):
    """Ends the program unless all processes end soon with an allowed code."""
    for supervisor in self.supervisors:
      try:
        code = supervisor.wait(PATIENCE)
      except subprocess.TimeoutExpired:
        code = None
      if code not in allowed:
        for other in self.supervisors:
          other.terminate()
        sys.exit(f'exit code {code}:\n{self.logs()}')
      if is_alive(supervisor.pid):
        sys.exit('a process has outlived the run')

  def logs(self):
    """The ends of what the processes printed."""
    paths = sorted(self.workdir.parent.glob(f'{self.workdir.name}.*.log'))
    return '\n'.join(f'{path.name}: {path.read_text()[-1500:]}' for path in paths)


def arguments(workdir, options):
  """All but the place of the process."""
  return [
    '--config=configs/vit_digits.py:smoke',
    f'--workdir={workdir}',
    '--restarts=3',
    f'--heartbeat={options.heartbeat}',
    f'--config.duration={options.steps} steps',
    '--config.checkpoint.every=10 steps',
    '--config.log_every=15 steps',
    '--config.evaluators.test.every=50 steps',
  ]


def events(workdir):
  """Those that are whole."""
  path = workdir / 'events.jsonl'
  lines = path.read_text().split('\n')[:-1] if path.exists() else []
  return [json.loads(line) for line in lines if line.endswith('}')]


def free_port():
  """Below those that the kernel gives to connections, one of which might take it in between."""
  while True:
    port = random.randrange(20_000, 32_000)
    with socket.socket() as probe:
      if probe.connect_ex(('127.0.0.1', port)):
        return port


def disturb(gang, chance, seconds, step_seconds, options):
  """One round; seconds from SIGKILL to the next step, and whether SIGTERM was answered."""
  time.sleep(chance.uniform(0, seconds))
  killed = gang.kill(chance.randrange(options.processes))
  again = gang.wait_for('start', killed)
  back = again and gang.wait_for('compile', again['time'])
  if back is None:  # it was killed when it was finished
    gang.wait(0)
    return None, False
  left = options.steps - back['step']
  time.sleep(chance.random() * left * step_seconds / 2)
  gang.supervisors[chance.randrange(options.processes)].terminate()
  gang.wait(0, PREEMPTED)
  codes = {supervisor.returncode for supervisor in gang.supervisors}
  if len(codes) > 1:
    sys.exit(f'exit codes {codes} after SIGTERM:\n{gang.logs()}')
  if stopped := PREEMPTED in codes:
    newest = max(int(path.name) for path in (gang.workdir / 'checkpoints').glob('[0-9]*'))
    if newest != events(gang.workdir)[-1]['step']:
      sys.exit(f'stopped at {events(gang.workdir)[-1]}, but saved step {newest}')
    Gang(gang.workdir, options).wait(0)
  return back['time'] - killed, stopped


def main():
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--times', type=int, default=20)
  parser.add_argument('--processes', type=int, default=2)
  parser.add_argument('--steps', type=int, default=200)
  parser.add_argument('--heartbeat', type=int, default=15)
  parser.add_argument('--seed', type=int, default=0)
  options = parser.parse_args()
  chance = random.Random(options.seed)
  kills, stops, back = 0, 0, []
  with tempfile.TemporaryDirectory() as folder:
    begin, folder = time.perf_counter(), pathlib.Path(folder)
    Gang(folder / 'undisturbed', options).wait(0)
    seconds = time.perf_counter() - begin
    expected = outcome(folder / 'undisturbed')
    first, last = (
      row for row in events(folder / 'undisturbed') if row['event'] in ('compile', 'end')
    )
    step_seconds = (last['time'] - first['time']) / options.steps
    rounds = 0
    while kills < options.times or stops < options.times:
      gang = Gang(folder / f'{rounds}', options)
      delay, stopped = disturb(gang, chance, seconds, step_seconds, options)
      if outcome(gang.workdir) != expected:
        sys.exit(f'round {rounds} differs from the undisturbed run')
      rounds, kills, stops = rounds + 1, kills + (delay is not None), stops + stopped
      back += [delay] * (delay is not None)
      print(f'round {rounds}: {kills} x SIGKILL, {stops} x SIGTERM, same bits', flush=True)
  print(
    f'{options.processes} processes: {kills} x SIGKILL of one, all back and stepping after '
    f'{statistics.median(back):.1f} s (median), {max(back):.1f} s (longest); '
    f'{stops} x SIGTERM of one, all exit with {PREEMPTED}\n'
    f'{rounds} runs, each like the undisturbed one bit for bit'
  )
  return 0


if __name__ == '__main__':
  sys.exit(main())
