"""Subcommands of `lewm`, one thin module each; library functions do the work."""
