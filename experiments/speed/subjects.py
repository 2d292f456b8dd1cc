"""What `models.py` times, one subject a process: timm's model under torch, and vitlab's.

Each gives its works, {'forward', 'train': runs once and waits}, and what tells its answers, and how
many bytes a training step takes at its height, weights and optimiser included.
"""

FORM = 'timm'


def batch(args, work='train'):
  import numpy as np

  rng, size = np.random.default_rng(0), args.batches[work]
  image = rng.integers(0, 256, (size, args.pixels, args.pixels, 3), np.uint8)
  return {'image': image, 'label': rng.integers(0, 1000, size).astype(np.int32)}


def torch_works(args):
  import torch_stepper

  device = torch_stepper.prepare(args)
  import timm
  import torch

  words = dict(num_classes=1000, drop_path_rate=0.0) | args.theirs
  model = timm.create_model(args.timm, **words).to(device)

  def rows(work):
    image, label = (torch.from_numpy(array).to(device) for array in batch(args, work).values())
    return image.permute(0, 3, 1, 2).float().div(127.5).sub(1), label.long()

  (image, _), (train_image, label) = map(rows, ('forward', 'train'))

  def using(run):
    return (
      lambda: run(image),
      lambda: torch.nn.functional.cross_entropy(run(train_image), label),
    )

  return torch_stepper.works(args, model, model.state_dict(), using)


def make_task(args, dtype):
  from vitlab import registry

  spec = dict(name=args.model, variant=args.variant, num_classes=1000, dtype=dtype)
  model = registry.make('models', spec | args.words)
  return registry.make('tasks', dict(name='classification', num_classes=1000), model=model)


def jax_works(args):
  from stepper import Stepper, prepare

  devices = prepare(args)
  import numpy as np

  from vitlab.inspection import flops

  task = make_task(args, args.dtype)
  rows = {work: batch(args, work) for work in args.batches}
  stepper = Stepper(task, devices, rows['train'])
  rows = stepper.put(rows)

  def answers():
    stepper.load_file(f'{args.folder}/weights.safetensors', args.model, FORM)
    counted = flops.count(task.predict['logits'], stepper.state.variables, rows['forward'])
    logits = np.asarray(stepper.predict('logits', rows['forward']))
    image = sum(counted.values()) / len(logits)
    return dict(logits=logits, flops=image, memory=stepper.train_memory(rows['train']))

  works = dict(
    forward=lambda: stepper.predict('logits', rows['forward']),
    train=lambda: stepper.train(rows['train']),
  )
  return works, answers
