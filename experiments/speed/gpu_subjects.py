"""What `gpu.py` times, one subject of a case a process: ours, and other people's compiled by torch.

A process prepares everything that takes the time of a CPU, says so by a line, and then answers each
line, the name of a work, with a line of JSON.
"""

import importlib
import json
import pathlib
import sys
from typing import Any, NamedTuple

import language
import models
import race

FEW = 2  # rows whose answers are compared
OURS = 'vitlab'


class Case(NamedTuple):
  """A model that both sides have.

  Attributes:
    kind: The file with both: `make_task`, `batch` and `torch_works`, of arguments such as these.
    form: Of the weights that torch leaves for ours.
    words: The arguments.
    tiny: Those that are others for a trial.
  """

  kind: str
  form: str
  words: dict[str, Any]
  tiny: dict[str, Any]


def _pictures(name: str, variant: str, rows: int) -> Case:
  peer, both = models.MODELS[name], dict(num_heads=2, depth=2)
  ours, theirs, pixels = dict(width=64, mlp_dim=256), dict(embed_dim=64, img_size=64), 64
  if name == 'swin':
    both = dict(depths=(2, 2), num_heads=(2, 4))
    ours, theirs, pixels = dict(width=32), dict(embed_dim=32, img_size=112), 112
  words = dict(model=name, variant=variant, timm=peer.names[variant], words=peer.words)
  words |= dict(pixels=224, theirs={}, batches=dict.fromkeys(models.WORKS, rows))
  tiny = dict(pixels=pixels, words=peer.words | both | ours, theirs=both | theirs)
  tiny |= dict(batches=dict.fromkeys(models.WORKS, 4))
  return Case('subjects', 'timm', words, tiny)


def _text(rows: int) -> Case:
  size = language.WORKS['gpt2']._replace(length=1024, batch=rows)
  tiny = size._replace(width=64, depth=2, num_heads=2, vocab_size=65, length=64, batch=4)
  return Case('texts', 'huggingface', dict(model='gpt', size=size), dict(size=tiny))


def _detection(rows: int) -> Case:
  words = dict(model='detr', pixels=(480, 640), batch=rows)
  words |= dict.fromkeys(('words', 'theirs', 'body', 'their_body'), {})
  theirs = dict(d_model=32)
  for part in ('encoder', 'decoder'):
    theirs |= {f'{part}_layers': 2, f'{part}_attention_heads': 2, f'{part}_ffn_dim': 64}
  tiny = dict(
    pixels=(96, 128),
    batch=2,
    words=dict(width=32, depth=2, num_heads=2, mlp_dim=64),
    theirs=theirs,
    body=dict(width=8, depths=(1, 1, 1, 1)),
    their_body=dict(embedding_size=8, hidden_sizes=[32, 64, 128, 256], depths=[1, 1, 1, 1]),
  )
  return Case('detectors', 'huggingface', words, tiny)


CASES = {
  'ViT-B/16': _pictures('vit', 'B/16', 256),
  'ViT-L/16': _pictures('vit', 'L/16', 128),
  'Swin-T': _pictures('swin', 'T', 256),
  'GPT 124 M': _text(16),
  'DETR-R50': _detection(16),
  'ViT-S/16': _pictures('vit', 'S/16', 512),
  'Swin-B': _pictures('swin', 'B', 128),
}


def serve(args: Any) -> None:
  """Is one subject, until its standard input ends."""
  answers, sys.stdout = sys.stdout, sys.stderr  # libraries print
  case = CASES[args.case]
  vars(args).update(case.words | (case.tiny if args.tiny else {}), dtype='bfloat16')
  module = importlib.import_module(case.kind)
  works, timed = (_ours if args.subject == OURS else _theirs)(args, module, case.form)
  works |= {name: lambda call=call: race.sample(call, args.seconds) for name, call in timed.items()}
  print('ready', file=answers, flush=True)
  for line in sys.stdin:
    print(json.dumps(works[line.strip()]()), file=answers, flush=True)


def _theirs(args: Any, module: Any, form: str) -> tuple[dict, dict]:
  del form
  import numpy as np

  timed, answers = module.torch_works(args)
  found = answers(FEW)
  np.save(f'{args.folder}/logits.npy', found['logits'])
  import torch

  torch.cuda.empty_cache()  # others are prepared while this one waits
  memory = int(found['memory'])
  return dict(memory=lambda: memory), timed | race.product(args)


def _ours(args: Any, module: Any, form: str) -> tuple[dict, dict]:
  from stepper import Stepper, prepare

  devices = prepare(args)
  import jax

  from vitlab.inspection import flops

  if jax.default_backend() != args.platform:
    raise SystemExit(f'JAX runs on the {jax.default_backend()}')
  given = module.batch(args)
  stepper = Stepper(module.make_task(args, args.dtype), devices, given)
  rows, few = stepper.put(given), {key: value[:FEW] for key, value in given.items()}
  names = dict(forward='logits', train='train')
  texts = {work: stepper.compiled(name, rows).as_text() for work, name in names.items()}
  with jax.enable_x64(True), jax.set_mesh(stepper.mesh):
    exactly = module.make_task(args, 'float64').predict['logits']
    # In float64, where attention has the same products on all machines.
    counted = sum(flops.count(exactly, stepper.state.variables, few).values())
    exactly = jax.jit(exactly).lower(stepper.state.variables, few).compile()
  count = len(next(iter(given.values())))

  def facts():
    fused = {work: '__cudnn$fmha' in text for work, text in texts.items()}
    return _device() | dict(
      rows=count, flops=counted / FEW * count, fused=None if args.platform == 'cpu' else fused
    )

  def memory():
    peak = (jax.local_devices()[0].memory_stats() or {}).get('peak_bytes_in_use')
    return peak or stepper.train_memory(rows)

  works = dict(
    facts=facts, memory=memory, errors=lambda: _errors(args, stepper, form, exactly, rows, few)
  )
  timed = dict(forward=lambda: stepper.predict('logits', rows), train=lambda: stepper.train(rows))
  return works, timed | race.product(args)


def _errors(args, stepper, form, exactly, rows, few) -> dict[str, float]:
  """How far the answers of the same weights are from those in float64, as a share of these."""
  import jax
  import numpy as np

  answers, theirs = {}, pathlib.Path(args.folder, 'logits.npy')
  if theirs.exists():
    answers[race.PEER] = np.load(theirs)
    stepper.load_file(f'{args.folder}/weights.safetensors', args.model, form)
  else:  # zeros would hide differences
    rng, own = np.random.default_rng(0), stepper.state.variables['model']
    stepper.load(jax.tree.map(lambda x: x + 0.02 * rng.normal(size=x.shape).astype(x.dtype), own))
  with jax.enable_x64(True):
    exact = np.asarray(exactly(stepper.state.variables, few))
  answers[OURS] = np.asarray(stepper.predict('logits', rows)[:FEW])
  size = np.linalg.norm(exact)
  return {name: float(np.linalg.norm(x - exact) / size) for name, x in answers.items()}


def _device() -> dict[str, Any]:
  """What JAX calls it, and the FLOP/s of its data sheet, where there is one."""
  import jax

  from vitlab.errors import UserError
  from vitlab.inspection import chips

  kind = jax.devices()[0].device_kind
  try:
    chip = chips.CHIPS.get(chips.name_of(kind))
  except UserError:
    chip = None
  return dict(device=kind, jax=jax.__version__, sheet=chip and chip.bfloat16)
