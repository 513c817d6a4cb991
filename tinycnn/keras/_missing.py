"""The names of Keras's that tinycnn does not have, and what to do instead."""

from collections.abc import Iterable

_SEQUENTIAL = "tinycnn has networks that are one row of layers: write keras.Sequential([...])"
_OTHER = "use Keras itself for networks of this kind"
_IMAGES = "tinycnn works on images (N, H, W, C); use Keras itself for sequences and volumes"
_OWN = "write a layer with forward and backward: docs/how_to/write_a_layer.md shows how"
_TRANSPOSED = "tinycnn has no decoders: networks go from images to classes or numbers; use Keras itself"


def table(*rows: tuple[str, Iterable[str]]) -> dict[str, str]:
    """Return a dict from each name to its row's cure."""
    return {name: cure for cure, names in rows for name in names}


LAYERS = table(
    (
        _SEQUENTIAL,
        (
            *("Add", "add", "Average", "average", "Concatenate", "concatenate", "Dot", "dot", "Maximum", "maximum"),
            *("Minimum", "minimum", "Multiply", "multiply", "Subtract", "subtract", "Merge", "merge"),
        ),
    ),
    (
        _IMAGES,
        (
            *("Conv1D", "Convolution1D", "Conv3D", "Convolution3D", "DepthwiseConv1D", "SeparableConv1D"),
            *("SeparableConvolution1D", "MaxPool1D", "MaxPooling1D", "MaxPool3D", "MaxPooling3D", "AvgPool1D"),
            *("AveragePooling1D", "AvgPool3D", "AveragePooling3D", "GlobalAveragePooling1D", "GlobalAvgPool1D"),
            *("GlobalAveragePooling3D", "GlobalAvgPool3D", "GlobalMaxPooling1D", "GlobalMaxPool1D"),
            *("GlobalMaxPooling3D", "GlobalMaxPool3D", "Cropping1D", "Cropping3D", "ZeroPadding1D", "ZeroPadding3D"),
            *(
                "UpSampling1D",
                "UpSampling3D",
                "MelSpectrogram",
                "STFTSpectrogram",
                "Convolution1DTranspose",
                "SpatialDropout1D",
                "SpatialDropout3D",
                "RepeatVector",
            ),
            *("Embedding", "Masking", "RNN", "LSTM", "LSTMCell", "GRU", "GRUCell", "SimpleRNN", "SimpleRNNCell"),
            *(
                "Recurrent",
                "StackedRNNCells",
                "Bidirectional",
                "TimeDistributed",
                "ConvLSTM1D",
                "ConvLSTM2D",
                "ConvLSTM3D",
            ),
            *("TextVectorization", "CuDNNLSTM", "CuDNNGRU", "LocallyConnected1D", "Conv1DTranspose"),
        ),
    ),
    (
        _TRANSPOSED,
        (
            "Conv2DTranspose",
            "Convolution2DTranspose",
            "Deconvolution2D",
            "Deconv2D",
            "Deconvolution3D",
            "Deconv3D",
            "Conv3DTranspose",
            "Convolution3DTranspose",
            "UpSampling2D",
        ),
    ),
    (
        _OTHER,
        (
            *("Attention", "AdditiveAttention", "MultiHeadAttention", "GroupQueryAttention", "EinsumDense"),
            *("LayerNormalization", "GroupNormalization", "UnitNormalization", "RMSNormalization"),
            *("SpectralNormalization", "AlphaDropout", "GaussianDropout", "LocallyConnected2D", "MaxoutDense"),
            *("Highway", "TimeDistributedDense", "AtrousConvolution1D"),
            *("Hashing", "HashedCrossing", "CategoryEncoding", "StringLookup", "IntegerLookup", "Discretization"),
            *("FlaxLayer", "JaxLayer", "TorchModuleWrapper", "TFSMLayer", "DenseFeatures", "ReversibleEmbedding"),
        ),
    ),
    (
        "GlobalAveragePooling2D and GlobalMaxPooling2D are the nearest",
        tuple(f"Adaptive{kind}Pooling{axes}D" for kind in ("Average", "Max") for axes in (1, 2, 3)),
    ),
    ("Conv2D(dilation_rate=...) is the same", ("AtrousConvolution2D", "AtrousConv2D")),
    (_OWN, ("Lambda", "Wrapper", "Pipeline", "ActivityRegularization", "Identity")),
    ("LeakyReLU or ELU is the nearest", ("PReLU", "ThresholdedReLU", "ParametricSoftplus", "SReLU")),
    ("Dropout is the nearest", ("SpatialDropout2D",)),
    ("cut the arrays before you give them to the model, x[:, 2:-2, 2:-2]", ("Cropping2D", "CenterCrop")),
    ("Rescaling(scale, offset) does it with numbers that you compute from x", ("Normalization",)),
    (
        "RandomFlip, RandomRotation, RandomTranslation, RandomZoom and RandomContrast are there, and "
        "tinycnn.Augmentation, which also blurs and hides squares",
        (
            *("RandomBrightness", "RandomCrop", "RandomHeight", "RandomWidth", "RandomGrayscale", "RandomHue"),
            *("RandomSaturation", "RandomSharpness", "RandomShear", "RandomPerspective", "RandomPosterization"),
            *("RandomInvert", "RandomErasing", "RandomGaussianBlur", "RandomColorDegeneration", "RandomColorJitter"),
            *("RandomElasticTransform", "RandAugment", "AugMix", "AutoContrast", "CutMix", "Equalization", "MixUp"),
            *("Solarization", "MaxNumBoundingBoxes", "ContrastLimitedAdaptiveHistogramEqualization"),
        ),
    ),
    ("give the layer's class the arguments, and the model their shape", ("InputSpec", "InputLayerSpec")),
)

