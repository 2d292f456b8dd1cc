"""What `language.py` times, one subject a process: torch's models under torch, and vitlab's.

Each gives its work and what gives its answers: the logits of the weights that all share, and of a
step how many bytes it takes at its height, weights and optimiser included.
"""

import pathlib
import sys

import race

HERE = pathlib.Path(__file__).resolve()
PROMPT = 32  # tokens that are there before any is said
SAID = {'generation': 128, 'gpt2': 64}


def batch(args):
  return {'tokens': tokens(args, 1)}


def tokens(args, more=0):
  import numpy as np

  shape = (args.size.batch, args.size.length + more)
  return np.random.default_rng(0).integers(0, args.size.vocab_size, shape).astype(np.int32)


def _torch(args):
  from torch_stepper import prepare

  prepare(args)
  import torch

  return torch, torch.autocast('cpu', torch.bfloat16, enabled=args.dtype == 'bfloat16')


def _share(args, tensors):
  """Leaves the weights to the subjects that start later."""
  from safetensors.torch import save_file

  if args.subject == args.size.peer:
    save_file({k: x.detach().clone().contiguous() for k, x in tensors}, _file(args))


def _file(args):
  return f'{args.folder}/weights.safetensors'


def torch_works(args):
  """Forward pass and step of nanoGPT's."""
  import torch_stepper

  device = torch_stepper.prepare(args)
  sys.path.insert(0, str(HERE.parents[1] / 'language'))
  import plain_gpt
  import torch

  size = args.size
  model = plain_gpt.GPT(
    size.vocab_size, size.length, size.width, size.depth, size.num_heads, bias=True
  ).to(device)
  rows = torch.from_numpy(tokens(args, 1)).long().to(device)
  read, targets = rows[:, :-1], rows[:, 1:].reshape(-1)

  def using(run):
    return (
      lambda: run(read),
      lambda: torch.nn.functional.cross_entropy(run(read).flatten(0, 1), targets),
    )

  optimizer = plain_gpt.optimizer(model, 1e-6, 0.95, 0.05)
  return torch_stepper.works(args, model, plain_gpt.huggingface(model), using, optimizer)


def torch_step(args):
  works, answers = torch_works(args)
  return dict(step=works['train']), answers


def _huggingface_gpt(args):
  import transformers

  size = args.size
  config = transformers.GPT2Config(
    vocab_size=size.vocab_size,
    n_positions=size.length,
    n_embd=size.width,
    n_layer=size.depth,
    n_head=size.num_heads,
    eos_token_id=None,
    bos_token_id=None,
  )
  return transformers.GPT2LMHeadModel(config).eval()


def torch_generation(args):
  torch, half = _torch(args)
  model, said = _huggingface_gpt(args), SAID[args.work]
  _share(args, ((k, x) for k, x in model.state_dict().items() if k != 'lm_head.weight'))
  prompt = torch.from_numpy(tokens(args)[:, :PROMPT]).long()
  words = dict(attention_mask=torch.ones_like(prompt), do_sample=False, pad_token_id=0)

  def generate():
    with torch.inference_mode(), half:
      return model.generate(prompt, min_new_tokens=said, max_new_tokens=said, **words)

  def answers():
    with torch.inference_mode():
      return dict(logits=model(generate()).logits.float().numpy()[:, -1])

  return {args.work: generate}, answers


def torch_encoder(args):
  torch, half = _torch(args)
  import transformers

  size = args.size
  model = transformers.BertModel(transformers.BertConfig(vocab_size=size.vocab_size)).eval()
  _share(args, model.state_dict().items())
  run = torch.compile(model) if 'compile' in args.subject else model
  rows = torch.from_numpy(tokens(args)).long()

  def forward():
    with torch.inference_mode(), half:
      return run(rows).last_hidden_state

  return dict(encoder=forward), lambda: dict(logits=forward().float().numpy())


def make_task(args, dtype):
  """Of GPT as nanoGPT has it."""
  from vitlab import registry

  model = registry.make('models', _gpt_spec(args.size, mlp='gelu', dtype=dtype))
  return registry.make('tasks', dict(name='language_model'), model=model)


def _gpt_spec(size, **words):
  sizes = dict(width=size.width, depth=size.depth, num_heads=size.num_heads, mlp_dim=4 * size.width)
  common = dict(name='gpt', vocab_size=size.vocab_size, context=size.length, dropout_rate=0.0)
  return common | sizes | words


def _stepper(args, spec, task_spec, batch, family):
  from stepper import Stepper, prepare

  devices = prepare(args)
  from vitlab import registry

  model = registry.make('models', spec | dict(dtype=args.dtype))
  task = registry.make('tasks', task_spec, model=model)
  stepper = Stepper(task, devices, batch)
  stepper.load_file(_file(args), family, 'huggingface')
  return model, task, stepper


def _flops(task, name, stepper, batch):
  from vitlab.inspection import flops

  return sum(flops.count(task.predict[name], stepper.state.variables, batch).values())


def jax_step(args):
  given = batch(args)
  less = dict(scan=True, remat='dots_with_no_batch_dims_saveable')
  spec = _gpt_spec(args.size, mlp='gelu', **(less if args.subject == race.LESS_MEMORY else {}))
  _, task, stepper = _stepper(args, spec, dict(name='language_model'), given, 'gpt')
  import numpy as np

  rows = stepper.put(given)

  def answers():
    logits = np.asarray(stepper.predict('logits', rows))
    counted = 3 * _flops(task, 'logits', stepper, given)
    return dict(logits=logits, flops=counted, memory=stepper.train_memory(rows))

  return dict(step=lambda: stepper.train(rows)), answers


def jax_generation(args):
  spec, task_spec = _gpt_spec(args.size), dict(name='language_model')
  model, task, stepper = _stepper(args, spec, task_spec, batch(args), 'gpt')
  import numpy as np

  from vitlab.ops.search import make_search
  from vitlab.predict.continuation import Continuation

  size, said = args.size, SAID[args.work]
  variables, prompt = stepper.state.variables['model'], tokens(args)[0, :PROMPT]
  go_on = Continuation(
    model, variables, make_search(dict(name='greedy')), size.length, size.vocab_size
  )

  def generate():
    further = go_on(prompt, 1)
    return [int(next(further)[0][0]) for _ in range(said)]

  def answers():
    whole = np.concatenate([prompt, generate()])[None].astype(np.int32)
    logits = model.apply(variables, whole)[0][:, -1]
    counted = _flops(task, 'logits', stepper, {'tokens': whole[:, : said + 1]})
    return dict(logits=np.asarray(logits), flops=counted)

  return {args.work: generate}, answers


def jax_encoder(args):
  given = {'tokens': tokens(args)}
  spec = dict(name='bert', vocab_size=args.size.vocab_size, head='none', dropout_rate=0.0)
  task_spec = dict(name='masked_lm', vocab_size=args.size.vocab_size, special=dict(mask=0))
  _, task, stepper = _stepper(args, spec, task_spec, given, 'bert')
  import numpy as np

  rows = stepper.put(given)

  def forward():
    return stepper.predict('logits', rows)

  def answers():
    return dict(logits=np.asarray(forward()), flops=_flops(task, 'logits', stepper, given))

  return dict(encoder=forward), answers
