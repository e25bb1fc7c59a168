"""Short/long mixtures D(p_cot): one YAML (`spec`) → demonstrations, RL prompts and test problems (`build`)."""
