"""Average precision of a detector: COCO's twelve numbers, by pycocotools, and Pascal VOC's two."""

from collections.abc import Callable

from vitlab.errors import UserError
from vitlab.evaluators import Predictions, Result, _coco_numbers, _confused, _detected, _voc_numbers

LEADS = 'ap'
LIMITS = (1, 10, 100)  # of COCO


def make(
  num_classes: int,
  split: str = 'test',
  prediction: str = 'detections',
  nms_iou: float | None = None,
  score_threshold: float = 0.0,
  max_detections: int = 100,
  voc: bool = False,
) -> Callable[[Predictions], Result]:
  """Measures what is found against the annotations of the files, in pixels of the files' pictures.

  Args:
    num_classes: Of the model.
    split: Of pictures with `truth`.
    prediction: 'detections', or 'candidates': those that the model's own suppression is to see.
    nms_iou: Overlap with a surer box of its class above which a box is dropped first; None drops
      none. It comes on top of what the model does itself.
    score_threshold: Lowest score that counts.
    max_detections: How many boxes of a class count in a picture, the surest; COCO's is 100.
    voc: Whether to add the two numbers of Pascal VOC.

  Metrics: ap, the mean over ten overlaps from 0.5 to 0.95, all classes of which there are objects,
  and 101 recalls; ap50 and ap75 at one overlap; ap_small, ap_medium, ap_large of objects up to 32
  and 96 pixels wide and high; ar1, ar10, ar100, the recall with so many boxes of a class in a
  picture (the last is max_detections), ar_small, ar_medium, ar_large. Of a size that no object has
  there is no number, where pycocotools says -1. Nothing found: 0. With `voc`: ap50_voc2007 of
  eleven points and ap50_voc2012, the area, for which difficult objects need not be found; COCO's
  numbers know none, and count them as others. f1, precision and recall at the score from which on
  f1 is best, of all classes together at an overlap of 0.5.

  Details, at an overlap of 0.5, with examples by their index in the split and boxes as left, top,
  right, bottom in pixels of the file's picture:
    class_ap, class_ap50, class_recall50: [classes], NaN where there is no object (class_ap: over
      the ten overlaps). class_count: [classes] objects that count.
    sizes: [4] 'all', 'small', 'medium', 'large'.
    curve_recall: [101]. curve_precision, curve_score: [classes, sizes, 101] the best precision at
      that recall or higher, 0 where it is not reached, and the score that gives it; NaN where there
      is no object.
    score, f1, precision, recall: the score of the best f1, infinite if nothing right is found, and
      the three at it. All that follows is of what is found from this score on.
    confusion: [classes + 1, classes + 1] int32, objects by what they are found as; the last row is
      what is found where nothing is, the last column what is missed.
    picture_index, picture_right, picture_confused, picture_missed, picture_false: [pictures] int32.
    worst_index, worst_size: [at most 32] the pictures with most errors, those first; [.., 2] height
      and width of the files.
    found_picture, found_boxes, found_scores, found_classes, found_outcome: the surest 64 boxes of
      each of these: place in worst_index; ...; 0 right, 1 wrong class, 2 nothing there, 3 does not
      count (on a crowd or a difficult object), -1 below the score.
    truth_picture, truth_boxes, truth_classes, truth_crowd, truth_outcome: their objects; 0 right,
      1 wrong class, 2 missed, 3 does not count.

  Raises:
    UserError: an argument out of its range, no object in the split or one of another class, a box
      or a score that is not finite.
  """
  _check(nms_iou, max_detections)
  limits = [n for n in LIMITS[:-1] if n < max_detections] + [max_detections]

  def evaluate(predictions: Predictions) -> Result:
    pictures = []
    for picture in _detected.read(predictions(prediction, split), num_classes):
      picture = picture.kept(picture.scores >= score_threshold)
      pictures.append(picture if nms_iou is None else _detected.suppressed(picture, nms_iou))
    measured = _coco_numbers.measure(pictures, num_classes, limits) if pictures else None
    if measured is None or not measured.objects.any():
      raise UserError(
        f'the split {split!r} has no object to be found in {len(pictures)} pictures'
        '\nchoose another split, or evaluate without average_precision'
      )
    metrics, best = _coco_numbers.metrics(measured, limits), _coco_numbers.operating_point(measured)
    metrics |= {name: best[name] for name in ('f1', 'precision', 'recall')}
    if voc:
      metrics |= _voc_numbers.metrics(pictures, num_classes)
    judged = [_confused.judge(picture, best['score']) for picture in pictures]
    details = _coco_numbers.details(measured) | best | _confused.by_picture(judged)
    details |= dict(confusion=_confused.confusion(judged, num_classes))
    return Result(metrics, details | _confused.worst(judged, pictures, best['score']))

  return evaluate


def _check(nms_iou: float | None, max_detections: int) -> None:
  if nms_iou is not None and not 0 <= nms_iou <= 1:
    raise UserError(
      f'average_precision(nms_iou={nms_iou}): possible is None, or a number in [0, 1]'
    )
  if max_detections < 1:
    raise UserError(f'average_precision(max_detections={max_detections}): expected 1 or more')
