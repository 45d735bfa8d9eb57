"""Convolutional cores: the feature space that all neurons share (sections C.1, C.2 and G.2)."""

import functools
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from whatwhere.errors import UserError
from whatwhere.models.base import ImageShape


class Exponential(nn.Module):
    """exp(x), the nonlinearity of the LNP model."""

    def forward(self, drive: Tensor) -> Tensor:
        """Element by element."""
        return drive.exp()


ACTIVATIONS = {
    "identity": nn.Identity,
    "relu": nn.ReLU,
    "elu": nn.ELU,
    "softplus": nn.Softplus,
    "exp": Exponential,
}

_LAPLACE = torch.tensor([[0.25, 0.5, 0.25], [0.5, -3.0, 0.5], [0.25, 0.5, 0.25]])


@functools.cache
def _laplacian(device: torch.device, dtype: torch.dtype) -> Tensor:
    """:data:`_LAPLACE` on a device, copied once: no step waits for it."""
    return _LAPLACE.to(device, dtype)


def normal_(tensor: Tensor, sd: float, truncated: bool, generator: torch.Generator) -> None:
    """Fills with N(0, sd), optionally resampled beyond two sd, in place."""
    with torch.no_grad():
        if truncated and sd > 0:
            nn.init.trunc_normal_(tensor, 0.0, sd, -2 * sd, 2 * sd, generator=generator)
        else:
            tensor.normal_(0.0, sd, generator=generator)


def correlate_by_fft(images: Tensor, kernels: Tensor) -> Tensor:
    """Valid cross-correlation through the Fourier domain; five to ten times faster for large kernels.

    Of images (batch, in_channel, y, x) and kernels (out_channel, in_channel, ky, kx); returns
    (batch, out_channel, y - ky + 1, x - kx + 1).
    """
    from scipy.fft import next_fast_len

    size = [next_fast_len(n) for n in images.shape[-2:]]
    # The circular correlation is wrong only where the kernel wraps around, which the crop removes.
    spectrum = torch.fft.rfft2(images, s=size).unsqueeze(1)
    product = (spectrum * torch.fft.rfft2(kernels, s=size).conj()).sum(2)
    height, width = (n - k + 1 for n, k in zip(images.shape[-2:], kernels.shape[-2:], strict=True))
    return torch.fft.irfft2(product, s=size)[..., :height, :width]


def correlate_in_blocks(images: Tensor, kernels: Tensor, before: int, after: int) -> Tensor:
    """Cross-correlation that computes 2 x 2 neighbors of the output as if they were four channels.

    A CPU works on 8 or 16 output channels at a time, so that fewer cost as much. Each kernel is laid in all
    four places of a window one pixel wider, and windows are two pixels apart. Kernels of 5 px need 1.4 times
    the products for it, but a layer of 64 to 4 channels takes 1.7 times less, with its gradients.

    Shapes as for :func:`correlate_by_fft`. ``before`` counts zeros above and left of the images, ``after``
    below and right; ``after`` is ``before`` or ``before + 1``.
    """
    height, width = (n + before + after - kernels.shape[-1] + 1 for n in images.shape[-2:])
    # An odd map gets one row or column more, which is cut off again.
    below, right = (after - before + n % 2 for n in (height, width))
    if below or right:
        images = functional.pad(images, (0, right, 0, below))
    windows = torch.stack([functional.pad(kernels, (x, 1 - x, y, 1 - y)) for y in (0, 1) for x in (0, 1)], 1)
    blocks = functional.conv2d(images, windows.flatten(0, 1), stride=2, padding=before)
    return functional.pixel_shuffle(blocks, 2)[..., :height, :width]


def filter_roughness(kernels: Tensor) -> Tensor:
    """||W * L||^2 / ||W||^2 of every filter, L the Laplacian of section G.2; (out, in, y, x) to (out, in)."""
    flat = kernels.reshape(-1, 1, *kernels.shape[-2:])
    rough = functional.conv2d(flat, _laplacian(kernels.device, kernels.dtype)[None, None], padding=1)
    # An all-zero filter is perfectly smooth; the small constant keeps it from being 0 / 0.
    ratio = rough.square().sum((1, 2, 3)) / (flat.square().sum((1, 2, 3)) + 1e-12)
    return ratio.view(kernels.shape[:2])


class BatchNorm(nn.Module):
    """Batch normalization of ``size`` channels without gain (section C.2).

    ``decay`` is that of the moving averages, which start at mean 0 and variance 1; a ``shift`` is learned.
    """

    mean: Tensor
    variance: Tensor

    def __init__(self, size: int, decay: float, shift: bool) -> None:
        super().__init__()
        self.momentum = 1 - decay
        self.shift = nn.Parameter(torch.zeros(size)) if shift else None
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("variance", torch.ones(size))

    def forward(self, features: Tensor) -> Tensor:
        """Normalizes (batch, channel, y, x) to the same shape."""
        # On a GPU torch gives a shift no gradient unless there is a gain.
        alone = self.shift is not None and features.is_cuda
        return functional.batch_norm(
            features,
            self.mean,
            self.variance,
            weight=torch.ones_like(self.variance) if alone else None,
            bias=self.shift,
            training=self.training,
            momentum=self.momentum,
            eps=1e-3,
        )


