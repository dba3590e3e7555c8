"""Two seconds of a model exported by `styleganv export MODEL mine.pt2`, with PyTorch only.

python torch_export_player.py mine.pt2 frames.pt    # uint8 [T, H, W, 3]
"""

import json
import sys

import torch

path, out = sys.argv[1:]
metadata = {"styleganv.json": ""}
mapping, video = torch.export.load(path.replace(".pt2", "-mapping.pt2")), torch.export.load(path, extra_files=metadata)
facts, random = json.loads(metadata["styleganv.json"]), torch.Generator().manual_seed(0)
(z, _, *label), (_, _, noise, *_) = mapping.example_inputs[0], video.example_inputs[0]
label = [each[:1] for each in label]  # class 0, if the model has classes
z = torch.randn(1, z.shape[1], generator=random)
styles = mapping.module()(z, torch.full([1], 0.8), *label)
times = torch.arange(2 * float(facts["fps"]), dtype=torch.float64)[None]  # in frames
slots = int(times.max() // float(facts["slot_distance"])) + int(facts["window_slots"])
noise = torch.randn(1, slots, noise.shape[2], generator=random)
frames = video.module()(styles, times, noise, torch.zeros(1, dtype=torch.int64), *label)[0].permute(0, 2, 3, 1)
torch.save((frames * 127.5 + 127.5).round().clamp(0, 255).to(torch.uint8), out)
