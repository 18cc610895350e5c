#!/usr/bin/env bash
# One training on 4 machines with 8 processes each, which share every batch: sbatch train.sh
#SBATCH --job-name=train
#SBATCH --nodes=4
#SBATCH --ntasks-per-node=8
#SBATCH --cpus-per-task=1
#SBATCH --mem-per-cpu=4G
#SBATCH --time=12:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=log/%x-%j.log
set -euo pipefail

export OMP_NUM_THREADS=1
srun python -m caloforge train conv2d-tuned --data positrons.h5 --out run --resume
