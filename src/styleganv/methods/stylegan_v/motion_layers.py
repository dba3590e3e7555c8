"""Motion in all layers (MoStGAN-V, Shen, Li and Elhoseiny, CVPR 2023): motion styles modulate every convolution.

In the paper's model, v(t) enters at the lowest resolution only, while w modulates all layers. Here a few motion styles,
computed from w and v(t), scale the input channels of every convolution as well. Each channel attends to the styles
that concern it:

    W ← W · (1 + m),  m_c = Σ_j softmax_j(q_c · s_j / √D) (r_c · s_j / √D)

The factors 1 + m are scaled to unit root mean square over the channels, so that demodulation by w still holds. r starts
at zero: an untrained network is the paper's.

Shapes: B clips, N = B·T images, L style layers, C channels, J motion styles of width D.
"""

import torch
from torch import Tensor, nn

from styleganv.nn import leaky_relu
from styleganv.nn.layers import Dense, normalize

#: Number J of motion styles, and their width D.
NUM_MOTION_STYLES, MOTION_STYLE_DIM = 8, 64


class MotionStyles(nn.Module):
    """Content and motion codes → motion styles. A layer's own w changes only its own motion styles."""

    def __init__(self, w_dim: int, motion_dim: int) -> None:
        super().__init__()
        self.from_content = Dense(w_dim, NUM_MOTION_STYLES * MOTION_STYLE_DIM)
        self.from_motion = Dense(motion_dim, NUM_MOTION_STYLES * MOTION_STYLE_DIM, bias=False)

    def forward(self, styles: Tensor, codes: Tensor) -> Tensor:
        """Return `[N, L, J, D]` for `styles [B, L, w_dim]` and motion codes `[N, v_dim]`, N a multiple of B."""
        # shape[0], since len() would fix the number of clips of an exported program.
        content = self.from_content(styles).repeat_interleave(codes.shape[0] // styles.shape[0], dim=0)
        motion = self.from_motion(codes.to(styles.dtype))
        return leaky_relu(content + motion[:, None]).unflatten(2, (NUM_MOTION_STYLES, MOTION_STYLE_DIM))


class ChannelAttention(nn.Module):
    """Motion styles → factors of the channels that enter a convolution."""

    def __init__(self, num_channels: int) -> None:
        super().__init__()
        self.query = nn.Parameter(torch.randn(num_channels, MOTION_STYLE_DIM))
        self.readout = nn.Parameter(torch.zeros(num_channels, MOTION_STYLE_DIM))

    def forward(self, motion_styles: Tensor) -> Tensor:
        """Return the factors `[N, C, 1, 1]` for `motion_styles [N, J, D]`."""
        scaled = motion_styles / MOTION_STYLE_DIM**0.5
        attention = (scaled @ self.query.T).softmax(dim=1)
        modulation = (attention * (scaled @ self.readout.T)).sum(dim=1)
        return normalize(1 + modulation)[:, :, None, None]
