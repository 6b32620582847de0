"""Search as a product and a selection in PyTorch, on the GPU where there is one."""

from benchmarks.peers.contest import needed
from benchmarks.peers.search import Search
from benchmarks.peers.torchvision_parts import best_device


class TorchSearch(Search):
    """The whole product at once; a GPU gets its copy of the file before the clock runs."""

    def __init__(self, **settings):
        torch = needed("torch")
        super().__init__(**settings)
        device = best_device()
        # Copied on writing, which never happens: torch warns of maps that can't be written.
        self._vectors = torch.from_numpy(self._database("c")).to(device)
        self._asked = torch.from_numpy(self.queries).to(device)

    def run(self):
        found = (self._asked @ self._vectors.T).topk(min(self._top_k, len(self._vectors)))
        return found.indices.cpu().numpy(), found.values.cpu().numpy()
