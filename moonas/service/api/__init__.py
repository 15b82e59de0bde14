"""The routes below /api/v1, a module for each thing they are about. A new one needs a line in ROUTERS."""

from moonas.service.api import architectures, events, fronts, health, lifecycle, studies, trials

ROUTERS = (health.router, studies.router, lifecycle.router, trials.router, fronts.router, architectures.router, events.router)
