"""The paper's autoregressive linear model (PAPER §3), run: next-token prediction by averaged SGD, then STaR.

d input bits x in {±1}^d, uniformly random. Demonstrations: with probability p long, y = (x_1, x_1 x_2, …, x_1⋯x_d, EOS),
else short, y = (x_1⋯x_d, EOS). One linear predictor a position.

    model.py        the policy: scores, exact mode probabilities, greedy decoding, sampling
    sgd.py          demonstrations and the averaged SGD that pre-trains on them
    optimum.py      the regularised optima that SGD goes to, exactly
    star.py         post-training by STaR with the chain reward
    spec.py         an experiment's options
    experiments.py  the experiments: options in, rows out
"""
