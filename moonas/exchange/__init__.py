"""Studies to and from other systems: Optuna's storages."""
