"""``python -m capgen.cli``, for launchers that start a module."""

from capgen.cli.main import main

if __name__ == "__main__":
    main()
