"""Starts a Unity executable and talks to it through ML-Agents.

ML-Agents would start the executable in its own session, where it outlives a killed parent, and
would notice late that it has ended. Here it stays in the caller's process group, and its end is
noticed at once.
"""

from __future__ import annotations

import contextlib
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import numpy as np

from neroRL.config.checks import FIRST_UNITY_PORT
from neroRL.environments.unity import protocol
from neroRL.errors import EnvironmentCrashError, EnvironmentTimeoutError, PortError

protocol.load()

from mlagents_envs.base_env import ActionTuple  # noqa: E402
from mlagents_envs.communicator_objects.unity_message_pb2 import UnityMessageProto  # noqa: E402
from mlagents_envs.communicator_objects.unity_to_external_pb2_grpc import (  # noqa: E402
    add_UnityToExternalProtoServicer_to_server,
)
from mlagents_envs.environment import UnityEnvironment  # noqa: E402
from mlagents_envs.exception import UnityCommunicatorStoppedException  # noqa: E402
from mlagents_envs.rpc_communicator import (  # noqa: E402
    RpcCommunicator,
    UnityToExternalServicerImplementation,
)
from mlagents_envs.side_channel.engine_configuration_channel import (  # noqa: E402
    EngineConfigurationChannel,
)
from mlagents_envs.side_channel.environment_parameters_channel import (  # noqa: E402
    EnvironmentParametersChannel,
)

POLL_SECONDS = 0.1
SECONDS_TO_QUIT = 10.0
# As in ML-Agents' own training: simulated time runs as fast as frames can be computed.
ENGINE = {"time_scale": 20.0, "target_frame_rate": -1, "capture_frame_rate": 60}


class UnityClient:
    """A running Unity executable.

    Args:
        executable: path of the executable.
        worker_id: Unity connects to port 5005 + ``worker_id``.
        timeout: seconds that Unity may take to start, and for each answer.

    Raises:
        PortError: the port is taken.
        EnvironmentTimeoutError: Unity did not answer in time.
        EnvironmentCrashError: Unity ended.
    """

    def __init__(self, executable: Path, worker_id: int, timeout: float) -> None:
        self._parameters = EnvironmentParametersChannel()
        engine = EngineConfigurationChannel()
        engine.set_configuration_parameters(**ENGINE)
        self._unity = _Unity(executable, worker_id, timeout, [self._parameters, engine])

    @property
    def behaviors(self) -> Mapping[str, Any]:
        """Returns the behaviours of the scene, which are complete after the first reset."""
        specs: Mapping[str, Any] = self._unity.behavior_specs
        return specs

    def reset(self, parameters: Mapping[str, float]) -> None:
        """Resets the scene with environment parameters."""
        for key, value in parameters.items():
            self._parameters.set_float_parameter(key, float(value))
        self._talk(self._unity.reset)

    def step(self, behavior: str, choices: np.ndarray, numbers: np.ndarray) -> None:
        """Takes one action with the only agent.

        Args:
            behavior: the agent's.
            choices: the choice of each branch, integers of shape (branches,).
            numbers: the continuous actions, of shape (count,).
        """
        action = ActionTuple(continuous=numbers[None], discrete=choices[None])
        self._unity.set_actions(behavior, action)
        self._talk(self._unity.step)

    def wait(self) -> None:
        """Lets Unity continue without an action until its next message."""
        self._talk(self._unity.step)

    def steps(self, behavior: str) -> tuple[Any, Any]:
        """Returns the agents that wait for an action, and those whose episode has ended."""
        decisions, ended = self._unity.get_steps(behavior)
        return decisions, ended

    def close(self) -> None:
        """Asks Unity to quit, and kills it if it does not."""
        self._unity.quit()

    def _talk(self, call: Callable[[], None]) -> None:
        try:
            call()
        except UnityCommunicatorStoppedException:
            message = f"Unity at port {self._unity.port} has ended the conversation"
            raise EnvironmentCrashError(message) from None


