"""Tests of the client with a real federation, and over a line that is cut."""

import asyncio
import math
import re
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest

from fedsiege.client import Client, ExperimentState
from fedsiege.errors import FedSiegeError, InvalidValue
from fedsiege.experiment.spec import ExperimentSpec
from fedsiege.results import HistoryRow
from fedsiege.services.errors import Forbidden, NotFound, Unreachable
from fedsiege.services.identity.authority import Authority
from fedsiege.services.identity.callers import Role
from fedsiege.services.identity.tls import Tls
from fedsiege.v1 import simulator_pb2 as pb
from fedsiege.v1 import simulator_pb2_grpc as rpc

SMALL = {"dataset": "digits", "clients": 5, "rounds": 4, "rule": "median", "attack": 0.2}


@pytest.fixture
def address(servers, tmp_path) -> str:
    return servers.federation(tmp_path / "runs")


def test_an_experiment_from_start_to_data_frame(address):
    seen = []
    with Client(address) as client:
        experiment = client.start(SMALL, seed=7, rounds=3)
        assert (experiment.spec.seed, experiment.spec.rounds, experiment.spec.clients) == (7, 3, 5)
        rows = list(experiment.watch(on_change=lambda one: seen.append(one.state)))
        assert [row.round for row in rows] == [0, 1, 2, 3]
        assert experiment.state is ExperimentState.FINISHED
        assert seen[-1] == "finished"
        assert "running" in seen
        assert (experiment.recorded, experiment.problem) == (4, "")
        assert len(experiment.hostile) == 1
        assert any("hostile" in note for note in experiment.notes)
        assert experiment.created < experiment.ended < datetime.now(UTC)
        history = experiment.history()
        assert list(history.columns) == HistoryRow.header()
        written = pd.read_csv(f"{experiment.results}/history.csv")
        for column in ("round", "accuracy", "loss", "updates", "instability", "hostile_share"):
            np.testing.assert_array_equal(history[column], written[column])
        assert history["expected"].dtype == "Int64"
        assert list(experiment.watch(from_round=2)) == rows[2:]
        assert [one.id for one in client.experiments()] == [experiment.id]
        assert client.experiment().id == client.experiment(experiment.id).id == experiment.id


def test_a_specification_and_numbers_of_numpy_start_an_experiment(address):
    with Client(address) as client:
        spec = ExperimentSpec.of({**SMALL, "seed": 2**64 - 1})
        started = client.start(spec, rounds=np.int64(1), attack=np.float32(0.4), lr=np.float64(0.5))
        assert started.spec == started.wait().spec
        assert (started.spec.seed, started.spec.rounds) == (2**64 - 1, 1)
        assert (started.spec.attack, started.spec.lr) == (0.4, 0.5)
        assert started.state is ExperimentState.FINISHED


async def test_it_works_where_an_event_loop_runs_as_in_a_notebook(address):
    with Client(address) as client:
        experiment = client.start(SMALL, rounds=1)
        assert len(list(experiment.watch())) == 2


def test_a_running_experiment_has_a_history_and_is_cancelled(address):
    with Client(address) as client:
        experiment = client.start(SMALL, rounds=100_000)
        for row in experiment.watch():
            assert experiment.recorded > row.round
            if row.round == 2:
                break
        running = experiment.rows()
        assert [row.round for row in running] == list(range(len(running)))
        assert len(running) >= 3
        assert experiment.cancel().state is ExperimentState.CANCELLED
        assert experiment.wait().problem == "cancelled"
        assert len(experiment.history()) == experiment.recorded >= len(running)
        assert experiment.cancel().state is ExperimentState.CANCELLED


@pytest.mark.parametrize(
    ("wrong", "name", "allowed"),
    [
        ({"attack": 1.2}, "ATTACK", "0 to 1"),
        ({"rule": "kram"}, "RULE", "did you mean krum?"),
        ({"rounds": [3]}, "ROUNDS", "a whole number"),
        ({"nonsense": 3}, "nonsense", "there is no such setting"),
        ({"name": "\ud800"}, "spec", "numbers and texts"),
        ({3: 3}, "spec", "settings by name"),
    ],
)
def test_a_setting_that_is_not_possible_says_what_is(servers, tmp_path, wrong, name, allowed):
    address = servers.federation(tmp_path, workers=False)
    with Client(address) as client:
        with pytest.raises(InvalidValue, match=name) as caught:
            client.start(wrong)
        assert caught.value.name == name
        assert allowed in caught.value.allowed
        assert client.experiments() == []


def test_a_waiting_experiment_says_what_it_waits_for(servers, tmp_path):
    with Client(servers.federation(tmp_path, workers=False)) as client:
        assert client.workers() == []
        experiment = client.start(SMALL)
        changes = experiment.watch(on_change=lambda one: one.problem and one.cancel())
        assert list(changes) == []
        assert experiment.state is ExperimentState.CANCELLED
        assert experiment.rows() == []
        assert experiment.history().empty


