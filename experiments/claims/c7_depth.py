"""C7: how deep a Transformer may become, with residual connections and without."""

import jax
import numpy as np

from experiments.claims import drawing, own, trainings
from experiments.claims.frame import Found, column, interval, measured, paired, select, values
from vitlab.cli import config_file
from vitlab.data import pipeline
from vitlab.sweep.points import product, seeds
from vitlab.train import setup

TITLE = 'Residuals let depth grow'
SENTENCE = (
  'Without residual connections deep networks cannot be trained: gradients vanish on their way '
  'back (He et al. 2015, arXiv:1512.03385); with them depth does no harm.'
)
PREDICTIONS = (
  'With residuals the deepest model is at most 2 points worse than the best of all depths.',
  'Without them the deepest model reaches at most 30 % (guessing is 10 %).',
  'Without them the shallowest model is within 5 points of the one that has them.',
  'At the start, without residuals, the gradient of the first layer of the deepest model is less '
  'than a hundredth of that of the last layer; with them it is more than a tenth.',
)
METHOD = (
  'A pre-norm ViT, 32 wide, on digits; without residuals a block is f(norm(x)) instead of x + '
  'f(norm(x)), with as many parameters. Equal steps of Muon, rate and warm-up at all depths. '
  'Gradients are norms by layer of the deepest model, of one batch before training, behind a '
  'head that is drawn.'
)
KINDS = {True: 'with residuals', False: 'without'}
SPEC = f'{trainings.HERE}/pictures.py:model=plain_vit'


def run(place):
  depths = place.pick([2, 4], [2, 6, 12, 24, 48], [2, 4, 8, 12, 24, 36, 48])
  grid = {'model.residual': list(KINDS), 'model.depth': depths}
  points = product(grid, seeds(len(place.seeds)))
  # AdamW reaches 42 % with 48 layers in the steps in which Muon reaches 93 %.
  changes = ['optim.name=muon', 'optim.learning_rate=1e-2']
  changes += ['duration=' + place.pick('5 steps', '300 steps', '2000 steps')]
  rows = [
    dict(
      depth=one.point['model.depth'],
      residual=one.point['model.residual'],
      seed=one.seed,
      accuracy=one.accuracy,
    )
    for one in trainings.trained(place, 'vit', SPEC, points, changes)
  ]
  deepest = [
    dict(layers=depths[-1], residual=residual, seed=seed)
    for residual in KINDS
    for seed in place.seeds
  ]
  return rows + measured(place, deepest, gradients)


def gradients(layers: int, residual: bool, seed: int) -> dict:
  """Norms by layer, before the first step."""
  own.add()
  changes = {'model.depth': layers, 'model.residual': residual, 'seed': seed}
  changes = [f'--config.{key}={value}' for key, value in changes.items()]
  experiment = setup.build(config_file.load(SPEC, changes))
  batch = next(iter(pipeline.eval_batches(experiment.train_source, batch_size=32)))
  batch = {key: batch[key] for key in ('image', 'label')}

  variables = experiment.init().variables
  params = {**variables['model']['params']}
  # The head starts at zero, and nothing comes back through it.
  kernel = jax.nn.initializers.lecun_normal()(jax.random.key(seed), params['head']['kernel'].shape)
  params['head'] = {**params['head'], 'kernel': kernel}

  @jax.jit
  @jax.grad
  def gradient(params):
    changed = {'model': {**variables['model'], 'params': params}}
    return experiment.task.losses['model'](changed, batch, jax.random.key(0)).value

  blocks = gradient(params)['encoder']['blocks']
  squares = [
    np.square(np.asarray(x, np.float64)).reshape(layers, -1).sum(1) for x in jax.tree.leaves(blocks)
  ]
  return dict(norms=np.sqrt(np.sum(squares, axis=0)).tolist())


def outcome(rows):
  depths = sorted(values(rows, 'depth'))
  first, last = depths[0], depths[-1]
  means = {
    (residual, depth): interval(column(rows, 'accuracy', residual=residual, depth=depth))
    for residual in KINDS
    for depth in depths
  }
  best = max(depths, key=lambda depth: means[True, depth].mean)
  behind = paired(
    rows, 'accuracy', dict(residual=True, depth=first), dict(residual=False, depth=first)
  )
  ratios = {
    residual: interval(
      row['norms'][0] / max(row['norms'][-1], 1e-300)
      for row in rows
      if 'norms' in row and row['residual'] == residual
    )
    for residual in KINDS
  }
  return [
    Found(
      means[True, best].mean - means[True, last].mean <= 2,
      f'with residuals {means[True, last].text(unit=" %")} at {last} layers, the best is '
      f'{means[True, best].text(unit=" %")} at {best}',
    ),
    Found(
      means[False, last].mean <= 30,
      f'without them {means[False, last].text(unit=" %")} at {last} layers',
    ),
    Found(behind.mean <= 5, f'at {first} layers it is behind by {behind.text()} points'),
    Found(
      ratios[False].mean < 0.01 and ratios[True].mean > 0.1,
      f'first over last layer: without {ratios[False].mean:.1e}, with {ratios[True].mean:.2f}',
    ),
  ]


def draw(rows, figure):
  left, right = figure.subplots(1, 2)
  depths = sorted(values(rows, 'depth'))
  for number, (residual, label) in enumerate(KINDS.items()):
    y = [interval(column(rows, 'accuracy', residual=residual, depth=depth)) for depth in depths]
    drawing.line(left, depths, y, number, label)
    norms = np.array([row['norms'] for row in select(rows, residual=residual) if 'norms' in row])
    layers = range(1, 1 + norms.shape[1])
    middle = np.exp(np.log(np.maximum(norms, 1e-300)).mean(0))
    right.plot(layers, middle, color=drawing.CYCLE[number])
    for line in norms if len(norms) > 1 else ():
      right.plot(layers, line, color=drawing.CYCLE[number], lw=0.5)
  left.set(xlabel='layers', ylabel='test accuracy, %', ylim=(0, 102))
  left.set_xscale('log', base=2)
  drawing.ticks(left.xaxis, depths)
  drawing.powers_of_ten(right)
  right.xaxis.set_major_locator(drawing.whole())
  right.set(xlabel='layer, the first reads the picture', ylabel='norm of its gradient')
  figure.legend(loc='outside upper center', ncols=2)
