"""The parts of a page about a detector; an empty body means that the run does not have it."""

from collections.abc import Sequence

import numpy as np

from vitlab.report import confusion as confusion_lib
from vitlab.report import figures as figures_lib
from vitlab.report import paint
from vitlab.report.confusion import percent
from vitlab.report.detection import figures
from vitlab.report.detection.collected import OVERLAP, Pictures, Seen
from vitlab.report.detection.figures import Arrays, class_names
from vitlab.report.figures import finite
from vitlab.report.markup import Section, bar, breakable, escape, figure, number, table
from vitlab.report.run import Run

NOT_MEASURED = 'no evaluation of detections was stored'
NO_PICTURES = 'no pictures were collected'
BACKGROUND = 'background'
MATCHING = 'rematched'  # a metric of `vitlab.ops.set_loss`
WEAKEST = 24  # classes in the table, of more than that


def parts(run: Run, seen: Pictures | None) -> list[Section]:
  """What is found where, how surely, what for what, and what the model looks at."""
  details, names, pictures = figures.arrays(run), class_names(run), seen or Pictures()
  return [
    _boxes(details, names, pictures),
    _precision(details, names),
    _classes(details, names),
    _confusion(details, names),
    *looked(pictures.seen, names, figures.threshold(details)),
    _matching(run),
  ]


def looked(seen: Sequence[Seen], names: Sequence[str], score: float) -> list[Section]:
  """What a model was asked about pictures.

  Args:
    seen: The pictures.
    names: Of the classes.
    score: The lowest that counts where boxes are suppressed.
  """
  return [_queries(seen, names), _suppression(seen, score)]


def compared(runs: Sequence[Run], seen: Sequence[Pictures] = ()) -> list[Section]:
  """Precision and recall of all runs, the mean over classes."""
  del seen  # everything is in the small files
  lines = []
  for place, run in enumerate(runs):
    found = figures.precision(figures.arrays(run), class_names(run))
    if found:
      lines.append(found['sizes'][0] | dict(name=run.name, run=place))
  note = (
    'How many of the answers are right against how many objects are found, the mean over classes.'
  )
  body = figure('precision', dict(panels=[dict(title='', lines=lines)])) if lines else ''
  return [Section('Precision and recall', note if lines else NOT_MEASURED, body)]


def _boxes(details: Arrays, names: Sequence[str], pictures: Pictures) -> Section:
  found = figures.boxes(details, names, pictures)
  if found is None:
    reason = 'the model makes no mistake' if 'worst_index' in details else NOT_MEASURED
    return Section('Boxes', reason, '')
  counts = {
    kind: int(details[f'picture_{kind}'].sum()) for kind in ('right', 'confused', 'missed', 'false')
  }
  note = (
    'What there is and what is found; pictures with most mistakes come first. A box is right if '
    f'it overlaps an object of its class by half (IoU). From a score of {found["score"]:.2f} on, '
    f'{_best(details)}{number(counts["right"])} objects are found, '
    f'{number(counts["confused"])} taken for others and {number(counts["missed"])} missed; '
    f'{number(counts["false"])} boxes are around nothing.'
  )
  return Section('Boxes', note, figure('boxes', found))


def _best(details: Arrays) -> str:
  return 'where F1 is best, ' if np.isfinite(details['score']) else ''


def _precision(details: Arrays, names: Sequence[str]) -> Section:
  title, found = 'Precision and recall', figures.precision(details, names)
  if found is None:
    return Section(title, NOT_MEASURED, '')
  by_class = [line | dict(run=i) for i, line in enumerate(found['classes'])]
  by_size = [line | dict(run=i) for i, line in enumerate(found['sizes'])]
  shown = len(by_class)
  which = '' if found['known'] == shown else f', the {shown} of {found["known"]} with most objects'
  panels = [
    dict(title=f'by class{which}', lines=by_class),
    dict(title='by size of the object, the mean over classes', lines=by_size),
  ]
  note = (
    'How many of the answers are right (precision) against how many objects are found (recall), as '
    'the score that counts falls, at an overlap (IoU) of 0.5. The area is AP50. Small objects are '
    'up to 32 pixels wide and high, medium ones up to 96.'
  )
  return Section(title, note, figure('precision', dict(panels=panels)))


