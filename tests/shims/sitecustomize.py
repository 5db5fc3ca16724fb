"""Lets a CUDA build of torchvision import beside a CPU build of torch, for the tests' Qwen3-VL only.

torchvision registers fake kernels for two operators that its compiled part, which does not load here, would have
defined. Declaring them first is enough for its Python part, which is all that vLLM's Qwen3-VL needs. On the PYTHONPATH
of a process, and so of every process that vLLM starts, this is imported before anything else.
"""

import importlib.abc
import importlib.machinery
import sys


class _DeclareFirst(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name == "torchvision":
            sys.meta_path.remove(self)
            import torch

            library = torch.library.Library("torchvision", "DEF")
            library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
            library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
            self.library = library
            sys._capgen_torchvision_library = library


sys.meta_path.insert(0, _DeclareFirst())
