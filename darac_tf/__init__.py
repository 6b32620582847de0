"""DARAC: deep aggregation of regional convolutional activations, for TensorFlow and Keras.

The layout follows the pipeline. Imports point one way: what stands below imports from what stands
above it, never the other way round (`tests/test_layout.py` holds this list against the code).

    errors, files, archives, parquet, unpickling, memory, threads, processor, rows, hugging_face
    settings, choices, phases, cli, systems
                      what everything else stands on, without TensorFlow
    layers            regions, and the poolings over them, as Keras layers
    models            backbones, preprocessing, descriptors
    losses            one loss a file
    engines           what runs a network when images are described
    metrics           from rankings to scores, one protocol a file
    data              images, collections, samplers, augmentation, input pipelines
    describing        from images to descriptors, and what is kept of them on disk
    whitening         PCA and Lw: learning, files, the guard against test images
    ranking           from descriptors to rankings: search, expansion, re-ranking
    local_features    DELF: extraction, matching, ranking by inliers
    reports           what people get: table, JSON, comparison, page, pictures, plots
    evaluation        what eval.py does: task, sources, one evaluator, the paper's tables
    training          what train.py does: settings, batches, step, loop, checkpoints
    published         models as others have published them, as run directories
    last_layers       the last layers and the pooling, trained on stored maps of those below
    export            from a descriptor to a SavedModel, or to a model of OpenVINO or ONNX
    parts             descriptions of many images, a part at a time: manifest, files, workers
    serving           the client of a served descriptor
    databases         vectors in databases of others
    search            an index of a user's own images
    web               a page in the browser to search such an index
    index_flags       what the commands on such an index share
    demo              what the demo does and shows
    commands          the `darac` command
"""

__version__ = "1.0.0"
