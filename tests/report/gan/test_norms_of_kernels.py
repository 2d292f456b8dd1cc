"""Singular values are those of kernels as matrices."""

import numpy as np
from _helpers import gans

from vitlab.report.gan.norms import norms


def test_norms_are_those_of_kernels_as_matrices():
  variables = gans.shared().variables
  found = {(one.player, one.layer): one for one in norms(variables)}
  assert {player for player, _ in found} == {'generator', 'discriminator'}
  kernel = variables['generator']['params']['block_0']['conv1']['kernel']
  one = found['generator', 'block_0/conv1']
  matrix = np.asarray(kernel, np.float64).reshape(-1, kernel.shape[-1])
  np.testing.assert_allclose(one.largest, np.linalg.svd(matrix, compute_uv=False)[0])
  vectors = variables['generator']['spectral']['block_0']['conv1']
  np.testing.assert_allclose(one.sigma, vectors['v'] @ matrix @ vectors['u'], rtol=1e-5)
  assert one.shape == matrix.shape[::-1]
  table = variables['discriminator']['params']['class_embed']['embedding']
  largest = np.linalg.svd(np.asarray(table, np.float64), compute_uv=False)[0]
  embed = found['discriminator', 'class_embed']
  assert embed.shape == table.shape
  np.testing.assert_allclose(embed.largest, largest)
