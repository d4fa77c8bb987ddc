"""The peers of bench/run.py: what somebody writes by hand, for each cloud.

A cloud's module has ``NAME``, ``prepare`` (once, unmeasured: the environment of its script) and
``end`` (the machine that the script has left, unmeasured).
"""
