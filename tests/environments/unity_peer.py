"""Plays Unity's side of ML-Agents' protocol and records the messages that it gets.

:func:`write_peer` makes an executable of it. Beside the executable are ``peer.json``, which says
how it behaves (see :class:`Behaviour`), and ``records/``, which has a file of JSON lines for each
process. It fails at a step of an episode that these environment parameters name: ``crash-at``,
``hang-at``, ``wrong-at`` and ``quit-at``.
"""

from __future__ import annotations

import json
import os
import signal
import struct
import sys
import time
import uuid
import zlib
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parents[2]
PARAMETERS = uuid.UUID("534c891e-810f-11ea-a9d0-822485860400").bytes_le


@dataclass
class Behaviour:
    """How a peer behaves.

    Attributes:
        names: names of the behaviours.
        agents: number of agents of each behaviour.
        images: shapes of the visual observations, 1 or 3 channels; each is 50 brighter than the one
            before.
        vectors: lengths of the vector observations: step of the episode, seed, total of actions, 0.
        branches: choices of the action branches.
        continuous: number of continuous actions.
        old: whether to speak the older protocol.
        compressed: whether images are PNGs.
        ends_at: step that terminates an episode; 0 for none.
        cut_at: step that interrupts an episode; 0 for none.
        start_seconds: time before it connects.
        start_status: exit status with which it ends instead of connecting; None to connect.
        tower: whether the first vector is that of Obstacle Tower, whose floor is 3 at the end.
        silent_steps: number of messages without an agent before each one that has an agent.
        ignores_quit: whether it keeps running when it is asked to quit.
    """

    names: list[str] = field(default_factory=lambda: ["Agent?team=0"])
    agents: int = 1
    images: list[list[int]] = field(default_factory=list)
    vectors: list[int] = field(default_factory=lambda: [4])
    branches: list[int] = field(default_factory=lambda: [3])
    continuous: int = 0
    old: bool = False
    compressed: bool = True
    ends_at: int = 5
    cut_at: int = 0
    start_seconds: float = 0.0
    start_status: int | None = None
    tower: bool = False
    silent_steps: int = 0
    ignores_quit: bool = False


TOWER = Behaviour(
    names=["ObstacleTowerAgent-v4.1?team=0"],
    images=[[168, 168, 3]],
    vectors=[8],
    branches=[3, 3, 2, 3],
    old=True,
    tower=True,
)


def write_peer(directory: Path, behaviour: Behaviour | None = None) -> Path:
    """Writes an executable peer; returns its path without the suffix ``.x86_64``."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "peer.json").write_text(json.dumps(asdict(behaviour or Behaviour())))
    (directory / "records").mkdir()
    path = directory / "peer.x86_64"
    path.write_text(
        f"#!{sys.executable}\nimport sys\nsys.path.insert(0, {str(PROJECT)!r})\n"
        "from tests.environments.unity_peer import main\nmain()\n"
    )
    path.chmod(0o755)
    return path.with_suffix("")


def records(path: Path) -> list[list[dict[str, Any]]]:
    """Returns the records of an executable's peers: a list for each process, in order of start."""
    files = [file.read_text().splitlines() for file in path.parent.glob("records/*.jsonl")]
    read = [[json.loads(line) for line in lines] for lines in files if lines]
    return sorted(read, key=lambda events: events[0]["time"])


def living(path: Path) -> list[int]:
    """Returns the process ids of an executable's peers and their workers that still run."""
    found = []
    for events in records(path):
        for number in (events[0]["pid"], events[0]["parent"]):
            try:
                state = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0]
            except (FileNotFoundError, ProcessLookupError):
                continue
            if state != "Z":
                found.append(number)
    return found


def main() -> None:
    """Runs the executable: ``peer.x86_64 --mlagents-port PORT``."""
    directory = Path(sys.argv[0]).resolve().parent
    behaviour = Behaviour(**json.loads((directory / "peer.json").read_text()))
    port = int(sys.argv[sys.argv.index("--mlagents-port") + 1])
    with (directory / f"records/{port}-{os.getpid()}.jsonl").open("w", buffering=1) as file:
        _Peer(behaviour, port, file).run()


