"""cmfrec's `CMF` on ratings alone: biased matrix factorisation by alternating least squares."""

import importlib.metadata

import cmfrec
import protocol
import scipy.sparse

KINDS = {"lambda_": float, "niter": int, "scale_lam": lambda word: word == "true"}


def main() -> None:
    job = protocol.job()
    clock = protocol.Clock()
    matrix = scipy.sparse.coo_array((job.ratings, (job.users, job.items)), shape=(job.n_users, job.n_items))
    options = {name: KINDS[name](value) for name, value in job.options.items()}
    clock.fit()
    model = cmfrec.CMF(k=job.factors, nthreads=job.threads, random_state=job.seed, use_float=True, verbose=False, **options).fit(matrix)
    times = clock.stop()
    job.finish(model.predict(user=job.held_users, item=job.held_items), times, importlib.metadata.version("cmfrec"))


if __name__ == "__main__":
    main()
