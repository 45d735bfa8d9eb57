"""Several models of one architecture, run as one batched program."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.func import functional_call

from whatwhere.models.base import EVALUATION_CHUNK, Model
from whatwhere.sessions import Session
from whatwhere.training.blocks import Terms
from whatwhere.training.losses import WHOLE, Objective
from whatwhere.windows import Windows


class _Objective(nn.Module):
    """An objective as a module, so that its model's parameters can be exchanged."""

    def __init__(self, encoder: Model, objective: Objective) -> None:
        super().__init__()
        self.encoder = encoder
        self.objective = objective

    def forward(
        self, images: Tensor, responses: Tensor, strengths: dict[str, Tensor], terms: Terms
    ) -> Tensor:
        return self.objective(self.encoder, images, responses, terms, strengths)


class Stack:
    """Models that see the same images, as one program with a leading fit axis.

    Models differ in nothing but parameters and buffers, their objectives in nothing but strengths. Parameters
    and buffers of the models become views of common tensors (fit, ...): whatever changes a model in place,
    such as an optimizer or ``load_state_dict``, changes the stack, and nothing is copied in a step. What does
    not depend on the fit, such as the Fourier transform of the images, is computed once. A single model runs
    as it is.
    """

    def __init__(self, encoders: list[Model], objectives: list[Objective]) -> None:
        self.encoders = encoders
        self.objectives = objectives
        first = encoders[0]
        trained = [name for name, value in first.named_parameters() if value.requires_grad]
        # (parameter, fit): where an optimizer looks for gradients.
        self._views = [[encoder.get_parameter(name) for encoder in encoders] for name in trained]
        self._leaves: list[Tensor] = [views[0] for views in self._views]
        if len(encoders) > 1:
            self._tensors = _share([dict(encoder.named_parameters()) for encoder in encoders])
            self._tensors |= _share([dict(encoder.named_buffers()) for encoder in encoders])
            self._leaves = [self._tensors[name].requires_grad_() for name in trained]
            names = sorted({name for objective in objectives for name in objective.strengths})
            like = next(first.parameters())
            self._strengths = {
                name: like.new_tensor([objective.strengths.get(name, 0.0) for objective in objectives])
                for name in names
            }
            self._module = _Objective(first, objectives[0])

    def differentiate(
        self, batches: Iterable[tuple[Tensor, Tensor, Terms]], precision: torch.dtype
    ) -> Tensor:
        """Sets the gradients of all models in training mode, summed over several batches.

        Returns (fit,) objectives. Batches are images (batch, channel, y, x), responses (batch, neuron) and
        what they count, of every recording. They are differentiated one after the other, so that memory is
        that of the largest. With bfloat16, products of matrices and convolutions are computed in it where
        torch's autocast says so; parameters, sums and losses stay in float32.
        """
        for encoder in self.encoders:
            encoder.train()
        for leaf in self._leaves:
            leaf.grad = None
        totals = []
        for images, responses, terms in batches:
            with torch.autocast(images.device.type, torch.bfloat16, enabled=precision == torch.bfloat16):
                values = self._objectives(images, responses, terms)
            # Unlike torch.autograd.grad, backward gives gradients the layout of their parameters, without
            # which the fused optimizer pairs the wrong elements.
            values.sum().backward()
            totals.append(values.detach())
        for leaf, parameters in zip(self._leaves, self._views, strict=True):
            if len(parameters) > 1:
                for fit, parameter in enumerate(parameters):
                    parameter.grad = None if leaf.grad is None else leaf.grad[fit]
        return torch.stack(totals).sum(0)

    def _objectives(self, images: Tensor, responses: Tensor, terms: Terms) -> Tensor:
        if len(self.encoders) == 1:
            return self.objectives[0](self.encoders[0], images, responses, terms)[None]

        def one(tensors: dict[str, Tensor], strengths: dict[str, Tensor]) -> Tensor:
            named = {f"encoder.{name}": value for name, value in tensors.items()}
            return functional_call(self._module, named, (images, responses, strengths, terms))

        return torch.vmap(one, randomness="same")(self._tensors, self._strengths)

    def losses(self, images: Tensor | Windows, responses: Tensor, terms: Terms = WHOLE) -> Tensor:
        """Losses without penalties in evaluation mode, (fit, neuron)."""
        predictions = self.predict(images, terms.session)
        return torch.stack([self.objectives[0].loss(one, responses, terms.missing) for one in predictions])

    def predict(self, images: Tensor | Windows, session: Session | None = None) -> Tensor:
        """Predicted responses in evaluation mode, (image, channel, y, x) to (fit, image, neuron)."""
        for encoder in self.encoders:
            encoder.eval()
        with torch.no_grad():
            return torch.cat([self._predict(chunk, session) for chunk in images.split(EVALUATION_CHUNK)], 1)

    def _predict(self, images: Tensor, session: Session | None) -> Tensor:
        if len(self.encoders) == 1:
            return self.encoders[0](images, session)[None]

        def one(tensors: dict[str, Tensor]) -> Tensor:
            return functional_call(self.encoders[0], tensors, (images, session))

        return torch.vmap(one)(self._tensors)


def _share(states: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    """Stacks the tensors of several models by name and makes the originals views of the result."""
    stacked = {}
    for name in states[0]:
        stacked[name] = torch.stack([state[name].detach() for state in states])
        for state, view in zip(states, stacked[name].unbind(), strict=True):
            state[name].data = view
    return stacked
