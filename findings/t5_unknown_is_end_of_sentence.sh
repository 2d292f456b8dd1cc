#!/usr/bin/env bash
# An unknown character in the middle of a text becomes the end of the sentence.
# One would guess: T5Tokenizer reads the ids of the special pieces from the sentencepiece model
#   it is given, for it reports the right ones.
# Versions: transformers 5.23.0, sentencepiece 0.2.3, protobuf 7.36.1 (no PyTorch needed).
# Behaviour: the model below has padding 0, beginning 1, end 2, unknown 3. T5Tokenizer reports
#   unk_token_id 3 and eos_token_id 2, yet encodes the unknown letter Z as 2, the id of </s>;
#   sentencepiece itself gives 3. In the order of the T5 models (padding 0, end 1, unknown 2)
#   nothing is to be seen: 2 is right there.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv env
env/bin/pip install --quiet --quiet --no-compile --disable-pip-version-check \
  transformers==5.23.0 sentencepiece==0.2.3 protobuf==7.36.1

cat > show.py <<'PY'
import os

import sentencepiece
import transformers

lines = ['the cat sat on the mat', 'a dog ran to the park'] * 20

def encode(folder, text, **ids):
  os.mkdir(folder)
  with open(f'{folder}/spiece.model', 'wb') as model:
    sentencepiece.SentencePieceTrainer.train(
      sentence_iterator=iter(lines), model_writer=model, vocab_size=40, model_type='unigram',
      hard_vocab_limit=False, minloglevel=2, **ids)
  plain = sentencepiece.SentencePieceProcessor(model_file=f'{folder}/spiece.model')
  t5 = transformers.T5Tokenizer.from_pretrained(folder)
  reported = {'unknown': t5.unk_token_id, 'end': t5.eos_token_id}
  return plain.encode(text), t5(text, add_special_tokens=False).input_ids, reported

plain, t5, reported = encode('other', 'cat Z sat', pad_id=0, bos_id=1, eos_id=2, unk_id=3)
print('sentencepiece', plain, 'T5Tokenizer', t5, 'which reports', reported)
assert reported == {'unknown': 3, 'end': 2}, reported
assert plain.count(3) == 1 and plain.count(2) == 0, plain
assert t5 == [2 if i == 3 else i for i in plain], t5
plain, t5, reported = encode('usual', 'cat Z sat', pad_id=0, eos_id=1, unk_id=2, bos_id=-1)
print('in the order of T5: sentencepiece', plain, 'T5Tokenizer', t5)
assert t5 == plain and reported == {'unknown': 2, 'end': 1}, (plain, t5)
PY
env/bin/python show.py
echo 'As described: T5Tokenizer of transformers 5.23.0 encodes an unknown character as 2 (here'
echo '</s>), not as its unk_token_id 3.'
