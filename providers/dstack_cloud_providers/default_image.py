"""The image that the providers run on when the workflow names none."""

from __future__ import annotations

from dstack_cloud.spec import ProviderContext

DEFAULT_VERSION = "3.10"


def default_image(context: ProviderContext) -> str:
    """The configuration's image, else the published one for the Python version.

    With GPUs it is the variant with CUDA: ``dstackai/miniconda:3.10-cuda-11.1``, as the published
    providers name it.
    """
    if context.default_image:
        return context.default_image
    variant = "-cuda-11.1" if context.gpu else ""
    return f"dstackai/miniconda:{context.version or DEFAULT_VERSION}{variant}"
