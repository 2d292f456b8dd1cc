from vitlab.report import classification, drawers, translation
from vitlab.report.run import Run


def run(task):
  return Run('run', {'task': task} if task else {}, [], {}, {}, {})


def test_runs_have_the_drawer_of_the_kind_that_all_of_them_are():
  classifier, translator = run({'name': 'classification'}), run({'name': 'translation'})
  distilled = run({'name': 'distillation', 'task': {'name': 'classification'}})
  assert drawers.find([classifier, distilled]) is classification
  assert drawers.find([translator]) is translation
  assert drawers.find([classifier, translator]) is None


def test_a_run_that_has_only_begun_does_not_hide_the_others():
  assert drawers.find([run({'name': 'translation'}), run(None)]) is translation
  assert drawers.find([run(None)]) is None


def test_a_kind_without_a_drawer_has_none_nor_has_another_file_of_the_report():
  assert drawers.of('novel') is None
  assert drawers.of('page') is None
