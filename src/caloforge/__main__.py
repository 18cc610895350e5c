"""`python -m caloforge`, which `torchrun -m` starts in several processes."""

from caloforge.cli.main import main

if __name__ == "__main__":
    main()
