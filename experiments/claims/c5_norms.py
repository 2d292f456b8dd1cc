"""C5: layer norm and batch norm, by the size of batches and the lengths of sentences."""

import jax
import jax.numpy as jnp
import numpy as np

from experiments.claims import drawing, trainings
from experiments.claims.frame import Found, column, interval, measured, paired, select, values
from vitlab.layers.norms import make_norm

TITLE = 'Layer norm bears small batches'
SENTENCE = (
  'Layer norm looks at one token alone, so it bears varying lengths and small batches; batch '
  'norm needs large batches of equal lengths (Ba et al. 2016, arXiv:1607.06450).'
)
PREDICTIONS = (
  'With batches of 1 instead of the largest, batch norm loses at least 5 points of accuracy, and '
  'more than its interval.',
  'Layer norm loses at most 2 points.',
  'With the largest batches batch norm is not behind layer norm (by more than the interval).',
  'What a norm makes of a sentence does not change with the length of its neighbours by layer '
  'norm (less than 10⁻⁶), and by more than a tenth of its spread by batch norm.',
)
METHOD = (
  'The same small CNN on digits with either norm, 12 epochs whatever the batch but at least 300 '
  'steps (67, of batches of 256, teach neither), learning rate in proportion to the square root of '
  'the batch. Beside it: a sentence of 10 random tokens in a padded batch with seven others of '
  'some length, through the norms of the library in training mode.'
)
NORMS = dict(batchnorm='batch norm', layernorm='layer norm')
ROOT_RATE = 2e-3 / 8  # of batches of 1
SENTENCE_LENGTH, NEIGHBOURS, WIDTH = 10, 7, 32


def run(place):
  batches = place.pick([1, 16], [1, 4, 16, 64, 256], [1, 2, 4, 8, 16, 32, 64, 128, 256])
  points = [
    {'model.norm': norm, 'batch_size': n, 'optim.learning_rate': ROOT_RATE * n**0.5, 'seed': seed}
    for norm in NORMS
    for n in batches
    for seed in place.seeds
  ]
  epochs = place.pick('32 examples', '12 epochs, at least 300 steps', '40 epochs')
  changes = [f'duration={epochs}']
  spec = f'{trainings.HERE}/pictures.py:model=cnn'
  rows = [
    dict(
      norm=one.point['model.norm'],
      batch=one.point['batch_size'],
      seed=one.seed,
      accuracy=one.accuracy,
    )
    for one in trainings.trained(place, 'cnn', spec, points, changes)
  ]
  lengths = [
    dict(norm=norm, length=length, seed=seed)
    for norm in NORMS
    for length in (10, 15, 20, 40, 80)
    for seed in place.seeds
  ]
  return rows + measured(place, lengths, measure)


def measure(norm: str, length: int, seed: int) -> dict:
  """How far a sentence moves when its neighbours get longer: in shares of its spread."""
  random = np.random.default_rng(seed)
  layer = make_norm(norm, 1e-6, maps=True)
  sentence = random.normal(0.5, 1, (1, SENTENCE_LENGTH, WIDTH))
  others = random.normal(0.5, 1, (NEIGHBOURS, 80, WIDTH))

  def normed(length):
    padded = np.zeros((1 + NEIGHBOURS, length, WIDTH))
    padded[:1, :SENTENCE_LENGTH], padded[1:] = sentence, others[:, :length]
    tokens = jnp.asarray(padded, jnp.float32)
    variables = layer.init(jax.random.key(0), tokens)
    result, _ = layer.apply(variables, tokens, train=True, mutable=['batch_stats'])
    return np.asarray(result[0, :SENTENCE_LENGTH], np.float64)

  before, after = normed(SENTENCE_LENGTH), normed(length)
  return dict(moved=float(np.sqrt(np.square(after - before).mean()) / before.std()))


def outcome(rows):
  batches = sorted(values(rows, 'batch'))
  first, last = batches[0], batches[-1]
  lost = {
    norm: paired(rows, 'accuracy', dict(norm=norm, batch=last), dict(norm=norm, batch=first))
    for norm in NORMS
  }
  ahead = paired(
    rows, 'accuracy', dict(norm='layernorm', batch=last), dict(norm='batchnorm', batch=last)
  )
  longest = max(values(rows, 'length'))
  moved = {norm: column(rows, 'moved', norm=norm, length=longest) for norm in NORMS}
  most = max(column(rows, 'moved', norm='layernorm'))
  shift = interval(moved['batchnorm'])
  return [
    Found(
      lost['batchnorm'].mean >= 5 and lost['batchnorm'].low > 0,
      f'batch norm loses {lost["batchnorm"].text()} points from batches of {last} to {first}',
    ),
    Found(lost['layernorm'].mean <= 2, f'layer norm loses {lost["layernorm"].text()} points'),
    Found(
      not ahead.low > 0,
      f'with batches of {last} layer norm is ahead by {ahead.text("+.1f")} points',
    ),
    Found(
      most < 1e-6 and min(moved['batchnorm']) > 0.1,
      f'beside sentences of {longest} tokens instead of {SENTENCE_LENGTH} it moves by '
      f'{shift.text(".2f")} of its spread by batch norm, by layer norm at most {most:.0e}',
    ),
  ]


def draw(rows, figure):
  left, right = figure.subplots(1, 2)
  for number, (norm, label) in enumerate(NORMS.items()):
    batches = sorted(values(select(rows, norm=norm), 'batch'))
    y = [interval(column(rows, 'accuracy', norm=norm, batch=batch)) for batch in batches]
    drawing.line(left, batches, y, number, label)
    lengths = sorted(values(select(rows, norm=norm), 'length'))
    moved = [interval(column(rows, 'moved', norm=norm, length=length)) for length in lengths]
    drawing.line(right, lengths, moved, number)
  left.set_xscale('log', base=2)
  drawing.ticks(left.xaxis, batches)
  left.set(xlabel='batch size, pictures', ylabel='test accuracy, %')
  right.set(xlabel='length of the neighbours, tokens', ylabel='a sentence moves by, of its spread')
  figure.legend(loc='outside upper center', ncols=2)
