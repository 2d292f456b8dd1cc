"""What the heads of a causal model look at: shares of their attention, by kinds of places."""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from vitlab.ops.precision import wide

ROLES = {
  'previous': 'the token before',
  'first': 'the first token of the text',
  'same': 'earlier places of the same token',
  'after same': 'what followed the same token earlier (induction, arXiv:2209.11895)',
  'separator': 'spaces, line ends and punctuation, the token itself left out',
  'itself': 'the token itself',
}


def relations(
  tokens: Int[Array, 'b t'], separates: Bool[Array, ' vocab'], segments: Int[Array, 'b t']
) -> tuple[dict[str, Bool[Array, 'b t t']], Bool[Array, 'b t t']]:
  """Which places s, seen from each place t, are of each of the `ROLES`, and which are seen at all.

  A place may be of several: the token before is a space, too.

  Args:
    tokens: Of texts.
    separates: Which tokens of the vocabulary are no part of a word.
    segments: The number of the document that each token is of, 0 being padding.
  """
  t = jnp.arange(tokens.shape[1])[:, None]
  s = t.T
  one = (segments[:, :, None] == segments[:, None, :]) & (segments > 0)[:, :, None]
  same = one & (tokens[:, :, None] == tokens[:, None, :])
  seen, earlier = one & (s <= t), one & (s < t)
  begins = jnp.pad(segments[:, 1:] != segments[:, :-1], ((0, 0), (1, 0)), constant_values=True)
  follows = jnp.pad(same & (s < t), ((0, 0), (0, 0), (1, 0)))[..., :-1]
  found = dict(
    previous=earlier & (s == t - 1),
    first=seen & begins[:, None, :],
    same=same & (s < t),
    separator=earlier & separates[tokens][:, None, :],
    itself=one & (s == t),
  )
  found['after same'] = follows & earlier
  return {role: found[role] for role in ROLES}, seen


def shares(
  weights: Float[Array, 'b n t t'],
  tokens: Int[Array, 'b t'],
  separates: Bool[Array, ' vocab'],
  segments: Int[Array, 'b t'],
) -> tuple[Float[Array, 'roles n'], Float[Array, ' roles'], Float[Array, '']]:
  """Sums over the places of texts of the share that each of the `ROLES` has of their attention.

  The first place of a document has nothing but itself to look at, and is left out.

  Args:
    weights: Of a block.
    tokens: Of texts.
    separates: See `relations`.
    segments: See `relations`.

  Returns:
    The sums by role and head; those of a head that looks at every place alike; how many places.
  """
  found, seen = relations(tokens, separates, segments)
  counted = seen.sum(-1) > 1
  kinds = jnp.stack(list(found.values())) & counted[:, :, None]
  alike = seen / jnp.maximum(seen.sum(-1, keepdims=True), 1)
  weights = wide(weights)  # thousands are summed
  of_heads = jnp.einsum('bnts,rbts->rn', weights, kinds.astype(weights.dtype))
  return of_heads, jnp.einsum('bts,rbts->r', alike, kinds.astype(alike.dtype)), counted.sum() * 1.0
