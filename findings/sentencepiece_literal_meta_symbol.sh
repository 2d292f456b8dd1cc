#!/usr/bin/env bash
# One character alone does not survive sentencepiece without normalisation: U+2581.
# One would guess: with the identity normalisation and byte fallback, decode(encode(text)) gives
#   back every character, whatever it is.
# Versions: sentencepiece 0.2.3.
# Behaviour: of all 1,112,064 code points that are no surrogates, set between two letters,
#   exactly one is lost: U+2581 (lower one eighth block), with which pieces mark a space. It
#   comes back as a space and gives the same ids as a space does.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv env
env/bin/pip install --quiet --quiet --no-compile --disable-pip-version-check sentencepiece==0.2.3

cat > show.py <<'PY'
import io

import sentencepiece

model = io.BytesIO()
sentencepiece.SentencePieceTrainer.train(
  sentence_iterator=iter(['a b c d e', 'x y z a'] * 20), model_writer=model, vocab_size=300,
  model_type='bpe', byte_fallback=True, normalization_rule_name='identity',
  hard_vocab_limit=False, character_coverage=1.0, minloglevel=2)
processor = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())

points = [p for p in range(0x110000) if not 0xD800 <= p < 0xE000]
lost = []
for point in points:
  text = f'a{chr(point)}b'
  if processor.decode(processor.encode(text)) != text:
    lost.append(point)
back = processor.decode(processor.encode('a\u2581b'))
print(len(points), 'code points, not given back:', [f'U+{p:04X}' for p in lost])
assert len(points) == 1112064 and lost == [0x2581] and back == 'a b', (lost, back)
assert processor.encode('a\u2581b') == processor.encode('a b')
PY
env/bin/python show.py
echo 'As described: sentencepiece 0.2.3 gives back every code point but U+2581, which becomes a'
echo 'space.'
