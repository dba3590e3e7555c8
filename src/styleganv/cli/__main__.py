"""`python -m styleganv.cli` is the command line, too."""

from styleganv.cli import main

if __name__ == "__main__":
    main()
