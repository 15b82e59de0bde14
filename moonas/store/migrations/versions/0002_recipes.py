"""Members of a front by the protocol that measured them, where a study varies that."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("moonas_front_member", sa.Column("recipe", sa.String(length=64), nullable=False, server_default=""))


def downgrade() -> None:
    op.drop_column("moonas_front_member", "recipe")
