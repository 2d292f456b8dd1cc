"""ViT against timm's, in one run: forward pass and full AdamW training step.

  python experiments/speed/vit.py                 # ViT-Ti/16, batch 8, float32, 2 threads
  python experiments/speed/vit.py --first-step    # seconds from process start to the first step
  python experiments/speed/vit.py --platform=gpu --variant=B/16 --batch=256 --dtype=bfloat16

Needs `tests/requirements.txt`. Every subject lives in a process of its own and computes nothing but
when asked; the order is shuffled every round; before anything is timed, all must give the logits of
the same weights. Quote the ratios of one run, never times across runs.
"""

import argparse
import os
import pathlib
import random
import statistics
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve()
TIMM = {'Ti/16': 'vit_tiny_patch16_224', 'S/16': 'vit_small_patch16_224'}
TIMM |= {'B/16': 'vit_base_patch16_224', 'L/16': 'vit_large_patch16_224'}
SUBJECTS = {
  'torch eager': 'torch',
  'torch.compile': 'torch',
  'vitlab': 'jax',
  'vitlab, 2 host devices': 'jax',
}
PEER = 'torch.compile'


def parse_args():
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--variant', default='Ti/16', choices=TIMM)
  parser.add_argument('--batch', type=int, default=8)
  parser.add_argument('--dtype', default='float32', choices=['float32', 'bfloat16'])
  parser.add_argument('--platform', default='cpu', choices=['cpu', 'gpu'])
  parser.add_argument('--threads', type=int, default=2)
  parser.add_argument('--rounds', type=int, default=9)
  parser.add_argument('--seconds', type=float, default=1.0, help='of one sample')
  parser.add_argument('--first-step', action='store_true', help='measure the start instead')
  parser.add_argument('--subject', help=argparse.SUPPRESS)
  parser.add_argument('--folder', help=argparse.SUPPRESS)
  return parser.parse_args()


def main():
  args = parse_args()
  if args.subject:
    serve(args)
  elif args.first_step:
    print_first_step(args)
  else:
    print_table(args)


# --- the subjects, in their processes


def serve(args):
  """Answers each line ('forward' or 'train') with the seconds of one call."""
  works = (torch_works if SUBJECTS[args.subject] == 'torch' else jax_works)(args)
  if args.first_step:
    works['train']()
    print('done', flush=True)
    return
  import numpy as np

  np.save(f'{args.folder}/{args.subject}.npy', works['logits']())
  for _ in range(3):
    works['forward'](), works['train']()
  print('ready', flush=True)
  for line in sys.stdin:
    work = works[line.strip()]
    calls, start = 0, time.perf_counter()
    while time.perf_counter() - start < args.seconds:
      work()
      calls += 1
    print((time.perf_counter() - start) / calls, flush=True)


def batch(args):
  import numpy as np

  rng = np.random.default_rng(0)
  image = rng.integers(0, 256, (args.batch, 224, 224, 3), np.uint8)
  return image, rng.integers(0, 1000, args.batch).astype(np.int32)


def torch_works(args):
  import torch

  sys.path.insert(0, str(HERE.parents[2] / 'tests'))
  import _helpers.torchvision_shim  # noqa: F401  timm wants torchvision's operators registered
  import timm
  from safetensors.torch import save_file

  torch.set_num_threads(args.threads)
  torch.manual_seed(0)
  device = 'cuda' if args.platform == 'gpu' else 'cpu'
  model = timm.create_model(TIMM[args.variant], num_classes=1000)
  torch.nn.init.trunc_normal_(model.head.weight, std=0.02)  # zeros would hide differences
  if args.subject == PEER:
    save_file(model.state_dict(), f'{args.folder}/weights.safetensors')
  model = model.to(device)
  optimizer = torch.optim.AdamW(model.parameters(), lr=1e-6, weight_decay=0.05)
  image, label = batch(args)
  image = torch.from_numpy(image).permute(0, 3, 1, 2).to(device).float().div(127.5).sub(1)
  label = torch.from_numpy(label).long().to(device)
  run = torch.compile(model) if args.subject == PEER else model
  half = torch.autocast(device, torch.bfloat16, enabled=args.dtype == 'bfloat16')
  wait = torch.cuda.synchronize if device == 'cuda' else lambda: None

  def forward():
    with torch.inference_mode(), half:
      logits = run(image)
    wait()
    return logits

  def train():
    with half:
      loss = torch.nn.functional.cross_entropy(run(image), label)
    loss.backward()
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    wait()

  return {
    'forward': forward,
    'train': train,
    'logits': lambda: forward().float().cpu().numpy(),
  }


def jax_works(args):
  from vitlab.engine import host

  host.tune_allocator()
  import jax
  import numpy as np

  devices = 2 if '2 host devices' in args.subject else 1
  if args.platform == 'cpu':
    jax.config.update('jax_num_cpu_devices', devices)
  else:
    devices = jax.device_count()
  forward, train, params = vitlab_step(args, devices)

  def logits():
    from safetensors.numpy import load_file

    from vitlab.pretrained import import_tensors

    weights = load_file(f'{args.folder}/weights.safetensors')
    variables = import_tensors(weights, {'params': params}, 'vit', 'timm')
    return np.asarray(forward({'model': variables}))

  return {'forward': forward, 'train': train, 'logits': logits}


