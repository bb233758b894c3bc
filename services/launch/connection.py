"""The connection to a Docker engine, and messages for its errors."""

import contextlib
import os
import socket
from collections.abc import Iterator

import docker
from docker.errors import APIError, DockerException, ImageNotFound

from fedsiege.services.launch.base import FleetFailed

#: Label of all containers and networks of a run.
RUN_LABEL = "fedsiege.run"
#: Label that names the process that made them; see ``owner``.
OWNER_LABEL = "fedsiege.owner"
#: Calls to the engine at a time; more only queue up inside it.
AT_ONCE = 8


def connect() -> docker.DockerClient:
    """Connect to the engine that DOCKER_HOST names, or this machine's.

    Raises:
        FleetFailed: none answers, or not to this user.
    """
    try:
        return docker.from_env(max_pool_size=AT_ONCE + 2)
    except DockerException as error:
        where = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
        if "Permission denied" in str(error):
            users = f"members of the group docker and root may use {where}"
            raise FleetFailed(f"The Docker engine refuses this user; {users}") from error
        raise FleetFailed(
            f"No Docker engine answers at {where}; docker/engine.sh start starts one here"
        ) from error


@contextlib.contextmanager
def engine() -> Iterator[docker.DockerClient]:
    """Use the engine for a while."""
    client = connect()
    try:
        yield client
    finally:
        client.close()


@contextlib.contextmanager
def explained(what: str) -> Iterator[None]:
    """Turn an error of the engine into ``FleetFailed``.

    Raises:
        FleetFailed: what could not be done, and why.
    """
    try:
        yield
    except APIError as error:
        raise FleetFailed(f"Docker: {what}: {error.explanation or error}") from error
    except (DockerException, OSError) as error:
        raise FleetFailed(f"Docker: {what}: {error}") from error


def find_image(client: docker.DockerClient, image: str) -> None:
    """Make sure that the engine has an image.

    Raises:
        FleetFailed: the engine does not have it, or does not answer.
    """
    with explained(f"the image {image} cannot be used"):
        try:
            client.images.get(image)
        except ImageNotFound:
            raise FleetFailed(
                f"The Docker engine has no image {image}; make image builds fedsiege:latest"
            ) from None


def check_is_here(gateway: str) -> None:
    """Make sure that the services can listen where the containers look for them.

    Raises:
        FleetFailed: the engine runs somewhere else.
    """
    with socket.socket() as test:
        try:
            test.bind((gateway, 0))
        except OSError as error:
            raise FleetFailed(
                f"The Docker network's gateway {gateway} is no address of this machine "
                f"({error.strerror}): ENGINE=docker needs an engine that runs beside the simulator"
            ) from None
