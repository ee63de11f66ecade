"""`python -m training.export`."""

from training.export.exporters import main
from training.run.refusing import refusing

if __name__ == "__main__":
    with refusing("export"):
        main()
