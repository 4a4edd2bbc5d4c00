"""What the command line does before and around a verb: its words, configs, checks, and what is said of mistakes."""
