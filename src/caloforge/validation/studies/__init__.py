"""One file per question that a validation asks of the samples."""
