"""What the parameters of a ViT are made of in other people's files, once their names are known."""

from vitlab.ops.positions import Grid
from vitlab.pretrained.assemble import Part, Sides
from vitlab.pretrained.layouts import (
  Shape,
  batched,
  conv,
  first_positions,
  flat,
  grid_positions,
  half,
  linear,
)

GATED = ('/mlp/gate/', '/mlp/up/')  # in this order where one tensor holds both


def make_part(
  names: tuple[str, ...], path: str, shape: Shape, sides: Sides, packed: bool = False
) -> Part | None:
  """The tensors and the layout of a parameter.

  Args:
    names: Of the tensors; (): there are none.
    path: Of our parameter.
    shape: Of our parameter.
    sides: What is known of the weights and the model.
    packed: Whether gate and up of a gated mlp are one tensor.
  """
  path = path.removeprefix('params/')
  prefix = sides.ours.get('params/position_embedding/prefix')
  if not names:
    return None
  if path == 'position_embedding/prefix':
    return Part(names, first_positions(), (1, 0))
  if path == 'position_embedding/grid':
    return Part(names, grid_positions(prefix[0] if prefix else 0, _grid(sides)), (1, 1))
  if path == 'patch_embed/kernel':
    return Part(names, conv)
  layout = flat
  if path.endswith('/kernel'):
    layout = linear(contracted=2 if path.endswith('attention/out/kernel') else 1)
  if packed and any(module in path for module in GATED):
    which = int(GATED[1] in path)
    return Part(names, half(layout, which), (0, which))
  if path in ('cls_token', 'dist_token', 'registers', 'pool/probe'):
    return Part(names, batched)
  return Part(names, layout)


def _grid(sides: Sides) -> Grid | None:
  """The patches that the positions were learned on, if the image size is known."""
  if sides.image_size is None:
    return None
  y, x = sides.ours['params/patch_embed/kernel'][:2]
  return sides.image_size[0] // y, sides.image_size[1] // x
