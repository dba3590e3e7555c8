"""`python -m styleganv` is the command line."""

from styleganv.cli import main

if __name__ == "__main__":
    main()
