"""Client of LrtMesh: the contract `lrtmesh.v1` as generated stubs, and a thin layer for tensors, streams and errors."""

from . import aio, tensors, v1
from .channels import Profile
from .errors import ErrorDetails, details
from .hidden_states import HiddenStates
from .mesh import Mesh

__all__ = ["ErrorDetails", "HiddenStates", "Mesh", "Profile", "aio", "details", "tensors", "v1"]
