"""The network of the Fréchet inception distance: torchvision's, patched as pytorch-fid 0.3.0 does.

pytorch-fid (Apache-2.0, `inception.py`) and torch-fidelity 0.4.0 say the same of it: TensorFlow's
averages leave the padding out, the last block takes a maximum, there are 1008 classes. With the
same random weights, of the same names, all three give the same bits at 299 pixels.
"""

import torch.nn.functional as F
from torchvision.models import inception


def patch(block, pool: str) -> None:
  """Gives a block, of which the pooled branch is the last, another pool."""
  branches = block._forward

  def forward(x):
    if pool == 'max':
      y = F.max_pool2d(x, kernel_size=3, stride=1, padding=1)
    else:
      y = F.avg_pool2d(x, kernel_size=3, stride=1, padding=1, count_include_pad=False)
    return [*branches(x)[:-1], block.branch_pool(y)]

  block._forward = forward


def network(num_classes: int = 1008, last: str = 'max'):
  """FID's network; with last='mean' one that a patch has been forgotten of."""
  model = inception.inception_v3(num_classes=num_classes, aux_logits=False, init_weights=False)
  for letter in ('5b', '5c', '5d', '6b', '6c', '6d', '6e', '7b', '7c'):
    patch(getattr(model, f'Mixed_{letter}'), last if letter == '7c' else 'mean')
  return model
