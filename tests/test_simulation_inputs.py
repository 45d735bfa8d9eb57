from whatwhere.recordings import input_files


def test_weights_are_inputs_and_addresses_are_not():
    space = {"name": "vgg19", "layer": "conv1_1", "weights": "vgg19.pth", "sha256": "0" * 64}
    assert input_files({"kind": "simulated_features", "feature_space": space}) == ["vgg19.pth"]
    remote = space | {"weights": "https://example.org/a.pth"}
    assert input_files({"kind": "simulated_features", "feature_space": remote}) == []
    assert input_files({"kind": "simulated_v1"}) == []
