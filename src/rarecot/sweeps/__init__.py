"""Sweeps: one YAML, many runs. `spec` says which, `plan` checks them and writes them down, `local` and `slurm` run them."""
