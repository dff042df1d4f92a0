#!/usr/bin/env python3
"""A complete agent in one file, for Python 3.9 or later, with the standard library only.

Copy it, and replace the handlers at the end with your own work: each takes a `Work` and returns its result.

    ADMIN_TOKEN=... python3 examples/python_agent.py --id agent1

Its rules:

- A thread with its own connection sends the heartbeats, independent of the work. (A C extension that keeps the
  interpreter's lock for longer than the heartbeat timeout stops them: run such work in a process.)
- The agent works only after the answer to `start`, which is the permission.
- The agent gives up a task that it no longer holds: `work.cancelled` is set, and `progress` and `sleep` raise.
- While the coordinator does not answer, the agent continues its work and repeats each result until it is accepted or
  refused.
- When its incarnation has ended (410), the agent registers again and lists the tasks that it is still running. If another
  process has registered its id, or the agent was unregistered by others, it stops its work and ends with an error.
- At SIGTERM or SIGINT the agent takes no new tasks, finishes running tasks within the grace period, gives back the
  others and unregisters. A second signal ends it at once.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import queue
import random
import secrets
import signal
import socket
import sys
import threading
import time
from contextlib import contextmanager
from typing import Any, Callable, Iterator, NamedTuple, Optional
from urllib.parse import quote, urlsplit

# The server ends a poll at the heartbeat interval of the agent, if that is shorter.
POLL_SECONDS = 20
LOCK_WAIT_SECONDS = 20
# Limit for an answer, in addition to the wait that was asked for.
ANSWER_SECONDS = 10
# A report of progress delays the work, and unregistering delays the end, so both wait for less.
SHORT_ANSWER_SECONDS = 3
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.2, 5.0
# A pause ends early, after such a step, when another call was answered: the coordinator is back.
PAUSE_STEP_SECONDS = 0.2
# Without a pause the list would return at once, since it still has the tasks that are being started.
LIST_PAUSE_SECONDS = 0.05
# The holder counts a lock as lost before the last tenth of its TTL, so that it can stop in time.
LOCK_MARGIN = 0.1
# At the end: time for cancelled handlers to stop, and for the last calls to be answered.
END_SECONDS = 3
# How late a signal may be noticed.
SIGNAL_CHECK_SECONDS = 0.2
# When another process has the id of this agent: time for cancelled handlers to stop.
ABORT_SECONDS = 1

# Reasons of a 410 after which the agent does not register again.
FINAL_REASONS = {
    "superseded": "another process{other} has registered this agent id; each process needs an id of its own",
    "unregistered": "the agent was unregistered by another caller; start it again to register it",
    "revoked": "the token that registered the agent was revoked; start it again with another token",
}


# An answer without the members that the coordinator sends: the page of a proxy, for example.
NOT_OURS = "this answer is not of a coordinator; check the URL, and the proxies on the way"


class Refused(Exception):
    """The coordinator refused a call; `code` is one of its stable error codes."""

    def __init__(self, status: int, problem: dict):
        self.status: int = status
        self.code: str = problem.get("code", "")
        what = f"{self.code}: {problem.get('detail')}" if self.code else NOT_OURS
        super().__init__(f"{status} {what}")
        self.reason: str = problem.get("reason", "")
        # 410 or 409 `agent_live`: the process that has the id of this agent.
        self.other: Optional[str] = problem.get("superseded_by") or problem.get("instance")


class NotOurs(Exception):
    """Something else than the coordinator answered a call."""


class NoAnswer(Exception):
    """There was no answer within the time limit."""


class Ended(Exception):
    """The coordinator has ended this agent for good, for example because another process has its id."""


class Cancelled(Exception):
    """The agent no longer holds the task, or has to end: stop working on the task."""


class LockLost(Exception):
    """Another agent may hold the lock by now."""


class TaskFailed(Exception):
    """Raised by a handler, fails the task. Any other exception fails it too, and it is tried again."""

    def __init__(self, message: str, retryable: bool = True):
        super().__init__(message)
        self.retryable = retryable


class Session(NamedTuple):
    """An incarnation: the answer to a registration."""

    token: str
    incarnation: int
    interval_seconds: float
    timeout_seconds: float
    began: float  # by the monotonic clock


def jittered_pause(tries: int) -> float:
    """Doubles with each try, with jitter, so that the agents of a fleet do not all try at the same time."""
    longest = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2 ** min(tries, 10))
    return random.uniform(longest / 2, longest)


class Http:
    """JSON over HTTP. Each thread keeps its own connection open, so that no call waits for another one."""

    def __init__(self, url: str):
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"not an http(s) URL: {url}")
        self._kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self._host, self._port, self._base = parts.hostname, parts.port, parts.path.rstrip("/")
        self._own = threading.local()

    def call(self, method: str, path: str, token: str, body: Any, seconds: float) -> tuple[int, float, dict]:
        """One try. Returns status, Retry-After and body. Raises OSError, HTTPException or NotOurs if it fails."""
        connection: Optional[http.client.HTTPConnection] = getattr(self._own, "connection", None)
        if connection is not None:
            try:
                return self._exchange(connection, method, path, token, body, seconds)
            except ConnectionError:
                pass  # The server has closed the idle connection: try a new one.
        connection = self._own.connection = self._kind(self._host, self._port)
        return self._exchange(connection, method, path, token, body, seconds)

    def _exchange(self, connection, method, path, token, body, seconds) -> tuple[int, float, dict]:
        try:
            connection.timeout = seconds
            if connection.sock is not None:
                connection.sock.settimeout(seconds)
            headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
            # NaN and Infinity are not JSON, and the coordinator would refuse them.
            data = None if body is None else json.dumps(body, allow_nan=False)
            connection.request(method, self._base + path, body=data, headers=headers)
            response = connection.getresponse()
            text = response.read()
            wait = response.headers.get("Retry-After", "")
            return response.status, float(wait) if wait.isdigit() else 0, self._parsed(response.status, text)
        except BaseException:
            # The state of the connection is unknown, so it cannot be used again.
            connection.close()
            self._own.connection = None
            raise

    @staticmethod
    def _parsed(status: int, text: bytes) -> dict:
        try:
            answer = json.loads(text) if text or status != 204 else {}
        except (ValueError, RecursionError):
            answer = None
        if isinstance(answer, dict):
            return answer
        if status < 300:
            raise NotOurs(f"{status}: {NOT_OURS}")
        # A proxy may refuse a call with a page of its own.
        return {}


class Work:
    """A task that this agent holds, for its handler."""

    def __init__(self, agent: Agent, task: dict):
        self._agent = agent
        self.id: str = str(task["id"])
        self.type: str = str(task["type"])
        self.attempt: int = int(task["attempt"])
        self.data: Any = task["data"]
        # Set when the agent no longer holds the task. A long-running handler checks it regularly.
        self.cancelled = threading.Event()

    def progress(self, fraction: float) -> None:
        """Reports the progress, 0 to 1. A report without an answer is not repeated. Raises Cancelled."""
        self.check()
        self._agent.report_progress(self, fraction)
        self.check()

    def sleep(self, seconds: float) -> None:
        """Raises Cancelled."""
        self.cancelled.wait(seconds)
        self.check()

    def check(self) -> None:
        """Raises Cancelled."""
        if self.cancelled.is_set():
            raise Cancelled()

    def lock(self, resource: str, ttl_seconds: float = 30):
        """`with work.lock("db/orders") as lock:` waits for the lock, renews it, and releases it at the end."""
        return self._agent.lock(resource, ttl_seconds, self)


class Lock:
    """A held lock. Send `fencing_token` to the protected resource, which must refuse smaller tokens."""

    def __init__(self, resource: str, fencing_token: int, ttl_seconds: float):
        self.resource = resource
        self.fencing_token = fencing_token
        self.ttl_seconds = ttl_seconds
        # Set before another agent can get the lock, according to the clock of this process.
        self.lost = threading.Event()
        self.held_until = 0.0

    def check(self) -> None:
        """Raises LockLost. Call it before each step that the lock protects."""
        if self.lost.is_set() or time.monotonic() >= self.held_until:
            self.lost.set()
            raise LockLost(f"lost the lock {self.resource}")

    def renewed(self, asked_at: float) -> None:
        """The lock was renewed after the call was sent, so the new TTL counts from that time."""
        self.held_until = asked_at + self.ttl_seconds * (1 - LOCK_MARGIN)


class Agent:
    """
    Registers, sends heartbeats, polls, works and reports; `run` does all of it.

    One thread sends heartbeats, one polls, and each task and each lock has one. All are daemons, so that a thread that
    hangs does not keep the process from ending.
    """

    def __init__(
        self,
        url: str,
        token: str,
        agent_id: str,
        handlers: dict[str, Callable[[Work], Any]],
        *,
        cluster: str = "default",
        group: str = "default",
        agent_type: str = "worker",
        capabilities: Optional[list[str]] = None,
        endpoint: Optional[str] = None,
        max_concurrent_tasks: int = 4,
        heartbeat_interval_seconds: Optional[float] = None,
        heartbeat_timeout_seconds: Optional[float] = None,
    ):
        self.id = agent_id
        self._http = Http(url)
        self._token = token
        self._handlers = handlers
        self._cluster = f"/v1/clusters/{quote(cluster, safe='')}"
        self._group = f"{self._cluster}/groups/{quote(group, safe='')}"
        self._self = f"{self._group}/agents/{quote(agent_id, safe='')}"
        settings = {
            "type": agent_type,
            "capabilities": capabilities or sorted(handlers),
            "endpoint": endpoint,
            "max_concurrent_tasks": max_concurrent_tasks,
            "heartbeat_interval_seconds": heartbeat_interval_seconds,
            "heartbeat_timeout_seconds": heartbeat_timeout_seconds,
        }
        self._registration = {name: value for name, value in settings.items() if value is not None}
        # Names this process, so that the coordinator can tell it from another process with the same id.
        self._instance = f"{socket.gethostname()[:128]}/{os.getpid()}/{secrets.token_hex(8)}"
        self._registration["instance"] = self._instance

        # Set when the agent takes no new tasks any more.
        self._ending = threading.Event()
        # Set when the agent makes no more calls.
        self._over = threading.Event()
        self._signals: queue.SimpleQueue = queue.SimpleQueue()
        self._session: Session
        self._registering = threading.Thread(target=self._begin, daemon=True)
        # When a call was answered last, by the monotonic clock.
        self._answered_at = 0.0
        self._is_ended = False
        self._renewal = threading.Lock()
        self._short_lives = 0

        self._guard = threading.Lock()
        self._works: dict[tuple[str, int], Work] = {}
        self._slots = threading.BoundedSemaphore(max_concurrent_tasks)
        # Locks that a task of this agent holds or waits for.
        self._in_use: set[str] = set()
        self._freed = threading.Condition()

    # Start and end

    def run(self, grace_seconds: float = 30) -> None:
        """Works until SIGTERM or SIGINT. Raises Refused if the registration is refused, and Ended."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)
        self._registering.start()
        reason = self._next_signal()
        if isinstance(reason, BaseException):
            self._wait_for_works(ABORT_SECONDS)
            raise reason
        self._leave(grace_seconds)

    def _next_signal(self) -> Any:
        """Waits for a signal, or for the error of the registration."""
        while True:
            try:
                # Python runs a signal handler only when the main thread is active. A wait without an end may miss the
                # signal, if another thread received it.
                return self._signals.get(timeout=SIGNAL_CHECK_SECONDS)
            except queue.Empty:
                continue

    def _on_signal(self, number: int, _frame: Any) -> None:
        # The next signal ends the process at once.
        for each in (signal.SIGTERM, signal.SIGINT):
            signal.signal(each, signal.SIG_DFL)
        # SimpleQueue is the only kind of queue that a signal handler may use.
        self._signals.put(number)

    def _begin(self) -> None:
        try:
            self._session = self._register()
        except Exception as error:
            self._signals.put(error)
            return
        self._say(f"registered, incarnation {self._session.incarnation}")
        threading.Thread(target=self._beat, daemon=True).start()
        threading.Thread(target=self._take_tasks, daemon=True).start()

    def _leave(self, grace_seconds: float) -> None:
        """Running tasks may end, tasks that are not started are reassigned at once. No failure is recorded."""
        self._say(f"ending, {len(self._running())} tasks are running")
        self._ending.set()
        # A registration under way may be answered yet, and then there is something to unregister.
        self._registering.join(END_SECONDS)
        if not hasattr(self, "_session"):
            return
        self._last_call("POST", f"{self._self}/drain", {"mode": "finish"})
        self._wait_for_works(grace_seconds)
        for work in self._running():
            work.cancelled.set()
        self._wait_for_works(END_SECONDS)
        # The id of an ended agent may be another process's.
        if not self._is_ended and self._last_call("DELETE", self._self, None):
            self._say("unregistered")
        self._over.set()

    def _end(self, session: Session, reason: str, process: Optional[str]) -> None:
        """The coordinator has ended this agent for good: stops the work, and does not unregister."""
        with self._guard:
            if self._is_ended:
                return
            self._is_ended = True
        self._ending.set()
        for work in self._running():
            work.cancelled.set()
        if reason == "superseded":
            # This heartbeat shows the coordinator that both processes live.
            try:
                path = f"{self._self}/heartbeat"
                self._http.call("POST", path, session.token, {}, SHORT_ANSWER_SECONDS)
            except (OSError, http.client.HTTPException, NotOurs):
                pass
        self._over.set()
        other = f", {process}," if process else ""
        self._signals.put(Ended(FINAL_REASONS[reason].format(other=other)))

    def _wait_for_works(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        # This includes cancelled tasks, whose handlers may have to clean up.
        while self._works and time.monotonic() < until:
            time.sleep(0.05)

    def _last_call(self, method: str, path: str, body: Any) -> bool:
        """Without an answer, the heartbeat timeout has the same effect later."""
        until = time.monotonic() + END_SECONDS
        try:
            call = {"seconds": SHORT_ANSWER_SECONDS, "until": until, "unless": self._over}
            self._ask(method, path, self._session.token, body, **call)
            return True
        except (Refused, NoAnswer) as error:
            self._say(f"{method} {path}: {error}")
            return False

    # Registration

    def _register(self) -> Session:
        """Starts a new incarnation. The tasks in `running_tasks` stay with this agent."""
        began = time.monotonic()
        body = {**self._registration, "running_tasks": self._claims()}
        return self._ask("PUT", self._self, self._token, body, unless=self._ending, read=session_in(began))

    def _claims(self) -> list[dict]:
        return [{"task_id": work.id, "attempt": work.attempt} for work in self._running()]

    def _renew(self, ended: Session) -> None:
        """Registers again, once for all threads whose calls were refused."""
        with self._renewal:
            if self._session is not ended:
                return
            # If incarnations end again and again, wait longer each time.
            is_short = time.monotonic() - ended.began < ended.timeout_seconds
            self._short_lives = self._short_lives + 1 if is_short else 0
            tries = self._short_lives
            while not self._ending.wait(jittered_pause(tries)):
                try:
                    self._session = self._register()
                    self._say(f"registered, incarnation {self._session.incarnation}")
                    return
                except Refused as error:
                    if error.code == "agent_live":
                        # Meanwhile another process has got the id.
                        self._end(ended, "superseded", error.other)
                        return
                    # Tasks may be running, so the agent does not end.
                    self._say(f"could not register again: {error}")
                    tries += 1
                except NoAnswer:
                    return  # The agent is ending.

    # Calls

    def _ask(
        self,
        method: str,
        path: str,
        token: str,
        body: Any = None,
        *,
        seconds: float = ANSWER_SECONDS,
        until: Optional[float] = None,
        unless: Optional[threading.Event] = None,
        quiet: bool = False,
        read: Callable[[dict], Any] = lambda answer: answer,
    ) -> Any:
        """
        Repeats a call until it is answered: every call of this agent may be repeated. Returns what `read` finds in the
        answer; an answer without it is not of the coordinator, and counts as none. Raises Refused, or NoAnswer if there
        was no answer `until` that time (of the monotonic clock) or before the event `unless` was set.
        """
        unless = unless or self._over
        tries = 0
        while True:
            retry_after = 0.0
            sent_at = time.monotonic()
            try:
                status, retry_after, answer = self._http.call(method, path, token, body, seconds)
                if status < 300:
                    found = found_in(answer, read, status)
                    self._answered_at = time.monotonic()
                    return found
                refusal = Refused(status, answer)
                if (status < 500 and status not in (408, 429)) or refusal.code == "not_configured":
                    raise refusal
                reason = str(refusal)
            except (OSError, http.client.HTTPException, NotOurs) as error:
                reason = str(error) or type(error).__name__
            pause = max(jittered_pause(tries), min(retry_after, 30))
            if until is not None and time.monotonic() + pause >= until:
                raise NoAnswer(reason)
            if tries == 0 and not quiet:
                self._say(f"{method} {path} was not answered ({reason}), trying again")
            # The rate limit is no outage.
            if self._pause(pause, unless, sent_at=None if retry_after else sent_at):
                raise NoAnswer(reason)
            tries += 1

    def _pause(self, seconds: float, unless: threading.Event, sent_at: Optional[float]) -> bool:
        """
        Returns whether `unless` was set. Ends early when another call was answered after `sent_at`: the coordinator is
        back.
        """
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            if unless.wait(min(PAUSE_STEP_SECONDS, left)):
                return True
            if sent_at is not None and self._answered_at > sent_at:
                break
        return unless.is_set()

    def _ask_as_agent(self, method: str, path: str, body: Any = None, **options: Any) -> Any:
        """Calls with the token of this incarnation. If it has ended, registers and calls again."""
        while True:
            used = self._session
            try:
                return self._ask(method, path, used.token, body, **options)
            except Refused as refusal:
                # 401: the signing key of the coordinator has changed.
                if refusal.status not in (401, 410):
                    raise
                # If the answer to a registration was lost, the other process is this one.
                is_final = refusal.reason in FINAL_REASONS and refusal.other != self._instance
                if is_final and used is self._session:
                    self._end(used, refusal.reason, refusal.other)
                if self._ending.is_set():
                    raise
                self._say(f"incarnation {used.incarnation} has ended: {refusal.code}")
                self._renew(used)

    # Heartbeats

    def _beat(self) -> None:
        while not self._over.is_set():
            session = self._session
            body = {"load": load} if (load := machine_load()) else {}
            until = time.monotonic() + session.interval_seconds
            try:
                limit = min(ANSWER_SECONDS, session.interval_seconds)
                # The poll prints a message if the coordinator does not answer.
                call = {"seconds": limit, "until": until, "quiet": True, "read": member("deadline_at", str)}
                self._ask_as_agent("POST", f"{self._self}/heartbeat", body, **call)
            except NoAnswer:
                continue  # The call has already waited for an interval.
            except Refused as error:
                # After the end of the agent this is expected.
                if not self._ending.is_set():
                    self._say(f"heartbeat: {error}")
            self._over.wait(session.interval_seconds)

    # Tasks

    def _running(self) -> list[Work]:
        with self._guard:
            return [work for work in self._works.values() if not work.cancelled.is_set()]

    def _take_tasks(self) -> None:
        """Waits for tasks and starts them, at most `max_concurrent_tasks` at a time."""
        while not self._ending.is_set():
            try:
                # Waits for a free slot. The thread of each task takes its own.
                if self._slots.acquire(timeout=self._session.interval_seconds):
                    self._slots.release()
                    path = f"{self._self}/tasks?limit=500&wait_seconds={POLL_SECONDS}"
                    seconds = POLL_SECONDS + ANSWER_SECONDS
                    call = {"seconds": seconds, "unless": self._ending, "read": self._works_in}
                    works = self._ask_as_agent("GET", path, **call)
                    for work in works:
                        self._start_work(work)
                    if works:
                        self._ending.wait(LIST_PAUSE_SECONDS)
                self._cancel_reassigned()
            except (Refused, NoAnswer) as error:
                if not self._ending.wait(FIRST_PAUSE_SECONDS):
                    self._say(f"could not read the tasks: {error}")

    def _works_in(self, page: dict) -> list[Work]:
        return [Work(self, task) for task in page["items"]]

    def _start_work(self, work: Work) -> None:
        with self._guard:
            if (work.id, work.attempt) in self._works or self._ending.is_set():
                return
            # A new attempt of the same task: a result of the older attempt would not count.
            for other in self._works.values():
                if other.id == work.id:
                    other.cancelled.set()
            self._works[work.id, work.attempt] = work
        threading.Thread(target=self._run_task, args=(work,), daemon=True).start()

    def _cancel_reassigned(self) -> None:
        """Cancels tasks that this agent no longer holds, for handlers that report no progress."""
        works = self._running()
        if not works:
            return
        path = f"{self._self}/tasks?limit=500&status=assigned,running"
        held = self._ask_as_agent("GET", path, unless=self._ending, read=attempts_in)
        if held is None:
            return
        for work in works:
            # A task that was just completed is not held either; cancelling it does no harm.
            if (work.id, work.attempt) not in held:
                work.cancelled.set()

    def _run_task(self, work: Work) -> None:
        name = f"{work.id}, attempt {work.attempt}"
        try:
            with self._slots:
                work.check()
                # The answer is the permission to work. If it is refused, the agent no longer holds the task.
                if self._ending.is_set() or not self._report(work, "start"):
                    return
                self._say(f"works on {name}")
                try:
                    result = self._handlers[work.type](work)
                    # Also if the task was cancelled in between: the coordinator may keep a late result.
                    report = {"result": result}
                    json.dumps(report, allow_nan=False)
                except Cancelled:
                    self._say(f"gave up {name}")
                    return
                except Exception as error:
                    message = f"{type(error).__name__}: {error}"[:2000]
                    self._say(f"failed {name}: {message}")
                    retryable = getattr(error, "retryable", True)
                    self._report(work, "fail", error={"message": message, "retryable": retryable})
                    return
                if self._report(work, "complete", **report):
                    self._say(f"finished {name}")
        except (Cancelled, NoAnswer):
            self._say(f"gave up {name}")
        finally:
            with self._guard:
                del self._works[work.id, work.attempt]

    def report_progress(self, work: Work, fraction: float) -> None:
        try:
            until = time.monotonic()
            self._report(work, "progress", progress=fraction, until=until, seconds=SHORT_ANSWER_SECONDS)
        except NoAnswer:
            pass

    def _report(self, work: Work, what: str, **fields: Any) -> bool:
        """Returns whether the report was accepted. A report may be repeated, so a lost answer does no harm."""
        options = {name: fields.pop(name) for name in ("until", "seconds") if name in fields}
        body = {"agent_id": self.id, "attempt": work.attempt, **fields}
        path = f"{self._cluster}/tasks/{quote(work.id, safe='')}/{what}"
        try:
            self._ask_as_agent("POST", path, body, read=member("task", dict), **options)
            return True
        except Refused as refusal:
            # At the end of the agent its incarnation may have ended; a result may still be accepted.
            if refusal.status == 410 and self._ending.is_set():
                return False
            if refusal.status in (400, 413):
                if what != "complete":
                    raise
                # The coordinator would refuse the same result from another agent too.
                error = {"message": f"the result was refused: {refusal}", "retryable": False}
                return self._report(work, "fail", error=error)
            # 409: another attempt is current, or the task has ended. In both cases the agent must stop.
            self._say(f"{what} of {work.id}, attempt {work.attempt}, was refused: {refusal.code}")
            work.cancelled.set()
            return False

    # Locks

    @contextmanager
    def lock(self, resource: str, ttl_seconds: float = 30, work: Optional[Work] = None) -> Iterator[Lock]:
        """
        Waits for the lock, holds it during the block, and releases it. Raises LockLost at the end of a block if the
        lock was lost, and Cancelled if the agent no longer holds the task that waits.
        """
        self._take_turn(resource, work)
        try:
            lock = self._acquire(resource, ttl_seconds, work)
            done = threading.Event()
            keeper = threading.Thread(target=self._keep, args=(lock, done), daemon=True)
            keeper.start()
            try:
                if work is not None:
                    work.check()
                yield lock
                lock.check()
            finally:
                done.set()
                keeper.join()
                self._release(lock)
        finally:
            with self._freed:
                self._in_use.discard(resource)
                self._freed.notify_all()

    def _take_turn(self, resource: str, work: Optional[Work]) -> None:
        """The holder of a lock is the agent, so its own tasks wait for each other here."""
        with self._freed:
            while resource in self._in_use:
                self._freed.wait(0.5)
                if work is not None:
                    work.check()
            self._in_use.add(resource)

    def _acquire(self, resource: str, ttl_seconds: float, work: Optional[Work]) -> Lock:
        body = {"agent_id": self.id, "ttl_seconds": ttl_seconds, "wait_seconds": LOCK_WAIT_SECONDS}
        while True:
            if work is not None:
                work.check()
            asked_at = time.monotonic()
            try:
                seconds = LOCK_WAIT_SECONDS + ANSWER_SECONDS
                lock = Lock(resource, self._ask_lock(resource, "acquire", body, seconds=seconds), ttl_seconds)
                lock.renewed(asked_at)
                if time.monotonic() - asked_at < ttl_seconds / 3:
                    return lock
                # The lock was granted at an unknown time during the wait. A renewal gives a known TTL.
                lock.renewed(time.monotonic())
                self._ask_lock(resource, "renew", {"fencing_token": lock.fencing_token})
                return lock
            except Refused as refusal:
                if refusal.code not in ("lock_held", "stale_fencing_token"):
                    raise
            self._over.wait(jittered_pause(0))

    def _keep(self, lock: Lock, done: threading.Event) -> None:
        """Renews the lock until the block ends or the lock may be lost."""
        third = lock.ttl_seconds / 3
        while not done.wait(third if lock.held_until - time.monotonic() > third else third / 10):
            asked_at = time.monotonic()
            if asked_at >= lock.held_until:
                lock.lost.set()
                return
            try:
                body = {"fencing_token": lock.fencing_token}
                self._ask_lock(lock.resource, "renew", body, seconds=third, until=asked_at)
                lock.renewed(asked_at)
            except Refused as refusal:
                self._say(f"lost the lock {lock.resource}: {refusal.code}")
                lock.lost.set()
                return
            except NoAnswer:
                pass

    def _release(self, lock: Lock) -> None:
        """Without an answer, the lock ends by its TTL."""
        until = time.monotonic() + SHORT_ANSWER_SECONDS
        try:
            body = {"fencing_token": lock.fencing_token}
            self._ask_lock(lock.resource, "release", body, seconds=SHORT_ANSWER_SECONDS, until=until)
        except (Refused, NoAnswer):
            pass

    def _ask_lock(self, resource: str, what: str, body: dict, **options: Any) -> int:
        """Returns the fencing token."""
        path = f"{self._group}/locks/{quote(resource, safe='')}/{what}"
        return self._ask_as_agent("POST", path, body, read=lambda answer: int(answer["lock"]["fencing_token"]), **options)

    def _say(self, what: str) -> None:
        print(f"{self.id}: {what}", flush=True)


# What the agent reads in answers. Each raises an error if that is not there.


def found_in(answer: dict, read: Callable[[dict], Any], status: int) -> Any:
    try:
        return read(answer)
    except (KeyError, TypeError, ValueError) as error:
        raise NotOurs(f"{status}: {NOT_OURS}") from error


def member(name: str, kind: type) -> Callable[[dict], Any]:
    def read(answer: dict) -> Any:
        if not isinstance(answer[name], kind):
            raise TypeError(name)
        return answer[name]

    return read


def session_in(began: float) -> Callable[[dict], Session]:
    def read(answer: dict) -> Session:
        interval, timeout = answer["heartbeat_interval_seconds"], answer["heartbeat_timeout_seconds"]
        token = member("token", str)(answer)
        return Session(token, int(answer["incarnation"]), float(interval), float(timeout), began)

    return read


def attempts_in(page: dict) -> Optional[set[tuple[str, int]]]:
    """The attempts in a page; None if there are more pages."""
    held = {(str(task["id"]), int(task["attempt"])) for task in page["items"]}
    return held if page["next_cursor"] is None else None


def machine_load() -> Optional[dict]:
    """The load of this machine, 0 to 1, if the system reports it. The coordinator prefers idle agents."""
    try:
        cpu = os.getloadavg()[0] / (os.cpu_count() or 1)
        memory = 1 - os.sysconf("SC_AVPHYS_PAGES") / os.sysconf("SC_PHYS_PAGES")
        return {"cpu": min(1, max(0, cpu)), "memory": min(1, max(0, memory))}
    except (AttributeError, OSError, ValueError):
        return None


# The work: replace it with your own.


def count_words(work: Work) -> Any:
    """`data`: {"text": "…"}"""
    text = (work.data or {}).get("text")
    if not isinstance(text, str):
        raise TaskFailed("data.text is missing", retryable=False)
    return {"words": len(text.split())}


def take_steps(work: Work) -> Any:
    """`data`: {"steps": 10, "step_seconds": 0.5}; sleeps in each step and reports its progress."""
    steps = 0
    for _ in steps_of(work):
        steps += 1
    return {"steps": steps}


def use_lock(work: Work) -> Any:
    """`data`: {"resource": "db/orders", "steps": 10, "step_seconds": 0.5}; does its steps while it holds the lock."""
    with work.lock(str((work.data or {}).get("resource", "db/orders")), ttl_seconds=5) as lock:
        for _ in steps_of(work):
            lock.check()
        return {"fencing_token": lock.fencing_token}


def steps_of(work: Work) -> Iterator[int]:
    data = work.data or {}
    steps = int(data.get("steps", 10))
    for step in range(1, steps + 1):
        work.sleep(float(data.get("step_seconds", 0.5)))
        if step < steps:
            work.progress(step / steps)
        yield step


HANDLERS = {"count_words": count_words, "take_steps": take_steps, "use_lock": use_lock}


def main() -> int:
    env = os.environ.get
    parser = argparse.ArgumentParser(
        description="An agent of the failover coordinator.",
        epilog="The environment variable TOKEN or ADMIN_TOKEN has the token to register with. It is not an argument, "
        "because every user of the machine can read arguments. Every other setting may also be an environment variable, with "
        "the name in capitals.",
    )
    add = parser.add_argument
    add("--url", default=env("URL", "http://127.0.0.1:8787"), help="URL of the coordinator (URL)")
    add("--cluster", default=env("CLUSTER", "default"), help="(CLUSTER)")
    add("--group", default=env("GROUP", "default"), help="(GROUP)")
    add("--id", default=env("AGENT_ID"), help="id of the agent, for one process at a time (AGENT_ID)")
    add("--type", default=env("AGENT_TYPE", "worker"), help="(AGENT_TYPE)")
    add("--capabilities", default=env("CAPABILITIES"), help="task types, with commas (CAPABILITIES)")
    add("--endpoint", default=env("ENDPOINT"), help="URL of this agent for other programs (ENDPOINT)")
    add("--max-concurrent-tasks", type=int, default=env("MAX_CONCURRENT_TASKS", "4"), metavar="N")
    add("--heartbeat-interval-seconds", type=float, default=env("HEARTBEAT_INTERVAL_SECONDS"), metavar="S")
    add("--heartbeat-timeout-seconds", type=float, default=env("HEARTBEAT_TIMEOUT_SECONDS"), metavar="S")
    add("--grace-seconds", type=float, default=env("GRACE_SECONDS", "30"), metavar="S",
        help="time for running tasks after a signal (GRACE_SECONDS)")  # fmt: skip
    settings = parser.parse_args()
    token = env("TOKEN") or env("ADMIN_TOKEN")
    if not settings.id:
        parser.error("--id or AGENT_ID is missing")
    if not token:
        parser.error("TOKEN or ADMIN_TOKEN is missing in the environment")

    capabilities = settings.capabilities.split(",") if settings.capabilities else None
    unknown = set(capabilities or []) - set(HANDLERS)
    if unknown:
        parser.error(f"there is no handler for {', '.join(sorted(unknown))}")
    try:
        agent = Agent(
            settings.url,
            token,
            settings.id,
            HANDLERS,
            cluster=settings.cluster,
            group=settings.group,
            agent_type=settings.type,
            capabilities=capabilities,
            endpoint=settings.endpoint,
            max_concurrent_tasks=settings.max_concurrent_tasks,
            heartbeat_interval_seconds=settings.heartbeat_interval_seconds,
            heartbeat_timeout_seconds=settings.heartbeat_timeout_seconds,
        )
        agent.run(settings.grace_seconds)
        return 0
    except (Ended, Refused, ValueError) as error:
        print(f"{settings.id}: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    # Does not wait for handlers that did not stop.
    os._exit(code)
