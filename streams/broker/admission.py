"""Whether brokers let us in, and in one line why not.

librdkafka and aiokafka try for ever and report that no broker answers, whatever the reason. So the first client that a
process makes asks each broker once, over a connection of its own; and whoever waits for a broker asks again.
"""

from __future__ import annotations

import asyncio
import ssl
import threading
from concurrent.futures import ThreadPoolExecutor

from aiokafka import errors
from aiokafka.conn import create_conn
from aiokafka.protocol.metadata import MetadataRequest

from schemas.access import tls
from schemas.access.address import host_of, variables_of
from schemas.access.errors import AccessError, TokenError
from streams.broker.errors import NotAdmittedError
from streams.broker.security import Mode, Security, for_aiokafka, security_of

#: For a broker to answer. One that is silent may be starting: that is no refusal, and nobody waits longer for it here.
WITHIN_S = 5.0
#: Whoever speaks plaintext on this machine has nothing to be refused but a port that speaks TLS.
PLAINTEXT_WITHIN_S = 1.0

_lock = threading.Lock()
_asked: set[tuple[str, tuple[tuple[str, str], ...]]] = set()


def ask_once(bootstrap_servers: str) -> None:
    """`ask`, the first time that this process is to reach these brokers. Raises NotAdmittedError, AccessError."""
    security_of(bootstrap_servers)
    key = (str(bootstrap_servers), tuple(sorted(variables_of(bootstrap_servers).items())))
    with _lock:
        if key in _asked:
            return
    ask(bootstrap_servers)
    with _lock:
        _asked.add(key)


def ask(bootstrap_servers: str) -> None:
    """Returns where a broker lets us in, or none answers.

    Raises NotAdmittedError where one answers and does not, AccessError for how they are to be reached.
    """
    # A loop of its own in a thread of its own: it may be asked from within a loop.
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="admission") as pool:
        reason = pool.submit(asyncio.run, _why_not(bootstrap_servers)).result()
    if reason is not None:
        raise NotAdmittedError(reason)


async def _why_not(bootstrap_servers: str) -> str | None:
    security = security_of(bootstrap_servers)
    reason: str | None = None
    for server in bootstrap_servers.split(","):
        host, _, port = server.strip().rpartition(":")
        try:
            answered, reason = await _one(security, host_of(host) or "localhost", int(port))
        except ValueError:
            raise AccessError(f"{server.strip()} is no address of a broker: host:port") from None
        except (AccessError, TokenError) as error:
            return str(error)
        # One broker that lets us in is enough; one that is away says nothing.
        if answered and reason is None:
            return None
        if reason is not None:
            return reason
    return reason


async def _one(security: Security, host: str, port: int, *, again: bool = True) -> tuple[bool, str | None]:
    """Whether the broker answered, and why it does not let us in.

    `again`: a broker that ends the connection is asked once more. It may be going away, and then takes none.
    """
    where = f"the broker at {host}:{port}"
    within_s = PLAINTEXT_WITHIN_S if security.mode is Mode.PLAINTEXT else WITHIN_S
    try:
        async with asyncio.timeout(within_s):
            connection = await create_conn(
                host,
                port,
                client_id="vigia-admission",
                request_timeout_ms=int(within_s * 1000),
                **for_aiokafka(security),
            )
            try:
                await connection.send(MetadataRequest([]))
            except errors.KafkaConnectionError as error:
                raise _NoAnswerToFirstRequestError from error
            finally:
                connection.close()
        return True, None
    except (errors.SaslAuthenticationFailed, errors.AuthenticationFailedError):
        return True, f"wrong credentials: {where} refuses {security.who}"
    except errors.UnsupportedSaslMechanismError:
        return True, f"{where} does not take {_mechanism(security)} on this port: VIGIA_KAFKA_SECURITY={security.mode}"
    except TimeoutError:
        return False, None
    except (OSError, errors.KafkaError) as error:
        return await _failed(error, security, where, host, port, again)


async def _failed(
    error: BaseException, security: Security, where: str, host: str, port: int, again: bool
) -> tuple[bool, str | None]:
    if security.mode is Mode.PLAINTEXT:
        if not isinstance(error, errors.KafkaError):
            return False, None
        if await _speaks_tls(host, port):
            return True, f"{where} speaks TLS: set VIGIA_KAFKA_SECURITY to tls, mtls, scram or oauth"
    elif (reason := tls.why(error, security.tls.trusted)) is not None:
        return True, f"the TLS connection to {where} fails: {reason}"
    elif isinstance(error, ConnectionResetError) and await _speaks_plaintext(host, port):
        return True, f"the TLS connection to {where} fails: it speaks no TLS on this port"
    if isinstance(error, _NoAnswerToFirstRequestError) and again:
        return await _one(security, host, port, again=False)
    if isinstance(error, _NoAnswerToFirstRequestError):
        return True, f"{where} asks for credentials on this port: VIGIA_KAFKA_SECURITY=scram or oauth"
    # Away, or going away at this moment.
    return False, None


class _NoAnswerToFirstRequestError(errors.KafkaError):  # type: ignore[misc]
    """The connection was fine, and the broker ended it when it was asked something."""


async def _speaks_tls(host: str, port: int) -> bool:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # Nothing is sent on this connection: whoever it is, the question is only whether it speaks TLS.
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        async with asyncio.timeout(PLAINTEXT_WITHIN_S):
            _, writer = await asyncio.open_connection(host, port, ssl=context)
        writer.close()
        return True
    except ssl.SSLError as error:
        return "ALERT" in str(error.reason)
    except (OSError, TimeoutError):
        return False


async def _speaks_plaintext(host: str, port: int) -> bool:
    return (await _one(Security(), host, port)) == (True, None)


def _mechanism(security: Security) -> str:
    return {Mode.SCRAM: "SCRAM-SHA-512", Mode.OAUTH: "OAUTHBEARER"}.get(security.mode, "our credentials")
