from whatwhere.recordings import input_files


def test_weights_are_inputs_of_a_simulation():
    space = {"name": "vgg19", "layer": "conv1_1", "weights": "vgg19.pth"}
    assert input_files({"kind": "simulated_features", "feature_space": space}) == ["vgg19.pth"]
    assert input_files({"kind": "simulated_v1"}) == []
