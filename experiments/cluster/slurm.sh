#!/bin/bash
# One training on several nodes:  sbatch experiments/cluster/slurm.sh --config=... --workdir=...
#SBATCH --job-name=vitlab
#SBATCH --nodes=4
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=8
#SBATCH --cpus-per-task=32
#SBATCH --time=24:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
# Two minutes before the end, to the steps: save. (Preemption sends SIGTERM by itself.)
#SBATCH --signal=TERM@120

# The batch shell must outlive the SIGTERM that its steps answer.
trap : TERM
srun --kill-on-bad-exit=0 python launch.py --restarts=10 "$@"
code=$?
if [ "$code" = 75 ]; then # saved, not finished: the same job goes on as soon as there is room
  scontrol requeue "$SLURM_JOB_ID"
fi
exit "$code"
