"""Groups of images that are nearly the same, found by a thread beside the page.

All pairs from a floor on are found once; groups at any higher threshold follow at once.
"""

import threading

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from darac_tf.errors import UserError
from darac_tf.search.duplicates import near_pairs

FLOOR = 0.8
# Of more pairs only the most similar are kept, which raises the floor.
_MOST_PAIRS = 1_000_000


class DuplicateGroups:
    """Finds the pairs of a `collection.Snapshot` in a thread of its own, which begins at once.

    Attributes:
        snapshot: What is looked at.
        floor: The lowest threshold there is; it rises where there are too many pairs.
        share: How much of the work is done, in [0, 1].
        fault: What went wrong, or None.
    """

    def __init__(self, snapshot):
        self.snapshot, self.floor, self.share, self.fault = snapshot, FLOOR, 0.0, None
        self._pairs = np.empty(0, np.float32), np.empty(0, np.int64), np.empty(0, np.int64)
        self._is_stopped = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self):
        """Gives up what is not done, and waits for the thread to end."""
        self._is_stopped = True
        self._thread.join()

    def groups(self, threshold):
        """Groups that are connected by pairs of at least a threshold, the largest first.

        Returns:
            List of `(similarity of its nearest pair, rows)`; a single row is that of a content that
            several files have.
        """
        scores, left, right = self._pairs
        is_near = scores >= np.float32(threshold - 1e-6)
        scores, left, right = scores[is_near], left[is_near], right[is_near]
        rows, places = np.unique(np.concatenate([left, right]), return_inverse=True)
        ends = places.reshape(2, -1)
        graph = coo_matrix((np.ones(len(scores), bool), tuple(ends)), (len(rows), len(rows)))
        count, labels = connected_components(graph, directed=False)
        nearest = np.zeros(count, np.float32)
        np.maximum.at(nearest, labels[ends[0]], scores)
        order = np.argsort(labels, kind="stable")
        stops = np.cumsum(np.bincount(labels, minlength=count)).tolist()
        parts = [rows[order[span]].tolist() for span in map(slice, [0, *stops], stops)]
        found = list(zip(nearest.tolist(), parts, strict=True))
        index = self.snapshot.index
        keys = [np.frombuffer(key, np.uint8) for key in index.files.shared_keys()]
        if keys:  # A writer may have added some since the index was opened.
            copies = np.intersect1d(index.table.find(np.stack(keys)), index.live()[1])
            found += [(1.0, [row]) for row in np.setdiff1d(copies, rows).tolist()]
        return sorted(found, key=lambda group: (-len(group[1]), -group[0], group[1]))

    def _run(self):
        try:
            index = self.snapshot.index
            _, live = index.live(check=True)
            for pairs in near_pairs(index, live, FLOOR, self._in_turn):
                if len(pairs[0]):
                    self._add(pairs)
            self.share = 1.0
        except UserError as error:
            self.fault = str(error)

    def _in_turn(self, function, blocks):
        """As `map`, on one processor, so that the page is answered meanwhile."""
        blocks = list(blocks)
        for done, block in enumerate(blocks):
            if self._is_stopped:
                return
            yield function(block)
            self.share = done / len(blocks)

    def _add(self, pairs):
        scores, *_ = pairs = [np.concatenate(both) for both in zip(self._pairs, pairs, strict=True)]
        if len(scores) > _MOST_PAIRS:
            best = np.argpartition(-scores, _MOST_PAIRS // 2)[: _MOST_PAIRS // 2]
            pairs = [each[best] for each in pairs]
            self.floor = float(pairs[0].min())
        is_above = pairs[0] >= np.float32(self.floor - 1e-6)
        self._pairs = tuple(each[is_above] for each in pairs)
