"""Post-training methods that fit a layer's integers to calibration data, one layer after another."""
