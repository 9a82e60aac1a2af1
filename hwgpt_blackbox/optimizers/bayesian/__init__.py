"""The Bayesian methods: RSBO, LSBO, EHVI."""
