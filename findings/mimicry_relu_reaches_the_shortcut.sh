#!/usr/bin/env bash
# In torch-mimicry the shortcut of a discriminator's block sees its input after the ReLU.
# One would guess: a block that activates first gives shortcut(x) + residual(relu(x)), as in the
#   authors' code of SNGAN and SAGAN: its shortcut is linear in x. And it leaves x as it was.
# Versions: torch-mimicry 0.1.16, torch 2.13.0, numpy 2.4.6.
# Behaviour: forward() adds residual(x) + shortcut(x), and the ReLU at the front of the residual
#   works in place: when the shortcut reads x its negative numbers are zero, so the block gives
#   shortcut(relu(x)) + residual(relu(x)), and the caller's x has changed. With the same weights and
#   ReLUs that are not in place the scores are others. Weights of the two cannot be exchanged.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv env
env/bin/pip install --quiet --quiet --no-compile --disable-pip-version-check torch==2.13.0 numpy==2.4.6
env/bin/pip install --quiet --quiet --no-compile --disable-pip-version-check --no-deps \
  torch-mimicry==0.1.16

cat > show.py <<'PY'
import importlib.util
import sys
import types

import torch

# The package imports tensorboard, which its modules do not need.
root = importlib.util.find_spec('torch_mimicry').submodule_search_locations[0]
sys.modules['torch_mimicry'] = types.ModuleType('torch_mimicry')
sys.modules['torch_mimicry'].__path__ = [root]
from torch_mimicry.modules.resblocks import DBlock

torch.manual_seed(0)
block = DBlock(4, 8, downsample=True, spectral_norm=False).eval()
x = torch.randn(2, 4, 8, 8)
kept = x.clone()
with torch.no_grad():
  given = block(x)
  changed = (x - kept).abs().max()
  block.activation.inplace = False
  as_read = block._residual(kept) + block._shortcut(kept)
  clipped = block._residual(kept.relu()) + block._shortcut(kept.relu())
print(f'the block and shortcut(x) + residual(x) differ by {(given - as_read).abs().max():.3f},'
      f' with relu(x) in both by {(given - clipped).abs().max():.1e}; x has changed by {changed:.3f}')
assert (given - as_read).abs().max() > 0.1 and changed > 1
assert (given - clipped).abs().max() < 1e-6 and torch.equal(x, kept.relu())
PY
env/bin/python show.py
echo 'As described: in torch-mimicry 0.1.16 the shortcut sees relu(x), and so does the caller.'