def test_what_is_not_known_is_not_found(servers, tmp_path):
    with Client(servers.federation(tmp_path, workers=False)) as client:
        for identifier in ("", "nope"):
            with pytest.raises(NotFound, match="there is no experiment") as caught:
                client.experiment(identifier)
            assert caught.value.reason == "UNKNOWN_EXPERIMENT"


def test_no_round_is_lost_or_doubled_where_the_line_is_cut(servers, address):
    line = servers.line(address)
    with Client(line.address) as client:
        experiment = client.start(SMALL, rounds=40)
        rows = []
        for row in experiment.watch():
            rows.append(row.round)
            if row.round in (0, 7, 8, 21):
                servers.do(line.cut_for(0.3))
        assert rows == list(range(41))
        assert experiment.state is ExperimentState.FINISHED
        assert list(experiment.history()["round"]) == rows


def test_a_simulator_that_stays_away_is_named(servers, address):
    line = servers.line(address)
    with Client(line.address, timeout=0.5) as client:
        experiment = client.start(SMALL, rounds=100_000)
        watching = experiment.watch()
        assert next(watching).round == 0
        servers.do(line.cut())
        lost = re.escape(f"{line.address} was not reached within 0.5 s")
        with pytest.raises(Unreachable, match=lost):
            list(watching)
        with pytest.raises(Unreachable, match=lost):
            experiment.refresh()
    with Client(address) as client:
        assert client.experiment(experiment.id).cancel().state is ExperimentState.CANCELLED


def test_a_simulator_that_was_restarted_does_not_know_its_experiments(servers, address, tmp_path):
    line = servers.line(address)
    restarted = servers.federation(tmp_path / "later", workers=False)
    with Client(line.address) as client, Client(address) as other:
        experiment = client.start(SMALL, rounds=100_000)
        watching = experiment.watch()
        assert next(watching).round == 0
        line.target = restarted
        servers.do(line.cut_for(0.1))
        with pytest.raises(NotFound, match=experiment.id):
            list(watching)
        other.experiment(experiment.id).cancel()


def test_a_simulator_that_is_not_there_yet_is_waited_for(servers, address):
    line = servers.line(address)
    servers.do(line.cut())
    with Client(line.address) as client:
        servers.do(line.cut_for(0.5))
        assert client.start(SMALL, rounds=1).wait().state is ExperimentState.FINISHED


@pytest.mark.parametrize("address", ["localhost", "", "localhost:", "a:b"])
def test_an_address_without_a_port_is_refused(address):
    with pytest.raises(InvalidValue, match="host:port"):
        Client(address)


@pytest.mark.parametrize("timeout", [0, -1, math.nan])
def test_a_timeout_is_above_0(timeout):
    with pytest.raises(InvalidValue, match="above 0"):
        Client(timeout=timeout)


@pytest.mark.parametrize("from_round", [-1, 2**32])
def test_a_round_to_begin_with_is_a_number_of_the_contract(servers, tmp_path, from_round):
    with Client(servers.federation(tmp_path, workers=False)) as client:
        experiment = client.start(SMALL)
        with pytest.raises(InvalidValue, match="from_round"):
            experiment.watch(from_round)


def test_a_closed_client_says_so(servers, tmp_path):
    with Client(servers.federation(tmp_path, workers=False)) as client:
        experiment = client.start(SMALL)
    for use in (client.workers, experiment.refresh, lambda: list(experiment.watch())):
        with pytest.raises(FedSiegeError, match="is closed"):
            use()


class Idle(rpc.SimulatorServiceServicer):
    async def ListWorkers(self, request, context):
        return pb.ListWorkersResponse()


def test_certificates_are_shown_and_checked(servers, tmp_path):
    certs = tmp_path / "certs"
    authority = Authority.create(certs)
    authority.issue("simulator", participants=0, hosts=("localhost",))
    authority.issue("me", Role.CONTROL)
    authority.issue("client-1", participants=3)
    address = servers.simulator(Idle(), tls=Tls(certs / "simulator"))
    with Client(address, certs=certs / "me") as client:
        assert client.workers() == []
    with (
        Client(address, certs=str(certs / "client-1")) as client,
        pytest.raises(Forbidden, match="whose role is participant") as caught,
    ):
        client.workers()
    assert caught.value.reason == "CONTROL_ONLY"
    with Client(address, timeout=0.5) as client, pytest.raises(Unreachable, match=address):
        client.workers()
    with pytest.raises(InvalidValue, match="CERTS"):
        Client(address, certs=tmp_path)


def test_a_simulator_that_does_not_answer_is_given_up(servers):
    class Silent(rpc.SimulatorServiceServicer):
        async def ListWorkers(self, request, context):
            await asyncio.Event().wait()

    with (
        Client(servers.simulator(Silent()), timeout=0.3) as client,
        pytest.raises(Unreachable, match=r"did not answer within 0\.3 s"),
    ):
        client.workers()
