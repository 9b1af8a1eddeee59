"""`python -m memoryd_cli`: the same command, for processes that start each other without a path to look it up on."""

from memoryd_cli.main import main

if __name__ == "__main__":
    main()
