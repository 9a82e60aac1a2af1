"""The same problems for BoTorch, pymoo and Optuna: a module each, with a class ``Problem``."""
