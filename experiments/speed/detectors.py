"""DETR and Faster R-CNN on a ResNet-50 against other people's, in one run: forward and step.

  python experiments/speed/detectors.py --model=detr         # Hugging Face's
  python experiments/speed/detectors.py --model=faster_rcnn  # torchvision's

Pictures of 480 x 640, float32, backbones with frozen norms, random weights, the same for all; a
step is the gradient of all losses and AdamW's. torch.compile compiles what it can of theirs: not
DETR's matching, which is SciPy's, nor torchvision's choice of proposals. Where torchvision's own
suppression cannot be loaded, the one of its test shim stands in, in Python. Needs
`tests/requirements.txt`. How it is measured: `race.py`.
"""

from functools import partial

import race

OBJECTS, CLASSES = 8, 91
TITLES = dict(forward='forward', train='step')


def main():
  parser = race.make_parser(__doc__.splitlines()[0])
  parser.add_argument('--model', default='detr', choices=('detr', 'faster_rcnn'))
  parser.add_argument('--batch', type=int, default=2)
  parser.set_defaults(pixels=(480, 640), words={}, theirs={}, body={}, their_body={})
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
  print(f'{args.threads} threads; median ms of {args.rounds} rounds', end='')
  print(f' (ratio against {race.PEER})\n')
  race.print_table(TITLES, medians, lambda work, seconds: f'{1e3 * seconds:8.0f}')
  print('\nMB at the height of a training step, weights and optimiser included:')
  print(', '.join(f'{subject} {memory[subject] / 1e6:,.0f}' for subject in sorted(memory)))


def batch(args):
  import numpy as np

  rng = np.random.default_rng(0)
  height, width = args.pixels
  low = rng.uniform(0, 0.6 * height, (args.batch, OBJECTS, 2))
  boxes = np.concatenate([low, low + rng.uniform(0.04, 0.37, low.shape) * height], axis=-1)
  return dict(
    image=rng.integers(0, 256, (args.batch, height, width, 3), np.uint8),
    size=np.tile(np.int32(args.pixels), (args.batch, 1)),
    boxes=boxes.astype(np.float32),
    classes=rng.integers(0, CLASSES - 1, (args.batch, OBJECTS)).astype(np.int32),
    mask=np.ones(args.batch, bool),
  )


def torch_works(args):
  import torch_stepper

  device = torch_stepper.prepare(args)
  model = dict(detr=their_detr, faster_rcnn=their_faster_rcnn)[args.model](args).to(device)
  asked = dict(detr=ask_detr, faster_rcnn=ask_faster_rcnn)[args.model]
  using = partial(asked, raw=batch(args), device=device)
  return torch_stepper.works(args, model, model.state_dict(), using)


def their_detr(args):
  from transformers import DetrConfig, DetrForObjectDetection, ResNetConfig

  none = dict(use_timm_backbone=False, use_pretrained_backbone=False, backbone=None)
  config = DetrConfig(
    **none,
    backbone_config=ResNetConfig(out_features=['stage4'], **args.their_body),
    num_labels=CLASSES,
    auxiliary_loss=True,
    dropout=0.0,
    **args.theirs,
  )
  # It freezes all of such a backbone (findings/detr_of_transformers_freezes_all.sh); ours learns.
  return DetrForObjectDetection(config).requires_grad_(True)


def ask_detr(run, raw, device):
  """What is timed of Hugging Face's: logits of all queries, and the loss of a step."""
  import numpy as np
  import torch

  image = torch.from_numpy(raw['image']).to(device).permute(0, 3, 1, 2).float().div(127.5).sub(1)
  shares = raw['boxes'] / np.tile(raw['size'][0, ::-1], 2)
  boxes = np.concatenate(
    [(shares[..., :2] + shares[..., 2:]) / 2, shares[..., 2:] - shares[..., :2]], axis=-1
  )
  labels = [
    dict(class_labels=torch.from_numpy(classes).long(), boxes=torch.from_numpy(box).float())
    for classes, box in zip(raw['classes'], boxes)
  ]
  labels = [{name: x.to(device) for name, x in label.items()} for label in labels]
  return lambda: run(image).logits, lambda: run(image, labels=labels).loss


def their_faster_rcnn(args):
  from torchvision.models.detection import FasterRCNN
  from torchvision.models.detection.backbone_utils import resnet_fpn_backbone
  from torchvision.ops import FrozenBatchNorm2d

  backbone = resnet_fpn_backbone(
    backbone_name='resnet50', weights=None, norm_layer=FrozenBatchNorm2d, trainable_layers=5
  )
  plain = dict(image_mean=[0.5] * 3, image_std=[0.5] * 3)
  return FasterRCNN(backbone, CLASSES, min_size=args.pixels[0], max_size=args.pixels[1], **plain)


def ask_faster_rcnn(run, raw, device):
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


def make_task(args, dtype):
  """The task, whose prediction 'logits' is what is compared: of Faster R-CNN, scores."""
  from vitlab import registry

  of_detr = args.model == 'detr'
  spec = dict(name=args.model, num_classes=CLASSES - (not of_detr), dtype=dtype) | args.words
  spec |= dict(dropout_rate=0.0) if of_detr else {}
  backbone = dict(name='resnet', variant='50', norm='frozen_batchnorm', dtype=dtype) | args.body
  model = registry.make('models', spec | dict(backbone=backbone))
  task = registry.make('tasks', dict(name='detection'), model=model)

  def logits(variables, batch):
    if of_detr:
      return task.predict['intermediates'](variables, batch)['logits'][:, -1]  # the last layer's
    return task.predict['detections'](variables, batch)['scores']

  return task._replace(predict=dict(logits=logits))


def jax_works(args):
  from stepper import Stepper, prepare

  devices = prepare(args)
  import numpy as np

  raw = batch(args)
  stepper = Stepper(make_task(args, args.dtype), devices, raw)
  raw = stepper.put(dict(raw=raw))['raw']

  def forward():
    return stepper.predict('logits', raw)

  def answers():
    form = 'huggingface' if args.model == 'detr' else 'torchvision'
    stepper.load_file(f'{args.folder}/weights.safetensors', args.model, form)
    return dict(logits=np.asarray(forward()), memory=stepper.train_memory(raw))

  return dict(forward=forward, train=lambda: stepper.train(raw)), answers


if __name__ == '__main__':
  main()
