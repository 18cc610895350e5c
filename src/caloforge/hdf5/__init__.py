"""HDF5 files of others: what they claim is held against what they store, and damaged ones end no program."""

from __future__ import annotations

__all__ = ["Dataset", "Hdf5File", "ListDataset", "is_hdf5", "open_hdf5"]

from caloforge.hdf5.file import Dataset, Hdf5File, ListDataset, is_hdf5, open_hdf5
