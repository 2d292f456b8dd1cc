"""The classes of COCO, by which detectors are published whose files do not name them."""

from collections.abc import Sequence

_NAMES = """
person, bicycle, car, motorcycle, airplane, bus, train, truck, boat, traffic light, fire
hydrant, stop sign, parking meter, bench, bird, cat, dog, horse, sheep, cow, elephant, bear,
zebra, giraffe, backpack, umbrella, handbag, tie, suitcase, frisbee, skis, snowboard, sports
ball, kite, baseball bat, baseball glove, skateboard, surfboard, tennis racket, bottle, wine
glass, cup, fork, knife, spoon, bowl, banana, apple, sandwich, orange, broccoli, carrot, hot
dog, pizza, donut, cake, chair, couch, potted plant, bed, dining table, toilet, tv, laptop,
mouse, remote, keyboard, cell phone, microwave, oven, toaster, sink, refrigerator, book, clock,
vase, scissors, teddy bear, hair drier, toothbrush
"""
NAMES = tuple(_NAMES.strip().replace('\n', ' ').split(', '))
# Of the file; ten of 1 to 90 are of no class.
IDS = tuple(i for i in range(1, 91) if i not in (12, 26, 29, 30, 45, 66, 68, 69, 71, 83))
# Number of logits -> the id of the first: all ids from 1 (torchvision) or from 0 (DETR).
_FIRST = {90: 1, 91: 0}


def ids(count: int) -> tuple[int, ...]:
  """The id in COCO's file of each of so many classes; empty where they are none of COCO's."""
  if count == len(IDS):  # the classes alone, as YOLOX counts them
    return IDS
  return tuple(range(_FIRST[count], 91)) if count in _FIRST else ()


def names(count: int) -> tuple[str, ...]:
  """Their names, 'id 12' where there is no class; empty where they are none of COCO's."""
  known = dict(zip(IDS, NAMES))
  return tuple(known.get(i, f'id {i}') for i in ids(count))


def are(given: Sequence[str], count: int) -> bool:
  """Whether so many classes are COCO's, if they are named at all."""
  known = tuple(name for name in given if name in NAMES)
  return bool(ids(count)) and (not given or known == NAMES)
