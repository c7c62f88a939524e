"""Coherence between nodes: what is published to SNS and what is heard from it.

``publisher.py`` sends events, ``listener.py`` hands what is heard to the mounts; it hears by one
transport, ``sqs.py`` or ``http.py``. Below them: ``pending.py`` (what waits to be sent, coalesced),
``queues.py`` (one process' queue), ``subscriptions.py``, ``signatures.py``, ``server.py`` (the
socket), ``records.py`` and ``envelope.py`` (what texts say), ``aws.py`` (clients and their
failures), ``metadata.py`` (an instance's public name).

This is the only room that speaks to SNS and SQS. Whatever a message does, no thread dies of it.
"""
