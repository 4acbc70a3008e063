"""What each command does: from parsed arguments to an `Outcome`; nothing is printed here.

One module per group of commands; its `add_commands` describes them to the parser.
"""
