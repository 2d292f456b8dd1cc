"""Any model's forward pass and step under torch, in the hands of a loop that times them."""

import ctypes
import pathlib
import re
import sys
from collections.abc import Callable, Mapping
from typing import Any

import race

TESTS = pathlib.Path(__file__).resolve().parents[2] / 'tests'


def prepare(args: Any) -> str:
  """What must be settled before a model is made; the device that it is for."""
  sys.path.insert(0, str(TESTS))
  import _helpers.torchvision_shim  # noqa: F401  timm and transformers import torchvision
  import torch

  torch.set_num_threads(args.threads)
  torch.manual_seed(0)
  if args.platform == 'cpu':
    return 'cpu'
  if not torch.cuda.is_available():
    raise SystemExit(f'torch {torch.__version__} sees no GPU')
  torch.set_float32_matmul_precision('high')  # what is not autocast: TF32, as JAX has it
  torch.backends.cudnn.benchmark = True
  return 'cuda'


def works(
  args: Any,
  model: Any,
  weights: Mapping[str, Any],
  using: Callable[[Any], tuple[Callable[[], Any], Callable[[], Any]]],
  optimizer: Any = None,
) -> tuple[race.Works, Callable[[], dict]]:
  """The works 'forward' and 'train', which wait for their results, and the answers of a subject.

  Args:
    args: Of the subject.
    model: On its device.
    weights: What the subjects that start later read, by name.
    using: The model, perhaps compiled -> its answer and its loss, as functions of nothing.
    optimizer: None: AdamW of all that learns.
  """
  import torch
  from safetensors.torch import save_file

  device = next(model.parameters()).device
  draw(model)
  if 'compile' in args.subject:
    shared = {name: x.detach().clone().contiguous() for name, x in weights.items()}
    save_file(shared, f'{args.folder}/weights.safetensors')
  if optimizer is None:
    learned = [weight for weight in model.parameters() if weight.requires_grad]
    options = dict(lr=1e-6, weight_decay=0.05, fused=device.type == 'cuda')
    optimizer = torch.optim.AdamW(learned, **options)
  half = torch.autocast(device.type, torch.bfloat16, enabled=args.dtype == 'bfloat16')
  wait = torch.cuda.synchronize if device.type == 'cuda' else lambda: None
  read, learn = using(torch.compile(model) if 'compile' in args.subject else model)

  def forward():
    model.eval()
    with torch.inference_mode(), half:
      logits = read()
    wait()
    return logits

  def train():
    model.train()
    with half:
      loss = learn()
    loss.backward()
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    wait()

  def answers(rows=None):
    return dict(logits=forward()[:rows].float().cpu().numpy(), memory=memory(train, model))

  return dict(forward=forward, train=train), answers


def draw(model: Any) -> None:
  """Matrices with which differences show: none is zero, and attention is no mean of all tokens.

  Norms stay: with auxiliary losses DETR of Hugging Face goes through its last one between layers,
  too, which only shows where that has learned something.
  """
  import torch

  with torch.no_grad():
    for weight in model.parameters():
      if weight.ndim > 1:
        weight.normal_(std=weight[0].numel() ** -0.5)


def memory(train: Callable[[], Any], model: Any) -> int:
  """Bytes at the height of a training step, weights and optimiser included."""
  import torch

  train()  # compiles, and makes the optimiser's moments
  if next(model.parameters()).is_cuda:
    torch.cuda.reset_peak_memory_stats()
    train()
    return torch.cuda.max_memory_allocated()
  return growth(train) + 3 * sum(weight.nbytes for weight in model.parameters())


def growth(work: Callable[[], Any]) -> int:
  """Bytes by which a process is larger at the height of a work than before it (Linux)."""
  ctypes.CDLL(None).malloc_trim(0)
  status = pathlib.Path('/proc/self/status')
  before = int(re.search(r'VmRSS:\s+(\d+)', status.read_text())[1])
  pathlib.Path('/proc/self/clear_refs').write_text('5')  # the height is counted from here
  work()
  return 1024 * (int(re.search(r'VmHWM:\s+(\d+)', status.read_text())[1]) - before)
