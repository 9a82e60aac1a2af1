"""Problems, and methods that search them in simulated time.

``problems`` says what is optimised, ``runs`` makes one search and ``grid_execution`` many,
``results`` is what they leave, ``figures`` and ``report`` show it.
"""
