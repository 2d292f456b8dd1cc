"""What `models.py` times, one subject a process: timm's model under torch, and vitlab's.

Each gives its works, {'forward', 'train', 'matmul': runs once and waits}, and what tells its
answers, and how many bytes a training step takes at its height, weights and optimiser included.
"""

import ctypes
import pathlib
import re
import sys

import race

HERE = pathlib.Path(__file__).resolve()


def batch(args, work):
  import numpy as np

  rng, size = np.random.default_rng(0), args.batches[work]
  image = rng.integers(0, 256, (size, 224, 224, 3), np.uint8)
  return {'image': image, 'label': rng.integers(0, 1000, size).astype(np.int32)}


def torch_works(args):
  import torch

  sys.path.insert(0, str(HERE.parents[2] / 'tests'))
  import _helpers.torchvision_shim  # noqa: F401  timm wants torchvision's operators registered
  import timm
  from safetensors.torch import save_file

  torch.set_num_threads(args.threads)
  torch.manual_seed(0)
  device = 'cuda' if args.platform == 'gpu' else 'cpu'
  model = timm.create_model(args.timm, num_classes=1000, drop_path_rate=0.0)
  # Zeros would hide differences.
  torch.nn.init.trunc_normal_(model.get_classifier().weight, std=0.02)
  if 'compile' in args.subject:
    save_file(model.state_dict(), f'{args.folder}/weights.safetensors')
  model = model.to(device)
  optimizer = torch.optim.AdamW(model.parameters(), lr=1e-6, weight_decay=0.05)

  def rows(work):
    image, label = (torch.from_numpy(array).to(device) for array in batch(args, work).values())
    return image.permute(0, 3, 1, 2).float().div(127.5).sub(1), label.long()

  (image, _), (train_image, label) = map(rows, ('forward', 'train'))
  run = torch.compile(model) if 'compile' in args.subject else model
  half = torch.autocast(device, torch.bfloat16, enabled=args.dtype == 'bfloat16')
  wait = torch.cuda.synchronize if device == 'cuda' else lambda: None

  def forward():
    model.eval()
    with torch.inference_mode(), half:
      logits = run(image)
    wait()
    return logits

  def train():
    model.train()
    with half:
      loss = torch.nn.functional.cross_entropy(run(train_image), label)
    loss.backward()
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    wait()

  big = torch.ones((race.peak_size(args),) * 2, dtype=getattr(torch, args.dtype), device=device)

  def answers():
    return dict(logits=forward().float().cpu().numpy(), memory=torch_memory(train, model, device))

  return dict(forward=forward, train=train, matmul=lambda: (big @ big, wait())), answers


def torch_memory(train, model, device):
  """Bytes at the height of a training step."""
  import torch

  train()  # compiles, and makes the optimiser's moments
  if device == 'cuda':
    torch.cuda.reset_peak_memory_stats()
    train()
    return torch.cuda.max_memory_allocated()
  return growth(train) + 3 * sum(weight.nbytes for weight in model.parameters())


def growth(work):
  """Bytes by which a process is larger at the height of a work than before it (Linux)."""
  ctypes.CDLL(None).malloc_trim(0)
  status = pathlib.Path('/proc/self/status')
  before = int(re.search(r'VmRSS:\s+(\d+)', status.read_text())[1])
  pathlib.Path('/proc/self/clear_refs').write_text('5')  # the height is counted from here
  work()
  return 1024 * (int(re.search(r'VmHWM:\s+(\d+)', status.read_text())[1]) - before)


def jax_works(args):
  from stepper import Stepper, prepare

  devices = prepare(args)
  import jax
  import jax.numpy as jnp
  import numpy as np
  from safetensors.numpy import load_file

  from vitlab import registry
  from vitlab.inspection import flops
  from vitlab.pretrained import import_tensors

  spec = dict(name=args.model, variant=args.variant, num_classes=1000, dtype=args.dtype)
  model = registry.make('models', spec | args.words)
  task = registry.make('tasks', dict(name='classification', num_classes=1000), model=model)
  rows = {work: batch(args, work) for work in args.batches}
  stepper = Stepper(task, devices, rows['train'])
  rows = stepper.put(rows)

  def answers():
    weights = load_file(f'{args.folder}/weights.safetensors')
    like = stepper.state.variables['model']
    stepper.load(import_tensors(weights, like, args.model, 'timm'))
    counted = flops.count(task.predict['logits'], stepper.state.variables, rows['forward'])
    logits = np.asarray(stepper.predict('logits', rows['forward']))
    image = sum(counted.values()) / len(logits)
    return dict(logits=logits, flops=image, memory=stepper.train_memory(rows['train']))

  big = jnp.ones((race.peak_size(args),) * 2, args.dtype)
  product = jax.jit(jnp.matmul)

  works = dict(
    forward=lambda: stepper.predict('logits', rows['forward']),
    train=lambda: stepper.train(rows['train']),
    matmul=lambda: product(big, big).block_until_ready(),
  )
  return works, answers
