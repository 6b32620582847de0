"""DELF: attentive local features, matched and verified by geometry.

Noh, Araujo, Sim, Weyand and Han, Large-scale image retrieval with attentive deep local features,
ICCV 2017 (arXiv 1612.06321).

    model = load_delf("runs/delf")                  # train.py --matching=local trains it
    pca = load_whitening("runs/delf/pca.npz")
    extractor = LocalExtractor(model, images, pca)  # `ImageList`: boxes are respected
    store = write_features(folder, extractor, extractor.dim)  # FeatureStore(folder) reads it
    queries = [store[place] for place in task.queries]
    rows, inliers = rerank_by_inliers(rows, queries, store)   # of any descriptor's first 100
    rows, inliers = rank_by_inliers(queries, store)           # or of all

They stand in `model`, `extraction`, `store` and `matching`.
"""
