"""Tokens of the service: shown once, kept as a hash, taken back at once."""

import hashlib
import sqlite3
from pathlib import Path

import pytest

from moonas.errors import UsageError
from moonas.store.states import Role
from moonas.store.store import Store
from moonas.store.tokens import create_token, list_tokens, owner_of, revoke_token


@pytest.fixture
def database(tmp_path: Path):
    with Store.open(f"sqlite:///{tmp_path}/study.db", create=True) as store:
        yield store.database


def test_a_token_is_found_by_its_text_and_by_no_other(database):
    text, other = create_token(database, "ann", Role.viewer), create_token(database, "bob", Role.operator)
    assert [(owner.name, owner.role) for owner in (owner_of(database, text), owner_of(database, other))] == [
        ("ann", "viewer"),
        ("bob", "operator"),
    ]
    for wrong in ("", text[:-1], text + "x", text.swapcase(), hashlib.sha256(text.encode()).hexdigest(), "\udce9"):
        assert owner_of(database, wrong) is None


def test_a_token_has_256_random_bits_and_only_its_hash_is_kept(database, tmp_path):
    texts = [create_token(database, str(number), Role.viewer) for number in range(20)]
    assert len(set(texts)) == 20
    assert {len(text) for text in texts} == {43}  # base64 of 32 bytes without padding
    database.engine.dispose()
    stored = (tmp_path / "study.db").read_bytes()
    assert not any(text.encode() in stored for text in texts)
    with sqlite3.connect(tmp_path / "study.db") as connection:
        digests = {digest for (digest,) in connection.execute("SELECT digest FROM moonas_token")}
    assert digests == {hashlib.sha256(text.encode()).hexdigest() for text in texts}


def test_a_revoked_token_opens_nothing_and_its_name_is_free_again(database):
    text = create_token(database, "ann", Role.viewer)
    revoke_token(database, "ann")
    assert owner_of(database, text) is None
    assert list_tokens(database) == []
    assert create_token(database, "ann", Role.operator) != text


def test_a_name_is_taken_once_and_must_be_one(database):
    create_token(database, "ann", Role.viewer)
    with pytest.raises(UsageError, match="there is a token 'ann' already"):
        create_token(database, "ann", Role.operator)
    for name in ("", " ", "a\nb", "x" * 65, " ann"):
        with pytest.raises(UsageError, match="no name for a token"):
            create_token(database, name, Role.viewer)
    with pytest.raises(UsageError, match="did you mean 'ann'"):
        revoke_token(database, "amn")
