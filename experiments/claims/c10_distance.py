"""C10: how far a ViT and a CNN see, by layer."""

import jax
import jax.numpy as jnp
import numpy as np

from experiments.claims import drawing, trainings
from experiments.claims.frame import Found, interval, measured, select, values
from vitlab.ops.attention_maps import attention_distance, everywhere
from vitlab.sweep.points import seeds

TITLE = 'A ViT sees globally at once'
SENTENCE = (
  'A ViT sees the whole picture from its first layer on, a CNN only after many (Dosovitskiy et '
  'al. 2020, arXiv:2010.11929, figure 7; Raghu et al. 2021, arXiv:2108.08810).'
)
PREDICTIONS = (
  'In the first layer of the ViT some head looks, on average, at least 0.8 times as far as one '
  'that looks everywhere alike.',
  'After its first layer a token depends on pixels at least half as far away, on average, as if '
  'it depended on all alike.',
  'A CNN of 3×3 convolutions gets there in its last third of layers at the earliest.',
)
METHOD = (
  'Digits four times as large, 32×32 pixels. ViT: patches of 4×4, 3 layers; CNN: two stages of 3 '
  'convolutions, a max-pool between. Receptive fields are measured: the mean size of the '
  'gradient of the token in the middle by each pixel, over 32 pictures, and the mean distance '
  'that it gives.'
)
MODELS = {'vit': ('model.patch_size=4',), 'cnn': ('model.depths=(3, 3)',)}
SIZE, PICTURES = 32, 32


def run(place):
  changes = ['duration=' + place.pick('5 steps', '1000 steps', '4000 steps')]
  rows = []
  for model, words in MODELS.items():
    spec = f'{trainings.HERE}/pictures.py:model={model},scale=4'
    found = trainings.trained(place, model, spec, seeds(len(place.seeds)), [*changes, *words])
    runs = {one.seed: one.folder for one in found}

    def measure(model, seed, runs=runs):
      return look(runs[seed])

    rows += measured(place, [dict(model=model, seed=seed) for seed in runs], measure)
  return rows


def look(folder) -> dict:
  """Distances in shares of that of looking everywhere alike: of fields by layer, of heads."""
  trained = trainings.load(folder)
  out, batch = trained.first('intermediates', 'test')
  image = jnp.asarray(batch['image'][:PICTURES], jnp.float32)
  heads = []
  for weights in out.get('attention', ()):
    side = int(np.sqrt(weights.shape[-1]))
    layout, cell = everywhere((side, side)), (SIZE / side, SIZE / side)
    alike = attention_distance(np.full((1, 1, side**2, side**2), side**-2.0), layout, cell)[0]
    each = [attention_distance(one[None], layout, cell) / alike for one in weights[:PICTURES]]
    heads.append(np.mean(each, axis=0).tolist())
  return dict(fields=fields(trained, image), heads=heads)


def fields(trained, image) -> list[float]:
  """How far the pixels are that the middle of each layer's map depends on."""
  predict = trained.experiment.task.predict['intermediates']

  def middles(image):
    """One number of each layer: the middle of its map, its channels with random signs."""
    blocks = predict(trained.variables, dict(image=image))['blocks']
    return [_middle(block.get('tokens', block.get('features'))).sum() for block in blocks]

  gradients = jax.jit(jax.jacrev(middles))(image)
  return [_distance(np.abs(np.asarray(g)).mean((0, 3))) for g in gradients]


def _middle(x) -> jax.Array:
  """Of a map, b h w c, or of tokens in rows of a square; the place right below the centre."""
  if x.ndim == 3:
    side = int(np.sqrt(x.shape[1]))
    x = x.reshape(x.shape[0], side, side, -1)
  signs = jax.random.rademacher(jax.random.key(0), x.shape[-1:], x.dtype)
  return x[:, x.shape[1] // 2, x.shape[2] // 2] @ signs


def _distance(weights: np.ndarray) -> float:
  """Mean distance from the centre of gravity, in shares of that of equal weights."""
  y, x = np.mgrid[: weights.shape[0], : weights.shape[1]]
  share = weights / weights.sum()
  away = np.hypot(y - (share * y).sum(), x - (share * x).sum())
  alike = np.hypot(y - y.mean(), x - x.mean()).mean()
  return float((share * away).sum() / alike)


def outcome(rows):
  vit, cnn = (select(rows, model=model) for model in MODELS)
  widest = interval(max(row['heads'][0]) for row in vit)
  first = interval(row['fields'][0] for row in vit)
  layers = len(cnn[0]['fields'])
  by_layer = [interval(row['fields'][i] for row in cnn) for i in range(layers)]
  reached = next((i + 1 for i, one in enumerate(by_layer) if one.mean >= 0.5), None)
  shown = ', '.join(f'{one.mean:.2f}' for one in by_layer)
  return [
    Found(
      widest.mean >= 0.8, f'the widest head of layer 1 looks {widest.text(".2f")} times as far'
    ),
    Found(first.mean >= 0.5, f'{first.text(".2f")} times as far after layer 1 of the ViT'),
    Found(
      reached is None or reached > layers * 2 / 3,
      f'the CNN gets there in layer {reached} of {layers}' * (reached is not None)
      + f'the CNN never gets there in {layers} layers' * (reached is None)
      + f' ({shown})',
    ),
  ]


def draw(rows, figure):
  left, right = figure.subplots(1, 2, sharey=True)
  for number, model in enumerate(values(rows, 'model')):
    mine = select(rows, model=model)
    y = [interval(layer) for layer in zip(*(row['fields'] for row in mine))]
    drawing.line(left, range(1, 1 + len(y)), y, number, dict(vit='ViT', cnn='CNN')[model])
  for row in select(rows, model='vit'):
    for layer, heads in enumerate(row['heads'], 1):
      right.plot([layer] * len(heads), heads, 'o', color=drawing.CYCLE[0], alpha=0.6)
  for axes in (left, right):
    axes.axhline(1, color=drawing.COLOURS['soft'], lw=1, ls='--')
    axes.set(xlabel='layer', ylim=(0, 1.25))
    axes.xaxis.set_major_locator(drawing.whole())
  left.set(ylabel='distance, 1: everything alike', title='pixels that the middle depends on')
  right.set(title='what heads of the ViT look at')
  left.legend(loc='lower right')
