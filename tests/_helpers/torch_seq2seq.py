"""Sequence to sequence as a plain torch loop, the oracle of `vitlab.models.rnn_seq2seq`."""

import numpy as np
import torch

LAYERS = dict(rnn=torch.nn.RNN, lstm=torch.nn.LSTM, gru=torch.nn.GRU)
CELLS = dict(rnn=torch.nn.RNNCell, lstm=torch.nn.LSTMCell, gru=torch.nn.GRUCell)
GATES = dict(rnn=1, lstm=4, gru=3)


class Seq2Seq(torch.nn.Module):
  """The same model, word by word; every sentence by itself, so that nothing is padded."""

  def __init__(self, vocab, width, cell, depth, bidirectional, attention, order):
    super().__init__()
    self.kind, self.attention, self.order = cell, attention, order
    linear = lambda a, b, bias=True: torch.nn.Linear(a, b, bias=bias)  # noqa: E731
    hidden = width * (1 + bidirectional)
    context = 0 if attention == 'none' else hidden
    self.source = torch.nn.Embedding(vocab, width)
    self.target = torch.nn.Embedding(vocab, width)
    self.encoder = LAYERS[cell](width, width, depth, bidirectional=bidirectional, batch_first=True)
    sizes = [width + context] + [width] * (depth - 1)
    self.cells = torch.nn.ModuleList([CELLS[cell](size, width) for size in sizes])
    arrays = 2 if cell == 'lstm' else 1
    self.bridge = torch.nn.ModuleList(
      [linear(hidden, width) for _ in range(depth * arrays)] if bidirectional else []
    )
    if attention != 'none':
      self.key = linear(hidden, width, attention == 'additive')
    if attention in ('additive', 'multiplicative', 'scaled_multiplicative'):
      self.query = linear(width, width, False)
    if attention == 'additive':
      self.v = torch.nn.Parameter(torch.randn(width))
    self.head = linear(width + context, vocab)

  def forward(self, tokens, inputs):
    return torch.stack([self._one(t[t != 0], i) for t, i in zip(tokens, inputs)])

  def _one(self, tokens, inputs):
    h, last = self.encoder(self.source(tokens)[None])
    h = h[0]
    states = self._start(last if isinstance(last, tuple) else (last,))
    context = torch.zeros(h.shape[-1] if self.attention != 'none' else 0, dtype=h.dtype)
    logits = []
    for token in inputs:
      if self.order == 'previous':
        context = self._look(states[-1][0], h, context)
      x = torch.cat([self.target(token), context])
      for i, cell in enumerate(self.cells):
        state = tuple(s[None] for s in states[i])
        state = cell(x[None], state if self.kind == 'lstm' else state[0])
        state = state if isinstance(state, tuple) else (state,)
        states[i] = tuple(s[0] for s in state)
        x = states[i][0]
      if self.order == 'current':
        context = self._look(x, h, context)
      logits.append(self.head(torch.cat([x, context])))
    return torch.stack(logits)

  def _start(self, last):
    """Every layer's first state, from the last ones [layers · directions, 1, d] of the encoder."""
    depth = len(self.cells)
    parts = [part.reshape(depth, -1) for part in last]
    states = [tuple(part[i] for part in parts) for i in range(depth)]
    if len(self.bridge):
      bridge = iter(self.bridge)
      states = [tuple(torch.tanh(next(bridge)(x)) for x in state) for state in states]
    return states

  def _look(self, s, h, context):
    if self.attention == 'none':
      return context
    keys = self.key(h)
    q = s if self.attention == 'general' else self.query(s)
    if self.attention == 'additive':
      scores = torch.tanh(q + keys) @ self.v
    else:
      scores = keys @ q / (len(q) ** 0.5 if self.attention.startswith('scaled') else 1)
    return torch.softmax(scores, 0) @ h


def _read(parameter, gradients):
  return (parameter.grad if gradients else parameter).detach().numpy()


def _dense(linear, gradients):
  tree = dict(kernel=_read(linear.weight, gradients).T)
  return tree | (dict(bias=_read(linear.bias, gradients)) if linear.bias is not None else {})


def _recurrent(module, suffix, kind, gradients):
  """(kernel of the input [e, gates, d], its bias, the cell) of a layer or a cell."""
  ends = ('weight_ih', 'weight_hh', 'bias_ih', 'bias_hh')
  kernel, hidden, b_ih, b_hh = (_read(getattr(module, end + suffix), gradients) for end in ends)
  kernel, hidden = (w.T.reshape(w.shape[1], GATES[kind], -1) for w in (kernel, hidden))
  b_ih, b_hh = (b.reshape(GATES[kind], -1) for b in (b_ih, b_hh))
  cell = dict(hidden=dict(kernel=hidden))
  # Torch has two biases where one is enough; each has the gradient of their sum.
  bias = b_ih if gradients else b_ih + b_hh
  if kind == 'gru':
    bias, cell['hidden_bias'] = np.concatenate([bias[:2], b_ih[2:]]), b_hh[2]
  return kernel, bias, cell


def encoder_to_ours(encoder, kind: str, gradients: bool = False) -> dict:
  """The parameters of a `torch.nn` layer stack, or their gradients, as a `RecurrentStack` has."""
  tree = {}
  for i in range(encoder.num_layers):
    for name, suffix in (('forward', ''), ('backward', '_reverse'))[: 1 + encoder.bidirectional]:
      kernel, bias, cell = _recurrent(encoder, f'_l{i}{suffix}', kind, gradients)
      tree[f'layer_{i}_{name}'] = dict(input=dict(kernel=kernel, bias=bias), cell=cell)
  return tree


def to_ours(module: Seq2Seq, gradients: bool = False) -> dict:
  """Its parameters, or their gradients, in vitlab's tree."""
  width = module.source.weight.shape[1]
  tree = dict(
    source=dict(embedding=_read(module.source.weight, gradients)),
    target=dict(embedding=_read(module.target.weight, gradients)),
    encoder=encoder_to_ours(module.encoder, module.kind, gradients),
    decoder={},
    head=_dense(module.head, gradients),
  )
  for i, cell in enumerate(module.cells):
    kernel, bias, tree['decoder'][f'cells_{i}'] = _recurrent(cell, '', module.kind, gradients)
    if i:
      tree['decoder'][f'input_{i}'] = dict(kernel=kernel, bias=bias)
      continue
    tree['decoder_input'] = dict(kernel=kernel[:width], bias=bias)
    if module.attention != 'none':
      tree['decoder']['context'] = dict(kernel=kernel[width:])
  arrays = 2 if module.kind == 'lstm' else 1
  for i, linear in enumerate(module.bridge):
    tree[f'bridge_{i // arrays}_{i % arrays}'] = _dense(linear, gradients)
  if module.attention != 'none':
    linears = {name: getattr(module, name) for name in ('key', 'query') if hasattr(module, name)}
    alignment = {name: _dense(linear, gradients) for name, linear in linears.items()}
    alignment |= dict(v=_read(module.v, gradients)) if hasattr(module, 'v') else {}
    tree['decoder']['alignment'] = alignment
  return tree
