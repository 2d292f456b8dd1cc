"""Makes mimicry_sagan.json: what mimicry's own SAGAN-32 computes in three steps of training.

  python tests/references/mimicry_sagan.py FOLDER_OF_MIMICRY

FOLDER_OF_MIMICRY holds the package torch_mimicry 0.1.16, installed without its dependencies;
its `__init__` wants tensorboard and is not run. Weights and inputs are drawn as in
`tests/models/test_sagan_parity.py`; of the images two numbers each are stored, see `measured`.

Its discriminator is run twice: as it is, where ReLUs write into what shortcuts read, too; and with
ReLUs that do not, as in the authors' code of SAGAN, which ours follows.
"""

import json
import pathlib
import sys
import types

import torch

HERE = pathlib.Path(__file__)
sys.path.insert(0, str(HERE.parents[1]))

from _helpers import sagans  # noqa: E402


def players(folder: pathlib.Path):
  """The two classes of mimicry, without what the packages around them import."""
  sys.path.insert(0, str(folder))
  for name in ('torch_mimicry', 'torch_mimicry.nets', 'torch_mimicry.nets.sagan'):
    sys.modules[name] = types.ModuleType(name)
    sys.modules[name].__path__ = [str(folder / name.replace('.', '/'))]
  from torch_mimicry.nets.sagan import sagan_32

  return sagan_32.SAGANGenerator32, sagan_32.SAGANDiscriminator32


def steps(module, player: str) -> list:
  """What comes out of each step, images measured."""
  sagans.load(module)
  found = []
  for step in range(sagans.STEPS):
    x = torch.tensor(sagans.inputs(player, step))
    x = x if x.ndim == 2 else x.permute(0, 3, 1, 2).contiguous()
    y = module.train()(x, torch.tensor(sagans.LABEL)).detach()
    found.append(sagans.measured(y.permute(0, 2, 3, 1).numpy() if y.ndim == 4 else y[:, 0].numpy()))
  return found


def main(folder: str) -> None:
  generator, discriminator = players(pathlib.Path(folder))
  kwargs = dict(num_classes=sagans.CLASSES)
  plain = discriminator(ndf=16, **kwargs)
  for module in plain.modules():
    if isinstance(module, torch.nn.ReLU):
      module.inplace = False
  made = generator(ngf=16, nz=sagans.NOISE, **kwargs)
  found = dict(
    parameters=[sum(x.numel() for x in m.parameters()) for m in (made, plain)],
    tensors=[len(m.state_dict()) for m in (made, plain)],
    generator=steps(made, 'generator'),
    discriminator=steps(plain, 'discriminator'),
    discriminator_as_it_is=steps(discriminator(ndf=16, **kwargs), 'discriminator'),
  )
  HERE.with_suffix('.json').write_text(json.dumps(found, indent=1) + '\n')


if __name__ == '__main__':
  main(*sys.argv[1:])
