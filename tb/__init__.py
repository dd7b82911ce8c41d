"""Test bench: cocotb drivers, monitors, model and scoreboard, and the regression that runs them."""
