"""A config of the claims: small models of pictures, of about 50,000 parameters, trained alike.

  python experiments/claims/launcher.py --config=experiments/claims/pictures.py:model=swin

Length, examples and seeds are left to the sweeps of the claims. Without `path` the pictures are the
bundled digits, 8×8.
"""

from ml_collections import ConfigDict

from vitlab.config import base, parse_arg
from vitlab.errors import unknown

ATTENTION = dict(width=48, depth=3, num_heads=4, mlp_dim=96)
MODELS = dict(
  cnn=dict(name='cnn', variant='S', widths=(16, 32), depths=(2, 2), norm='batchnorm'),
  resnet=dict(name='resnet', variant='18', depths=(1, 1), width=24, stem='small'),
  vit=dict(name='vit', variant='Ti/2', **ATTENTION, pool='gap', drop_path_rate=0.0),
  swin=dict(
    name='swin',
    variant='T',
    patch_size=1,
    width=24,
    depths=(2, 2),
    num_heads=(2, 4),
    window_size=4,
    mlp_ratio=2.0,
    drop_path_rate=0.0,
  ),
  tnt=dict(
    name='tnt',
    variant='S',
    patch_size=4,
    inner_stride=2,
    **ATTENTION,
    inner_width=12,
    inner_num_heads=2,
    pool='gap',
  ),
  plain_vit=dict(
    name='plain_vit', variant='Ti/2', width=32, depth=4, num_heads=4, mlp_dim=64, residual=True
  ),
)
PATCHES = dict(vit=4, tnt=7, swin=2)  # of pictures of 28 pixels
CONVOLUTIONS = ('cnn', 'resnet')


def get_config(arg: str | None = None) -> ConfigDict:
  """`model`: one of `MODELS`; `path`: a folder in MNIST's format; `scale`: digits so much larger;
  `teacher`: a trained ResNet to learn from; `start`: a run to start from, but for its head."""
  arg = parse_arg(arg, model='vit', path='', scale=1, teacher='', start='')
  if arg.model not in MODELS:
    raise unknown('model', arg.model, MODELS)
  config = base()
  config.duration, config.batch_size, config.log_every = '400 steps', 32, '50 steps'
  config.data = dict(name='some_digits', first=0, last=9, scale=arg.scale)
  config.model = dict(MODELS[arg.model], num_classes=None, dtype='float32')
  if arg.path:
    config.data = dict(name='idx', path=arg.path)
    if arg.model in PATCHES:
      config.model.patch_size = PATCHES[arg.model]
    if arg.model == 'swin':
      config.model.window_size = 7
  task = dict(name='classification', num_classes=None, augment='')
  config.task = task
  if arg.teacher:
    teacher = dict(MODELS['resnet'], num_classes=None, dtype='float32')
    config.task = dict(name='distillation', kind='soft', task=task, teacher=teacher)
  sources = dict(teacher=arg.teacher) if arg.teacher else {}
  if arg.start:
    sources['model'] = dict(path=arg.start, head='new')
  config.init_from = sources or None
  config.optim = dict(
    name='adamw',
    learning_rate=5e-3 if arg.model in CONVOLUTIONS else 2e-3,
    schedule='cosine',
    warmup='10%',
    weight_decay=0.05,
    clip_norm=1.0,
  )
  config.evaluators.test = dict(name='classification', split='test', every='100%')
  config.evaluators.seen = dict(name='classification', split='train[:50]', every='100%')
  config.checkpoint.update(every='100%', keep=1, best='test/accuracy')
  return config
