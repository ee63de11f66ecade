"""`python -m training.export`."""

from training.export.exporters import main

if __name__ == "__main__":
    main()
