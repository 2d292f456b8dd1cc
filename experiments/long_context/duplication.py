"""Table 2 of the Reformer: trained with some rounds of hashing, evaluated with others.

  python experiments/long_context/duplication.py [--length=128] [--steps=600] [--output=FOLDER]

Trains `configs/reformer_duplication.py` with full attention and with 4, 2 and 1 rounds of hashing,
evaluates each with full attention and 8, 4, 2 and 1 rounds, and leaves the accuracy of the symbols
to be said again as a table on standard output and in `duplication.json`. Run again, it continues.
"""

import argparse
import json
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
TRAINED, EVALUATED = (0, 4, 2, 1), (0, 8, 4, 2, 1)  # rounds; 0: full attention


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
  parser.add_argument('--length', type=int, default=128)
  parser.add_argument('--steps', type=int, default=600)
  parser.add_argument('--output', type=pathlib.Path, default=pathlib.Path('runs/duplication'))
  parser.add_argument('--smoke', action='store_true', help='a minute, of rows of 16')
  values = parser.parse_args()
  size, table = f'length={values.length},steps={values.steps}', {}
  for rounds in TRAINED:
    run = values.output / named(rounds)
    words = f'hashes={rounds},' + ('smoke' if values.smoke else size)
    launch(f'--config={ROOT}/configs/reformer_duplication.py:{words}', f'--workdir={run}')
    table[named(rounds)] = {named(other): evaluated(run, other) for other in EVALUATED}
  (values.output / 'duplication.json').write_text(json.dumps(table, indent=1))
  print('| trained with | ' + ' | '.join(map(named, EVALUATED)) + ' |')
  print('|---' * (len(EVALUATED) + 1) + '|')
  for name, row in table.items():
    print(f'| {name} | ' + ' | '.join(f'{100 * x:.1f}' for x in row.values()) + ' |')


def named(rounds: int) -> str:
  return f'LSH-{rounds}' if rounds else 'full'


def evaluated(run: pathlib.Path, rounds: int) -> float:
  """The accuracy of a run, looked at with so many rounds."""
  output = run / f'{named(rounds)}.json'
  kind = 'lsh' if rounds else 'full'
  launch(
    '--mode=eval',
    f'--workdir={run}',
    f"--config.model.attn_layers=('{kind}',)",
    f'--config.model.num_hashes={rounds or 1}',
    f'--output={output}',
  )
  return json.loads(output.read_text())['test/token_accuracy']


def launch(*arguments: str) -> None:
  command = [sys.executable, str(ROOT / 'launch.py'), *arguments]
  subprocess.run(command, check=True, stdout=sys.stderr)


if __name__ == '__main__':
  main()
