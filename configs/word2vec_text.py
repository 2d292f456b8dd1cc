"""Word vectors of your own text: which words stand near which.

  command   python launch.py --config=configs/word2vec_text.py:TEXT --workdir=runs/words
  hardware  2 CPU cores
  time      1 min 39 s of training for 3 epochs of 11.5 million words (other work went on beside it)
  reached   WordSim-353 0.44, analogies 16.9 % semantic, 18.6 % syntactic (seed 0, 3 epochs of the
            50,000 reviews of imdb; gensim beside it 0.40, 13.9 %, 19.0 %: experiments/word2vec)

TEXT is a text file, perhaps .gz, or a folder or archive of them; a line is a sentence, and case is
dropped. `cbow` lets the mean of the neighbours predict a word, and not a word its neighbours;
`pairs=wordsim353.csv` and `questions=questions-words.txt` score the vectors while they learn (their
files are not in the package). A short text wants more passes: War and Peace, 566,000 words, reaches
0.26 in the 5 epochs of this file and 0.43 in 20, in a minute. Then

  echo 'king - man + woman' | python launch.py --mode=predict --workdir=runs/words
  python launch.py --mode=export --format=word2vec --workdir=runs/words    for gensim
"""

import pathlib

from ml_collections import ConfigDict

from vitlab.config import base, parse_arg
from vitlab.errors import UserError

README = pathlib.Path(__file__).parents[1] / 'README.md'


def get_config(arg: str | None = None) -> ConfigDict:
  """`path`: the text; `cbow`, `pairs`, `questions`: see above; `smoke`: a run of seconds."""
  arg = parse_arg(arg, path='', cbow=False, pairs='', questions='', smoke=False)
  if not arg.path and not arg.smoke:
    raise UserError('give a text: --config=configs/word2vec_text.py:TEXT, or :smoke for a trial')
  config = base()
  config.duration = '5 epochs'
  config.batch_size = 32  # rows of 1,024 words: many words at once are what makes it fast
  config.data = dict(
    name='word_windows',
    path=arg.path,
    window=5,
    min_count=5,
    max_words=200_000,
    subsample=1e-3,
  )
  config.model = dict(name='word2vec', vocab_size=None, width=100)
  config.task = dict(
    name='embedding',
    counts=None,
    window=None,
    predictor='cbow' if arg.cbow else 'skip_gram',
    negatives=5,
    shared=64,
  )
  # Of a large batch a frequent word gets the sum of hundreds of steps, a rare one a single one:
  # Adagrad gives both the step that suits them, where plain SGD would need small batches.
  config.optim = dict(
    name='adagrad',
    learning_rate=0.5,
    schedule='linear',
    initial_accumulator_value=1e-8,  # or a word that is met once would make a step of 0.5
    eps=1e-10,
  )
  if arg.pairs:
    config.evaluators.similarity = dict(
      name='similarity', pairs=arg.pairs, vocabulary=None, every='20%'
    )
  if arg.questions:
    config.evaluators.analogies = dict(
      name='analogies', questions=arg.questions, vocabulary=None, every='50%'
    )
  if arg.smoke:
    config.duration, config.batch_size = '60 steps', 8
    config.data.update(path=str(README), min_count=2, row=128)
    config.model.width = 16
    config.log_every = '10 steps'
  return config
