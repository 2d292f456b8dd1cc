"""Hyper-parameter sweeps: many runs of one config, killed anywhere and continued like one.

  points       lists of points: products, values that change together, seeds
  search       spaces to draw points from
  definition   what `sweep(add)` of a config file says, checked; sweep.json
  trial        one point: one ordinary, resumable run of the launcher in a folder of its own
  tuner        TPE and pruning, by optuna
  controller   hands out the trials and follows them until all have ended
  table        what a person sees meanwhile
  backends     where the trials run: here, under SLURM, or wherever the printed commands go

No cluster is made here: a back-end hands commands to whatever schedules the machines already. The
controller never imports JAX, and what it knows lies in the folder of the sweep:

  sweep.json          what is swept, written once and first: only the same sweep continues it
  results.jsonl       one JSON object a trial, replaced whenever one starts or ends
  trial_017/          the workdir of a trial; one with a result.json is finished
  logs/trial_017.txt  what it printed
  study.journal       what optuna knows, of which the controller is the only writer
  sweep.html          the page, see `vitlab.report.sweep`
"""
