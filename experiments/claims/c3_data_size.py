"""C3: accuracy against the number of training pictures, of a CNN and of self-attention."""

from experiments.claims import drawing, trainings
from experiments.claims.frame import Found, column, interval, paired, values

TITLE = 'A CNN wins on little data'
SENTENCE = (
  'A CNN knows that pictures are local and wins on little data; self-attention has to learn it, '
  'and wins where there is much (Dosovitskiy et al. 2020, arXiv:2010.11929).'
)
PREDICTIONS = (
  'On the smallest training set the ResNet is ahead of ViT, Swin and TNT, each by more than the '
  '95 % interval of the difference.',
  'On the largest set one of these three is ahead of the ResNet, by more than this interval.',
  'In between the lead of the ResNet over the mean of the three falls.',
)
METHOD = (
  'Four models of about 50,000 parameters, equally many steps of equally many pictures by Muon, '
  'no augmentation, the whole test set; the seeds have training sets of their own where these do '
  'not overlap.'
)
MODELS = dict(resnet='ResNet', vit='ViT', swin='Swin', tnt='TNT')
OTHERS = [model for model in MODELS if model != 'resnet']
DIGITS = 1437
RATES = dict.fromkeys(OTHERS, 2e-2) | dict(resnet=1e-2)  # of Muon
RATES_OF_DATA = dict.fromkeys(OTHERS, 3e-3) | dict(resnet=1e-2)  # configs/*_fashion_mnist.py


def run(place):
  if place.data:
    sizes, total = [100, 300, 1_000, 3_000, 10_000, 60_000], 60_000
  else:
    sizes, total = place.pick([40], [50, 250, DIGITS], [50, 100, 250, 500, DIGITS]), DIGITS
  changes = place.pick(
    ['duration=10 steps', 'batch_size=16'],
    ['duration=600 steps'],
    ['duration=6000 steps', 'batch_size=64'],
  )
  points = [
    {'train_split': split(size, seed, total), 'seed': seed}
    for size in sizes
    for seed in place.seeds
  ]
  rows = []
  for model in MODELS:
    spec = f'{trainings.HERE}/pictures.py:model={model},path={place.data}'
    rate = (RATES_OF_DATA if place.data else RATES)[model]
    own = [*changes, 'optim.name=muon', f'optim.learning_rate={rate}']
    for one in trainings.trained(place, model, spec, points, own):
      start, stop = map(int, one.point['train_split'][6:-1].split(':'))
      rows.append(dict(model=model, size=stop - start, seed=one.seed, accuracy=one.accuracy))
  return rows


def split(size: int, seed: int, total: int) -> str:
  """The training pictures of a seed."""
  start = seed * size if (seed + 1) * size <= total else 0
  return f'train[{start}:{start + size}]'


def outcome(rows):
  sizes = sorted(values(rows, 'size'))
  leads = {
    size: {
      other: paired(rows, 'accuracy', dict(model='resnet', size=size), dict(model=other, size=size))
      for other in OTHERS
    }
    for size in sizes
  }
  means = [sum(one.mean for one in leads[size].values()) / len(OTHERS) for size in sizes]
  shown = [
    ', '.join(f'{MODELS[other]} {one.text("+.1f")}' for other, one in leads[size].items())
    for size in (sizes[0], sizes[-1])
  ]
  return [
    Found(
      all(one.low > 0 for one in leads[sizes[0]].values()),
      f'with {sizes[0]:,} pictures the ResNet leads by points over: {shown[0]}',
    ),
    Found(
      any(one.high < 0 for one in leads[sizes[-1]].values()),
      f'with {sizes[-1]:,} pictures it leads by points over: {shown[1]}',
    ),
    Found(
      len(means) > 1 and all(a > b for a, b in zip(means, means[1:])),
      'mean lead: ' + ', '.join(f'{mean:+.1f} at {n:,}' for n, mean in zip(sizes, means)),
    ),
  ]


def draw(rows, figure):
  axes = figure.subplots()
  sizes = sorted(values(rows, 'size'))
  for number, (model, label) in enumerate(MODELS.items()):
    y = [interval(column(rows, 'accuracy', model=model, size=size)) for size in sizes]
    drawing.line(axes, sizes, y, number, label)
  axes.set(xscale='log', xlabel='training pictures', ylabel='test accuracy, %')
  drawing.ticks(axes.xaxis, sizes)
  figure.legend(loc='outside upper center', ncols=4)
