"""C8: how far a ViT overfits a few pictures, and what helps."""

from experiments.claims import drawing, trainings
from experiments.claims.frame import Found, column, interval, paired
from vitlab.sweep.points import Point

TITLE = 'A Transformer overfits small data'
SENTENCE = (
  'A Transformer overfits small data; augmentation, distillation from a CNN (Touvron et al. '
  '2020, arXiv:2012.12877) and pre-training on other data cure that.'
)
PREDICTIONS = (
  'Trained on 50 pictures the ViT knows all of them (at least 99 %), and at least 10 per cent of '
  'new ones less.',
  'Augmentation raises its test accuracy, by more than the interval of the difference.',
  'So does distillation from a ResNet that has seen the same 50 pictures alone.',
  'So does pre-training on 720 pictures of other classes.',
  'All three together are better than each alone, by more than the interval.',
)
METHOD = (
  'Digits 0 to 4, 50 training pictures, other ones for every seed, all 180 of the test set; '
  'equally many steps. Augmentation turns, shifts and zooms a little (that of '
  'configs/vit_digits.py); the teacher is a small ResNet, soft targets; pre-training is on '
  'digits 5 to 9, with a new head.'
)
COUNT, TOTAL, SPEC = 50, 717, f'{trainings.HERE}/pictures.py'
AFFINE = 'affine(degrees=10, translate=0.06, zoom=(0.9, 1.1))'
HELP = {'none': 'nothing', 'augmentation': 'augmentation', 'distillation': 'distillation'}
HELP |= {'pre-training': 'pre-training', 'all': 'all three'}


def run(place):
  changes = ['duration=' + place.pick('10 steps', '600 steps', '2400 steps'), 'batch_size=25']
  few = [*changes, 'data.last=4']
  points = [point(seed) for seed in place.seeds]
  before = [{'seed': seed} for seed in place.seeds]
  others = trainings.trained(
    place, 'others', f'{SPEC}:model=vit', before, [*changes, 'data.first=5']
  )
  teachers = trainings.trained(place, 'teachers', f'{SPEC}:model=resnet', points, few)
  augmented = [each | {'task.augment': AFFINE} for each in points]
  runs = {
    'none': trainings.trained(place, 'none', f'{SPEC}:model=vit', points, few),
    'augmentation': trainings.trained(place, 'augmentation', f'{SPEC}:model=vit', augmented, few),
    'teacher': teachers,
    'distillation': [],
    'pre-training': [],
    'all': [],
  }
  for each, other, teacher in zip(points, others, teachers):
    kinds = {
      'distillation': (f'teacher={teacher.folder}', each),
      'pre-training': (f'start={other.folder}', each),
      'all': (
        f'teacher={teacher.folder},start={other.folder}',
        each | {'task.task.augment': AFFINE},
      ),
    }
    for kind, (argument, one) in kinds.items():
      spec, name = f'{SPEC}:model=vit,{argument}', f'{kind}_{each["seed"]}'
      runs[kind] += trainings.trained(place, name, spec, [one], few)
  return [
    dict(
      help=kind, seed=one.seed, **{k: 100 * one.metrics[f'{k}/accuracy'] for k in ('test', 'seen')}
    )
    for kind, several in runs.items()
    for one in several
  ]


def point(seed: int) -> Point:
  """Training pictures of a seed, which the evaluator 'seen' reads, too."""
  start = seed * COUNT % (TOTAL - COUNT)
  split = f'train[{start}:{start + COUNT}]'
  return {'train_split': split, 'evaluators.seen.split': split, 'seed': seed}


def outcome(rows):
  def gain(kind, over='none'):
    return paired(rows, 'test', dict(help=kind), dict(help=over))

  seen, test = (interval(column(rows, key, help='none')) for key in ('seen', 'test'))
  gains = {kind: gain(kind) for kind in ('augmentation', 'distillation', 'pre-training')}
  more = {kind: gain('all', kind) for kind in gains}
  teacher = interval(column(rows, 'test', help='teacher'))
  return [
    Found(
      seen.mean >= 99 and seen.mean - test.mean >= 10,
      f'{seen.text(unit=" %")} of those it has seen, {test.text(unit=" %")} of the test set',
    ),
    *(
      Found(one.low > 0, f'{kind} adds {one.text("+.1f")} points' + _besides(kind, teacher))
      for kind, one in gains.items()
    ),
    Found(
      all(one.low > 0 for one in more.values()),
      'together they add ' + ', '.join(f'{m.text("+.1f")} to {kind}' for kind, m in more.items()),
    ),
  ]


def _besides(kind, teacher) -> str:
  return f'; the teacher itself reaches {teacher.text(unit=" %")}' if kind == 'distillation' else ''


def draw(rows, figure):
  axes = figure.subplots()
  kinds = {**HELP, 'teacher': 'the ResNet itself'}
  y = [interval(column(rows, 'test', help=kind)) for kind in kinds]
  drawing.bars(axes, [*kinds.values()], y, [7, 0, 0, 0, 2, 1])
  for place, kind in enumerate(kinds):
    mine = column(rows, 'test', help=kind)
    axes.plot(mine, [place] * len(mine), '.', color=drawing.COLOURS['ink'], ms=4)
  axes.set(xlabel='test accuracy, % (bars: mean and interval; dots: seeds)', xlim=(0, 100))
