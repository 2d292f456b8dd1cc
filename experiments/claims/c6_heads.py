"""C6: whether heads learn different things, and what each is worth."""

import jax
import jax.numpy as jnp
import numpy as np

from experiments.claims import drawing, trainings
from experiments.claims.frame import Found, interval, measured
from vitlab.ops.head_roles import ROLES, shares
from vitlab.sweep.points import seeds

TITLE = 'Heads learn different things'
SENTENCE = (
  'Several heads attend to different things at once: each learns a role of its own (Vaswani et '
  'al. 2017, arXiv:1706.03762, section 3.2.2).'
)
PREDICTIONS = (
  'Two heads of a layer share less of their attention after training than before, by more than '
  'the interval, and less than half of it.',
  'Heads are worth unequally much: without the most useful one the loss rises by at least 1 %, '
  'and 5 times as much as without the median one (means over seeds).',
  'Most can go: without any one of at least half of the heads the loss rises by less than 1 %.',
)
METHOD = (
  "A GPT of 3 layers with 4 heads, 64 wide, reads Shakespeare's sonnets by characters, which "
  'ship. Overlap is Σ min(a, b) of two heads of a layer, 1 if they look alike, a mean over '
  'places with at least 8 tokens to see; a head is cut by setting its output matrix to zero, on '
  'the validation text.'
)
HEIGHT = 3.6
SEEN = 8
NAMES = {'previous': 'the one before', 'first': 'the first', 'same': 'same letter before'}
NAMES |= {'after same': 'what followed it', 'itself': 'itself'}


def run(place):
  size = ['data.context=64', 'model.width=64', 'model.mlp_dim=128', 'model.dropout_rate=0.0']
  size += ['model.depth=3', 'model.num_heads=4', 'evaluators.val.every=100%', 'batch_size=32']
  size += ['checkpoint.every=100%', 'optim.learning_rate=4e-3']
  size += ['duration=' + place.pick('5 steps', '1000 steps', '4000 steps')]
  spec = f'{trainings.CONFIGS}/gpt_text.py:smoke'
  runs = {r.seed: r for r in trainings.trained(place, 'gpt', spec, seeds(len(place.seeds)), size)}
  return measured(
    place, [dict(seed=seed) for seed in runs], lambda seed: measure(runs[seed].folder)
  )


def measure(folder) -> dict:
  """Overlaps by layer, before and after training; roles; the loss, whole and without each head."""
  trained = trainings.load(folder)
  start = trained.experiment.init().variables
  after, batch = trained.first('attention', 'val')
  before, _ = trained.first('attention', 'val', start)
  tokens = jnp.asarray(batch['tokens'][:, :-1])
  none, one = jnp.zeros(int(tokens.max()) + 1, bool), jnp.ones_like(tokens)
  roles = [shares(jnp.asarray(layer), tokens, none, one) for layer in after]
  kept = [list(ROLES).index(role) for role in NAMES]
  return dict(
    overlap=[overlap(np.asarray(layer)) for layer in after],
    overlap_before=[overlap(np.asarray(layer)) for layer in before],
    roles=[(np.asarray(sums)[kept] / float(count)).tolist() for sums, _, count in roles],
    loss=trained.metrics('val')['loss'],
    cut=[
      [
        trained.metrics('val', without(trained.variables, layer, head))['loss']
        for head in range(heads)
      ]
      for layer, heads in enumerate(weights.shape[1] for weights in after)
    ],
  )


def overlap(weights: np.ndarray) -> float:
  """Mean over pairs of heads and places of the attention that both have in common; b n t s."""
  weights = weights[:, :, SEEN - 1 :]
  first, second = np.triu_indices(weights.shape[1], 1)
  return float(np.minimum(weights[:, first], weights[:, second]).sum(-1).mean())


def without(variables, layer: int, head: int):
  """The variables with a head that adds nothing."""
  name = f'block_{layer}'

  def cut(path, x):
    keys = [entry.key for entry in path]
    return x.at[head].set(0) if keys[-5:] == ['decoder', name, 'attention', 'out', 'kernel'] else x

  changed = jax.tree_util.tree_map_with_path(cut, variables)
  same = jax.tree.map(lambda a, b: a is b, variables, changed)
  assert jax.tree.leaves(same).count(False) == 1, f'no output matrix of {name}'
  return changed


def outcome(rows):
  after, before = (np.array([row[key] for row in rows]) for key in ('overlap', 'overlap_before'))
  shared = interval(after.mean(1))
  fell = interval(before.mean(1) - after.mean(1))
  worth = [_worth(row) for row in rows]
  most, median = (interval([f(w) for w in worth]) for f in (np.max, np.median))
  spare = interval([100 * np.mean(w < 1) for w in worth])
  return [
    Found(
      fell.low > 0 and shared.mean < 0.5,
      f'{interval(before.mean(1)).text(".2f")} in common before training, '
      f'{shared.text(".2f")} after (1 is all); the difference is {fell.text("+.2f")}',
    ),
    Found(
      most.mean >= max(1, 5 * median.mean),
      f'without the most useful head the loss rises by {most.text(".1f", " %")}, without the '
      f'median one by {median.text(".2f", " %")}',
    ),
    Found(spare.mean >= 50, f'that holds for {spare.text(".0f", " %")} of the heads'),
  ]


def _worth(row) -> np.ndarray:
  """By how many per cent the loss rises without each head."""
  return 100 * (np.array(row['cut']).ravel() / row['loss'] - 1)


def draw(rows, figure):
  left, middle, right = figure.subplots(1, 3, width_ratios=(1, 1.1, 1.5))
  layers = range(1, 1 + len(rows[0]['overlap']))
  for number, (key, label) in enumerate(dict(overlap_before='before', overlap='after').items()):
    y = [interval(values) for values in zip(*(row[key] for row in rows))]
    drawing.line(left, layers, y, number, label)
  drawing.ticks(left.xaxis, layers)
  left.set(xlabel='layer', ylabel='attention in common', ylim=(0, 1), title='two heads of a layer')
  left.legend(title='training', loc='lower left')
  for number, row in enumerate(rows):
    worth = np.sort(_worth(row))[::-1]
    drawing.line(middle, range(1, 1 + len(worth)), worth, number, f'seed {row["seed"]}')
  middle.set(xlabel='heads, most useful first', ylabel='loss rises by, %', title='one head cut')
  middle.legend()
  roles = np.concatenate([np.array(layer) for layer in rows[0]['roles']], axis=1)
  heads = len(rows[0]['cut'][0])
  columns = [f'{i // heads + 1}.{i % heads + 1}' for i in range(roles.shape[1])]
  drawing.cells(right, 100 * roles, [*NAMES.values()], columns)
  right.set(xlabel='layer.head', title=f'looks at, %, seed {rows[0]["seed"]}')
