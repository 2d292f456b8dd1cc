"""How fast models are on a GPU beside other people's: one command, minutes, nothing is built.

  python experiments/speed/gpu.py         # on one GPU, in bfloat16, of random weights
  python experiments/speed/gpu.py --tiny  # tiny models on what there is, to see that all of it runs

For each model a process of ours and one of theirs under torch.compile (timm, nanoGPT's model,
Hugging Face) are timed in turns, and all others, which are still being compiled, stand still.
Before that, both answers of the same weights are compared with ours in float64: too large an error
fails. Whatever is missing or has failed is said in the table. FLOPs are those of the products of
our forward pass in float64, three times in a step; the measured rate is that of the largest product
of this run, the other that of the data sheet. Every call waits for its result.

What is done is printed and kept at once; --tiny does without torch's compiler, which is slow.
"""

import argparse
import concurrent.futures
import contextlib
import json
import os
import pathlib
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import race
from gpu_subjects import CASES, OURS, serve

WORKS = {'forward': 1, 'train': 3}  # and how many forward passes each is worth
PEER = race.PEER
FAR = 0.05  # the largest error
LAST = 0.03  # of the time is kept for each case that is left
ROUNDS, LATE, FAILED = 3, 'left out: no time', ' FAILED'
SOON = '--xla_cpu_use_fusion_emitters=false --xla_backend_optimization_level=0'  # a trial
COLUMNS = ('model', 'work', 'vitlab, ms', 'of measured', 'of data sheet', 'cuDNN attention')
COLUMNS += (f'{PEER}, ms', 'ratio', 'GB', f'GB, {PEER}', 'error', f'error, {PEER}')


class Failed(Exception):
  """A subject is not to be had, and why."""

  def __init__(self, subject: str, why: str):
    super().__init__(why)
    self.subject = subject


