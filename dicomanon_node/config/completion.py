"""What node.toml may say of complete studies and of retention; see `model`."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from dicomanon_node.config.section import DAY_S, Seconds, Section
from dicomanon_node.config.values import Argument, HookUrl, OptionalKeyPath, OptionalPath


class Completion(Section):
    """When a study is complete, and who is told. Needs the ledger."""

    enabled: bool = False
    """Whether it is looked for complete studies."""
    after: Literal["received", "delivered"] = "received"
    """Complete once nothing more comes, or once the destinations have it, too."""
    quiet_s: Seconds = 120.0
    """Seconds without another instance after which a study is complete."""
    on_association_close: bool = False
    """Whether it is complete as soon as the associations that brought it have ended."""
    hook_command: Annotated[tuple[Argument, ...], Field(strict=False)] = ()
    """Program and arguments to run for each; none is none. Never a shell."""
    hook_url: HookUrl = ""
    """Address to POST to for each, http or https; "" is none."""
    hook_ca_file: OptionalPath = None
    """PEM file with the CAs that its server is known by; left out: those of the system."""
    hook_key_file: OptionalKeyPath = None
    """File with the key that signs what is posted, as [secrets] key_file; left out: unsigned."""
    hook_timeout_s: Seconds = 60.0
    """Seconds a hook may take."""
    hook_retry_s: Seconds = 10.0
    """Seconds until a hook that failed is tried again; doubled each time, up to an hour."""
    hook_give_up_s: Annotated[float, Field(gt=0, le=366 * DAY_S)] = 7.0 * DAY_S
    """Seconds after which it is not tried again."""
    studylist: OptionalPath = None
    """File with a line for each complete study in outgoing; "" is none."""

    @model_validator(mode="after")
    def _program_can_be_found(self) -> Self:
        program = self.hook_command[0] if self.hook_command else ""
        if "/" in program and not program.startswith("/"):
            raise ValueError("hook_command needs an absolute path, or a name found in PATH")
        return self


class Retention(Section):
    """How long de-identified objects stay in outgoing. Nothing undelivered is ever removed."""

    outgoing_days: Annotated[int, Field(ge=0, le=36_500)] = 0
    """Days after which an object is removed from outgoing; 0 keeps it."""