LOSSES = table(
    (
        "mean_squared_error is the nearest",
        (
            *("MeanAbsoluteError", "mean_absolute_error", "mae", "MAE", "Huber", "huber", "huber_loss", "LogCosh"),
            *("log_cosh", "logcosh", "MeanAbsolutePercentageError", "mean_absolute_percentage_error", "mape", "MAPE"),
            *("MeanSquaredLogarithmicError", "mean_squared_logarithmic_error", "msle", "MSLE", "Poisson", "poisson"),
            *("CosineSimilarity", "cosine_similarity", "cosine_proximity", "cosine"),
        ),
    ),
    (
        "categorical_crossentropy is the nearest",
        (
            *("Hinge", "hinge", "SquaredHinge", "squared_hinge", "CategoricalHinge", "categorical_hinge"),
            *("KLDivergence", "kl_divergence", "kld", "KLD", "kullback_leibler_divergence", "Dice", "dice", "Tversky"),
            *("tversky", "CategoricalFocalCrossentropy", "categorical_focal_crossentropy", "Circle", "circle"),
            *("CategoricalGeneralizedCrossEntropy", "categorical_generalized_cross_entropy", "CTC", "ctc"),
            *("BinaryFocalCrossentropy", "binary_focal_crossentropy"),
        ),
    ),
)

METRICS = table(
    (
        "tinycnn.metrics.confusion_matrix(y_true, model.predict(x)) counts what it is made of",
        (
            *("F1Score", "FBetaScore", "fmeasure", "fbeta_score", "matthews_correlation", "TruePositives"),
            "TrueNegatives",
            *("FalsePositives", "FalseNegatives", "SensitivityAtSpecificity", "SpecificityAtSensitivity"),
            *("PrecisionAtRecall", "RecallAtPrecision", "IoU", "BinaryIoU", "MeanIoU", "OneHotIoU", "OneHotMeanIoU"),
            *("ConcordanceCorrelation", "PearsonCorrelation", "concordance_correlation", "pearson_correlation"),
        ),
    ),
    (
        "Model.fit trains here, and a loop of your own can call model.train_on_batch, which returns loss and metrics",
        ("Mean", "MeanMetricWrapper", "Sum"),
    ),
    ("mean_squared_error is the nearest", ("RootMeanSquaredError", "R2Score", "LogCoshError", *list(LOSSES))),
)

_RARE = ("OptimizerMap", "ScheduleFreeAdamW")

OPTIMIZERS = table(
    (
        "Adam or SGD is the nearest",
        ("Adafactor", "Ftrl", "Lamb", "Lion", "Muon", "LossScaleOptimizer", *_RARE),
    ),
    ("write the optimizer's own learning rate into it", ("MultiOptimizer", "TFOptimizer")),
)

SCHEDULES = table(
    ("ExponentialDecay and CosineDecay are the nearest", ("PolynomialDecay", "CosineDecayRestarts")),
)

CALLBACKS = table(
    ("Ctrl-C and the callback BackupAndRestore are there, or write a keras.callbacks.Callback", ("RemoteMonitor",)),
    ("progress is printed by fit itself, verbose=0, 1 or 2", ("ProgbarLogger", "BaseLogger", "CallbackList")),
    ("weights are averaged by no optimizer here", ("SwapEMAWeights",)),
    ("model.save keeps whole models, and ModelCheckpoint saves them in training", ("OrbaxCheckpoint",)),
)

MODELS = table(
    (
        f"{_SEQUENTIAL} in place of Model(inputs, outputs)",
        ("Model", "Functional"),
    ),
    ("JSON is there: model.to_json() and keras.models.model_from_json", ("model_from_yaml",)),
    ("Sequential.from_config makes a model from a description", ("model_from_config",)),
)

LOGGING = ("disable_interactive_logging", "enable_interactive_logging", "is_interactive_logging_enabled")

