"""DETR and Faster R-CNN on a ResNet-50 against other people's, in one run: forward and step.

  python experiments/speed/detectors.py --model=detr         # Hugging Face's
  python experiments/speed/detectors.py --model=faster_rcnn  # torchvision's

Pictures of 480 x 640, float32, backbones with frozen norms, random weights, the same for all; a
step is the gradient of all losses and AdamW's. torch.compile compiles what it can of theirs: not
DETR's matching, which is SciPy's, nor torchvision's choice of proposals. Where torchvision's own
suppression cannot be loaded, the one of its test shim stands in, in Python. Needs
`tests/requirements.txt`. How it is measured: `race.py`.
"""

import pathlib
import sys

import race

HERE = pathlib.Path(__file__).resolve()
SIZE, OBJECTS, CLASSES = (480, 640), 8, 91
TITLES = dict(forward='forward', train='step')


def main():
  parser = race.make_parser(__doc__.splitlines()[0])
  parser.add_argument('--model', default='detr', choices=('detr', 'faster_rcnn'))
  parser.add_argument('--batch', type=int, default=2)
  args = parser.parse_args()
  if args.subject:
    works, answers = (jax_works if race.SUBJECTS[args.subject] == 'jax' else torch_works)(args)
    race.serve(args, works, answers)
    return
  memory = {}

  def compare(answers):
    race.compare_logits(answers)
    memory.update({subject: float(answer['memory']) for subject, answer in answers.items()})

  medians = race.measure(args, list(TITLES), compare)
  print(f'{args.model} on ResNet-50, {args.batch} pictures of 480 x 640, {args.dtype}, ', end='')
  print(f'{args.platform}, {args.threads} threads; median ms of {args.rounds} rounds', end='')
  print(f' (ratio against {race.PEER})\n')
  race.print_table(TITLES, medians, lambda work, seconds: f'{1e3 * seconds:8.0f}')
  print('\nMB at the height of a training step, weights and optimiser included:')
  print(', '.join(f'{subject} {memory[subject] / 1e6:,.0f}' for subject in sorted(memory)))


def batch(args):
  import numpy as np

  rng = np.random.default_rng(0)
  low = rng.uniform(0, 300, (args.batch, OBJECTS, 2))
  boxes = np.concatenate([low, low + rng.uniform(20, 180, low.shape)], axis=-1)
  return dict(
    image=rng.integers(0, 256, (args.batch, *SIZE, 3), np.uint8),
    size=np.tile(np.int32(SIZE), (args.batch, 1)),
    boxes=boxes.astype(np.float32),
    classes=rng.integers(0, CLASSES - 1, (args.batch, OBJECTS)).astype(np.int32),
    mask=np.ones(args.batch, bool),
  )


def torch_works(args):
  sys.path.insert(0, str(HERE.parents[2] / 'tests'))
  import _helpers.torchvision_shim  # noqa: F401
  import subjects
  import torch
  from safetensors.torch import save_file

  torch.set_num_threads(args.threads)
  torch.manual_seed(0)
  model, raw = dict(detr=their_detr, faster_rcnn=their_faster_rcnn)[args.model](), batch(args)
  if 'compile' in args.subject:
    save_file(model.state_dict(), f'{args.folder}/weights.safetensors')
  weights = [weight for weight in model.parameters() if weight.requires_grad]
  optimizer = torch.optim.AdamW(weights, lr=1e-6, weight_decay=0.05)
  run = torch.compile(model) if 'compile' in args.subject else model
  read, learn = dict(detr=read_detr, faster_rcnn=read_faster_rcnn)[args.model](run, raw)

  def forward():
    model.eval()
    with torch.inference_mode():
      return read()

  def train():
    model.train()
    learn().backward()
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)

  def answers():
    logits = forward().float().numpy()
    return dict(logits=logits, memory=subjects.torch_memory(train, model, 'cpu'))

  return dict(forward=forward, train=train), answers


