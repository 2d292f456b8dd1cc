"""Makes yolox.npz: what the authors' own YOLOX computes, for `tests/models/test_yolo_parity.py`.

  python tests/references/yolox.py FOLDER_OF_YOLOX

FOLDER_OF_YOLOX is the unpacked source of yolox 0.3.0 (Apache-2.0), which needs compiled parts of
which nothing here is used: two of its imports are replaced. Weights and inputs are drawn from seeds
by `weights` and `scenes`, which the test calls too; only results are stored.
"""

import pathlib
import sys
import types
import zlib

import numpy as np

CLASSES, HEIGHT, WIDTH, SCENES = 3, 64, 96, 50
STRIDES, CELLS = (8, 16, 32), 126
SMALL = dict(depth=0.33, width=0.125)


def drawn(name: str, shape) -> np.ndarray:
  """Normal numbers that belong to the name."""
  return np.random.default_rng(zlib.crc32(name.encode())).normal(size=shape)


def weights(shapes: dict[str, tuple]) -> dict[str, np.ndarray]:
  """A tensor for every name: no norm is trivial, no signal dies."""
  tensors = {}
  for name, shape in shapes.items():
    x = drawn(name, shape)
    if len(shape) == 4:
      x *= 1.4 / np.sqrt(np.prod(shape[1:]))
    elif name.endswith('running_var'):
      x = 1 + 0.5 * np.abs(x)
    else:
      x = 0.3 * x + name.endswith('bn.weight')
    tensors[name] = x
  return tensors


def measured(tensors: dict[str, np.ndarray]) -> np.ndarray:
  """Of each its norm and its part in some direction, [tensors 2]: no other one has these."""
  return np.array(
    [[np.linalg.norm(x), np.sum(x * drawn(f'direction {n}', x.shape))] for n, x in tensors.items()]
  )


def scene(seed: int = 0):
  """Images [b h w c], and (class, centre x, centre y, width, height) [b o 5], zero where none."""
  image = np.random.default_rng(seed).normal(size=(3, HEIGHT, WIDTH, 3))
  labels = np.zeros((3, 4, 5))
  labels[0, :3] = [[2, 30, 30, 28, 24], [0, 34, 33, 30, 30], [1, 70.5, 40.25, 12, 9]]
  labels[1, :1] = [[1, 48, 32, 90, 60]]
  return image, labels


