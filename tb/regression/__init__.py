"""The regression: jobs, simulators, reports."""
