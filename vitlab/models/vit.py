"""Vision Transformer: an image is worth 16×16 words (Dosovitskiy et al. 2020, arXiv:2010.11929).

An image is cut into patches, each embedded linearly as a token; a Transformer encoder mixes the
tokens; one vector of them (the class token, their mean, or a probe's attention) is classified.

In: float images `b h w c`, normalised. Out: float32 logits and a dict of every intermediate.
Loads the ViT and DeiT checkpoints of timm and Hugging Face (`vitlab.pretrained.families.vit`).
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from vitlab.errors import UserError
from vitlab.layers.attention import CrossAttention, SelfAttention
from vitlab.layers.blocks import Block, make_scale
from vitlab.layers.choices import Size, check_rates, classifier, compute_dtype, pick_size
from vitlab.layers.embeddings import PatchEmbed, make_positions
from vitlab.layers.mlp import make_mlp
from vitlab.layers.norms import make_norm
from vitlab.layers.pooling import make_pool
from vitlab.layers.stack import Stack, check_remat

VARIANTS = {
  'mu': Size(32, 1, 2, 128),  # for tests
  'Ti': Size(192, 12, 3, 768),  # DeiT, arXiv:2012.12877, table 1
  'S': Size(384, 12, 6, 1536),  # the same
  'M': Size(512, 12, 8, 2048),  # DeiT III, arXiv:2204.07118
  'B': Size(768, 12, 12, 3072),  # ViT, arXiv:2010.11929, table 1
  'L': Size(1024, 24, 16, 4096),  # the same
  'So400m': Size(1152, 27, 16, 4304),  # SoViT, arXiv:2305.13035
  'H': Size(1280, 32, 16, 5120),  # ViT, table 1
  'g': Size(1408, 40, 16, 6144),  # Scaling ViTs, arXiv:2106.04560, table 2
  'g-opt': Size(1536, 40, 16, 6144),  # DINOv2's g, arXiv:2304.07193
  'G': Size(1664, 48, 16, 8192),  # Scaling ViTs, table 2
  'G-opt': Size(1536, 48, 16, 8192),
  'e': Size(1792, 56, 16, 15360),  # PaLI, arXiv:2209.06794
}


class ViT(nn.Module):
  """Vision Transformer, composed of its parts.

  Attributes:
    patch_embed: Image -> grid of tokens.
    encoder: A `Stack` of blocks.
    norm: After the encoder.
    pool: (tokens, number of tokens before the patches) -> one vector.
    head: That vector -> logits; None: the vector is what comes out.
    head_dist: The same for the distillation token.
    backbone: Image -> out['levels'], whose last is embedded instead of the image; or None.
    position_embedding: (grid, number of tokens before the patches, width) -> what is added to the
      tokens, or None.
    rope: Grid -> rotary angles of the patches, or None.
    class_token: Whether a learned token goes before all others.
    distillation_token: Whether another one comes next (DeiT, arXiv:2012.12877, figure 2).
    num_registers: Learned tokens after them that nobody reads (arXiv:2309.16588).
    norm_after_pool: Whether the norm comes after the pool instead of before.
    dropout_rate: On the embedded tokens.
  """

  patch_embed: nn.Module
  encoder: nn.Module
  norm: nn.Module
  pool: Callable
  head: nn.Module | None = None
  head_dist: nn.Module | None = None
  backbone: nn.Module | None = None
  position_embedding: nn.Module | None = None
  rope: Callable | None = None
  class_token: bool = True
  distillation_token: bool = False
  num_registers: int = 0
  norm_after_pool: bool = False
  dropout_rate: float = 0.0

  @nn.compact
  def __call__(
    self, image: Float[Array, 'b h w c'], train: bool = False
  ) -> tuple[Float[Array, 'b classes'], dict[str, Any]]:
    """Classifies images.

    Args:
      image: Normalised images.
      train: Whether dropout and drop-path act, with the rng 'dropout'.

    Returns:
      Logits in at least float32, and every intermediate: 'backbone' (the dict of a hybrid's),
      'patches' (embedded), 'embedded' (with all tokens and positions), 'blocks' (a dict a block,
      see `vitlab.layers.blocks.Block`), 'attention' (the weights of every block, b n t s),
      'encoded' (the last tokens), 'levels' (one: its patches, b h w c), 'features' (what the head
      sees), 'logits'. What nobody reads costs nothing inside `jit`.

      With a distillation token also 'distillation_features' and 'distillation_logits'. In training
      the logits are then those of the class token's head, else the mean of both heads'.
    """
    out = {}
    if self.backbone is not None:
      _, out['backbone'] = self.backbone(image, train)
      image = out['backbone']['levels'][-1]
    patches = out['patches'] = self.patch_embed(image)
    b, *grid, d = patches.shape
    prefix = self._prefix(d, patches.dtype)
    p = prefix.shape[0]

    x = jnp.concatenate([jnp.broadcast_to(prefix, (b, p, d)), patches.reshape(b, -1, d)], axis=1)
    if self.position_embedding is not None:
      x += self.position_embedding(tuple(grid), p, d).astype(x.dtype)
    x = out['embedded'] = nn.Dropout(self.dropout_rate)(x, deterministic=not train)

    # A token before the patches is nowhere: it is not turned.
    turn = {} if self.rope is None else {'angles': np.pad(self.rope(tuple(grid)), ((p, 0), (0, 0)))}
    x, out['blocks'] = self.encoder(x, train, **turn)
    out['attention'] = [block['attention'] for block in out['blocks']]

    encoded = out['encoded'] = x if self.norm_after_pool else self.norm(x)
    out['levels'] = [encoded[:, p:].reshape(b, *grid, d)]
    out |= self._heads(encoded, p, train)
    return out['logits'], out

  def _heads(
    self, encoded: Float[Array, 'b t d'], num_prefix: int, train: bool
  ) -> dict[str, Float[Array, 'b ...']]:
    """Features and logits, those of the distillation token beside those of the class token."""
    features = self.pool(encoded, num_prefix)
    features = self.norm(features) if self.norm_after_pool else features
    logits = features if self.head is None else self.head(features)
    if not self.distillation_token:
      return dict(features=features, logits=logits)
    distilled = encoded[:, 1]
    others = distilled if self.head_dist is None else self.head_dist(distilled)
    return dict(
      features=features,
      distillation_features=distilled,
      distillation_logits=others,
      logits=logits if train else (logits + others) / 2,
    )

  def _prefix(self, width: int, dtype: Any) -> Float[Array, 'p d']:
    """The tokens before the patches: class token, distillation token, registers."""
    tokens = [jnp.zeros((0, width), dtype)]
    random = nn.initializers.normal(0.02)
    if self.class_token:
      tokens.append(self.param('cls_token', nn.initializers.zeros, (1, width), jnp.float32))
    if self.distillation_token:
      tokens.append(self.param('dist_token', random, (1, width), jnp.float32))
    if self.num_registers:
      # Equal registers would stay equal for ever.
      tokens.append(self.param('registers', random, (self.num_registers, width), jnp.float32))
    return jnp.concatenate([token.astype(dtype) for token in tokens])


def make(
  variant: str = 'S/16',
  num_classes: int | None = None,
  *,
  patch_size: int | tuple[int, int] | None = None,
  width: int | None = None,
  depth: int | None = None,
  num_heads: int | None = None,
  mlp_dim: int | None = None,
  pool: str = 'cls',
  class_token: bool | None = None,
  distillation_token: bool = False,
  num_registers: int = 0,
  backbone: nn.Module | None = None,
  position_embedding: str = 'learned',
  mlp: str = 'gelu_tanh',
  norm: str = 'layernorm',
  norm_epsilon: float = 1e-6,
  qk_norm: bool = False,
  qkv_bias: bool = True,
  layer_scale: float = 0.0,
  dropout_rate: float = 0.0,
  drop_path_rate: float = 0.0,
  scan: bool = False,
  remat: str = '',
  dtype: str = 'float32',
) -> ViT:
  """Composes a ViT.

  Args:
    variant: A size of `VARIANTS` and a patch size, 'S/16'.
    num_classes: Number of logits; None: the model returns its features.
    patch_size: Pixels of a patch, one number or height and width, instead of the variant's.
    width: Channels of a token, instead of the variant's.
    depth: Number of blocks, instead of the variant's.
    num_heads: Heads of the attention, instead of the variant's.
    mlp_dim: Hidden units of the mlps, instead of the variant's; with swiglu those shrink by a
      third, so that the number of parameters stays.
    pool: 'cls', the class token after the norm; 'gap', the mean of the patches after the norm
      (Google's), 'max', their largest, 'avgmax', the middle between both; 'gap_norm', 'max_norm',
      'avgmax_norm', the norm of that instead (timm's); 'cls_gap', class token and mean side by side
      (DINOv2's classifiers); 'map', what a probe attends to.
    class_token: Whether there is a class token; None: where the pool reads it.
    distillation_token: Whether a second token follows it, with a head of its own that learns from a
      teacher (DeiT, arXiv:2012.12877; `vitlab.tasks.distillation`).
    num_registers: Number of learned tokens that nobody reads (arXiv:2309.16588).
    backbone: A model whose coarsest feature map is embedded instead of the image (a hybrid, section
      3.1 of the ViT paper), in a config its spec, dict(name='resnet', ...); a patch is then one of
      its cells ('B/1').
    position_embedding: 'learned' for all tokens (the original ViT), 'learned_patches' (big_vision,
      DeiT III), 'sincos_2d', 'rope_2d' (rotates queries and keys in every block) or 'none'.
    mlp: 'gelu_tanh' (Google's ViTs), 'gelu' (exact: timm, DeiT, Hugging Face), 'swiglu', 'swish' or
      'relu'.
    norm: 'layernorm' or 'rmsnorm'.
    norm_epsilon: Added to the variance in the norms: 1e-6, but for Hugging Face's 1e-12.
    qk_norm: Whether queries and keys have norms (arXiv:2302.05442).
    qkv_bias: Whether the projection to queries, keys and values has biases.
    layer_scale: Start of the learned factors on the residual branches (arXiv:2103.17239); 0: none.
    dropout_rate: Probability of dropout on tokens, on branches and within the mlps.
    drop_path_rate: Probability with which a branch is skipped, rising linearly from 0 to this rate
      at the last block (arXiv:1603.09382).
    scan: Whether one block is compiled and looped over: less to compile, never another result.
    remat: What the backward pass keeps of a block, one of `vitlab.layers.stack.REMAT`; '' is
      everything. Less is memory against time, never another result.
    dtype: The type of what is computed, 'bfloat16' or 'float32'. Parameters, norm statistics and
      softmax stay float32.

  Raises:
    UserError: a word or number that cannot be used; lists what is possible.
  """
  check_rates(dropout_rate=dropout_rate, drop_path_rate=drop_path_rate)
  size = _size(variant, mlp, width=width, depth=depth, num_heads=num_heads, mlp_dim=mlp_dim)
  compute = compute_dtype(dtype)
  # New parts at every place: Flax shares the parameters of one module that stands in two.
  new_norm = partial(make_norm, norm, norm_epsilon, compute)
  new_mlp = partial(make_mlp, mlp, size.mlp_dim, dropout_rate, compute)
  attention = SelfAttention(size.num_heads, qkv_bias, new_norm() if qk_norm else None, compute)
  block = Block(attention, new_mlp(), new_norm(), make_scale(layer_scale), dropout_rate)
  return ViT(
    PatchEmbed(size.width, _patch(variant, patch_size), compute),
    Stack(block, size.depth, drop_path_rate, scan, check_remat(remat)),
    new_norm(),
    make_pool(pool, CrossAttention(size.num_heads, dtype=compute), new_mlp(), new_norm()),
    *_heads(num_classes, distillation_token, compute),
    backbone,
    *make_positions(position_embedding, size.width, size.num_heads),
    class_token=_has_class_token(pool, class_token, distillation_token),
    distillation_token=distillation_token,
    num_registers=num_registers,
    norm_after_pool=pool.endswith('_norm'),
    dropout_rate=dropout_rate,
  )


def _heads(
  num_classes: int | None, distilled: bool, dtype: Any
) -> tuple[nn.Module | None, nn.Module | None]:
  """The classifier, and the one that learns from a teacher."""
  return classifier(num_classes, dtype), classifier(num_classes, dtype) if distilled else None


def _size(variant: str, mlp: str, **overrides: int | None) -> Size:
  """The size of 'S/16'."""
  size = pick_size('ViT', VARIANTS, variant.partition('/')[0], **overrides)
  if mlp == 'swiglu' and overrides['mlp_dim'] is None:
    # Three matrices instead of two; a multiple of 8 for the matrix units.
    size = size._replace(mlp_dim=-(-2 * size.mlp_dim // 3 // 8) * 8)
  return size


def _patch(variant: str, patch_size: int | Sequence[int] | None) -> tuple[int, int]:
  """The (height, width) of 'S/16', or what overrides it."""
  if patch_size is None:
    name, _, patch = variant.partition('/')
    if not patch.isdigit():
      raise UserError(
        f'ViT variant {variant!r} has no patch size: write {name}/16 or give patch_size'
      )
    patch_size = int(patch)
  return (patch_size, patch_size) if isinstance(patch_size, int) else tuple(patch_size)


def _has_class_token(pool: str, class_token: bool | None, distillation_token: bool) -> bool:
  """Whether there is one: where the pool reads it, unless said otherwise."""
  reads_it = pool in ('cls', 'cls_gap')
  if reads_it and class_token is False:
    raise UserError(f'pool={pool!r} reads the class token, but class_token=False')
  if distillation_token and pool != 'cls':
    raise UserError(f"a distillation token goes with a class token: pool='cls', not {pool!r}")
  return reads_it if class_token is None else class_token
