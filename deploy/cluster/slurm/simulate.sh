#!/usr/bin/env bash
# 10 million showers of one seed, as 1,000 jobs of one core: mkdir -p log parts && sbatch simulate.sh
# A job that was preempted or ran out of time goes on where it was: submit it again, --array=17,256.
#SBATCH --job-name=showers
#SBATCH --array=0-999
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=1
#SBATCH --mem=1G
#SBATCH --time=06:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=log/%x-%A-%a.log
set -euo pipefail

export GEANT4_DATA_DIR=${GEANT4_DATA_DIR:-/path/to/geant4/data}
count=10000
printf -v part 'parts/%04d.h5' "$SLURM_ARRAY_TASK_ID"

caloforge simulate calogan --particle e+ --energy 1:100GeV --seed 1 \
    --first $((SLURM_ARRAY_TASK_ID * count)) --count "$count" --resume --out "$part"
