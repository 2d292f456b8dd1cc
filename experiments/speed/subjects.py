"""What `models.py` times, one subject a process: timm's model under torch, and vitlab's.

Each gives {'forward', 'train': runs once and waits, 'logits': of the weights that all share}.
"""

import pathlib
import sys

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
  forward, train, like = vitlab_step(args, devices)

  def logits():
    from safetensors.numpy import load_file

    from vitlab.pretrained import import_tensors

    weights = load_file(f'{args.folder}/weights.safetensors')
    return np.asarray(forward({'model': import_tensors(weights, like, args.model, 'timm')}))

  return {'forward': forward, 'train': train, 'logits': logits}


def vitlab_step(args, devices):
  """The engine's own step on the engine's own shardings."""
  import jax
  import optax

  from vitlab import registry
  from vitlab.engine import sharding
  from vitlab.engine.step import init_state, make_train_step

  spec = dict(name=args.model, variant=args.variant, num_classes=1000, dtype=args.dtype)
  model = registry.make('models', spec | args.words)
  task = registry.make('tasks', dict(name='classification', num_classes=1000), model=model)
  optimizers = {'model': optax.adamw(1e-6, weight_decay=0.05)}
  mesh = sharding.make_mesh({'data': devices, 'fsdp': 1, 'model': 1})
  rows = {work: batch(args, work) for work in args.batches}
  rows = jax.device_put(rows, sharding.batch_sharding(mesh))

  def init(key):
    return init_state(task, optimizers, key, {k: v[:1] for k, v in rows['train'].items()})

  shapes = jax.eval_shape(init, jax.random.key(0))
  shardings = sharding.state_shardings(shapes, mesh)
  with jax.set_mesh(mesh):
    state = jax.jit(init, out_shardings=shardings)(jax.random.key(0))
    step = jax.jit(make_train_step(task, optimizers, seed=0), donate_argnums=0)
    predict = jax.jit(task.predict['logits'])
  live = {'state': state}

  def forward(variables=None):
    with jax.set_mesh(mesh):
      return jax.block_until_ready(predict(variables or live['state'].variables, rows['forward']))

  def train():
    with jax.set_mesh(mesh):
      live['state'], metrics = step(live['state'], rows['train'])
      jax.block_until_ready(metrics)

  return forward, train, shapes.variables['model']