def grid():
  """Upper left corners of all cells (x, y), in cells, and the strides."""
  corners, strides = [], []
  for stride in STRIDES:
    rows, columns = np.mgrid[: HEIGHT // stride, : WIDTH // stride]
    corners.append(np.stack([columns, rows], -1).reshape(-1, 2))
    strides.append(np.full(len(corners[-1]), stride))
  return np.concatenate(corners).astype(float), np.concatenate(strides).astype(float)


def answers(seed: int):
  """Objects, and what cells answer: many boxes are near them, so that objects take many cells."""
  random = np.random.default_rng(seed)
  objects = random.integers(1, 7)
  boxes = np.concatenate(
    [random.uniform([0, 0], [WIDTH, HEIGHT], (objects, 2)), random.uniform(6, 60, (objects, 2))], 1
  )
  if seed % 2:  # a crowd, of which several want the same cells
    boxes = boxes[:1] * random.uniform(0.85, 1.15, boxes.shape)
  classes = random.integers(0, CLASSES, objects)
  corners, strides = grid()
  near = boxes[random.integers(0, objects, len(strides))] * random.uniform(0.8, 1.2, (CELLS, 4))
  far = np.concatenate([(corners + 0.5) * strides[:, None], random.uniform(4, 40, (CELLS, 2))], 1)
  predicted = np.where(random.uniform(size=(CELLS, 1)) < 0.6, near, far)
  return classes, boxes, predicted, random.normal(size=(CELLS, CLASSES)), random.normal(size=CELLS)


def replace_imports(folder: str) -> None:
  """Lets their models be imported without what they do not need."""
  import torch

  boxes = types.ModuleType('boxes')
  text = (pathlib.Path(folder) / 'yolox/utils/boxes.py').read_text()
  exec(text.replace('import torchvision', ''), boxes.__dict__)
  utils = types.ModuleType('yolox.utils')
  utils.bboxes_iou = boxes.bboxes_iou
  utils.meshgrid = lambda tensors: torch.meshgrid(*tensors, indexing='ij')
  loguru = types.ModuleType('loguru')
  loguru.logger = None
  package = types.ModuleType('yolox')
  package.__path__ = [f'{folder}/yolox']
  models = types.ModuleType('yolox.models')
  models.__path__ = [f'{folder}/yolox/models']
  sys.modules |= {'loguru': loguru, 'yolox': package, 'yolox.utils': utils, 'yolox.models': models}


def main(folder: str) -> None:
  replace_imports(folder)
  import torch
  from yolox.models.darknet import Darknet
  from yolox.models.yolo_fpn import YOLOFPN
  from yolox.models.yolo_head import YOLOXHead
  from yolox.models.yolo_pafpn import YOLOPAFPN
  from yolox.models.yolox import YOLOX

  class SmallFPN(YOLOFPN):
    """An eighth of its channels, which are numbers in its code, and fewer blocks."""

    def __init__(self):
      torch.nn.Module.__init__(self)
      self.backbone = Darknet(21, stem_out_channels=4)
      self.in_features = ['dark3', 'dark4', 'dark5']
      self.out1_cbl, self.out2_cbl = self._make_cbl(64, 32, 1), self._make_cbl(32, 16, 1)
      self.out1 = self._make_embedding([32, 64], 64 + 32)
      self.out2 = self._make_embedding([16, 32], 32 + 16)
      self.upsample = torch.nn.Upsample(scale_factor=2, mode='nearest')

  width = SMALL['width']
  old = dict(in_channels=[128, 256, 512], act='lrelu')
  models = {
    'csp': YOLOX(YOLOPAFPN(**SMALL), YOLOXHead(CLASSES, width)),
    'depthwise': YOLOX(
      YOLOPAFPN(**SMALL, depthwise=True), YOLOXHead(CLASSES, width, depthwise=True)
    ),
    'darknet': YOLOX(SmallFPN(), YOLOXHead(CLASSES, width, **old)),
  }
  results = names_and_shapes('darknet53', YOLOX(YOLOFPN(), YOLOXHead(80, **old)))
  for name, model in models.items():
    results |= of_model(name, model)
  head = YOLOXHead(CLASSES, width)
  for seed in range(SCENES):
    results |= of_assignment(seed, head)
  np.savez_compressed(pathlib.Path(__file__).with_suffix('.npz'), **results)


def names_and_shapes(case: str, model) -> dict:
  shapes = {n: tuple(t.shape) for n, t in model.state_dict().items() if 'num_batches' not in n}
  return {
    f'{case}/names': np.array(list(shapes)),
    f'{case}/shapes': np.array([' '.join(map(str, shape)) for shape in shapes.values()]),
  }


def of_model(case: str, model) -> dict:
  """Answers, losses, slopes, and the statistics that a step leaves."""
  import torch

  for module in model.modules():  # as their experiments do, yolox/exp/yolox_base.py
    if isinstance(module, torch.nn.BatchNorm2d):
      module.eps, module.momentum = 1e-3, 0.03
  results = names_and_shapes(case, model.double())
  image, labels = (torch.tensor(x) for x in scene())
  image = image.permute(0, 3, 1, 2)
  state = weights({n: t.shape for n, t in model.state_dict().items() if 'num_batches' not in n})
  model.load_state_dict({n: torch.tensor(t) for n, t in state.items()}, strict=False)
  results[f'{case}/answers'] = model.eval()(image).detach().numpy()

  model.train()
  model.head.use_l1 = True
  owners = []
  assign = model.head.get_assignments

  def remembered(*args):
    result = assign(*args)
    owners.append(np.full(result[1].shape, -1))
    owners[-1][result[1]] = result[3]
    return result

  model.head.get_assignments = remembered
  out = model(image, labels)
  out['total_loss'].backward()
  results[f'{case}/owners'] = np.stack(owners)
  for term in ('total', 'iou', 'conf', 'cls', 'l1'):
    results[f'{case}/loss/{term}'] = np.array(out[f'{term}_loss'].item())
  parameters, buffers = dict(model.named_parameters()), dict(model.named_buffers())
  slopes = {n: p.grad.numpy() for n, p in parameters.items()}
  moved = {n: t.numpy() for n, t in buffers.items() if 'running' in n}
  results[f'{case}/slopes'], results[f'{case}/moved'] = measured(slopes), measured(moved)
  return results


def of_assignment(seed: int, head) -> dict:
  """Which object is each cell's, and their overlap."""
  import torch

  corners, strides = (torch.tensor(x)[None] for x in grid())
  classes, boxes, predicted, logits, objectness = map(torch.tensor, answers(seed))
  _, cells, overlaps, owners, _ = head.get_assignments(
    0, len(boxes), CELLS, boxes, classes, predicted, strides, corners[..., 0], corners[..., 1],
    logits[None], predicted[None], objectness[None, :, None], None, None,
  )  # fmt: skip
  owner, overlap = np.full(CELLS, -1), np.zeros(CELLS)
  owner[cells], overlap[cells] = owners, overlaps
  return {f'sim_ota/{seed}/owner': owner, f'sim_ota/{seed}/overlap': overlap}


if __name__ == '__main__':
  main(*sys.argv[1:])
