"""Makes torchvision importable beside a CPU build of torch.

Its wheel is built for CUDA and cannot load its operators there, and timm does not import without
it. Import this module before anything that imports torchvision.
"""

import torch


def _nms(boxes, scores, threshold):
  """Greedy non-maximum suppression: best first, ties in order, overlap strictly above."""
  areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
  suppressed = torch.zeros(len(boxes), dtype=torch.bool)
  keep = []
  for i in torch.sort(scores, stable=True, descending=True).indices.tolist():
    if suppressed[i]:
      continue
    keep.append(i)
    low, high = torch.maximum(boxes[i, :2], boxes[:, :2]), torch.minimum(boxes[i, 2:], boxes[:, 2:])
    overlap = (high - low).clamp(min=0).prod(1)
    suppressed |= overlap / (areas[i] + areas - overlap) > threshold
  return torch.tensor(keep, dtype=torch.long)


if torch.version.cuda is None:  # else the wheel brings the operators itself
  _library = torch.library.Library('torchvision', 'DEF')
  _library.define('nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor')
  _library.define('qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor')
  _library.impl('nms', _nms, 'CPU')

  import torchvision.ops.boxes

  torchvision.ops.boxes._assert_has_ops = lambda: None
