#!/usr/bin/env bash
# One file of all parts: sbatch --dependency=afterok:JOB merge.sh
#SBATCH --job-name=merge
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=1
#SBATCH --mem=1G
#SBATCH --time=02:00:00
#SBATCH --output=log/%x-%j.log
set -euo pipefail

caloforge merge parts/ --out positrons.h5
