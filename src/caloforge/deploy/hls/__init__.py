"""The dense network of a bundle for an FPGA, through hls4ml."""

from __future__ import annotations

__all__ = ["HlsExport", "export_hls"]

from caloforge.deploy.hls.export import HlsExport, export_hls
