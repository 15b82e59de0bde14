"""The routes below /api/v1, a module for each thing they are about. A new one needs a line in ROUTERS."""

from moonas.service.api import architectures, events, fronts, health, lifecycle, me, studies, trials

ROUTERS = tuple(module.router for module in (health, me, studies, lifecycle, trials, fronts, architectures, events))
