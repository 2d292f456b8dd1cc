"""A player of a game that moves more rarely than the others."""

import jax
import numpy as np
import optax
import pytest

from vitlab.errors import UserError
from vitlab.train import optim

RUN = dict(total_steps=100, batch_size=10, num_examples=100)
SPEC = dict(name='adam', learning_rate=0.1, schedule='cosine', warmup='10 steps')
PARAMS = {'head': {'kernel': np.ones((2, 3), 'f')}}


def test_a_player_may_move_in_every_third_step_only():
  slow, rate = optim.make(dict(SPEC, every=3), params=PARAMS, **RUN)
  state, moved = slow.init(PARAMS), []
  update = jax.jit(slow.update)
  for step in range(7):
    grads = {'head': {'kernel': np.full((2, 3), 1.0 + step, 'f')}}
    updates, state = update(grads, state, PARAMS)
    moved.append(float(updates['head']['kernel'][0, 0]))
    assert float(optax.tree.get(state, 'grad_norm')) == pytest.approx((1 + step) * 6**0.5)
  assert [bool(x) for x in moved] == [False, False, False, True, False, False, True]
  # As Adam that only sees those gradients, at the rates of those steps of the run.
  by_hand = optax.adam(lambda i: rate(3 * i))
  state = by_hand.init(PARAMS)
  for step in (0, 3, 6):
    updates, state = by_hand.update({'head': {'kernel': np.full((2, 3), 1.0 + step)}}, state)
    assert float(updates['head']['kernel'][0, 0]) == pytest.approx(moved[step], rel=1e-5)


@pytest.mark.parametrize('every', [0, -1, 1.5, True])
def test_a_player_moves_in_whole_steps(every):
  with pytest.raises(UserError, match='optim.every'):
    optim.make(dict(SPEC, every=every), params=PARAMS, **RUN)
