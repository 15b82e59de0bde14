"""What a search's architecture parameters say after each epoch; null for what was reported before, and for trainings."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("moonas_progress", sa.Column("mixture", sa.JSON(), nullable=True))


def downgrade() -> None:
    op.drop_column("moonas_progress", "mixture")