class Field:
  """The processes of a run, of which some may be timed while all others stand still.

  Args:
    args: Of the command.
    folder: For what they leave.
  """

  def __init__(self, args: argparse.Namespace, folder: str):
    self._args, self._folder, self._lock = args, pathlib.Path(folder), threading.Lock()
    self._processes, self._over = {}, False

  def folder(self, case: str) -> pathlib.Path:
    return self._folder / str(list(CASES).index(case))

  def prepare(self, case: str, subject: str) -> None:
    """Starts a subject and waits until it can be timed."""
    self.folder(case).mkdir(exist_ok=True)
    with self._lock:
      process = self._processes[case, subject] = self._start(case, subject)
    if self._over:
      self.end()
    if not process.stdout.readline():
      raise self._failed(case, subject)

  def ask(self, case: str, subject: str, work: str) -> Any:
    """What a subject answers."""
    process = self._processes[case, subject]
    with contextlib.suppress(BrokenPipeError):
      process.stdin.write(work + '\n')
      process.stdin.flush()
    line = process.stdout.readline()
    if not line:
      raise self._failed(case, subject)
    return json.loads(line)

  @contextlib.contextmanager
  def still(self, case: str, subjects: Sequence[str]) -> Iterator[None]:
    """All but these subjects of a case stand still, and none starts."""
    others = lambda key: key[0] != case or key[1] not in subjects  # noqa: E731
    with self._lock:
      self._signal(signal.SIGSTOP, others)
      try:
        yield
      finally:
        self._signal(signal.SIGCONT, others)

  def close(self, case: str) -> None:
    """Ends the subjects of a case, which leave their memory to others."""
    self._signal(signal.SIGKILL, lambda key: key[0] == case)
    for key, process in list(self._processes.items()):
      if key[0] == case:
        process.wait()
    shutil.rmtree(self.folder(case), ignore_errors=True)

  def end(self) -> None:
    """Ends all processes; no other starts."""
    self._over = True
    self._signal(signal.SIGKILL, lambda key: True)

  def _start(self, case: str, subject: str) -> subprocess.Popen:
    own = dict(PYTHONPATH=str(race.HERE.parents[1]), HF_HUB_OFFLINE='1')
    own |= dict(XLA_PYTHON_CLIENT_PREALLOCATE='false')
    own |= dict(CUDA_VISIBLE_DEVICES=os.environ.get('CUDA_VISIBLE_DEVICES', '0').split(',')[0])
    own |= dict(TORCHDYNAMO_DISABLE='1') if self._args.tiny else {}
    own |= dict(JAX_PLATFORMS='cpu', XLA_FLAGS=SOON) if self._args.platform == 'cpu' else {}
    command = [sys.executable, __file__, *(['--tiny'] if self._args.tiny else [])]
    command += [f'--case={case}', f'--subject={subject}', f'--folder={self.folder(case)}']
    pipes = dict(stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    # A group of its own, with torch's compilers: it can be stopped as a whole, and if this process
    # is killed the kernel ends what stands still.
    with self._said(case, subject).open('w') as errors:
      pipes |= dict(stderr=errors, env=os.environ | own)
      return subprocess.Popen(command, process_group=0, **pipes)

  def _said(self, case: str, subject: str) -> pathlib.Path:
    return self.folder(case) / f'{subject}.txt'

  def _failed(self, case: str, subject: str) -> Failed:
    lines = self._said(case, subject).read_text().split('\n')
    said = [line.strip() for line in lines if line.strip()]
    return Failed(subject, LATE if self._over else said[-1] if said else 'it said nothing')

  def _signal(self, number: int, whom: Callable[[tuple[str, str]], bool]) -> None:
    for key, process in list(self._processes.items()):
      if whom(key) and process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
          os.killpg(process.pid, number)


def measure(field: Field, case: str, subjects: Sequence[str]) -> dict[str, Any]:
  """What the subjects of a case answer: facts, errors, median seconds and memory."""
  facts = field.ask(case, OURS, 'facts')
  errors = field.ask(case, OURS, 'errors')
  samples = {(subject, work): [] for subject in subjects for work in (*WORKS, 'matmul')}
  with field.still(case, subjects):
    for _ in range(ROUNDS):
      for subject, work in random.sample(sorted(samples), len(samples)):
        samples[subject, work].append(field.ask(case, subject, work))
  seconds = {key: statistics.median(values) for key, values in samples.items()}
  memory = {subject: field.ask(case, subject, 'memory') for subject in subjects}
  return facts | dict(errors=errors, seconds=seconds, memory=memory)


def records(case: str, found: dict[str, Any], rate: float, why: str) -> Iterator[dict[str, Any]]:
  """The rows of a case, as they are kept."""
  common = dict(model=case, measured=rate, peer=why)
  common |= {name: found[name] for name in ('device', 'jax', 'sheet', 'rows')}
  for work, passes in WORKS.items():
    told = found['errors' if work == 'forward' else 'memory']
    yield common | dict(
      work=work,
      flops=passes * found['flops'],
      seconds=found['seconds'][OURS, work],
      peer_seconds=found['seconds'].get((PEER, work)),
      fused=found['fused'] and found['fused'][work],
      **{'error' if work == 'forward' else 'memory': told[OURS]},
      **{'peer_error' if work == 'forward' else 'peer_memory': told.get(PEER)},
    )


def row(record: Mapping[str, Any]) -> str:
  """A row of the table."""
  get = record.get
  if 'failed' in record:
    return f'| {record["model"]} | {record["failed"]} |'

  def cell(form: str, value: float | None) -> str:
    return '-' if value is None else form.format(value)

  seconds, theirs, rate = record['seconds'], get('peer_seconds'), get('sheet')
  cells = [
    f'{record["model"]}, {record["rows"]}',
    'step' if record['work'] == 'train' else record['work'],
    f'{1e3 * seconds:.1f}',
    f'{record["flops"] / seconds / record["measured"]:.0%}',
    cell('{:.0%}', rate and record['flops'] / seconds / rate),
    {True: 'yes', False: 'no', None: '-'}[record['fused']],
    record['peer'] or f'{1e3 * theirs:.1f}',
    cell('{:.2f}', theirs and theirs / seconds),
    *(cell('{:.1f}', get(name) and get(name) / 1e9) for name in ('memory', 'peer_memory')),
    *(cell('{:.1e}', get(name)) + FAILED * is_far(get(name)) for name in ('error', 'peer_error')),
  ]
  return f'| {" | ".join(cells)} |'


def is_far(error: float | None) -> bool:
  return error is not None and not error <= FAR  # so is one that is no number


def run(args: argparse.Namespace, field: Field) -> Iterator[dict[str, Any]]:
  """Prepares all subjects, some at a time, and gives the rows of each case when it is measured."""
  workers = {OURS: 1, PEER: 2 if (os.cpu_count() or 1) >= 8 else 1}
  pools = {name: concurrent.futures.ThreadPoolExecutor(n) for name, n in workers.items()}
  cases = list(CASES)
  if args.tiny:  # of each model one: sizes are all the same
    cases = list({case.words['model']: name for name, case in CASES.items()}.values())
  ready = {
    (case, name): pool.submit(field.prepare, case, name)
    for case in cases
    for name, pool in pools.items()
  }
  rate, start = 0.0, time.monotonic()
  try:
    for left, case in zip(range(len(cases), 0, -1), cases):
      why = {}
      for name in pools:
        try:
          ready[case, name].result(
            max(start + (1 - LAST * left) * 60 * args.minutes - time.monotonic(), 0)
          )
        except Failed as error:
          why[name] = str(error)
        except TimeoutError:
          ready[case, name].cancel()
          why[name] = LATE
      found = None
      while found is None and OURS not in why:
        try:
          found = measure(field, case, [name for name in pools if name not in why])
        except Failed as error:
          why[error.subject] = str(error)
      field.close(case)
      if found is None:
        yield dict(model=case, failed=why[OURS])
        continue
      rate = max(rate, race.peak(args, found['seconds']))
      yield from records(case, found, rate, why.get(PEER, ''))
  finally:
    field.end()
    for pool in pools.values():
      pool.shutdown(cancel_futures=True)


def parse_args() -> argparse.Namespace:
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--minutes', type=float, default=8.0, help='after which it ends')
  parser.add_argument('--tiny', action='store_true', help='tiny models, on a GPU or a CPU')
  parser.add_argument('--output', default='runs/speed_gpu.jsonl', help='where the rows are kept')
  for name in ('case', 'subject', 'folder'):
    parser.add_argument(f'--{name}', help=argparse.SUPPRESS)
  args = parser.parse_args()
  sys.path.insert(0, str(race.HERE.parents[1]))
  from vitlab.hosts import machine

  args.platform = 'cpu' if machine.runs_on_cpu(os.environ) else 'gpu'
  args.threads, args.seconds = (1, 0.01) if args.tiny else (os.cpu_count(), 0.25)
  if args.platform == 'cpu' and not args.tiny:
    parser.error('no GPU is here: --tiny runs tiny models on the CPU')
  return args


def main() -> None:
  args = parse_args()
  if args.subject:
    serve(args)
    return
  output, wrong, start = pathlib.Path(args.output), [], time.monotonic()
  output.parent.mkdir(parents=True, exist_ok=True)
  with tempfile.TemporaryDirectory() as folder, output.open('w') as kept:
    field = Field(args, folder)
    timer = threading.Timer(60 * args.minutes, field.end)
    timer.start()
    print(f'| {" | ".join(COLUMNS)} |')
    print('|---' * len(COLUMNS) + '|', flush=True)
    for record in run(args, field):
      print(json.dumps(record), file=kept, flush=True)
      print(row(record), flush=True)
      far = is_far(record.get('error')) or is_far(record.get('peer_error'))
      if far or record.get('failed', LATE) != LATE:
        wrong.append(record['model'])
    timer.cancel()
  print(f'\n{time.monotonic() - start:.0f} s; all that was measured: {output}')
  if wrong:
    raise SystemExit(f'failed, or further than {FAR} from float64: {", ".join(wrong)}')


if __name__ == '__main__':
  main()