UTILS = table(
    ("tinycnn uses all cores of the processor by itself, and the backend cuda one GPU", ("multi_gpu_model",)),
    ("custom_objects={'Name': Class} of load_model does it", ("register_keras_serializable", "custom_object_scope")),
    ("custom_objects={'Name': Class} of load_model does it", ("CustomObjectScope", "get_custom_objects")),
    ("split arrays with x[:n], x[n:], or write fit(validation_split=0.2)", ("split_dataset",)),
    (_IMAGES, ("timeseries_dataset_from_array", "text_dataset_from_directory", "audio_dataset_from_directory")),
    (_IMAGES, ("pad_sequences", "FeatureSpace")),
    ("plot_model draws the model", ("model_to_dot", "is_model", "is_wrapped_model", "add_edge")),
    (
        "kernels are (height, width, channels, filters) here, as in Keras today: leave the call out",
        ("convert_all_kernels_in_model", "convert_kernel", "convert_dense_weights_data_format"),
    ),
    ("batches are made in the process that trains", ("GeneratorEnqueuer", "OrderedEnqueuer", "SequenceEnqueuer")),
    ("layer.output_shape(input_shape) says it", ("conv_input_length", "conv_output_length")),
    ("the engine's losses and metrics take arrays", ("accuracy", "binary_logloss", "multiclass_logloss")),
    ("numpy.savez and numpy.load keep arrays in files", ("H5Dict", "load_array", "save_array")),
    ("model.count_params() counts the model's", ("count_params", "count_total_params")),
    ("keras.models.model_from_json makes models from descriptions", ("layer_from_config",)),
    ("ModelCheckpoint and save(overwrite=False) take care", ("ask_to_proceed_with_overwrite",)),
    (
        "Python and NumPy have the same",
        ("func_dump", "func_load", "has_arg", "slice_arrays", "to_list", "unpack_singleton", "validate_file"),
    ),
    ("the model's own layers say it", ("conv_utils", "losses_utils", "metrics_utils")),
    ("read the files with the package h5py", ("HDF5Matrix",)),
    ("progress is printed by fit itself, verbose=0, 1 or 2", ("Progbar", *LOGGING)),
    ("model.save and model.save_weights write files, and load_model reads them", ("KerasFileEditor",)),
    ("the model's own methods do it", ("load_weights", "save_weights")),
    ("tuples (x, y, sample_weight) are what fit takes", ("pack_x_y_sample_weight", "unpack_x_y_sample_weight")),
    ("tinycnn works on NumPy arrays", ("is_keras_tensor", "standardize_dtype", "bounding_boxes", "legacy", "Config")),
    ("pass classes by name, as custom_objects", ("deserialize_keras_object", "serialize_keras_object")),
    ("tinycnn's own functions take their place", ("get_registered_name", "get_registered_object", "get_source_inputs")),
)

#: Modules of Keras's that are missing as a whole, by their paths below ``keras``.
MODULES = table(
    (
        "tinycnn has no networks that were trained on ImageNet; build one of models.names() and train it",
        (
            *(
                "applications",
                "applications.vgg16",
                "applications.vgg19",
                "applications.resnet",
                "applications.resnet50",
            ),
            *("applications.resnet_v2", "applications.inception_v3", "applications.inception_resnet_v2"),
            *(
                "applications.mobilenet",
                "applications.mobilenet_v2",
                "applications.mobilenet_v3",
                "applications.densenet",
            ),
            *(
                "applications.xception",
                "applications.nasnet",
                "applications.efficientnet",
                "applications.imagenet_utils",
            ),
            *("applications.efficientnet_v2", "applications.convnext"),
        ),
    ),
    (
        "scikit-learn has tinycnn.sklearn.CNNClassifier (pip install 'tinycnn[sklearn]')",
        ("wrappers", "wrappers.scikit_learn"),
    ),
    (_IMAGES, ("preprocessing.text", "preprocessing.sequence", "preprocessing.timeseries")),
    (_IMAGES, ("layers.recurrent", "layers.embeddings", "layers.wrappers", "layers.convolutional_recurrent")),
    (_IMAGES, ("datasets.imdb", "datasets.reuters", "datasets.boston_housing", "datasets.california_housing")),
    ("mnist, fashion_mnist and cifar10 are there", ("datasets.cifar", "datasets.cifar100")),
    (_SEQUENTIAL, ("layers.merge", "engine", "engine.topology", "engine.training", "engine.input_layer")),
    (_SEQUENTIAL, ("engine.network", "engine.functional", "engine.base_layer", "engine.training_utils", "legacy")),
    ("model.save and keras.models.load_model write and read files", ("engine.saving",)),
    (
        "tinycnn has no tensors; work on NumPy arrays",
        ("ops", "random", "tree", "export", "quantizers", "distribution", "dtype_policies", "mixed_precision"),
    ),
    ("use Keras itself", ("estimator", "experimental", "feature_column", "visualization", "distillation")),
)

#: Attributes of Keras's models that are missing. (Those of layers are in ``layers/weights.py``.)
ATTRIBUTES = table(
    (
        f"{_SEQUENTIAL}, and model.trace(x) returns the results of every layer",
        ("input", "inputs", "output", "outputs"),
    ),
    (
        "model.weights() returns a dict of the arrays by their names, model.get_weights() a list, and "
        "model.count_params() their number",
        (
            *("trainable_weights", "trainable_variables", "non_trainable_weights", "non_trainable_variables"),
            "variables",
        ),
    ),
)