def temporal_roughness(kernels: Tensor, n_times: int) -> Tensor:
    """Squared second differences in time over squared norm of every filter, (out, time * in, y, x) to (out,).

    What lies before the newest frame and after the oldest counts as 0.
    """
    courses = kernels.unflatten(1, (n_times, -1)).movedim(1, -1).reshape(-1, 1, n_times)
    second = courses.new_tensor([[[1.0, -2.0, 1.0]]])
    rough = functional.conv1d(courses, second, padding=1).square().reshape(len(kernels), -1).sum(1)
    return rough / (kernels.square().sum((1, 2, 3)) + 1e-12)


class ConvLayer(nn.Module):
    """Convolution without bias, then batch normalization and an activation.

    Parameters
    ----------
    in_shape
        (channel, y, x) of the input.
    channels, kernel
        Number of filters and their width in pixels.
    same
        Zero-pad to the input size; an even kernel pads one pixel more below and right (section G.2).
    unit_norm
        Divide every filter by its L2 norm (section C.3).
    batch_norm
        Keyword arguments of :class:`BatchNorm` except ``size``, or None.
    activation
        A key of :data:`ACTIVATIONS`.
    """

    def __init__(
        self,
        in_shape: ImageShape,
        channels: int,
        kernel: int,
        same: bool,
        unit_norm: bool,
        batch_norm: dict[str, Any] | None,
        activation: str,
    ) -> None:
        super().__init__()
        self.add_kernels(channels, in_shape[0], kernel)
        self.same = same
        self.unit_norm = unit_norm
        lost = 0 if same else kernel - 1
        self.out_shape: ImageShape = (channels, in_shape[1] - lost, in_shape[2] - lost)
        if min(self.out_shape) < 1:
            raise UserError(
                f"cores: a kernel of {kernel} px does not fit into {in_shape[1]} x {in_shape[2]} px: "
                "use smaller kernels or larger images"
            )
        # Measured on CPU: transforms cost by the pair of channels, products by the area of the kernel.
        self.use_fft = 25 * in_shape[0] * channels <= kernel**2
        self.in_blocks = channels <= 4 and kernel > 2
        self.norm = nn.Identity() if batch_norm is None else BatchNorm(channels, **batch_norm)
        self.activation = ACTIVATIONS[activation]()

    def add_kernels(self, channels: int, in_channels: int, kernel: int) -> None:
        """Adds filters of zeros."""
        self.kernels = nn.Parameter(torch.zeros(channels, in_channels, kernel, kernel))

    def draw(self, sd: float, truncated: bool, generator: torch.Generator) -> None:
        """Draws the filters (section B)."""
        normal_(self.kernels, sd, truncated, generator)

    def constrained_kernels(self) -> Tensor:
        """Filters as they are applied, (out_channel, in_channel, y, x)."""
        if not self.unit_norm:
            return self.kernels
        return self.kernels / (1e-5 + self.kernels.norm(dim=(2, 3), keepdim=True))

    def forward(self, features: Tensor) -> Tensor:
        """Maps (batch, in_channel, y, x) to (batch, channel, y, x)."""
        return self.activation(self.norm(self.correlate(features, self.constrained_kernels())))

    def correlate(self, features: Tensor, kernels: Tensor) -> Tensor:
        """Correlates with filters (channel, in_channel, y, x), padded as the layer is."""
        before = (kernels.shape[-1] - 1) // 2 if self.same else 0
        after = kernels.shape[-1] - 1 - before if self.same else 0
        if self.use_fft:
            return correlate_by_fft(functional.pad(features, (before, after, before, after)), kernels)
        if self.in_blocks and features.device.type == "cpu":
            return correlate_in_blocks(features, kernels, before, after)
        # A convolution that pads needs no padded copy, nor its gradient, but pads all sides alike.
        if after > before:
            features = functional.pad(features, (0, 1, 0, 1))
        return functional.conv2d(features, kernels, padding=before)


