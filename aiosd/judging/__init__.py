"""Policies without a daemon: what a file would decide, whether its examples hold, what is in force, what would flip.

For the client's verbs below `aios policy`. It decides as the guard does, by the same code, and runs nothing.
"""
