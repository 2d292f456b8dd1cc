#!/usr/bin/env bash
# In the config of GPT-1, 'gelu' is not the GELU that 'gelu' is everywhere else.
# One would guess: an activation's name in a config.json means the same function in every model of
#   one library: 'gelu' the exact one, by erf, and 'gelu_new' the approximation by tanh.
# Versions: transformers 4.57.6, torch 2.13.0, numpy 2.4.6.
# Behaviour: OpenAIGPTConfig(afn='gelu'), its default, computes the tanh form (its model has a table
#   of its own); GPT2Config(activation_function='gelu') the exact one. Who writes 'gelu_new' for the
#   function that GPT-1 has always had gets a KeyError.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv env
env/bin/pip install --quiet --quiet --no-compile --disable-pip-version-check \
  transformers==4.57.6 torch==2.13.0 numpy==2.4.6

cat > show.py <<'PY'
import math
import torch
from transformers import GPT2Config, GPT2LMHeadModel, OpenAIGPTConfig, OpenAIGPTLMHeadModel

tiny = dict(vocab_size=17, n_positions=12, n_embd=16, n_layer=1, n_head=2)
one = torch.ones(1, dtype=torch.float64)
exact = 0.5 * (1 + math.erf(math.sqrt(0.5)))
by_tanh = 0.5 * (1 + math.tanh(math.sqrt(2 / math.pi) * 1.044715))
first = OpenAIGPTLMHeadModel(OpenAIGPTConfig(**tiny, afn='gelu'))
second = GPT2LMHeadModel(GPT2Config(**tiny, activation_function='gelu'))
found = [float(model.transformer.h[0].mlp.act(one)) for model in (first, second)]
print('gelu(1): GPT-1', round(found[0], 5), 'GPT-2', round(found[1], 5))
print('exact', round(exact, 5), 'by tanh', round(by_tanh, 5))
assert abs(found[0] - by_tanh) < 1e-9 and abs(found[1] - exact) < 1e-9
try:
  OpenAIGPTLMHeadModel(OpenAIGPTConfig(**tiny, afn='gelu_new'))
except KeyError as error:
  print('afn=gelu_new: KeyError', error)
else:
  raise SystemExit('gelu_new is known')
PY
env/bin/python show.py 2> errors.txt || { cat errors.txt; exit 1; }
echo "As described: transformers 4.57.6 computes the tanh form for afn='gelu' of GPT-1."