def vitlab_step(args, devices):
  """The engine's own step on the engine's own shardings."""
  import jax
  import optax

  from vitlab import registry
  from vitlab.engine import sharding
  from vitlab.engine.step import init_state, make_train_step

  spec = dict(name='vit', variant=args.variant, num_classes=1000, mlp='gelu', dtype=args.dtype)
  model = registry.make('models', spec)
  task = registry.make('tasks', dict(name='classification', num_classes=1000), model=model)
  optimizers = {'model': optax.adamw(1e-6, weight_decay=0.05)}
  image, label = batch(args)
  mesh = sharding.make_mesh({'data': devices, 'fsdp': 1, 'model': 1})
  rows = {'image': image, 'label': label}
  rows = jax.device_put(rows, sharding.batch_sharding(mesh))

  def init(key):
    return init_state(task, optimizers, key, {k: v[:1] for k, v in rows.items()})

  shapes = jax.eval_shape(init, jax.random.key(0))
  shardings = sharding.state_shardings(shapes, mesh)
  with jax.set_mesh(mesh):
    state = jax.jit(init, out_shardings=shardings)(jax.random.key(0))
    step = jax.jit(make_train_step(task, optimizers, seed=0), donate_argnums=0)
    predict = jax.jit(task.predict['logits'])
  live = {'state': state}

  def forward(variables=None):
    with jax.set_mesh(mesh):
      return jax.block_until_ready(predict(variables or live['state'].variables, rows))

  def train():
    with jax.set_mesh(mesh):
      live['state'], metrics = step(live['state'], rows)
      jax.block_until_ready(metrics)

  return forward, train, shapes.variables['model']['params']


# --- the tables, in the parent


def start(args, subject, folder):
  environment = os.environ | {'OMP_NUM_THREADS': str(args.threads), 'PYTHONPATH': HERE.parents[2]}
  if args.platform == 'cpu':
    environment['JAX_PLATFORMS'] = 'cpu'
  command = [sys.executable, HERE, *sys.argv[1:], f'--subject={subject}', f'--folder={folder}']
  pipes = dict(stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
  return subprocess.Popen(command, env=environment, **pipes)


def ask(process, work):
  process.stdin.write(work + '\n')
  process.stdin.flush()
  return float(process.stdout.readline())


def print_table(args):
  import numpy as np

  subjects = [s for s in SUBJECTS if args.platform == 'cpu' or '2 host' not in s]
  samples = {(s, work): [] for s in subjects for work in ('forward', 'train')}
  with tempfile.TemporaryDirectory() as folder:
    processes = {}
    for subject in sorted(subjects, key=lambda s: SUBJECTS[s] != 'torch'):
      print(f'preparing {subject} ...', file=sys.stderr)
      processes[subject] = start(args, subject, folder)
      processes[subject].stdout.readline()
    logits = {s: np.load(f'{folder}/{s}.npy') for s in subjects if s != 'torch eager'}
    far = max(np.abs(x - logits[PEER]).max() for x in logits.values())
    print(f'largest difference of a logit between subjects with the same weights: {far:.1e}')
    for _ in range(args.rounds):
      for subject, work in random.sample(sorted(samples), len(samples)):
        samples[subject, work].append(ask(processes[subject], work))
    for process in processes.values():
      process.stdin.close()
      process.wait()
  print(f'ViT-{args.variant}, 224 px, batch {args.batch}, {args.dtype}, {args.platform}, ', end='')
  print(f'{args.threads} threads; median ms of {args.rounds} rounds (ratio against {PEER})\n')
  print(f'| {"":24s} | {"forward":>16s} | {"train step":>16s} |\n|---|---|---|')
  for subject in subjects:
    cells = []
    for work in ('forward', 'train'):
      median, peer = (statistics.median(samples[s, work]) for s in (subject, PEER))
      cells.append(f'{1e3 * median:8.1f} ({peer / median:.2f})')
    print(f'| {subject:24s} | {cells[0]:>16s} | {cells[1]:>16s} |')


def print_first_step(args):
  print('seconds from process start to the end of the first training step')
  for subject in ('torch eager', PEER, 'vitlab'):
    with tempfile.TemporaryDirectory() as folder:
      os.environ['TORCHINDUCTOR_CACHE_DIR'] = f'{folder}/torch'
      os.environ['JAX_COMPILATION_CACHE_DIR'] = f'{folder}/jax'
      os.environ['JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS'] = '0'
      cold, warm = first_step(args, subject, folder), first_step(args, subject, folder)
    print(f'{subject:16s} cold {cold:5.1f}   warm cache {warm:5.1f}')


def first_step(args, subject, folder):
  begin = time.perf_counter()
  process = start(args, subject, folder)
  process.stdout.readline()
  seconds = time.perf_counter() - begin
  process.wait()
  return seconds


if __name__ == '__main__':
  main()
