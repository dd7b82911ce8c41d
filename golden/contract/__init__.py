"""The contract between hardware, model, benches and synthesis: configurations, presets, rounding, errors."""
