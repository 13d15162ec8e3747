"""Which study an object belongs to, and so which rules hold for it.

    StationName -> station rule -> value of its TagForStudy -> (split) -> study

A station or study that is not configured falls to the default ones. A value that
is missing does too, unless `[routing] on_missing = "refuse"`. This module reads the
object's header and changes nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from dicomanon_node.deid import charset
from dicomanon_node.deid.elements import Elements
from dicomanon_node.deid.plan import Plan
from dicomanon_node.deid.rules import StationRule
from dicomanon_node.errors import Reason, Refused

DEFAULT_STATION = "default"

_SPECIFIC_CHARACTER_SET = 0x00080005
_STATION_NAME = 0x00081010
_SERIES_DESCRIPTION = 0x0008103E
# Siemens sends its protocol as an SR of this description, full of identity in blobs.
_PHOENIX = "PHOENIXZIPREPORT"


@dataclass(frozen=True, slots=True)
class Route:
    """Where an object goes.

    Attributes:
        plan: The study's compiled rules; `plan.rules.name` is the study.
        is_by_default: A value that routes was missing, and the default was taken.
    """

    plan: Plan
    is_by_default: bool


@dataclass(frozen=True, slots=True)
class FixedRoute:
    """What a called AE title fixes: the study, or the station rule."""

    study: str | None = None
    station: str | None = None


class Router:
    """Routes objects. Immutable, so thread-safe.

    Args:
        stations: Station rules by StationName; "default" must be there.
        plans: Compiled rules by study name.
        default_study: The study of objects whose own is not configured.
        refuses_missing: Refuse where StationName or the study's tag is missing.
        fixed: What called AE titles fix.
    """

    def __init__(
        self,
        stations: Mapping[str, StationRule],
        plans: Mapping[str, Plan],
        default_study: str,
        *,
        refuses_missing: bool = False,
        fixed: Mapping[str, FixedRoute] | None = None,
    ) -> None:
        self._stations = stations
        self._stations_folded = {name.casefold(): rule for name, rule in stations.items()}
        self._plans = plans
        self._plans_folded = {name.casefold(): plan for name, plan in plans.items()}
        self._default_study = default_study
        self._refuses_missing = refuses_missing
        self._fixed = fixed or {}

    def route(self, elements: Elements, called_aet: str) -> Route:
        """The study of an object.

        Args:
            elements: The original's top-level elements (PHI).
            called_aet: The AE title it was sent to.

        Raises:
            Refused: NO_STATION, NO_STUDY, PHOENIX_REPORT.
        """
        fixed = self._fixed.get(called_aet, FixedRoute())
        if fixed.study is not None:
            route = Route(self._plans[fixed.study], is_by_default=False)
        else:
            station, is_missing = self._station(elements, fixed.station)
            route = self._study(elements, station, is_missing=is_missing)
        if not route.plan.rules.accepts_phoenix and (
            _text(elements, _SERIES_DESCRIPTION).casefold() == _PHOENIX.casefold()
        ):
            raise Refused(Reason.PHOENIX_REPORT, _SERIES_DESCRIPTION)
        return route

    def _station(self, elements: Elements, fixed: str | None) -> tuple[StationRule, bool]:
        if fixed is not None:
            return self._stations[fixed], False
        name = _text(elements, _STATION_NAME)
        if not name and self._refuses_missing:
            raise Refused(Reason.NO_STATION, _STATION_NAME)
        rule = self._stations.get(name) or self._stations_folded.get(name.casefold())
        if rule is None:
            rule = self._stations.get(DEFAULT_STATION)
        if rule is None:
            raise Refused(Reason.NO_STATION, _STATION_NAME)
        return rule, not name

    def _study(self, elements: Elements, station: StationRule, *, is_missing: bool) -> Route:
        name = _study_name(elements, station)
        if not name and self._refuses_missing:
            raise Refused(Reason.NO_STUDY, station.tag_for_study)
        plan = self._plans.get(name) or self._plans_folded.get(name.casefold())
        if plan is None:
            plan = self._plans.get(self._default_study)
        if plan is None:
            raise Refused(Reason.NO_STUDY, station.tag_for_study)
        return Route(plan, is_by_default=is_missing or not name)


def _study_name(elements: Elements, station: StationRule) -> str:
    value = _text(elements, station.tag_for_study)
    if station.split:
        parts = value.split(station.split)
        try:
            value = parts[station.split_index]
        except IndexError:
            return ""
    return value.strip()


def _text(elements: Elements, tag: int) -> str:
    value = elements.value(tag)
    if not value:
        return ""
    return charset.decode(value, elements.value(_SPECIFIC_CHARACTER_SET) or b"").strip(" \0")
