#!/bin/bash
# One training on all hosts of a Cloud TPU slice, with this code and its requirements on each:
#   NAME=my-tpu ZONE=us-central2-b experiments/cluster/tpu_pod.sh --config=... --workdir=/mnt/runs/x
# The workdir lies on a file system that all hosts have mounted (Filestore). Code 75: preempted; the
# same command, on a new slice too, goes on.
set -eu
: "${NAME:?name of the TPU}" "${ZONE:?its zone}"
printf -v flags ' %q' "$@"
exec gcloud compute tpus tpu-vm ssh "$NAME" --zone="$ZONE" --worker=all \
  --command="cd ${FOLDER:-vitlab} && exec python3 launch.py --restarts=10$flags"
