"""Stands in for superai.meta_ai: its base class alone."""

from .base.base_ai import BaseAI, BaseModel, BaseModelContext

__all__ = ["BaseAI", "BaseModel", "BaseModelContext"]