class _Peer:
    def __init__(self, behaviour: Behaviour, port: int, file: Any) -> None:
        self._behaviour, self._port, self._file = behaviour, port, file
        self._told_behaviours = False
        self._step = 0
        self._total = 0
        self._parameters: dict[str, float] = {}

    def _record(self, event: str, **rest: Any) -> None:
        self._file.write(json.dumps({"event": event, "time": time.time(), **rest}) + "\n")

    def run(self) -> None:
        if self._behaviour.ignores_quit:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        self._record("start", port=self._port, pid=os.getpid(), parent=os.getppid())
        time.sleep(self._behaviour.start_seconds)
        if self._behaviour.start_status is not None:
            sys.exit(self._behaviour.start_status)
        from neroRL.environments.unity import protocol

        protocol.load()
        import grpc
        from mlagents_envs.communicator_objects import unity_message_pb2 as messages
        from mlagents_envs.communicator_objects.unity_to_external_pb2_grpc import (
            UnityToExternalProtoStub,
        )

        self._messages = messages
        with grpc.insecure_channel(f"localhost:{self._port}") as channel:
            stub = UnityToExternalProtoStub(channel)
            message = self._message()
            first = message.unity_output.rl_initialization_output
            first.name = "Peer"
            first.communication_version = "1.0.0" if self._behaviour.old else "1.5.0"
            first.capabilities.baseRLCapabilities = True
            answer = stub.Exchange(message, wait_for_ready=True)
            given = answer.unity_input.rl_initialization_input
            self._record("initialised", seed=given.seed, version=given.communication_version)
            answer = stub.Exchange(self._message())
            while answer.header.status == 200:
                answer = stub.Exchange(self._output(answer.unity_input.rl_input))
        self._record("end")
        while self._behaviour.ignores_quit:
            time.sleep(1)

    def _message(self) -> Any:
        message = self._messages.UnityMessageProto()
        message.header.status = 200
        return message

    def _output(self, given: Any) -> Any:
        self._read_parameters(given.side_channel)
        is_reset = given.command == 1
        if is_reset:
            self._record("reset", parameters=self._parameters)
            self._step, self._total, self._silent = 0, 0, self._behaviour.silent_steps
        elif given.agent_actions:
            self._act(given.agent_actions)
        message = self._message()
        if not self._told_behaviours:
            self._tell_behaviours(message.unity_output.rl_initialization_output)
        if self._silent and self._told_behaviours:
            self._silent -= 1
            return message
        self._told_behaviours = True
        self._silent = self._behaviour.silent_steps
        fault = {"quit": 400}.get(self._fault())
        if fault:
            message.header.status = fault
        for name in self._behaviour.names:
            infos = message.unity_output.rl_output.agentInfos[name].value
            for agent in range(self._behaviour.agents):
                self._tell_agent(infos.add(), agent)
        return message

    def _act(self, agent_actions: Any) -> None:
        (actions,) = agent_actions.values()
        (action,) = actions.value
        choices, numbers = list(action.discrete_actions), list(action.continuous_actions)
        assert list(action.vector_actions_deprecated) == [*numbers, *choices]
        self._record("step", action=choices, numbers=numbers)
        self._step += 1
        self._total += sum(choices) + sum(numbers)
        fault = self._fault()
        if fault == "crash":
            os._exit(7)
        if fault == "hang":
            time.sleep(3600)

    def _fault(self) -> str | None:
        for kind in ("crash", "hang", "wrong", "quit"):
            at = self._parameters.get(f"{kind}-at", 0)
            if at and self._step >= at:
                return kind
        return None

    def _tell_behaviours(self, output: Any) -> None:
        behaviour = self._behaviour
        for name in behaviour.names:
            brain = output.brain_parameters.add()
            brain.brain_name = name
            if behaviour.old:
                continuous = behaviour.continuous
                sizes = [continuous] if continuous else behaviour.branches
                brain.vector_action_size_deprecated.extend(sizes)
                brain.vector_action_space_type_deprecated = 1 if continuous else 0
            else:
                brain.action_spec.num_continuous_actions = behaviour.continuous
                brain.action_spec.num_discrete_actions = len(behaviour.branches)
                brain.action_spec.discrete_branch_sizes.extend(behaviour.branches)

    def _tell_agent(self, info: Any, agent: int) -> None:
        behaviour, step = self._behaviour, self._step
        info.id = agent
        cut = bool(behaviour.cut_at) and step >= behaviour.cut_at
        info.done = cut or (bool(behaviour.ends_at) and step >= behaviour.ends_at)
        info.max_step_reached = cut
        info.reward = float(self._total) if info.done else 0.5
        for number, shape in enumerate(behaviour.images):
            self._tell_image(info.observations.add(), number, *shape)
        for length in behaviour.vectors:
            observation = info.observations.add()
            numbers = self._numbers(length, info.done)
            if self._fault() == "wrong":
                numbers = numbers[:-1]
            observation.shape.append(length)
            observation.float_data.data.extend(numbers)

    def _numbers(self, length: int, done: bool) -> list[float]:
        if self._behaviour.tower:
            keys = [0.0] * 6
            keys[min(self._step, 2)] = 1.0
            return [*keys, 3000.0 - self._step, 3.0 if done else 0.0]
        told = [self._step, self._parameters.get("seed", -1), self._total]
        return [float(number) for number in (told + [0] * length)[:length]]

    def _tell_image(
        self, observation: Any, number: int, height: int, width: int, channels: int
    ) -> None:
        observation.shape.extend([height, width, channels])
        if not self._behaviour.old:
            observation.name = f"Camera{number}"
        pixel = (self._step + 50 * number) % 256
        if self._behaviour.compressed:
            observation.compression_type = 1
            observation.compressed_data = _png(height, width, pixel)
        else:
            observation.float_data.data.extend([pixel / 255] * (height * width * channels))

    def _read_parameters(self, data: bytes) -> None:
        while data:
            channel, (length,) = data[:16], struct.unpack_from("<i", data, 16)
            body, data = data[20 : 20 + length], data[20 + length :]
            if channel == PARAMETERS:
                (size,) = struct.unpack_from("<i", body)
                kind, value = struct.unpack_from("<if", body, 4 + size)
                assert kind == 0
                self._parameters[body[4 : 4 + size].decode()] = value


def _png(height: int, width: int, pixel: int) -> bytes:
    """Returns a PNG of an RGB image that gets darker to the right, starting from one shade."""
    row = bytes([0] + [max(pixel - x % 7, 0) for x in range(width) for _ in range(3)])

    def chunk(kind: bytes, body: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + body))
        return struct.pack(">I", len(body)) + kind + body + check

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(row * height, 1))
        + chunk(b"IEND", b"")
    )
