"""The command line: `sgi2v`, one module a command."""
