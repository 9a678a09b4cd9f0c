"""What settings in more than one place are written as, each with the form that it must have."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from entrepot.config import forms
from entrepot.config.units import Amount, Seconds

__all__ = ["Pattern", "PositiveAmount", "PositiveSeconds", "Text"]

Text = Annotated[str, Meta(extra={"form": forms.check_text})]
Pattern = Annotated[str, Meta(extra={"form": forms.check_pattern})]
PositiveSeconds = Annotated[Seconds, Meta(extra={"form": forms.check_positive})]
PositiveAmount = Annotated[Amount, Meta(extra={"form": forms.check_positive})]