class _Unity(UnityEnvironment):  # type: ignore[misc]
    """ML-Agents' environment, which starts the executable once its server listens."""

    def __init__(
        self, executable: Path, worker_id: int, timeout: float, channels: list[Any]
    ) -> None:
        self._executable = executable
        self.port = FIRST_UNITY_PORT + worker_id
        self._communicator: Any = None
        self._process: subprocess.Popen[bytes] | None = None
        try:
            # In scenes that ignore the parameter ``seed``, only this seed differs between workers.
            super().__init__(
                base_port=self.port, seed=worker_id, timeout_wait=timeout, side_channels=channels
            )
        except BaseException:
            self.quit()
            raise

    @staticmethod
    def _get_communicator(worker_id: int, base_port: int, timeout_wait: float) -> _Communicator:
        return _Communicator(worker_id, base_port, timeout_wait)

    def _send_academy_parameters(self, init_parameters: Any) -> Any:
        command = [str(self._executable), self._PORT_COMMAND_LINE_ARG, str(self.port)]
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        except OSError as error:
            raise EnvironmentCrashError(f"{self._executable} does not run: {error}") from None
        return super()._send_academy_parameters(init_parameters)

    def _poll_process(self) -> None:
        status = None if self._process is None else self._process.poll()
        if status is None:
            return
        shown = f"ended with status {status}"
        if status < 0:
            shown = f"was killed by {signal.Signals(-status).name}"
        raise EnvironmentCrashError(f"Unity at port {self.port} {shown}")

    def _close(self, timeout: float | None = None) -> None:  # noqa: ARG002 - ML-Agents' signature
        self.quit()

    def quit(self) -> None:
        """Ends the conversation and the process; later calls do nothing."""
        self._loaded = False
        communicator, self._communicator = self._communicator, None
        process, self._process = self._process, None
        if communicator is not None:
            with contextlib.suppress(OSError):
                communicator.close()
        if process is not None:
            try:
                process.wait(SECONDS_TO_QUIT)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


class _Communicator(RpcCommunicator):  # type: ignore[misc]
    """ML-Agents' server, on a port that no other process can share."""

    def create_server(self) -> None:
        """Listens on the port.

        Raises:
            PortError: the port is taken.
        """
        self.server = grpc.server(ThreadPoolExecutor(10), options=(("grpc.so_reuseport", 0),))
        self.unity_to_external = UnityToExternalServicerImplementation()
        add_UnityToExternalProtoServicer_to_server(self.unity_to_external, self.server)
        try:
            bound = self.server.add_insecure_port(f"127.0.0.1:{self.port}")
        except RuntimeError:
            bound = 0
        if not bound:
            raise PortError(f"port {self.port} is taken")
        self.server.start()
        self.is_open = True

    def close(self) -> None:
        """Answers Unity's call with a request to quit, and stops the server.

        ML-Agents' own version cancels the call before the answer is sent if the machine is busy.
        """
        if not self.is_open:
            return
        self.is_open = False
        message = UnityMessageProto()
        message.header.status = 400
        self.unity_to_external.parent_conn.send(message)
        self.unity_to_external.parent_conn.close()
        self.server.stop(SECONDS_TO_QUIT).wait()

    def initialize(self, inputs: Any, poll_callback: Callable[[], None] | None = None) -> Any:
        """Answers Unity's first message and waits for the second one, which asks for a reset."""
        self.poll_for_timeout(poll_callback)
        first = self.unity_to_external.parent_conn.recv().unity_output
        message = UnityMessageProto()
        message.header.status = 200
        message.unity_input.CopyFrom(inputs)
        self.unity_to_external.parent_conn.send(message)
        self.poll_for_timeout(poll_callback)
        self.unity_to_external.parent_conn.recv()
        return first

    def poll_for_timeout(self, poll_callback: Callable[[], None] | None = None) -> None:
        """Waits for Unity's message.

        Raises:
            EnvironmentTimeoutError: no message came in time.
            EnvironmentCrashError: Unity has ended.
        """
        deadline = time.monotonic() + self.timeout_wait
        while time.monotonic() < deadline:
            if self.unity_to_external.parent_conn.poll(POLL_SECONDS):
                return
            if poll_callback is not None:
                poll_callback()
        message = f"Unity at port {self.port} did not answer within {self.timeout_wait:g} seconds"
        raise EnvironmentTimeoutError(message)
