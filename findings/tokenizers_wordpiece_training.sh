#!/usr/bin/env bash
# The same text does not teach the same WordPiece vocabulary twice.
# One would guess: training is a function of the text and the settings, as BpeTrainer without a
#   prefix is, so that a vocabulary can be made again, on another host too.
# Versions: tokenizers 0.22.2.
# Behaviour: WordPieceTrainer numbers the pieces inside words (##a, ##b, ...) in another order in
#   every process, and ties between merges are decided by these numbers. 'dog dig dug bag big bug'
#   with 20 pieces gives several vocabularies in 12 processes, which differ in their numbers. Given
#   all pieces of one letter as special tokens, the 12 are one.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv env
env/bin/pip install --quiet --quiet --no-compile --disable-pip-version-check tokenizers==0.22.2

cat > train.py <<'PY'
import sys
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

kind, given = sys.argv[1], sys.argv[2:]
text = ['dog dig dug bag big bug']
make = dict(wordpiece=(models.WordPiece, trainers.WordPieceTrainer),
            bpe=(models.BPE, trainers.BpeTrainer))
model, trainer = make[kind]
tokenizer = Tokenizer(model(unk_token='[UNK]'))
tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
trainer = trainer(vocab_size=20, special_tokens=['[UNK]', *given], show_progress=False)
tokenizer.train_from_iterator(text, trainer)
vocabulary = tokenizer.get_vocab()
print(' '.join(sorted(vocabulary, key=vocabulary.get)))
PY
several() { for _ in $(seq 12); do env/bin/python train.py "$@"; done | sort | uniq -c; }
echo 'WordPiece:'; several wordpiece | tee wordpiece.txt
echo 'WordPiece, letters given:'
letters='b d a i o u g ##a ##i ##o ##u ##g'
several wordpiece $letters | tee given.txt
echo 'BPE:'; several bpe | tee bpe.txt
test "$(wc -l < wordpiece.txt)" -gt 1
test "$(wc -l < given.txt)" -eq 1
test "$(wc -l < bpe.txt)" -eq 1
echo 'As described: tokenizers 0.22.2 learns another WordPiece vocabulary in every process, unless'
echo 'its pieces of one letter are given; of BPE it learns the same.'