class SeparableConvLayer(ConvLayer):
    """A layer whose filters are sums of ``rank`` products of a course in time and a filter in space.

    Parameters
    ----------
    rank, n_times
        Number of products, and of times among the channels of the input (time * channel, y, x).
    others
        As for :class:`ConvLayer`.
    """

    def __init__(
        self, rank: int, n_times: int, in_shape: ImageShape, channels: int, kernel: int, *others: Any
    ) -> None:
        super().__init__(in_shape, channels, kernel, *others)
        self.courses = nn.Parameter(torch.zeros(channels, rank, n_times))
        self.spaces = nn.Parameter(torch.zeros(channels, rank, in_shape[0] // n_times, kernel, kernel))

    def add_kernels(self, channels: int, in_channels: int, kernel: int) -> None:
        """Adds nothing: filters are products."""

    @property
    def kernels(self) -> Tensor:  # type: ignore[override]
        """Filters, (out_channel, time * in_channel, y, x)."""
        return torch.einsum("ort,orcyx->otcyx", self.courses, self.spaces).flatten(1, 2)

    def draw(self, sd: float, truncated: bool, generator: torch.Generator) -> None:
        """Draws courses with sd 1, and filters in space so that products have values with ``sd``."""
        normal_(self.courses, 1.0, truncated, generator)
        normal_(self.spaces, sd / self.courses.shape[1] ** 0.5, truncated, generator)

    def forward(self, features: Tensor) -> Tensor:
        """Maps (batch, time * in_channel, y, x) to (batch, channel, y, x): first in time, then in space."""
        if self.unit_norm or self.spaces.shape[-1] == 1:
            return super().forward(features)
        n_channels, _, n_times = self.courses.shape
        n_in = self.spaces.shape[2]
        # One map per filter, product and color.
        in_time = torch.einsum("ort,btcyx->borcyx", self.courses, features.unflatten(1, (n_times, n_in)))
        before = (self.spaces.shape[-1] - 1) // 2 if self.same else 0
        after = self.spaces.shape[-1] - 1 - before if self.same else 0
        maps = functional.pad(in_time.flatten(1, 3), (before, after, before, after))
        found = functional.conv2d(maps, self.spaces.flatten(1, 2), groups=n_channels)
        return self.activation(self.norm(found))


class ConvCore(nn.Module):
    """A stack of convolutional layers, from ``image_shape`` to ``out_shape``, (channel, y, x) each.

    ``config`` is an element of a model's ``cores`` list; its keys are described in ``config/README.md``.
    ``n_times`` is the number of lags, or functions of time, among the channels; 1 for still images.
    """

    def __init__(self, image_shape: ImageShape, config: dict[str, Any], n_times: int = 1) -> None:
        super().__init__()
        self.config = config
        self.n_times = n_times
        self.layers = nn.ModuleList()
        shape = image_shape
        activations = [config["activation"]] * (len(config["channels"]) - 1) + [config["last_activation"]]
        layers = zip(config["channels"], config["kernels"], config["padding"], activations, strict=True)
        for channels, kernel, padding, activation in layers:
            same, unit_norm, batch_norm = padding == "same", config["unit_norm"], config["batch_norm"]
            given = (shape, channels, kernel, same, unit_norm, batch_norm, activation)
            rank = config.get("temporal_rank") if not self.layers else None
            layer = SeparableConvLayer(rank, n_times, *given) if rank else ConvLayer(*given)
            self.layers.append(layer)
            shape = layer.out_shape
        self.side_by_side: bool = config.get("side_by_side", False)
        if self.side_by_side:
            shape = (image_shape[0] + sum(config["channels"]), *image_shape[1:])
        self.out_shape = shape

    def conv_layers(self) -> list[ConvLayer]:
        """All layers, first to last."""
        return cast(list[ConvLayer], list(self.layers))

    def initialize(self, generator: torch.Generator, localized: Tensor | None = None) -> None:
        """Draws all filters (section B); those of a single layer may be ``localized``, (kernel, y, x)."""
        for layer in self.conv_layers():
            layer.draw(self.config["kernel_sd"], self.config["truncated"], generator)
        if self.config.get("kernel_start") == "posterior" and localized is not None:
            (layer,) = self.conv_layers()
            # Localization uses the mean over the image channels.
            layer.kernels.data.copy_(localized[:, None] / layer.kernels.shape[1])
        self.use_fast_layout()

    def use_fast_layout(self) -> None:
        """Stores filters channels-last; features follow, and convolutions are 1.4 times faster on CPU."""
        for layer in self.conv_layers():
            if not isinstance(layer, SeparableConvLayer):
                layer.kernels.data = layer.kernels.data.to(memory_format=torch.channels_last)

    def forward(self, images: Tensor) -> Tensor:
        """Features of images: (batch, channel, y, x) to (batch, channel, y, x)."""
        # Copied once: a convolution and its gradient each copy an input that is not channels-last.
        # By axes, because vmap over images knows no memory format.
        maps = [images.movedim(1, 3).contiguous().movedim(3, 1)]
        for layer in self.layers:
            maps.append(layer(maps[-1]))
        return torch.cat(maps, 1) if self.side_by_side else maps[-1]

    def smoothness(self) -> Tensor:
        """Laplacian penalty of section G.2, layers weighted by ``smooth_layers``; a scalar."""
        layers = zip(self.config["smooth_layers"], self.conv_layers(), strict=True)
        return torch.stack([weight * filter_roughness(one.kernels).sum() for weight, one in layers]).sum()

    def temporal_smoothness(self) -> Tensor:
        """Roughness in time of the filters of the first layer; a scalar."""
        return temporal_roughness(self.conv_layers()[0].kernels, self.n_times).sum()

    def group_sparsity(self) -> Tensor:
        """Sum of the L2 norms of all filters, layers weighted by ``sparse_layers``; a scalar."""
        layers = zip(self.config["sparse_layers"], self.conv_layers(), strict=True)
        # torch's norm has gradient 0 at 0, where the square root of the paper has none (pitfall P14).
        return torch.stack([weight * layer.kernels.norm(dim=(2, 3)).sum() for weight, layer in layers]).sum()
