"""Tests signals to the process in which a job runs."""

from __future__ import annotations

import os
import signal
import sys

import pytest

from neroRL.training.interrupt import Requeued, interruptible, interruption


@pytest.fixture
def launcher():
    """Installs a handler like submitit's, which notes the call and exits the process."""
    calls = []

    def handle(signum, frame):
        calls.append(signum)
        sys.exit(144)

    before = signal.signal(signal.SIGUSR2, handle)
    yield calls
    signal.signal(signal.SIGUSR2, before)


def test_a_requeue_outside_of_the_training_is_no_exit_of_the_job(launcher):
    handler = signal.getsignal(signal.SIGUSR2)
    with pytest.raises(Requeued) as raised, interruptible():
        os.kill(os.getpid(), signal.SIGUSR2)
    assert raised.value.code == 144
    assert launcher == [signal.SIGUSR2]
    assert signal.getsignal(signal.SIGUSR2) is handler


def test_a_requeue_within_the_training_waits_for_its_end(launcher):
    with interruptible(), interruption() as caught:
        assert not caught.requested
        os.kill(os.getpid(), signal.SIGUSR2)
        assert caught.requested
        assert launcher == []
        with pytest.raises(Requeued):
            caught.end()
    assert launcher == [signal.SIGUSR2]


def test_without_a_launcher_the_signal_keeps_its_meaning():
    assert signal.getsignal(signal.SIGUSR2) is signal.SIG_DFL
    with interruptible(), interruption():
        assert signal.getsignal(signal.SIGUSR2) is signal.SIG_DFL


def test_the_first_ctrl_c_is_a_request():
    with interruption() as caught:
        os.kill(os.getpid(), signal.SIGINT)
        assert caught.requested
        os.kill(os.getpid(), signal.SIGINT)  # the same interrupt, passed on by the sweep
        with pytest.raises(KeyboardInterrupt):
            caught.end()
