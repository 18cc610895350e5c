"""What is compared: files, the showers drawn from them, what is kept of each sample, and its resampling."""
