"""Workers on a Ray cluster: one actor per slot, on whatever machine has room for it.

The slots follow the cluster: they grow in number as machines join, and a slot whose machine is lost takes no task until there is
another. An actor is a `Host`, so that a task finds what it finds in a local worker.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import platform
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import moonas
from moonas.errors import ClusterError
from moonas.study.sections import Workers
from moonas.worker.cluster import Connection
from moonas.worker.host import Host
from moonas.worker.local import Event

LISTEN = 60.0  # seconds that a silent actor is listened to in one call
COUNT = 5.0  # seconds between counts of the cluster's machines
FIRST = 30.0  # seconds to wait for a first actor before the loop begins without one
FAREWELL = 5.0  # seconds for actors to end their workers


@dataclass
class _Slot:
    """actor: None while there is none. reply: what it is to say next. worker: its name, once it is up. task: number of its last."""

    actor: Any = None
    reply: Any = None
    worker: str = ""
    task: int = 0


class RayPool:
    """As many actors as the cluster has room for, or as the study asks for.

    note: takes a line worth reading. Raises ClusterError where the cluster cannot be joined, or its machines cannot run tasks.
    """

    def __init__(self, workers: Workers, note: Callable[[str], None]) -> None:
        self._connection = Connection(workers.address)
        import ray

        self._ray: Any = ray
        self._note, self._most = note, workers.max_tasks
        gpus = workers.gpus_per_task
        if gpus is None:
            gpus = 1.0 if workers.devices == "auto" and ray.cluster_resources().get("GPU") else 0.0
        cpus = workers.cpus_per_task or float(workers.threads_per_task)
        self._device, self._needs = "cuda" if gpus and workers.devices != "cpu" else "cpu", {"CPU": cpus, "GPU": gpus}
        self._host = _actor_class(num_cpus=cpus, num_gpus=gpus)
        self._asked = (self._device, workers.threads_per_task, max(1, int(cpus)), moonas.__version__)
        self._slots: list[_Slot] = []
        self._events: deque[Event] = deque()
        self._counted = float("-inf")
        self._told: set[str] = set()
        try:
            if self._connection.is_own and not self._room():
                raise ClusterError(f"this machine has no room for a task, which takes {self._needs_text}")
            self._await_first()
        except BaseException:
            self.close()
            raise

    @property
    def devices(self) -> list[str]:
        """The device of each slot, empty while it has no worker."""
        return [self._device if slot.worker else "" for slot in self._slots]

    def ready(self, slot: int) -> str:
        """The name of a slot's actor and its machine."""
        return self._slots[slot].worker

    def start(self, slot: int, task: Mapping[str, Any]) -> None:
        """Give a slot a task: the keyword arguments of `moonas.worker.tasks.run_task`."""
        self._warn_of_local_artifacts(task["artifacts"])
        taking = self._slots[slot]
        taking.task += 1
        taking.actor.start.remote(taking.task, json.dumps(task))

    def command(self, slot: int, command: str) -> None:
        """Tell the task in a slot to `pause`, `stop` or `prune` at its next checkpoint."""
        if (actor := self._slots[slot].actor) is not None:
            actor.command.remote(command)

    def busy(self, slot: int) -> str:
        """Nobody else uses what Ray has given to a slot."""
        return ""

    def kill(self, slot: int, reason: str = "") -> None:
        """End a slot's task at once; what it had reported is kept. reason: as of `LocalPool.kill`."""
        if (actor := self._slots[slot].actor) is not None:
            actor.kill.remote(reason)

    def next_event(self, timeout: float) -> Event | None:
        """The next event of any slot, or None after `timeout` seconds. Raises ClusterError where the cluster is lost."""
        if not self._events:
            self._follow_cluster()
            self._hear(timeout)
        return self._events.popleft() if self._events else None

    def close(self) -> None:
        """End every actor with its worker, and a Ray that was started for this pool."""
        actors = [slot.actor for slot in self._slots if slot.worker]
        with contextlib.suppress(self._ray.exceptions.RayError):
            if farewells := [actor.close.remote() for actor in actors]:
                self._ray.wait(farewells, num_returns=len(farewells), timeout=FAREWELL)
        for slot in self._slots:
            self._end(slot)
        self._connection.leave()

    def _await_first(self) -> None:
        began = time.monotonic()
        while not any(self.devices) and time.monotonic() - began < FIRST:
            self._follow_cluster()
            self._hear(0.5)
        self._tell_if_waiting()

    def _follow_cluster(self) -> None:
        """Ask for the actors that the cluster has room for by now, or that the study wants."""
        if time.monotonic() - self._counted < COUNT:
            return
        self._counted = time.monotonic()
        self._connection.check()
        wanted = self._most or max(1, self._room())
        missing = wanted - sum(slot.actor is not None for slot in self._slots)
        self._slots += [_Slot() for _ in range(wanted - len(self._slots))]
        for slot in [slot for slot in self._slots if slot.actor is None][: max(0, missing)]:
            slot.actor = self._host.remote(*self._asked)
            slot.reply = slot.actor.name.remote()

    def _room(self) -> int:
        """How many actors fit on the cluster's machines, whatever else runs there."""
        needs = {name: amount for name, amount in self._needs.items() if amount}
        machines = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
        return sum(min(int(machine.get(name, 0) / amount) for name, amount in needs.items()) for machine in machines)

    def _hear(self, timeout: float) -> None:
        """Take in what one actor has to say, waiting for it up to `timeout` seconds."""
        replies = {slot.reply: index for index, slot in enumerate(self._slots) if slot.actor is not None}
        if not replies:
            time.sleep(timeout)
            return
        heard, _ = self._ray.wait(list(replies), timeout=timeout)
        for reply in heard:
            try:
                self._take(replies[reply], self._ray.get(reply))
            except self._ray.exceptions.RayError as error:
                self._lose(replies[reply], error)

    def _take(self, index: int, said: str) -> None:
        slot = self._slots[index]
        if not slot.worker:
            slot.worker = said
        else:
            reports = [(kind, message) for number, kind, message in json.loads(said) if number == slot.task]
            self._events += [Event(index, kind, message, slot.worker) for kind, message in reports]
        slot.reply = slot.actor.listen.remote(LISTEN)

    def _lose(self, index: int, error: Exception) -> None:
        """An actor is gone: with its machine, by a signal, or because it could not even begin."""
        slot, reason = self._slots[index], _reason(error)
        worker = slot.worker
        self._end(slot)
        if worker:
            self._events.append(Event(index, "died", {"reason": f"the worker {worker} is lost: {reason}", "log": ""}, worker))
            self._tell_if_waiting()
        elif not getattr(error, "actor_init_failed", False):
            return  # its machine was lost before it began
        elif not any(slot.worker for slot in self._slots):
            raise ClusterError(f"no machine of the cluster can run tasks: {reason}")
        else:
            self._tell(f"a machine of the cluster cannot run tasks: {reason}")

    def _end(self, slot: _Slot) -> None:
        if slot.actor is not None:
            with contextlib.suppress(self._ray.exceptions.RayError):
                self._ray.kill(slot.actor)  # also one that is merely out of reach: its task goes on elsewhere
        slot.actor, slot.reply, slot.worker = None, None, ""

    def _tell(self, text: str) -> None:
        """Say something once."""
        if text not in self._told:
            self._told.add(text)
            self._note(text)

    def _tell_if_waiting(self) -> None:
        if not any(self.devices):
            self._tell(f"waiting for the cluster: no machine has room for a task, which takes {self._needs_text}")

    @property
    def _needs_text(self) -> str:
        return " and ".join(f"{amount:g} {name}" for name, amount in self._needs.items() if amount)

    def _warn_of_local_artifacts(self, url: str | None) -> None:
        elsewhere = [slot.worker for slot in self._slots if slot.worker and slot.worker.rpartition("/")[0] != platform.node()]
        if url is not None and url.startswith("file:") and elsewhere:
            self._tell(f"warning: checkpoints go to {url}, which every machine of the cluster must share; else give `artifacts`")


def _actor_class(**needs: float) -> Any:
    """A host as an actor, which is spoken to while it is listened to, and never begins anew by itself."""
    ray: Any = importlib.import_module("ray")

    class Slot(Host):
        @ray.method(concurrency_group="listening")
        def listen(self, seconds: float) -> str:
            return super().listen(seconds)

    return ray.remote(max_restarts=0, concurrency_groups={"listening": 1}, **needs)(Slot)


def _reason(error: Exception) -> str:
    """The last line of what Ray says, without its advice."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1].partition(" Some common causes")[0] if lines else type(error).__name__
