"""What all tables of node.toml share."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

DAY_S = 86_400

Port = Annotated[int, Field(ge=1, le=65535)]
Seconds = Annotated[float, Field(gt=0, le=DAY_S)]


class Section(BaseModel):
    """A table of node.toml: unknown keys are refused, types are not guessed."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        hide_input_in_errors=True,
        allow_inf_nan=False,
    )
