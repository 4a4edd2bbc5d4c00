"""The words of a command line: which stand for themselves, and which are options."""

_FLAGS = ("-h", "--help", "--print_config")


def words_and_options(args: list[str]) -> tuple[list[str], list[str]]:
    """Return the words that stand for themselves, and the options with their values, wherever each stands.

    Every option has one value, as its own word or after `=`. After `--` there are words alone.
    """
    words: list[str] = []
    options: list[str] = []
    while args:
        first, *args = args
        if first == "--":
            return [*words, *args], options
        if not first.startswith("-") or first == "-":
            words.append(first)
            continue
        options.append(first)
        if args and "=" not in first and first not in _FLAGS and not args[0].startswith("--"):
            options.append(args[0])
            args = args[1:]
    return words, options