def _classes(details: Arrays, names: Sequence[str]) -> Section:
  if 'class_ap' not in details:
    return Section('Classes', NOT_MEASURED, '')
  columns = [details[key] for key in ('class_ap', 'class_ap50', 'class_recall50')]
  counts, names = details['class_count'], confusion_lib.named(names, len(columns[0]))
  order = np.argsort(columns[0], kind='stable').tolist()  # NaN stands last
  shown = order[:WEAKEST] if len(order) > WEAKEST else range(len(order))
  rows = []
  for i in shown:
    shares = [finite(float(column[i])) for column in columns]
    rows.append(
      [breakable(names[i]), *(bar(x, percent(x)) for x in shares), number(int(counts[i]))]
    )
  which = f'The {len(rows)} weakest of {len(order)}. ' if len(rows) < len(order) else ''
  note = (
    f'{which}AP: the mean over overlaps from 0.5 to 0.95, of which AP50 is the first. Recall: how '
    'many are found at all, at an overlap of 0.5.'
  )
  head = ['', 'AP', 'AP50', 'Recall', 'Objects']
  return Section('Classes', note, table(head, rows, 'Average precision by class'))


def _confusion(details: Arrays, names: Sequence[str]) -> Section:
  if 'confusion' not in details:
    return Section('Confusion', NOT_MEASURED, '')
  counts = details['confusion']
  names = [*confusion_lib.named(names, len(counts) - 1), BACKGROUND]
  note = (
    'What is missed is taken for background, and background for an object where there is none; '
    f'from a score of {figures.threshold(details):.2f} on.'
  )
  found = confusion_lib.confusion(dict(confusion=counts), names)
  axes = 'Rows are what there is, columns what is found'
  return confusion_lib.section('Confusion', found, note, axes)


def _queries(seen: Sequence[Seen], names: Sequence[str]) -> Section:
  found = [shown for one in seen if (shown := figures.queries(one, names))]
  if not found:
    asked = any(one.look for one in seen)
    reason = 'it is sure of nothing' if asked else 'the model has no object queries'
    return Section('Queries', reason if seen else NO_PICTURES, '')
  note = (
    'Where the query of an answer looks, by layer and head of the decoder: choose an answer.'
    + ' Click into the picture to see where the encoder looks from there instead.'
    * bool(found[0]['places'])
    + ' Each map is scaled to its own maximum. <span class="legend">least <i></i> most</span>'
  )
  return Section('Queries', note, figure('queries', dict(pictures=found)))


def _matching(run: Run) -> Section:
  """How the matching of queries and objects settles over the training."""
  title, charts = 'Matching', figures_lib.curves([run]) or []
  charts = [chart for chart in charts if chart['metric'] == MATCHING]
  if not charts:
    return Section(title, 'nothing is matched, or by one layer alone', '')
  note = (
    'How many objects of the training pictures are matched with another query behind the last '
    'layer of the decoder than behind the one before it. It falls as queries settle on what they '
    'find.'
  )
  drawn = figure('curves', dict(runs=[run.name], charts=charts))
  return Section(title, note, f'<div class="wide">{drawn}</div>')


def _suppression(seen: Sequence[Seen], score: float) -> Section:
  title = 'Suppression'
  if not seen:
    return Section(title, NO_PICTURES, '')
  sure = [one.candidates.kept[one.candidates.scores >= score] for one in seen]
  total, lost = sum(map(len, sure)), sum(int((~kept).sum()) for kept in sure)
  if not total:
    return Section(title, f'no candidate has a score of {score:.2f} or more', '')
  answered = sum(int((one.found.scores >= score).sum()) for one in seen)
  note = (
    f'Non-maximum suppression would remove {number(lost)} of {number(total)} candidates with a '
    f'score of {score:.2f} or more in {len(sure)} pictures: they overlap a surer one of their '
    f'class by more than {OVERLAP:g} (grey). The model answers {number(answered)}.'
  )
  tiles = ''.join(_candidates(one, score) for one in seen)
  return Section(title, note, f'<div class="windows found">{tiles}</div>')


def _candidates(one: Seen, score: float) -> str:
  height, width = one.image.shape[:2]
  small = ' class="pixels"' * (max(height, width) <= paint.SMALL)
  sure = one.candidates.scores >= score
  boxes, kept = one.candidates.boxes[sure], one.candidates.kept[sure]
  order = np.argsort(kept, kind='stable')  # those that stay lie on top
  drawn = ''.join(_rectangle(boxes[i], 'said' if kept[i] else 'lost') for i in order)
  picture = f'<img{small} src="{paint.photograph(one.image)}" alt="{escape(one.name)}">'
  svg = (
    f'<svg viewBox="0 0 {width} {height}" preserveAspectRatio="none" aria-hidden="true">{drawn}'
    '</svg>'
  )
  caption = f'{breakable(one.name)}: {int(kept.sum())} stay, {int((~kept).sum())} go'
  scene = f'<div class="scene">{picture}{svg}</div>'
  return f'<figure>{scene}<figcaption>{caption}</figcaption></figure>'


def _rectangle(box: np.ndarray, kind: str) -> str:
  left, top, right, bottom = np.round(box.astype(float), 1).tolist()
  place = f'x="{left}" y="{top}" width="{right - left:.1f}" height="{bottom - top:.1f}"'
  return f'<rect class="under" {place}/><rect class="{kind}" {place}/>'
