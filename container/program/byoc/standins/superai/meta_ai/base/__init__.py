"""Stands in for superai.meta_ai.base."""

from .base_ai import BaseAI, BaseModel, BaseModelContext

__all__ = ["BaseAI", "BaseModel", "BaseModelContext"]
