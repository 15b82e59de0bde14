"""Tokens that open the service. Only a token's SHA-256 is kept, so that a copied database opens nothing."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass

from sqlalchemy import delete, select
from sqlalchemy.exc import IntegrityError

from moonas.errors import UsageError, nearest
from moonas.store.database import Database
from moonas.store.queries import columns, rows_changed
from moonas.store.states import Role
from moonas.store.tables import Token

RANDOM_BYTES = 32
MOST_LETTERS = 64  # of a token's name


@dataclass(frozen=True)
class TokenRecord:
    name: str
    role: str
    created: float


def create_token(database: Database, name: str, role: Role) -> str:
    """A new token of 256 random bits; nothing can show it again. Raises UsageError where the name is taken or no name."""
    if not (0 < len(name) <= MOST_LETTERS and name.isprintable() and name == name.strip()):
        raise UsageError(f"{name!r} is no name for a token; take 1 to {MOST_LETTERS} printable letters, such as the owner's name")
    text = secrets.token_urlsafe(RANDOM_BYTES)
    try:
        with database.write() as session:
            session.add(Token(name=name, role=role.value, digest=_digest(text)))
    except IntegrityError as error:
        raise UsageError(f"there is a token {name!r} already; revoke it first, or take another name") from error
    return text


def list_tokens(database: Database) -> list[TokenRecord]:
    """All tokens, the oldest first."""
    with database.read() as session:
        return [TokenRecord(*row) for row in session.execute(select(*columns(TokenRecord, Token)).order_by(Token.id))]


def revoke_token(database: Database, name: str) -> None:
    """From the next request on the token opens nothing. Raises UsageError where there is none of this name."""
    with database.write() as session:
        if rows_changed(session, delete(Token).where(Token.name == name)):
            return
    known = [token.name for token in list_tokens(database)]
    raise UsageError(f"there is no token {name!r}{nearest(name, known)}. Known: {', '.join(known) or 'none'}.")


def owner_of(database: Database, text: str) -> TokenRecord | None:
    """Whose token this is; the time it takes says nothing about how much of a wrong one is right."""
    given, found = _digest(text), None
    with database.read() as session:
        for digest, *record in session.execute(select(Token.digest, *columns(TokenRecord, Token))):
            if hmac.compare_digest(digest, given):
                found = TokenRecord(*record)
    return found


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
