#!/usr/bin/env bash
# Perfect boxes get an AP of 0.25 because annotations are counted from 0.
# One would guess: the COCO file that globox writes can be scored by pycocotools, and detections
#   equal to the truth have AP 1.
# Versions: globox 2.9.0, pycocotools 2.0.11, numpy 2.4.6.
# Behaviour: with auto_ids globox numbers annotations from 0. pycocotools notes the id of the
#   matched annotation for each detection and takes 0 for "no match", so the first annotation of
#   the set can never be found: two perfect detections of two boxes score AP 0.2525 (51/101 by
#   recall, halved by precision). With 1 added to every annotation id: AP 1. Neither side warns;
#   ids of images and categories may be 0.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv env
env/bin/pip install --quiet --quiet --no-compile --disable-pip-version-check \
  globox==2.9.0 pycocotools==2.0.11 numpy==2.4.6

cat > show.py <<'PY'
import contextlib
import io
import json

from globox import Annotation, AnnotationSet, BoundingBox
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

boxes = [BoundingBox(label='cat', xmin=10, ymin=10, xmax=50, ymax=50),
         BoundingBox(label='cat', xmin=60, ymin=60, xmax=90, ymax=90)]
AnnotationSet([Annotation('one.png', (100, 100), boxes)]).save_coco('truth.json', auto_ids=True)

def average_precision(shift):
  with open('truth.json') as file, contextlib.redirect_stdout(io.StringIO()):
    truth = COCO()
    truth.dataset = json.load(file)
    ids = [a['id'] for a in truth.dataset['annotations']]
    detections = [{'image_id': a['image_id'], 'category_id': a['category_id'],
                   'bbox': list(a['bbox']), 'score': 0.9 - 0.1 * a['id']}
                  for a in truth.dataset['annotations']]
    for annotation in truth.dataset['annotations']:
      annotation['id'] += shift
    truth.createIndex()
    evaluation = COCOeval(truth, truth.loadRes(detections), 'bbox')
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
  return ids, round(float(evaluation.stats[0]), 4)

ids, as_written = average_precision(0)
_, from_one = average_precision(1)
print('ids by globox', ids, 'AP', as_written, 'and with ids from 1', from_one)
assert (ids, as_written, from_one) == ([0, 1], 0.2525, 1.0), (ids, as_written, from_one)
PY
env/bin/python show.py
echo 'As described: pycocotools 2.0.11 cannot match the annotation 0 that globox 2.9.0 writes (AP'
echo '0.2525, not 1).'
