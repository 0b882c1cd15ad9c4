# SPDX-License-Identifier: Apache-2.0
"""golden_dysample - DySample for golden_modules.py (dynamic modules' specification, section E), by way of grid_sample."""
from torch import nn
from torch.nn import functional as F
import torch


class DySample(nn.Module):
    def __init__(self, c, scale=2, style="lp", groups=4, dyscope=False, scope_bias=True):
        super().__init__()
        self.scale, self.pl, self.groups = scale, style == "pl", groups
        c_in, c_out = (c // scale**2, 2 * groups) if self.pl else (c, 2 * groups * scale**2)
        self.offset = nn.Conv2d(c_in, c_out, 1)
        if dyscope:
            self.scope = nn.Conv2d(c_in, c_out, 1, bias=scope_bias)
        part = (torch.arange(scale) - (scale - 1) / 2) / scale
        y, x = torch.meshgrid(part, part, indexing="ij")
        centres = torch.stack([x, y])[:, None].expand(2, groups, scale, scale)
        self.register_buffer("init_pos", centres.reshape(1, -1, 1, 1))

    def offsets(self, x):
        if self.pl:
            x = F.pixel_shuffle(x, self.scale)
        o = self.offset(x) * (torch.sigmoid(self.scope(x)) * 0.5 if hasattr(self, "scope") else 0.25)
        return (F.pixel_unshuffle(o, self.scale) if self.pl else o) + self.init_pos

    def forward(self, x):
        """Pixels to [-1, 1] with half-pixel centres; each group samples as an image of its own."""
        n, c, h, w = x.shape
        r, g = self.scale, self.groups
        off = self.offsets(x).view(n, 2, -1, h, w)
        place = torch.stack([off[:, 0] + torch.arange(w), off[:, 1] + torch.arange(h)[:, None]], 1)
        grid = (2 * place + 1) / torch.tensor([w, h]).view(1, 2, 1, 1, 1) - 1
        grid = F.pixel_shuffle(grid.view(n, -1, h, w), r).view(n, 2, g, r * h, r * w).permute(0, 2, 3, 4, 1).flatten(0, 1)
        y = F.grid_sample(x.reshape(n * g, c // g, h, w), grid, mode="bilinear", padding_mode="border", align_corners=False)
        return y.view(n, c, r * h, r * w)


MODULES = {
    "DySample": (DySample, ["x[2,8,3,4] amp=0.1 args=[]",
                            "x[1,6,5,7] amp=0.1 args=[3, lp, 2, true]",
                            "x[7,8,2,3] amp=0.1 args=[2, pl, {groups: 2}]",
                            "x[2,18,3,2] amp=0.1 args=[3, pl, 3, true, {scope_bias: false}]",
                            "x[1,5,4,1] amp=0.1 args=[4, lp, 5, true, false]",
                            "x[1,20,5,6] amp=0.05 args=[{dyscope: true}]"]),
}
