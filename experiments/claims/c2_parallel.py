"""C2: a Transformer learns all tokens of a row at once, and says them one by one."""

import jax
import jax.numpy as jnp

from experiments.claims import drawing
from experiments.claims.c4_quadratic import times
from experiments.claims.chains import chain
from experiments.claims.frame import Found, exponent, measured, select
from vitlab.models import rnn_seq2seq, transformer
from vitlab.ops.losses import token_cross_entropy

TITLE = 'Parallel to train, serial to decode'
SENTENCE = (
  'An RNN must read and learn token after token. A Transformer learns all tokens of a sentence '
  'at once; when it speaks, it has to go token by token, too.'
)
PREDICTIONS = (
  'In a training step the longest chain of matrix products that wait for one another is as long '
  'for all lengths in a Transformer, and grows in proportion to the length in an RNN (power ≥ '
  '0.9).',
  'In decoding it grows in proportion to the length in both (power ≥ 0.9).',
  'At the longest length a Transformer takes at least 5 times as long to say a row as to learn '
  'it (forward and backward); an RNN takes no longer to say it than to learn it.',
)
METHOD = (
  'A Transformer of 2 + 2 layers and a GRU of 1 + 1, 64 wide, one row of random tokens: a '
  'training step (gradient of the loss) and greedy decoding of as many tokens. Chains are '
  'counted in the program, on no clock; times are the shortest of three times up to five (above '
  'it the longest of the three).'
)
MODELS = dict(
  Transformer=lambda: transformer.make(
    13, width=64, depth=2, num_heads=4, mlp_dim=128, norm_place='pre', dropout_rate=0.0
  ),
  RNN=lambda: rnn_seq2seq.make(13, cell='gru', width=64),
)
WORK = dict(learn='learn a row', say='say a row')


def run(place):
  lengths = place.pick([4, 8], [16, 32, 64, 128, 256, 512], [16, 64, 256, 512, 1024, 2048])
  points = [
    dict(model=model, work=work, length=length)
    for model in MODELS
    for work in WORK
    for length in lengths
  ]
  return measured(place, points, measure)


def measure(model: str, work: str, length: int) -> dict:
  """The chain, and seconds of each of three repetitions."""
  model = MODELS[model]()
  tokens = jax.random.randint(jax.random.key(0), (1, length), 3, 13)
  variables = jax.jit(model.init)(jax.random.key(1), tokens, tokens)
  function = learn if work == 'learn' else say
  program = jax.jit(lambda variables, tokens: function(model, variables, tokens))
  counted = chain(jax.make_jaxpr(program)(variables, tokens))
  jax.block_until_ready(program(variables, tokens))
  return dict(chain=counted, seconds=times(program, variables, tokens))


def learn(model, variables, tokens):
  """The gradient of saying the row backwards."""
  targets = tokens[:, ::-1]
  inputs = jnp.pad(targets[:, :-1], ((0, 0), (1, 0)), constant_values=1)

  def loss(variables):
    logits, _ = model.apply(variables, tokens, inputs)
    return token_cross_entropy(logits, targets).mean()

  return jax.grad(loss)(variables)


def say(model, variables, tokens):
  """As many tokens, each the likeliest."""
  length = tokens.shape[1]
  apply = lambda method, *words: model.apply(variables, *words, method=method)  # noqa: E731
  memory, state = apply(model.start, apply(model.encode, tokens), length)

  def step(carry, _):
    logits, state = apply(model.step, memory, carry[1], carry[0])
    token = jnp.argmax(logits, axis=-1).astype(tokens.dtype)
    return (token, state), token

  first = jnp.ones(1, tokens.dtype)
  return jax.lax.scan(step, (first, state), None, length)[1]


def outcome(rows):
  powers = {(m, w): _power(rows, m, w) for m in MODELS for w in WORK}
  chains = [row['chain'] for row in select(rows, model='Transformer', work='learn')]
  last = max(row['length'] for row in rows)
  ratios = {model: _ratio(rows, model, last) for model in MODELS}
  flat = min(chains) == max(chains)
  said = f'from {min(chains)} to {max(chains)}' if not flat else f'always {chains[0]}'
  rnn = [row['chain'] for row in select(rows, model='RNN', work='learn')]
  return [
    Found(
      flat and powers['RNN', 'learn'] >= 0.9,
      f'Transformer {said} products, RNN {rnn[0]:,} to {rnn[-1]:,} '
      f'(power {powers["RNN", "learn"]:.2f})',
    ),
    Found(
      all(powers[model, 'say'] >= 0.9 for model in MODELS),
      ', '.join(f'{model} power {powers[model, "say"]:.2f}' for model in MODELS),
    ),
    Found(
      ratios['Transformer'] >= 5 and ratios['RNN'] <= 1,
      f'saying {last:,} tokens takes the Transformer {ratios["Transformer"]:.2f} times as long as '
      f'learning them, the RNN {ratios["RNN"]:.2f} times',
    ),
  ]


def _power(rows, model, work) -> float:
  mine = select(rows, model=model, work=work)
  return exponent([row['length'] for row in mine], [row['chain'] for row in mine])


def _ratio(rows, model, length) -> float:
  """Of the shortest times of saying and of learning."""
  both = (select(rows, model=model, work=w, length=length)[0]['seconds'] for w in ('say', 'learn'))
  say, learn = map(min, both)
  return say / learn


def draw(rows, figure):
  both = figure.subplots(1, 2)
  for number, (model, work) in enumerate((m, w) for m in MODELS for w in WORK):
    mine = select(rows, model=model, work=work)
    lengths, label = [row['length'] for row in mine], f'{model}: {WORK[work]}'
    milliseconds = [[1000 * second for second in row['seconds']] for row in mine]
    dash = '-' if work == 'learn' else '--'
    for axes, y in zip(both, ([row['chain'] for row in mine], milliseconds)):
      drawing.line(axes, lengths, y, number // 2, label, dash)
  both[0].set_ylabel('matrix products one after the other')
  both[1].set_ylabel('time, ms')
  for axes in both:
    axes.set_xlabel('length, tokens')
    drawing.by_length(axes, lengths)
  handles, labels = both[0].get_legend_handles_labels()
  figure.legend(handles, labels, loc='outside upper center', ncols=2)
