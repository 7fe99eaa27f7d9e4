"""A pool of connections by itself, with a line of its own, and who asks it for places."""

from gateway.core.deployment import Deployment
from gateway.proxy.queue.deployment_line import Claimant
from gateway.proxy.queue.lines import Lines
from gateway.proxy.upstream.connection_pool import ConnectionPool, FreeDescriptor

SOMEBODY = Claimant("key", "acme", is_batch=False, key_weight=1, account_weight=1)


def pool_of(deployment: Deployment, free_descriptor: FreeDescriptor = lambda: False) -> ConnectionPool:
    """The pool of a deployment that nobody else knows of."""
    return ConnectionPool(deployment, Lines().of(deployment), free_descriptor)
