"""Surprise's SVD: biased matrix factorisation by gradient descent, one rating at a time, on one thread whatever is asked."""

import numpy
import pandas
import protocol
import surprise


def main() -> None:
    job = protocol.job()
    clock = protocol.Clock()
    frame = pandas.DataFrame({"user": job.users, "item": job.items, "rating": job.ratings})
    data = surprise.Dataset.load_from_df(frame, surprise.Reader(rating_scale=job.scale)).build_full_trainset()
    options = {name: kind(job.options[name]) for name, kind in (("n_epochs", int), ("lr_all", float), ("reg_all", float)) if name in job.options}
    clock.fit()
    model = surprise.SVD(n_factors=job.factors, random_state=job.seed, **options).fit(data)
    times = clock.stop()
    # What `predict` does for each pair, for all of them at once.
    users, items = numpy.empty(data.n_users, dtype=int), numpy.empty(data.n_items, dtype=int)
    for raw, inner in data._raw2inner_id_users.items():
        users[int(raw)] = inner
    for raw, inner in data._raw2inner_id_items.items():
        items[int(raw)] = inner
    users, items = users[job.held_users], items[job.held_items]
    predictions = data.global_mean + model.bu[users] + model.bi[items] + numpy.einsum("nk,nk->n", model.pu[users], model.qi[items])
    job.finish(predictions, times, surprise.__version__)


if __name__ == "__main__":
    main()
