"""A bundle for programs in C++: a sampler of our own, and what the hosts that load ONNX files expect."""

from __future__ import annotations

__all__ = ["HOSTS", "export_cpp", "export_host"]

from caloforge.deploy.native.cpp import export_cpp
from caloforge.deploy.native.hosts import HOSTS, export_host
