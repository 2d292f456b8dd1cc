"""What `translation.py` times, one subject a process: torch's Transformer, and vitlab's.

Each gives its works, {'train', 'decode': goes through all batches once and waits}, and what gives
its answers: logits and decoded sentences of the weights that all share.
"""

import pathlib
import sys
import warnings

import numpy as np

HERE = pathlib.Path(__file__).resolve()
SMOOTHING, DROPOUT = 0.1, 0.1


def batches(size):
  """One a bucket, sorted by length as buckets are; sentences end with EOS (2), then padding (0)."""
  rng, found = np.random.default_rng(0), []
  for longest in size.buckets:
    source = rng.integers(longest - 7, longest + 1, size.batch)
    target = np.clip(source + rng.integers(-3, 4, size.batch), 2, longest)
    batch = {}
    for name, length in (('tokens', source), ('targets', target)):
      place = np.arange(longest)
      words = rng.integers(4, size.vocab_size, (size.batch, longest))
      words = np.where(place == length[:, None] - 1, 2, words)
      batch[name] = np.where(place < length[:, None], words, 0).astype(np.int32)
    found.append(batch)
  return found


def together(said):
  """The decoded sentences of all batches in one array, as long as the longest."""
  longest = max(x.shape[1] for x in said)
  return np.concatenate([np.pad(x, ((0, 0), (0, longest - x.shape[1]))) for x in said])


def torch_works(args):
  sys.path.insert(0, str(HERE.parents[2] / 'tests'))
  import torch
  from _helpers.torch_transformer import of_torch, tensors
  from flax.traverse_util import flatten_dict
  from torch_translator import Decoder, Translator

  warnings.filterwarnings('ignore', 'enable_nested_tensor')
  torch.set_num_threads(args.threads)
  torch.manual_seed(0)
  model = Translator(args.size, DROPOUT)
  if 'compile' in args.subject:
    tree = of_torch(tensors(model), args.size.depth, args.size.num_heads)
    np.savez(f'{args.folder}/weights.npz', **flatten_dict(tree, sep='/'))
  rows = [[torch.from_numpy(x).long() for x in b.values()] for b in batches(args.size)]
  half = torch.autocast('cpu', torch.bfloat16, enabled=args.dtype == 'bfloat16')
  decoder, loss = Decoder(model), model.loss
  if 'compile' in args.subject:
    # One program a bucket, as we have: faster than one for all lengths.
    loss = torch.compile(loss, dynamic=False)
    decoder.start = torch.compile(decoder.start, dynamic=False)
    decoder.step = torch.compile(decoder.step, dynamic=False)

  def decode():
    model.eval()
    with torch.inference_mode(), half:
      return [decoder.greedy(tokens) for tokens, _ in rows]

  def answers():
    said = together([x.numpy() for x in decode()])
    with torch.inference_mode(), half:
      logits, cached = model.logits(*rows[-1]), decoder.logits(*rows[-1])
    if args.dtype == 'float32' and (far := (logits - cached).abs().max()) > 1e-4:
      raise SystemExit(f'decoding with a cache differs from decoding without by {far}')
    return dict(logits=logits[::8].float().numpy(), said=said)

  return dict(train=torch_step(model, loss, rows, half), decode=decode), answers


def torch_step(model, loss, rows, half):
  """AdamW along all batches."""
  import torch

  optimizer = torch.optim.AdamW(model.parameters(), lr=1e-6, weight_decay=0.05)

  def train():
    model.train()
    for tokens, targets in rows:
      with half:
        value = loss(tokens, targets, SMOOTHING)
      value.backward()
      optimizer.step()
      optimizer.zero_grad(set_to_none=True)

  return train


def jax_works(args):
  from stepper import Stepper, prepare

  devices = prepare(args)
  from flax.traverse_util import unflatten_dict

  from vitlab import registry

  size = args.size
  words = dict(norm_place='pre', norm_epsilon=1e-5, dropout_rate=DROPOUT, dtype=args.dtype)
  words |= {key: getattr(size, key) for key in size._fields if key not in ('batch', 'buckets')}
  model = registry.make('models', dict(name='transformer') | words)
  spec = dict(name='translation', label_smoothing=SMOOTHING)
  task = registry.make('tasks', spec, model=model)
  rows = batches(size)
  stepper = Stepper(task, devices, rows[-1])
  rows = [stepper.put(batch) for batch in rows]

  def train():
    for batch in rows:
      stepper.train(batch)

  def decode():
    return [stepper.predict('decoded', batch)['tokens'] for batch in rows]

  def answers():
    weights = np.load(f'{args.folder}/weights.npz')
    stepper.load({'params': unflatten_dict(dict(weights), sep='/')})
    logits = np.asarray(stepper.predict('logits', rows[-1]))[::8]
    said = [np.asarray(x).reshape(size.batch, -1) for x in decode()]
    return dict(logits=logits, said=together(said))

  return dict(train=train, decode=decode), answers
