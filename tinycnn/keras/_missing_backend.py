"""The names of Keras's backend that tinycnn does not have, and what to do instead."""

from ._missing import LOGGING, table

_ON_TENSORS = """
    abs all any arange argmax argmin asymmetric_spatial_2d_padding asymmetric_temporal_padding atrous_conv2d
    batch_dot batch_flatten batch_get_value batch_normalization batch_set_value bias_add binary_crossentropy
    binary_focal_crossentropy cast cast_to_floatx categorical_crossentropy clip concatenate constant
    control_dependencies conv1d conv2d conv2d_transpose conv3d conv3d_transpose cos count_params ctc_batch_cost
    ctc_decode ctc_label_dense_to_sparse cumprod cumsum deconv2d depthwise_conv2d dot dropout dtype eager elu
    equal exp expand_dims eye flatten foldl foldr function Function gather get_graph get_session
    get_variable_shape gradients greater greater_equal hard_sigmoid identity in_test_phase in_top_k
    in_train_phase int_shape is_placeholder is_sparse is_tensor is_variable l2_normalize learning_phase less
    less_equal lesser lesser_equal local_conv1d local_conv2d log logsumexp map_fn
    max maximum mean min minimum moving_average_update name_scope ndim normalize_batch_in_training not_equal
    one_hot ones ones_like permute_dimensions placeholder pool2d pool3d pow print_tensor prod random_bernoulli
    random_binomial random_normal random_normal_variable random_uniform random_uniform_variable relu repeat
    repeat_elements reshape resize_images resize_volumes reverse rnn round separable_conv1d separable_conv2d
    set_learning_phase shape sigmoid sign sin slice softmax softplus softsign sparse_categorical_crossentropy
    spatial_2d_padding spatial_3d_padding sqrt square squeeze stack std stop_gradient sum switch symbolic tanh
    temporal_padding tile to_dense transpose truncated_normal update update_add update_sub var variable zeros
    zeros_like
"""

_SETTINGS = """
disable_flash_attention enable_flash_attention is_flash_attention_enabled is_nnx_enabled disable_traceback_filtering
enable_traceback_filtering is_traceback_filtering_enabled enable_unsafe_deserialization set_backend max_epochs
max_steps_per_epoch set_max_epochs set_max_steps_per_epoch manual_variable_initialization learning_phase_scope
"""

BACKEND = table(
    (
        "tinycnn has no tensors and no automatic differentiation; work on NumPy arrays, and see docs/how_to/ for "
        "layers and losses of your own",
        _ON_TENSORS.split(),
    ),
    ("write model.optimizer.learning_rate = 0.001", ("set_value",)),
    ("progress is printed by fit itself, verbose=0, 1 or 2", LOGGING),
    (
        "images are (N, H, W, C), and kernels (height, width, channels, filters): leave the call out",
        ("convert_kernel", "normalize_data_format"),
    ),
    (
        "tinycnn works on NumPy arrays, in float32, or in float64 with Sequential(dtype='float64')",
        (
            *("get_uid", "is_float_dtype", "is_int_dtype", "is_keras_tensor", "result_type", "standardize_dtype"),
            *("dtype_policy", "set_dtype_policy"),
        ),
    ),
    (
        "there is nothing to set here",
        _SETTINGS.split(),
    ),
)
