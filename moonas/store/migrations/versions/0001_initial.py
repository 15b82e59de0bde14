"""The tables of the first release."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "moonas_architecture",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("function_key", sa.String(length=64), nullable=False),
        sa.Column("space", sa.Text(), nullable=False),
        sa.Column("genotype", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_moonas_architecture"),
        sa.UniqueConstraint("key", name="uq_moonas_architecture_key"),
    )
    op.create_index("ix_moonas_architecture_function_key", "moonas_architecture", ["function_key"])
    op.create_table(
        "moonas_study",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("config", sa.JSON(), nullable=False),
        sa.Column("schema", sa.Integer(), nullable=False),
        sa.Column("config_hash", sa.String(length=64), nullable=False),
        sa.Column("seed", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("created", sa.Double(), nullable=False),
        sa.Column("lease_holder", sa.Text(), nullable=True),
        sa.Column("lease_since", sa.Double(), nullable=True),
        sa.Column("lease_expires", sa.Double(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_moonas_study"),
        sa.UniqueConstraint("name", name="uq_moonas_study_name"),
    )
    op.create_table(
        "moonas_token",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("created", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_moonas_token"),
        sa.UniqueConstraint("digest", name="uq_moonas_token_digest"),
        sa.UniqueConstraint("name", name="uq_moonas_token_name"),
    )
    op.create_table(
        "moonas_cost",
        sa.Column("architecture_id", sa.Integer(), nullable=False),
        sa.Column("skeleton", sa.String(length=64), nullable=False),
        sa.Column("skeleton_json", sa.JSON(), nullable=False),
        sa.Column("params", sa.BigInteger(), nullable=False),
        sa.Column("macs", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["architecture_id"], ["moonas_architecture.id"], name="fk_moonas_cost_architecture_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("architecture_id", "skeleton", name="pk_moonas_cost"),
    )
    op.create_table(
        "moonas_event",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("study_id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("data", sa.JSON(), nullable=True),
        sa.Column("time", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["study_id"], ["moonas_study.id"], name="fk_moonas_event_study_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_moonas_event"),
    )
    op.create_index("ix_moonas_event_study_id_time", "moonas_event", ["study_id", "time"])
    op.create_table(
        "moonas_front",
        sa.Column("study_id", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("protocol", sa.Text(), nullable=False),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.Column("hypervolume", sa.Double(), nullable=False),
        sa.Column("evaluations", sa.Integer(), nullable=False),
        sa.Column("time", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["study_id"], ["moonas_study.id"], name="fk_moonas_front_study_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("study_id", "number", name="pk_moonas_front"),
    )
    op.create_table(
        "moonas_request",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("study_id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("payload", sa.JSON(), nullable=False),
        sa.Column("created", sa.Double(), nullable=False),
        sa.Column("taken", sa.Double(), nullable=True),
        sa.ForeignKeyConstraint(["study_id"], ["moonas_study.id"], name="fk_moonas_request_study_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_moonas_request"),
    )
    op.create_index("ix_moonas_request_study_id_taken", "moonas_request", ["study_id", "taken"])
    op.create_table(
        "moonas_task",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("study_id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("spec", sa.JSON(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("result", sa.JSON(), nullable=True),
        sa.Column("created", sa.Double(), nullable=False),
        sa.Column("started", sa.Double(), nullable=True),
        sa.Column("finished", sa.Double(), nullable=True),
        sa.ForeignKeyConstraint(["study_id"], ["moonas_study.id"], name="fk_moonas_task_study_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_moonas_task"),
        sa.UniqueConstraint("study_id", "kind", "key", name="uq_moonas_task_study_id_kind_key"),
    )
    op.create_index("ix_moonas_task_study_id_state", "moonas_task", ["study_id", "state"])
    op.create_table(
        "moonas_trial",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("study_id", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("params", sa.JSON(), nullable=False),
        sa.Column("replicate", sa.Integer(), nullable=False),
        sa.Column("sampler_attrs", sa.JSON(), nullable=False),
        sa.Column("values", sa.JSON(), nullable=True),
        sa.Column("violation", sa.Double(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("created", sa.Double(), nullable=False),
        sa.Column("started", sa.Double(), nullable=True),
        sa.Column("finished", sa.Double(), nullable=True),
        sa.ForeignKeyConstraint(["study_id"], ["moonas_study.id"], name="fk_moonas_trial_study_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_moonas_trial"),
        sa.UniqueConstraint("study_id", "number", name="uq_moonas_trial_study_id_number"),
    )
    op.create_index("ix_moonas_trial_study_id_state", "moonas_trial", ["study_id", "state"])
    op.create_table(
        "moonas_artifact",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("task_id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("step", sa.Integer(), nullable=True),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=True),
        sa.Column("bytes", sa.BigInteger(), nullable=True),
        sa.Column("created", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["task_id"], ["moonas_task.id"], name="fk_moonas_artifact_task_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_moonas_artifact"),
    )
    op.create_index("ix_moonas_artifact_task_id", "moonas_artifact", ["task_id"])
    op.create_table(
        "moonas_attempt",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("task_id", sa.Integer(), nullable=False),
        sa.Column("worker", sa.Text(), nullable=False),
        sa.Column("device", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("started", sa.Double(), nullable=False),
        sa.Column("finished", sa.Double(), nullable=True),
        sa.Column("seconds", sa.Double(), nullable=True),
        sa.ForeignKeyConstraint(["task_id"], ["moonas_task.id"], name="fk_moonas_attempt_task_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_moonas_attempt"),
    )
    op.create_index("ix_moonas_attempt_task_id", "moonas_attempt", ["task_id"])
    op.create_table(
        "moonas_candidate",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("trial_id", sa.Integer(), nullable=False),
        sa.Column("architecture_id", sa.Integer(), nullable=False),
        sa.Column("skeleton", sa.String(length=64), nullable=False),
        sa.Column("origin", sa.String(length=16), nullable=False),
        sa.Column("score", sa.Double(), nullable=True),
        sa.Column("budget", sa.JSON(), nullable=True),
        sa.ForeignKeyConstraint(
            ["architecture_id", "skeleton"],
            ["moonas_cost.architecture_id", "moonas_cost.skeleton"],
            name="fk_moonas_candidate_architecture_id_skeleton",
        ),
        sa.ForeignKeyConstraint(["trial_id"], ["moonas_trial.id"], name="fk_moonas_candidate_trial_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_moonas_candidate"),
        sa.UniqueConstraint(
            "trial_id", "architecture_id", "skeleton", name="uq_moonas_candidate_trial_id_architecture_id_skeleton"
        ),
    )
    op.create_index("ix_moonas_candidate_architecture_id_skeleton", "moonas_candidate", ["architecture_id", "skeleton"])
    op.create_table(
        "moonas_evaluation",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("architecture_id", sa.Integer(), nullable=False),
        sa.Column("skeleton", sa.String(length=64), nullable=False),
        sa.Column("data", sa.Text(), nullable=False),
        sa.Column("protocol", sa.Text(), nullable=False),
        sa.Column("replicate", sa.Integer(), nullable=False),
        sa.Column("source", sa.String(length=64), nullable=False),
        sa.Column("task_id", sa.Integer(), nullable=True),
        sa.Column("metrics", sa.JSON(), nullable=False),
        sa.Column("seconds", sa.Double(), nullable=False),
        sa.Column("device", sa.JSON(), nullable=False),
        sa.Column("versions", sa.JSON(), nullable=False),
        sa.Column("data_checksum", sa.Text(), nullable=False),
        sa.Column("created", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(
            ["architecture_id"], ["moonas_architecture.id"], name="fk_moonas_evaluation_architecture_id", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["task_id"], ["moonas_task.id"], name="fk_moonas_evaluation_task_id", ondelete="SET NULL"),
        sa.PrimaryKeyConstraint("id", name="pk_moonas_evaluation"),
        sa.UniqueConstraint(
            "architecture_id", "skeleton", "data", "protocol", "replicate", "source", name="uq_moonas_evaluation_identity"
        ),
    )
    op.create_index("ix_moonas_evaluation_task_id", "moonas_evaluation", ["task_id"])
    op.create_table(
        "moonas_front_member",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("study_id", sa.Integer(), nullable=False),
        sa.Column("protocol", sa.Text(), nullable=False),
        sa.Column("architecture_id", sa.Integer(), nullable=False),
        sa.Column("skeleton", sa.String(length=64), nullable=False),
        sa.Column("values", sa.JSON(), nullable=False),
        sa.Column("entered", sa.Integer(), nullable=False),
        sa.Column("left_front", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(
            ["architecture_id", "skeleton"],
            ["moonas_cost.architecture_id", "moonas_cost.skeleton"],
            name="fk_moonas_front_member_architecture_id_skeleton",
        ),
        sa.ForeignKeyConstraint(["study_id"], ["moonas_study.id"], name="fk_moonas_front_member_study_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_moonas_front_member"),
    )
    op.create_index("ix_moonas_front_member_architecture_id_skeleton", "moonas_front_member", ["architecture_id", "skeleton"])
    op.create_index("ix_moonas_front_member_study_id_left_front", "moonas_front_member", ["study_id", "left_front"])
    op.create_table(
        "moonas_trial_task",
        sa.Column("trial_id", sa.Integer(), nullable=False),
        sa.Column("task_id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["task_id"], ["moonas_task.id"], name="fk_moonas_trial_task_task_id", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["trial_id"], ["moonas_trial.id"], name="fk_moonas_trial_task_trial_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("trial_id", "task_id", name="pk_moonas_trial_task"),
    )
    op.create_index("ix_moonas_trial_task_task_id", "moonas_trial_task", ["task_id"])
    op.create_table(
        "moonas_progress",
        sa.Column("task_id", sa.Integer(), nullable=False),
        sa.Column("step", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("attempt_id", sa.Integer(), nullable=False),
        sa.Column("metrics", sa.JSON(), nullable=False),
        sa.Column("time", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["attempt_id"], ["moonas_attempt.id"], name="fk_moonas_progress_attempt_id", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["task_id"], ["moonas_task.id"], name="fk_moonas_progress_task_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("task_id", "step", name="pk_moonas_progress"),
    )
    op.create_index("ix_moonas_progress_attempt_id", "moonas_progress", ["attempt_id"])


def downgrade() -> None:
    op.drop_table("moonas_progress")
    op.drop_table("moonas_trial_task")
    op.drop_table("moonas_front_member")
    op.drop_table("moonas_evaluation")
    op.drop_table("moonas_candidate")
    op.drop_table("moonas_attempt")
    op.drop_table("moonas_artifact")
    op.drop_table("moonas_trial")
    op.drop_table("moonas_task")
    op.drop_table("moonas_request")
    op.drop_table("moonas_front")
    op.drop_table("moonas_event")
    op.drop_table("moonas_cost")
    op.drop_table("moonas_token")
    op.drop_table("moonas_study")
    op.drop_table("moonas_architecture")
