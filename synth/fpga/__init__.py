"""FPGAs: lookup tables, DSP blocks and memories of designs by family, and their frequency where they can be placed."""
