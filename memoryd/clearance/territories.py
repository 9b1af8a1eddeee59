"""Countries, and what stands for several of them: the European Union for its members, the world for all. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from memoryd.foundation.errors import NotAcceptable

WORLD = "world"
"""Everywhere: it meets every exclusion."""

EU = "EU"

_STATES = "AT BE BG HR CY CZ DK EE FI FR DE GR HU IE IT LV LT LU MT NL PL PT RO SK SI ES SE"
_PARTS_OF_STATES = "AX GF GP MQ MF RE YT"
"""Parts of member states that have codes of their own."""

_ALL = (
    "AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW BY BZ"
    " CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FM FO"
    " FR GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE"
    " JM JO JP KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO"
    " MP MQ MR MS MT MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW"
    " PY QA RE RO RS RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM"
    " TN TO TR TT TV TW TZ UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS YE YT ZA ZM ZW"
)

EU_MEMBERS = frozenset(f"{_STATES} {_PARTS_OF_STATES}".split())
"""Source: Treaty on the Functioning of the European Union, article 355 (outermost regions, Åland)."""

COUNTRIES = frozenset(_ALL.split())
"""Source: ISO 3166-1 alpha-2, 249 codes."""

_ALSO_CALLED = {"UK": "GB", "EL": "GR"}


class BadTerritory(NotAcceptable):
    """There is no such territory."""


def territory(text: str) -> str:
    """Return the one spelling of a territory: a country's code, `EU` or `world`. Raises: BadTerritory."""
    word = text.strip()
    if word.lower() == WORLD:
        return WORLD
    code = _ALSO_CALLED.get(word.upper(), word.upper())
    if code != EU and code not in COUNTRIES:
        raise BadTerritory(f"{text[:40]!r}", hint="two letters as in ISO 3166-1 (DE, US, KR), EU, or world")
    return code


def expand(territories: Iterable[str]) -> frozenset[str]:
    """Return the countries that territories stand for; `EU` is its members, `world` every country."""
    countries: set[str] = set()
    for one in territories:
        code = _ALSO_CALLED.get(one.upper(), one.upper())
        if code == EU:
            countries |= EU_MEMBERS
        elif one.lower() == WORLD:
            countries |= COUNTRIES
        else:
            countries.add(code)
    return frozenset(countries)


def spelled(countries: frozenset[str]) -> str:
    """Return countries as people read them: `EU` where all its members are meant, `world` for all."""
    if countries >= COUNTRIES:
        return WORLD
    rest, names = countries, []
    if countries >= EU_MEMBERS:
        rest, names = countries - EU_MEMBERS, [EU]
    return ", ".join([*names, *sorted(rest)])
