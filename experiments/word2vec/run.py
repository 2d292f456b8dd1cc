"""Word vectors of film reviews beside gensim's: words a second, similarities and analogies.

python experiments/word2vec/run.py ACL_IMDB EVALUATIONS [epochs [seeds [predictor]]]

ACL_IMDB is an archive or folder of the reviews (Maas et al. 2011), EVALUATIONS a folder with
wordsim353.csv and questions-words.txt. Both sides learn 100 numbers a word, window 5, 5 negatives,
sub-sampling at 1e-3, words that occur 5 times or more, the same lower-case words, as many passes;
they take turns. gensim has 2 workers and reads lists in memory, its fastest way under load.
"""

import json
import pathlib
import re
import resource
import subprocess
import sys
import tempfile
import time

import numpy as np

ROOT = pathlib.Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from vitlab.data.archive import open_tree  # noqa: E402
from vitlab.evaluators import analogies, similarity  # noqa: E402
from vitlab.pretrained import word_vectors  # noqa: E402

ROW = 1024  # words of an example of ours
GENSIM = """
import json, sys, time
from gensim.models import Word2Vec
text, output, epochs, seed, skip_gram = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:])
lines = [line.split() for line in open(text)]
model = Word2Vec(vector_size=100, window=5, negative=5, min_count=5, sample=1e-3, workers=2,
                 sg=skip_gram, seed=seed)
model.build_vocab(lines)
start, cpu = time.perf_counter(), time.process_time()
model.train(lines, total_examples=model.corpus_count, epochs=epochs)
seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
model.wv.save_word2vec_format(output, binary=True)
print(json.dumps(dict(words=sum(map(len, lines)) * epochs, seconds=seconds, cpu=cpu)))
"""


def write_text(archive: str, path: pathlib.Path) -> None:
  """The reviews, a line each, in words with a space between them."""
  tree = open_tree(archive)
  with open(path, 'w') as file:
    for number, name in enumerate(tree.names):
      if re.search(r'/(pos|neg)/.*\.txt$', name):
        text = tree(number).decode().replace('<br />', ' ').lower()
        file.write(' '.join(re.findall(r"\w+(?:'\w+)*", text)) + '\n')


def by_gensim(text: pathlib.Path, folder: pathlib.Path, epochs: int, seed: int, skip_gram: bool):
  """(what it took, file of vectors)."""
  output = folder / f'gensim_{seed}.bin'
  command = [sys.executable, '-c', GENSIM, text, output, epochs, seed, int(skip_gram)]
  done = subprocess.run(list(map(str, command)), stdout=subprocess.PIPE, text=True, check=True)
  return json.loads(done.stdout), output


def by_vitlab(text: pathlib.Path, folder: pathlib.Path, epochs: int, seed: int, skip_gram: bool):
  """The same; the time is that of the whole run but reading, compiling and saving."""
  run, output = folder / f'vitlab_{seed}', folder / f'vitlab_{seed}.bin'
  argument = f'path={text}' + ('' if skip_gram else ',cbow')
  command = [sys.executable, ROOT / 'launch.py', f'--workdir={run}']
  options = [f'--config={ROOT}/configs/word2vec_text.py:{argument}', f'--config.seed={seed}']
  options += [f'--config.duration={epochs} epochs']
  before = cpu_of_children()
  subprocess.run([*map(str, command), *options], check=True, stdout=subprocess.DEVNULL)
  cpu = cpu_of_children() - before
  export = ['--mode=export', '--format=word2vec_binary', f'--output={output}']
  subprocess.run([*map(str, command), *export], check=True, stdout=subprocess.DEVNULL)
  result = json.loads((run / 'result.json').read_text())
  words = result['steps'] * 32 * ROW
  seconds = words / ROW / result['examples_per_second']
  return dict(words=words, seconds=seconds, cpu=cpu), output


def cpu_of_children() -> float:
  usage = resource.getrusage(resource.RUSAGE_CHILDREN)
  return usage.ru_utime + usage.ru_stime


def scores(path: pathlib.Path, evaluations: pathlib.Path) -> dict[str, float]:
  """Of a file of vectors, by the evaluators of vitlab, which are gensim's to the digit."""
  words, vectors = word_vectors.read(path)

  def predictions(name, split):
    yield vectors, {}

  asked = [
    similarity.make(str(evaluations / 'wordsim353.csv'), words),
    analogies.make(str(evaluations / 'questions-words.txt'), 30_000, words),
  ]
  found = [evaluate(predictions).metrics for evaluate in asked]
  return dict(
    spearman=found[0]['spearman'],
    semantic=found[1]['semantic_accuracy'],
    syntactic=found[1]['syntactic_accuracy'],
  )


def main(archive: str, evaluations: str, epochs='5', seeds='3', predictor='skip_gram') -> None:
  rows = []
  with tempfile.TemporaryDirectory() as folder:
    text = pathlib.Path(folder) / 'reviews.txt'
    write_text(archive, text)
    for seed in range(int(seeds)):
      for name, train in dict(gensim=by_gensim, vitlab=by_vitlab).items():
        start = time.perf_counter()
        took, path = train(text, pathlib.Path(folder), int(epochs), seed, predictor == 'skip_gram')
        speed = dict(speed=took['words'] / took['seconds'], cpu_speed=took['words'] / took['cpu'])
        found = dict(name=name, seed=seed, **speed, **scores(path, pathlib.Path(evaluations)))
        rows.append(found | dict(minutes=(time.perf_counter() - start) / 60))
        print(json.dumps(rows[-1]), flush=True)
  for name in ('gensim', 'vitlab'):
    mine = [row for row in rows if row['name'] == name]
    keys = [key for key in mine[0] if key not in ('name', 'seed')]
    print(name, {key: f'{np.mean([row[key] for row in mine]):.4g}' for key in keys})


if __name__ == '__main__':
  main(*sys.argv[1:])
