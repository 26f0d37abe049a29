"""fastai's `collab_learner`, as its documents use it: `y_range=(0, 5.5)`, `fit_one_cycle(5, 5e-3, wd=0.1)`, batches of 64.

From some version on (2.8.12 has it) the loader of tabular data draws the rows of an epoch with replacement: an epoch sees 63 %
of them, some several times. The option `rows=once` takes the loader that every row passes once, as in earlier versions.
"""

import warnings

import numpy
import pandas
import protocol

warnings.filterwarnings("ignore")
import fastai  # noqa: E402
import torch  # noqa: E402
from fastai.collab import CollabDataLoaders, collab_learner  # noqa: E402
from fastai.tabular.core import TabDataLoader  # noqa: E402


def main() -> None:
    job = protocol.job()
    torch.set_num_threads(job.threads)
    torch.manual_seed(job.seed)
    clock = protocol.Clock()
    frame = pandas.DataFrame({"user": job.users, "item": job.items, "rating": job.ratings})
    # Nothing is set aside: the rows to judge by are not here.
    loader = {"dl_type": TabDataLoader} if job.options.get("rows") == "once" else {}
    loaders = CollabDataLoaders.from_df(frame, valid_pct=0, seed=job.seed, bs=int(job.number("batch", 64)), num_workers=0, **loader)
    learner = collab_learner(loaders, n_factors=job.factors, y_range=(0, job.scale[1] + 0.5))
    clock.fit()
    with learner.no_bar(), learner.no_logging():
        learner.fit_one_cycle(int(job.number("epochs", 5)), job.number("rate", 5e-3), wd=job.number("decay", 0.1))
    times = clock.stop()

    def codes(name: str, values: numpy.ndarray) -> torch.Tensor:
        place = {value: code for code, value in enumerate(loaders.classes[name])}
        return torch.tensor([place[value] for value in values])

    pairs = torch.stack([codes("user", job.held_users), codes("item", job.held_items)], dim=1)
    with torch.no_grad():
        predictions = learner.model.eval()(pairs).squeeze().numpy()
    job.finish(predictions, times, fastai.__version__)


if __name__ == "__main__":
    main()
