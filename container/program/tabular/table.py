"""A channel's files on all hosts as one table, read in blocks."""

from __future__ import annotations

import hashlib
import logging
import time
from collections import Counter
from dataclasses import dataclass, replace
from functools import partial
from itertools import cycle
from typing import TYPE_CHECKING, Any

import pandas as pd

from byoc import aialgs
from byoc.errors import DataError
from byoc.training import cluster, hosts
from tabular import blocks as cutting
from tabular import data, features, learner

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from byoc.env import TrainingEnvironment
    from byoc.training.channels import Channel
    from byoc.training.hosts import Future, Hosts
    from tabular.blocks import Block
    from tabular.summary import Summary

log = logging.getLogger(__name__)

# Seconds between two lines that tell how far a pass is.
INTERVAL = 30.0


@dataclass
class Table:
    """A channel's rows, wherever they are.

    Attributes:
        name: of the channel.
        hosts: have the files.
        blocks: in the order in which they are learned from.
        columns: their names.
        digest: a hash of the files' contents, which does not depend on the hosts.

    """

    name: str
    hosts: Hosts
    blocks: list[Block]
    columns: tuple[str, ...]
    digest: str

    @classmethod
    def find(
        cls, channel: Channel, workers: Hosts, environment: TrainingEnvironment, scratch: Path, size: int = cutting.SIZE
    ) -> Table:
        """Cut a channel's files into blocks of so many bytes, on the hosts that have them.

        Raises:
            DataError: a file cannot be read or does not fit the others, or the channel holds something else.

        """
        if channel.media_type == aialgs.MEDIA_TYPE or channel.is_pipe:
            what = "comes through a pipe to several hosts" if channel.is_pipe else f"holds {channel.media_type}"
            raise DataError(
                f"channel '{channel.name}' {what}; incremental reads files of CSV, in File or FastFile mode"
            )
        sharded = len(workers.threads) > 1 and cluster.is_sharded(environment, channel.name)
        leader = next(iter(workers.threads))
        files = hosts.each(workers, data.files_of, channel) if sharded else {leader: data.files_of(channel)}
        first = cutting.layout_of(channel)
        cut = partial(cutting.cut, channel=channel, first=first, scratch=scratch, size=size)
        asked = [(host, file) for host, paths in files.items() for file in paths]
        if not sharded:
            # All have all files; what is unpacked is on one of them only.
            asked = [(host, file) for host, (_, file) in zip(cycle(workers.threads), asked, strict=False)]
        found, digests = [], []
        for (host, future), (_, file) in zip(hosts.ahead(workers, asked, cut), asked, strict=True):
            pieces, digest = hosts.told_by(host if sharded else "", future.result)
            found += [replace(block, host=host) for block in pieces]
            digests.append((pieces[0].name, host, digest))
            log.debug("%s on %s: %d blocks", file, host, len(pieces))
        ordered = cutting.in_order(found)
        if not sharded:
            turns = cycle(workers.threads)
            ordered = [each if each.source != each.file else replace(each, host=next(turns)) for each in ordered]
        total = hashlib.sha256("".join(digest for _, _, digest in sorted(digests)).encode())
        where = ", ".join(f"{count} on {host}" for host, count in Counter(host for host, _ in asked).items())
        log.info("channel '%s': %d files (%s), %d blocks", channel.name, len(asked), where, len(ordered))
        return cls(channel.name, workers, ordered, first[1].names, total.hexdigest())

    def summarise(self, target: str) -> Summary:
        """Read all of it and return what there is to know; afterwards, its blocks know which rows are theirs.

        Raises:
            DataError: a block cannot be read, or a column has too many different texts.

        """
        summary, rows = self._summarise(target, ())
        if mixed := summary.mixed():
            for name, place in mixed.items():
                log.warning("column '%s' is text in %s, and not everywhere: it is read again, as text", name, place)
            summary, rows = self._summarise(target, tuple(mixed))
        before, starts = 0, {}
        for block in sorted(self.blocks, key=lambda block: (block.name, block.index)):
            starts[block.number] = before
            before += rows[block.number]
        self.blocks = [replace(block, row=starts[block.number]) for block in self.blocks]
        if summary.unlabelled:
            log.warning("%d rows have no label in column '%s' and are left out", summary.unlabelled, target)
        return summary

    def target(self, wanted: str | int) -> str:
        """Return the name of the label's column.

        Raises:
            DataError: there is no such column.

        """
        return features.target_name(pd.DataFrame(columns=list(self.columns)), wanted)

    def each(self, function: Callable[..., Any], what: str) -> Iterator[tuple[Block, Future]]:
        """Have all blocks done, some ahead of the one in turn, and yield them in their order."""
        told = time.monotonic()
        tasks = [(block.host, block) for block in self.blocks]
        turns = zip(self.blocks, hosts.ahead(self.hosts, tasks, function), strict=True)
        for number, (block, (_, future)) in enumerate(turns):
            if time.monotonic() - told >= INTERVAL:
                told = time.monotonic()
                log.info("%s: %d of %d blocks", what, number, len(self.blocks))
            yield block, future

    def join(self, block: Block, function: Callable[..., Any], state: Any, future: Future) -> Any:
        """Return the function of a state and of what was done with the block, computed where that is.

        Raises:
            DataError: of either.

        """
        return hosts.told_by(self._host(block), lambda: self.hosts.join(block.host, function, state, future))

    def result(self, block: Block, future: Future) -> Any:
        """Return what was done with a block.

        Raises:
            DataError: of that; it names the host where there are several.

        """
        return hosts.told_by(self._host(block), future.result)

    def _host(self, block: Block) -> str:
        return block.host if len(self.hosts.threads) > 1 else ""

    def _summarise(self, target: str, as_text: tuple[str, ...]) -> tuple[Summary, list[int]]:
        total: Summary | None = None
        rows = []
        for block, future in self.each(partial(learner.summarise, target=target, as_text=as_text), "summary"):
            found = self.result(block, future)
            rows.append(found.rows + found.unlabelled)
            if total is None:
                total = found
            else:
                total.merge(found)
        assert total is not None
        return total, rows
