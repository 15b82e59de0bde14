"""Fronts as stays: a member entered with one front number and left with another, so that any past front is a range query."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, and_, func, or_, select, update
from sqlalchemy.orm import Session

from moonas.store.queries import architecture_ids, run
from moonas.store.records import FrontMemberRecord, FrontRecord, FrontUpdate, Place
from moonas.store.statements import MEMBERS
from moonas.store.tables import Architecture, Cost, Front, FrontMember


def replace_front(session: Session, study_id: int, front: FrontUpdate) -> int | None:
    """Store the front as it now is; who stays is left alone, a changed value leaves and enters anew.

    Returns the new front's number, or None where nothing changed and nothing was written.
    """
    present = {
        Place(*place): (member_id, values)
        for *place, member_id, values in run(session, MEMBERS, {"the_study": study_id, "the_protocol": front.protocol})
    }
    wanted = {place: dict(values) for place, values in front.members}
    left = [member_id for point, (member_id, values) in present.items() if wanted.get(point) != values]
    entered = [point for point, values in wanted.items() if point not in present or present[point][1] != values]
    if not left and not entered:
        return None
    number = (session.scalar(select(func.max(Front.number)).where(Front.study_id == study_id)) or 0) + 1
    session.execute(update(FrontMember).where(FrontMember.id.in_(left)).values(left_front=number))
    ids = architecture_ids(session, [place.architecture for place in entered])
    session.add_all(
        FrontMember(
            study_id=study_id,
            protocol=front.protocol,
            architecture_id=ids[place.architecture],
            skeleton=place.skeleton,
            recipe=place.recipe,
            values=wanted[place],
            entered=number,
        )
        for place in entered
    )
    session.add(
        Front(
            study_id=study_id,
            number=number,
            protocol=front.protocol,
            cause=front.cause,
            hypervolume=front.hypervolume,
            evaluations=front.evaluations,
        )
    )
    return number


def front_steps(session: Session, study_id: int, protocol: str | None = None) -> list[FrontRecord]:
    """Every change of the front, the oldest first."""
    query = select(Front.number, Front.protocol, Front.cause, Front.hypervolume, Front.evaluations, Front.time)
    return [FrontRecord(*row) for row in session.execute(query.where(*_of(study_id, protocol)).order_by(Front.number))]


def front_members(
    session: Session, study_id: int, number: int | None = None, protocol: str | None = None
) -> list[FrontMemberRecord]:
    """The members of front `number` (the present one by default), in the order of their keys.

    Fronts of two protocols are never mixed: without `protocol` it is that of the front's last change.
    """
    at = _of(study_id, protocol) + ([Front.number <= number] if number is not None else [])
    last = session.execute(select(Front.number, Front.protocol).where(*at).order_by(Front.number.desc()).limit(1)).one_or_none()
    if last is None:
        return []
    there = and_(FrontMember.entered <= last.number, or_(FrontMember.left_front.is_(None), FrontMember.left_front > last.number))
    query = (
        select(
            Architecture.key,
            Architecture.genotype,
            FrontMember.skeleton,
            Cost.skeleton_json,
            FrontMember.recipe,
            Cost.params,
            Cost.macs,
            FrontMember.values,
            FrontMember.entered,
            FrontMember.left_front,
        )
        .join(Architecture, Architecture.id == FrontMember.architecture_id)
        .join(Cost, and_(Cost.architecture_id == FrontMember.architecture_id, Cost.skeleton == FrontMember.skeleton))
        .where(FrontMember.study_id == study_id, FrontMember.protocol == last.protocol, there)
        .order_by(Architecture.key, FrontMember.skeleton, FrontMember.recipe)
    )
    return [FrontMemberRecord(*row) for row in session.execute(query)]


def _of(study_id: int, protocol: str | None) -> list[ColumnElement[bool] | Any]:
    return [Front.study_id == study_id] + ([Front.protocol == protocol] if protocol is not None else [])