def their_detr():
  from transformers import DetrConfig, DetrForObjectDetection, ResNetConfig

  none = dict(use_timm_backbone=False, use_pretrained_backbone=False, backbone=None)
  config = DetrConfig(
    **none,
    backbone_config=ResNetConfig(out_features=['stage4']),
    num_labels=CLASSES,
    auxiliary_loss=True,
    dropout=0.0,
  )
  # It freezes all of such a backbone (findings/detr_of_transformers_freezes_all.sh); ours learns.
  return DetrForObjectDetection(config).requires_grad_(True)


def read_detr(run, raw):
  """What is timed of Hugging Face's: logits of all queries, and the loss of a step."""
  import numpy as np
  import torch

  image = torch.from_numpy(raw['image']).permute(0, 3, 1, 2).float().div(127.5).sub(1)
  shares = raw['boxes'] / np.tile(SIZE[::-1], 2)
  boxes = np.concatenate(
    [(shares[..., :2] + shares[..., 2:]) / 2, shares[..., 2:] - shares[..., :2]], axis=-1
  )
  labels = [
    dict(class_labels=torch.from_numpy(classes).long(), boxes=torch.from_numpy(box).float())
    for classes, box in zip(raw['classes'], boxes)
  ]
  return lambda: run(image).logits, lambda: run(image, labels=labels).loss


def their_faster_rcnn():
  from torchvision.models.detection import FasterRCNN
  from torchvision.models.detection.backbone_utils import resnet_fpn_backbone
  from torchvision.ops import FrozenBatchNorm2d

  backbone = resnet_fpn_backbone(
    backbone_name='resnet50', weights=None, norm_layer=FrozenBatchNorm2d, trainable_layers=5
  )
  plain = dict(image_mean=[0.5] * 3, image_std=[0.5] * 3)
  return FasterRCNN(backbone, CLASSES, min_size=SIZE[0], max_size=SIZE[1], **plain)


def read_faster_rcnn(run, raw):
  """What is timed of torchvision's: its detections, and the losses of a step."""
  import torch

  image = list(torch.from_numpy(raw['image']).permute(0, 3, 1, 2).float().div(255))
  truth = [
    dict(boxes=torch.from_numpy(boxes), labels=torch.from_numpy(classes).long() + 1)
    for boxes, classes in zip(raw['boxes'], raw['classes'])
  ]

  def read():
    scores = [found['scores'] for found in run(image)]
    return torch.stack([torch.nn.functional.pad(s, (0, 100 - len(s))) for s in scores])

  return read, lambda: sum(run(image, truth).values())


def jax_works(args):
  from stepper import Stepper, prepare

  devices = prepare(args)
  import numpy as np
  from safetensors.numpy import load_file

  from vitlab import registry
  from vitlab.pretrained import import_tensors

  of_detr = args.model == 'detr'
  spec = dict(name=args.model, num_classes=CLASSES - (not of_detr), dtype=args.dtype)
  spec |= dict(dropout_rate=0.0) if of_detr else {}
  backbone = dict(name='resnet', variant='50', norm='frozen_batchnorm', dtype=args.dtype)
  model = registry.make('models', spec | dict(backbone=backbone))
  task = registry.make('tasks', dict(name='detection'), model=model)
  raw = batch(args)
  stepper = Stepper(task, devices, raw)
  raw = stepper.put(dict(raw=raw))['raw']
  what, key = ('intermediates', 'logits') if of_detr else ('detections', 'scores')

  def forward():
    found = stepper.predict(what, raw)[key]
    return found[:, -1] if of_detr else found  # behind the last layer

  def answers():
    weights = load_file(f'{args.folder}/weights.safetensors')
    form = 'huggingface' if of_detr else 'torchvision'
    stepper.load(import_tensors(weights, stepper.state.variables['model'], args.model, form))
    return dict(logits=np.asarray(forward()), memory=stepper.train_memory(raw))

  return dict(forward=forward, train=lambda: stepper.train(raw)), answers


if __name__ == '__main__':
  main()
